// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ps/shard.hpp"

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

namespace trireme::testing {

/// Of so many seeded schedules those to explore: fewer with sanitizers, which look for other faults in each and take longer.
constexpr std::uint64_t schedules(std::uint64_t all) {
#ifdef TRIREME_SANITIZED
  return all / 8;
#else
  return all;
#endif
}

class Simulation;

/// A worker as the library's client behaves: sends in order of each key, within its windows, offers the rest, repeats what is not
/// acknowledged where a lost server's keys are then.
class SimulatedWorker {
 public:
  struct Options {
    std::uint32_t rank = 0;
    std::uint32_t incarnation = 1;
    std::uint64_t steps = 1;
    std::uint64_t first_step = 1;
    bool initialises = false;
    /// Of (rank, key, step); empty: nothing is used.
    std::function<ps::Payload(std::uint32_t, ps::Key, std::uint64_t)> gradient;
    double weight = 1.0;
    double learning_rate = 1.0;
  };
  SimulatedWorker(Simulation& world, Options options);

  void connect(std::size_t server);
  void receive(std::size_t server, ps::Message&& message);
  void lost(std::size_t server);
  bool done() const { return step_ > options_.steps && items_.empty(); }
  std::uint64_t step() const { return step_; }
  std::uint32_t rank() const { return options_.rank; }
  ps::WorkerId id() const { return ps::WorkerId{options_.rank} << 32 | options_.incarnation; }
  const std::map<ps::Key, ps::Payload>& values() const { return values_; }
  /// The mean of the last step that it got, by key.
  const std::map<ps::Key, ps::Payload>& means() const { return means_; }
  /// Acknowledged pushes, by key.
  const std::map<ps::Key, std::uint64_t>& acknowledged() const { return acknowledged_; }
  const std::vector<std::string>& failures() const { return failures_; }
  /// What it may send unasked, by server; and what it might at the first welcome.
  const std::map<std::size_t, std::uint64_t>& windows() const { return windows_; }
  const std::map<std::size_t, std::uint64_t>& first_windows() const { return first_windows_; }
  /// What it waits for, for who debugs.
  std::string state() const;
  bool stopped = false;  ///< takes no more steps (a slow worker); what comes still arrives
  void go_on() { advance(); }
  std::size_t server_of(ps::Key key) const;

 private:
  /// Something that is to be answered.
  struct Item {
    std::uint32_t group = 0;
    ps::Key key = 0;
    ps::Message message;
    std::size_t server = 0;  ///< where it was sent or offered
    bool sent = false, offered = false, granted = false;
  };
  void add(ps::Key key, ps::Control control, ps::Payload payload = {});
  void pump();
  void advance();
  void begin_step();
  void move();

  Simulation& world_;
  Options options_;
  std::uint64_t step_ = 0;
  enum class Phase { idle, sums, values } phase_ = Phase::idle;
  std::set<ps::Key> wanted_;
  std::deque<Item> items_;
  std::uint64_t sequence_ = 0;
  std::map<std::uint32_t, std::size_t> serves_;  ///< by group
  struct Moving {
    bool must_move = false;
    std::uint64_t view = 0;
    std::optional<std::uint32_t> ask{}, lost{};
    std::size_t asked = 0;  ///< servers, since somebody answered
  };
  std::map<std::uint32_t, Moving> moving_;        ///< by group
  std::map<std::size_t, std::uint64_t> windows_;  ///< by server that said welcome
  std::map<std::size_t, std::uint64_t> first_windows_;
  std::uint64_t requests_ = 0, attempts_ = 0;
  std::map<ps::Key, std::uint64_t> versions_;
  std::map<ps::Key, ps::Payload> values_, means_;
  std::map<ps::Key, std::uint64_t> acknowledged_;
  std::vector<std::string> failures_;
};

/// Servers (of one loop each) and workers with links between them, on which messages keep their order and nothing else: each step
/// delivers the first message of a link that the seed chooses.
class Simulation {
 public:
  struct Options {
    std::shared_ptr<const ps::KeyPlan> plan;
    ps::Consistency consistency{};
    std::uint32_t workers = 1;
    std::uint32_t backup_workers = 0;
    std::uint32_t leaves = 8;
    std::function<std::unique_ptr<Optimizer>()> make_optimizer{};
    bool staleness_aware = false;
    std::uint64_t memory_bytes = 0;
    bool replicas = false;
  };
  Simulation(Options options, std::uint64_t seed);

