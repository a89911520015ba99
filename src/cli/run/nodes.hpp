// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/run/node_card.hpp"
#include "cli/run/node_event.hpp"
#include "trireme/base/deadline.hpp"
#include "trireme/base/log.hpp"
#include "trireme/net/job_key.hpp"
#include "trireme/net/socket.hpp"

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace trireme::cli {

/// The launchers of a job on several hosts, one on each. That of node 0 serves the rest: a store, which holds their cards and a
/// journal of what happens, and a control channel, over which a launcher or host that is gone is named to all others.
/// Threads: two of its own; everything else is called on the launcher's.
class Nodes {
 public:
  struct Options {
    int node = 0;
    int nnodes = 1;
    net::Address rendezvous;  ///< where node 0 listens, on all its addresses
    net::JobKey key;
    std::string job_id;
    NodeCard card;
    std::vector<std::string> names{};         ///< of the hosts, as far as they are known beforehand
    std::chrono::milliseconds linger{10000};  ///< how long node 0 waits for the others' farewell
    /// Called while the launchers meet, from when interrupt() of this one reaches those that are there.
    std::function<void(std::shared_ptr<Nodes>)> reached{};
    Log log{};
  };
  /// Waits until all launchers are there, looking for node 0 while nobody answers; says every 30 s who is missing.
  /// Errors: timeout naming the nodes that are missing, which all that wait then hear; peer_lost naming a host that is gone;
  ///         invalid_argument when node 0 was given another number of nodes, a node is there twice, or the job's key is wrong.
  static std::shared_ptr<Nodes> meet(Options options, Deadline deadline);
  virtual ~Nodes() = default;

  virtual const std::vector<NodeCard>& cards() const = 0;
  /// "host algo-2 (node 1)".
  virtual std::string who(int node) const = 0;
  /// Node 0's to give, the others' to wait for. Errors: as meet.
  virtual void give_place(const MeetingPlace& place) = 0;
  virtual MeetingPlace await_place(Deadline deadline) = 0;

  /// Becomes readable when there is something to take.
  virtual int descriptor() const = 0;
  /// Events of all nodes that have come, this one's own too, in the order of the journal. Does not block.
  virtual std::vector<NodeEvent> take() = 0;
  /// A host that is gone, or what a launcher gave up for. There is no journal any more then.
  struct Loss {
    int node = -1;  ///< -1: no host is gone
    std::string message{};
    int signal = 0;  ///< that asked this or another launcher to stop before all had met; 0: none
  };
  virtual std::optional<Loss> loss() const = 0;
  /// Writes into the journal. Does not block.
  virtual void tell(NodeEvent event) = 0;
  /// This launcher gives up: the others hear why.
  virtual void give_up(const std::string& why) = 0;
  /// The same before all have met, because `signal` asks this launcher to stop. Threads: any. Returns when the others have been told, or
  /// within a second.
  virtual void interrupt(int signal) = 0;
  /// Says goodbye; node 0 waits for the others to do so. Bounded.
  virtual void leave() = 0;
};

/// For a process of the job that is on no node, such as a parameter server on a host of its own: where the ranks meet, as soon as node
/// 0, which listens at `rendezvous`, says so.
/// Errors: timeout; invalid_argument when the job's key is wrong.
MeetingPlace place_of_ranks(const net::Address& rendezvous, const net::JobKey& key, const std::string& job_id,
                            const Log& log, Deadline deadline);

}  // namespace trireme::cli
