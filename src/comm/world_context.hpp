// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "comm/failure.hpp"
#include "comm/parking.hpp"
#include "comm/progress_lock.hpp"
#include "comm/scratch_pool.hpp"
#include "comm/shared/cells.hpp"
#include "comm/status_board.hpp"
#include "comm/ticks.hpp"
#include "trireme/comm/context.hpp"
#include "trireme/transport/endpoint.hpp"

#include <atomic>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace trireme::comm {

class Group;
class Operation;

/// What all communicators of one World share while it is open: the links, the drive, the failure. The listener of the
/// control channel (its thread asks for the status and brings the verdict) and of the endpoint (under the lock).
class Context final : public rendezvous::ControlListener,
                      public transport::EndpointListener,
                      public std::enable_shared_from_this<Context> {
 public:
  Context(ContextOptions options, std::vector<std::unique_ptr<transport::Link>> links);
  ~Context();
  void open();

  const ContextOptions& options() const { return options_; }
  transport::Endpoint& endpoint() { return endpoint_; }
  ScratchPool& scratch() { return scratch_; }
  /// Apart from the engines', or what is made for several operations of one would be used up by the other.
  ScratchPool& staging() { return staging_; }
  const std::shared_ptr<shared::Cells>& cells() const { return cells_; }
  /// Per world rank: whether its arena is mapped here, and this one's there.
  std::vector<bool> shares_memory() const;
  const TickScale& tick_scale() const { return tick_scale_; }
  Failure& failure() { return failure_; }
  rendezvous::ControlChannel* control() { return control_.get(); }
  const std::shared_ptr<transport::Arena>& arena() const { return options_.arena; }

  void lock() noexcept;
  void unlock() noexcept { lock_.unlock(); }

  /// Until `operation` is done or `until` has passed; drives every communicator of the world meanwhile.
  bool drive(Operation& operation, Deadline until) noexcept;
  /// An operation was issued that nobody waits for yet: the progress thread, if there is one, takes over.
  void leave_unattended() noexcept;
  /// Whoever sleeps because this thread drove is woken; what is still under way goes to the progress thread.
  void stop_driving() noexcept;
  /// One round without blocking, if nobody else drives.
  void progress_once() noexcept;

  // Under the lock.
  void enrol(Group& group);
  void strike(Group& group) noexcept;
  /// Is aborted by the watcher when the world fails, or now if it has.
  void watch(Engine& engine);
  /// When it returns, the watcher is not in it.
  void no_longer_watch(Engine& engine) noexcept;
  /// An id that no rank of the world has reserved before or will again: made of the own rank and a counter.
  /// May exceed what a communicator's id can be (transfer_bit).
  std::int64_t reserve_communicator_id() {
    return 1 + options_.rank + static_cast<std::int64_t>(reserved_ids_++) * options_.world_size;
  }
  /// `cause` of `operation` (null: of none) has ended this world, as far as this rank can see.
  void raise(const rendezvous::Cause& cause, const Operation* operation = nullptr);
  /// As Communicator::abort. Not under the lock.
  void abort(const Error& cause) noexcept;
  /// What the coordinator will be told when it asks; `with_peers`: for whom it waits too. `driven`: what a caller waits
  /// for; without it the oldest operation.
  void publish_status(bool with_peers, const Operation* driven = nullptr) noexcept;
  /// `operation` of `group` has passed before anybody was told of it; no other is under way.
  void publish_passed(const Group& group, const Operation& operation) noexcept;
  void operation_count_changed(int by) noexcept;
  /// Whether the one operation under way may be asked for again and again with everything else left alone.
  bool may_linger() noexcept;
  /// Between two such questions.
  void relax() const noexcept;
  /// Whether another thread waits for the lock.
  bool wanted() const noexcept { return lock_.wanted(); }
  /// An operation has ended: threads that sleep while another drives look whether it was theirs.
  void wake_waiting() noexcept { parking_.wake_all(); }

  /// The world's failure as this rank reports it; code none if there is none.
  Error failure_error() const;
  std::string host_of(int world_rank) const;
  /// See close_context.
  bool close(bool failed, std::chrono::nanoseconds patience) noexcept;
  /// See device_hangs().
  bool device_hangs() noexcept;

  // rendezvous::ControlListener, on the channel's thread
  rendezvous::Status status() noexcept override;
  void verdict(const rendezvous::Cause& cause) noexcept override;

  // transport::EndpointListener, under the lock
  void unexpected(int peer, const transport::MessageKey& key, const transport::Stamp& theirs) noexcept override;
  void mismatched(int peer, const transport::MessageKey& key, const transport::Stamp& ours,
                  const transport::Stamp& theirs) noexcept override;
  void noted(int peer, std::uint8_t kind, const transport::MessageKey& key,
             const transport::Stamp& theirs) noexcept override;
  void peer_ended(int peer, transport::LinkState state, int errno_value) noexcept override;
  void corrupted(int peer, std::string_view what) noexcept override;
  void overrun(int peer, const transport::MessageKey& next, std::size_t messages) noexcept override;

 private:
  /// A peer's note for a communicator that does not exist here yet.
  struct EarlyNote {
    int peer;
    transport::MessageKey key;
    transport::Stamp stamp;
  };
  void raise_against(int peer, ErrorCode code, std::string message) noexcept;
  bool poll_everything() noexcept;
  bool poll_groups() noexcept;
  bool drive_until(Operation& operation, Deadline until) noexcept;
  void await_driver(const Operation& operation, Deadline until, unsigned slept) noexcept;
  void run_progress_thread() noexcept;
  Group* find(std::uint32_t communicator) const;

  ContextOptions options_;
  transport::Endpoint endpoint_;
  ScratchPool scratch_;
  ScratchPool staging_;
  std::shared_ptr<shared::Cells> cells_;
  Failure failure_;
  TickScale tick_scale_;
  ProgressLock lock_;
  Parking parking_;
  StatusBoard board_;
  std::unique_ptr<rendezvous::ControlChannel> control_;
  std::vector<Group*> groups_;
  std::mutex watched_mutex_;  // of no thread that waits
  std::vector<Engine*> watched_;
  std::uint64_t reserved_ids_ = 0;
  unsigned rounds_ = 0;
  unsigned asked_to_linger_ = 0;
  bool links_aborted_ = false;
  std::vector<int> waiting_;            // publish_status's working memory
  std::vector<EarlyNote> early_notes_;  // oldest first
  bool closed_ = false;
  std::atomic<int> active_operations_{0};
  std::atomic<int> unattended_{0};  // 1: operations are under way and no caller drives
  std::atomic<bool> stop_{false};
  std::thread progress_thread_;
};

/// What an engine of `context` finds.
EngineRoom engine_room(Context& context, std::uint32_t id, std::vector<int> members, int rank);
/// A communicator over `group`, with an engine for device memory where the world has devices. Collective among its members.
/// `sole`: see DeviceRoom.
Communicator with_devices(std::shared_ptr<Group> group, Engine* parent, bool sole = true);

}  // namespace trireme::comm