  SimulatedWorker& add_worker(SimulatedWorker::Options options);
  /// Until nothing is under way (false), or `steps` messages were delivered.
  bool run(std::uint64_t steps = ~0ull);
  /// False: nothing is under way, and it does not hold.
  template <class Condition>
  bool run_until(Condition&& holds) {
    while (!holds()) {
      if (!run(1)) return holds();
    }
    return true;
  }
  /// The process ends: what it has sent arrives in part.
  void kill(std::size_t server);
  /// A new process in its place.
  void restart(std::size_t server);
  /// All connections between two servers break, both live on, and there are none until it is mended.
  void cut(std::size_t a, std::size_t b);
  void mend();
  /// The same between a worker and a server.
  void cut_worker(std::size_t worker, std::size_t server);
  void mend_worker(std::size_t worker, std::size_t server);
  /// The connection breaks and is made anew.
  void reconnect(std::size_t worker, std::size_t server);
  void lose_worker(std::size_t worker);
  bool alive(std::size_t server) const { return shards_[server] != nullptr; }
  ps::Shard& shard(std::size_t server) { return *shards_[server]; }
  std::size_t servers() const { return shards_.size(); }
  const Options& options() const { return options_; }
  std::vector<std::unique_ptr<SimulatedWorker>>& workers() { return workers_; }
  bool all_done() const;
  /// Workers may come: keys have replicas, or are served without.
  bool is_settled() const;
  /// Each server's keys are served once, and have a replica.
  bool is_replicated() const;
  /// No loss, no takeover, no transfer, no joining and no decision is under way.
  bool calm() const;
  /// Version and values of a key, as a worker that is done reads them now from whoever serves them.
  std::pair<std::uint64_t, ps::Payload> read(std::size_t worker, ps::Key key);
  std::string state() const;
  std::mt19937_64& random() { return random_; }
  void send(std::size_t worker_rank, std::size_t server, ps::Message message);
  /// Called before each delivery.
  std::function<void()> before_delivery{};
  /// Chooses among this many links; the seed unless set.
  std::function<std::size_t(std::size_t)> choose{};

 private:
  struct End {
    bool is_server = false;
    std::size_t index = 0;  ///< server, or rank of a worker
    ps::ConnectionId connection = 0;
  };
  struct Link {
    End ends[2];
    std::deque<std::optional<ps::Message>> to[2];  ///< none: the link is lost
    bool broken = false;
    bool replicates = false;  ///< from the first end's server to a replica
  };
  /// What a server has decided, and what comes back. It is decided when it arrives.
  struct Notary {
    std::deque<std::pair<std::uint64_t, ps::View>> asked, answered;  ///< with the incarnation that asked
  };
  Link& connect(End a, End b);
  void redial(std::size_t rank, std::size_t server);
  void take(std::size_t server, std::vector<ps::Outgoing>& out);
  void sever(Link& link, int survivor);
  SimulatedWorker* worker(std::size_t rank);
  void link_replica(std::size_t server);
  void link_missing();
  void start(std::size_t server);
  bool is_cut(std::size_t a, std::size_t b) const { return cuts_.contains({std::min(a, b), std::max(a, b)}); }
  void cut_link(Link& link);
  void ask(std::size_t server);
  void decide(std::size_t server);
  friend class SimulatedWorker;

  Options options_;
  std::mt19937_64 random_;
  std::vector<std::unique_ptr<ps::Shard>> shards_;
  std::vector<std::uint64_t> incarnations_;
  std::vector<std::unique_ptr<SimulatedWorker>> workers_;
  std::vector<std::unique_ptr<Link>> links_;
  ps::ConnectionId next_connection_ = 1;
  std::vector<Notary> notaries_;  ///< by server
  std::map<std::pair<std::uint32_t, std::uint64_t>, ps::View> decided_;
  std::set<std::pair<std::size_t, std::size_t>> cuts_;  ///< between servers
};

}  // namespace trireme::testing
