// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "comm/flight_recorder.hpp"
#include "comm/operation.hpp"
#include "trireme/base/error.hpp"
#include "trireme/comm/engine.hpp"

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace trireme::comm {

class Context;

/// What the copies of one Communicator share: members, numbering, operations in flight, recorder.
/// Threads: issue() from one at a time; everything else locks by itself or is called under the progress lock.
class Group : public std::enable_shared_from_this<Group> {
 public:
  Group(std::shared_ptr<Context> context, std::uint32_t id, std::vector<int> members, int rank,
        std::unique_ptr<Engine> engine);
  ~Group();

  /// Device memory goes to `engine` from now on; before, it is refused.
  void serve_devices(std::unique_ptr<Engine> engine);
  /// Null: none.
  Engine* device_engine() const { return device_engine_.get(); }
  /// See Engine::know() and forget(). The device engine's.
  void know(const std::shared_ptr<DeviceBlock>& block);
  void forget(const std::shared_ptr<DeviceBlock>& block) noexcept;
  /// Whether nothing is under way.
  bool is_idle();
  /// Whose memory is taken beside the host's.
  std::optional<Device> device() const;

  int rank() const { return rank_; }
  int size() const { return static_cast<int>(members_.size()); }
  std::uint32_t id() const { return id_; }
  const std::vector<int>& members() const { return members_; }
  const std::shared_ptr<Context>& context() const { return context_; }
  Engine& engine() const { return *engine_; }
  const FlightRecorder& recorder() const { return recorder_; }

  /// Numbers, signs, records and starts a validated request. The operation keeps the group alive.
  /// Errors: throws the world's failure if it has failed; invalid_argument, unsupported from the engine.
  Operation& issue(const Request& request);
  /// The same, and waits for the end. What ends within microseconds is waited for under the lock that it was issued under.
  /// Errors: as issue, and what the operation ended with.
  void run(const Request& request);
  /// As Communicator: until the operation is done or `until` has passed; true if done.
  bool drive(Operation& operation, Deadline until) noexcept;
  /// As Work::wait_on.
  void order(Operation& operation, Stream stream) noexcept;
  /// Back to the pool. The operation is done.
  void recycle(Operation& operation) noexcept;

  // Under the progress lock.
  /// Polls every active operation; true if anything moved.
  bool poll() noexcept;
  /// Deadlines and warnings.
  void check_time(Deadline::Clock::time_point now);
  /// Every active operation ends with the world's failure, when its engine has let go of it; true if any has.
  bool fail_active() noexcept;
  /// A peer's signature for `sequence` has arrived: compares it if the own one is known, keeps it otherwise.
  void heard(int world_peer, std::uint64_t sequence, const transport::Stamp& theirs);
  void mismatch(int world_peer, std::uint64_t sequence, const transport::Stamp& ours, const transport::Stamp& theirs,
                bool transfer);
  /// The oldest active operation, or null.
  const Operation* oldest() const { return active_.empty() ? nullptr : active_.front(); }
  /// The oldest active one of those numbered together with `operation`, which is active.
  const Operation& head_of(const Operation& operation);
  /// The oldest active operation that lacks bytes of `world_peer`, or null.
  const Operation* oldest_waiting_for(int world_peer) const;
  std::uint64_t issued() const { return collectives_.next; }

 private:
  /// What is numbered together: the collectives, the sends to one rank, the receives from one rank. Independent of each
  /// other, so each has an oldest operation, whose time runs.
  struct Numbering {
    std::uint64_t next = 0;
    int active = 0;
  };
  struct Heard {
    std::uint64_t sequence;
    int world_peer;
    transport::Stamp stamp;
  };
  Operation& start(const Request& request);
  Engine& engine_for(const Request& request) const;
  void make_device_states(Operation& operation);
  bool linger(Operation& operation) noexcept;
  void show(Operation& operation) noexcept;
  void put_back(Operation& operation) noexcept;
  void compare_with_heard(const Operation& operation);
  Numbering& numbering_of(const Request& request);
  bool is_met_by(const Operation& operation, int world_peer, bool transfer) const;
  void withdraw(Operation& operation) noexcept;
  [[noreturn]] void fail_alone(Operation& operation, ErrorCode code, const std::string& what);
  void check_time(Operation& head, Deadline::Clock::time_point now);
  void warn_of_stream(Operation& head);
  std::chrono::nanoseconds elapsed(const Operation& operation) const noexcept;
  Operation& take();
  void grow();
  void finish(Operation& operation, bool failed) noexcept;
  void raise(Operation& operation, ErrorCode code, int world_member, std::string message);

  std::shared_ptr<Context> context_;
  std::uint32_t id_;
  std::vector<int> members_;
  int rank_;
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<Engine> device_engine_;  // uses the other
  FlightRecorder recorder_;
  std::atomic<bool> issuing_{false};
  Numbering collectives_;
  std::vector<Numbering> sends_;  // per rank
  std::vector<Numbering> receives_;
  std::vector<std::unique_ptr<Operation>> pool_;
  std::vector<Operation*> free_;
  std::vector<Operation*> active_;  // in issue order
  std::vector<Heard> heard_;        // of operations not issued here yet
};

}  // namespace trireme::comm
