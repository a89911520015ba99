// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/deadline.hpp"
#include "trireme/net/job_key.hpp"
#include "trireme/transport/link.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace trireme::transport {

class Arena;
class Doorbell;

/// Who this rank is to its peers, and what its links share. The arena and the doorbell outlive every link.
struct Membership {
  std::string job_id;
  std::uint64_t epoch = 0;
  int rank = 0;
  int world_size = 1;
  net::JobKey key;
  std::shared_ptr<Arena> arena;
  std::shared_ptr<Doorbell> doorbell;
};

/// One way of moving bytes between ranks. Each folder (mem, shm, tcp) has the same floor plan and one door, a function
/// that returns this interface.
/// Of two ranks the higher connects and the lower accepts; every rank connects first, in ascending order of peers, and
/// then accepts: no order of start-up can deadlock.
class Transport {
 public:
  virtual ~Transport() = default;
  virtual std::string_view name() const = 0;
  /// What peers need to reach this rank: published through the rendezvous. One line without spaces.
  virtual std::string card() const = 0;
  /// Whether a peer that published `peer_card` can be reached.
  virtual bool reaches(std::string_view peer_card) const = 0;
  /// Errors: timeout, peer_lost, invalid_argument (wrong job key), mismatch (another job, epoch, build or rank).
  virtual std::unique_ptr<Link> connect(int peer, std::string_view peer_card, Deadline deadline) = 0;
  /// A descriptor readable when a peer wants in; -1 when accept() never has to wait.
  virtual int listening_descriptor() const = 0;
  /// Takes one waiting connection through its handshake; {-1, null} when it was no peer of this world (dropped; the
  /// reason in `refusal`).
  virtual std::pair<int, std::unique_ptr<Link>> accept(Deadline deadline, std::string& refusal) = 0;
};

}  // namespace trireme::transport
