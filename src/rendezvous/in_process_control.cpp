// SPDX-License-Identifier: Apache-2.0
#include "rendezvous/quiet_thread.hpp"
#include "trireme/base/error.hpp"
#include "trireme/net/host.hpp"
#include "trireme/rendezvous/control.hpp"
#include "trireme/rendezvous/coordinator.hpp"

#include <condition_variable>
#include <mutex>
#include <vector>

namespace trireme::rendezvous {

/// The coordinator with the one thread that calls all listeners. No listener is called with the mutex held: it may
/// report from within.
struct InProcessControl::Hub {
  struct Seat {
    ControlListener* listener = nullptr;
    bool told = false;
  };

  Hub(int world_size, std::chrono::milliseconds collection)
      : coordinator({.world_size = world_size, .collection = collection}),
        seats(static_cast<std::size_t>(world_size)),
        host(net::host_name()) {
    thread = start_quiet_thread([this] { run(); });
    // On a busy machine it would begin, and take its lock, within the first operations.
    std::unique_lock lock(mutex);
    idle.wait(lock, [this] { return begun; });
  }

  ~Hub() {
    {
      std::lock_guard lock(mutex);
      stopping = true;
    }
    wake.notify_all();
    thread.join();
  }

  void run() {
    std::unique_lock lock(mutex);
    begun = true;
    idle.notify_all();
    while (!stopping) {
      changed = false;
      for (int rank : coordinator.poll(Coordinator::Clock::now()).query) {
        Status status;
        if (!call(lock, rank, [&](ControlListener& listener) { status = listener.status(); })) continue;
        status.rank = rank;
        coordinator.answered(status);
      }
      if (coordinator.verdict()) {
        const Cause cause = *coordinator.verdict();
        for (std::size_t rank = 0; rank < seats.size(); ++rank) {
          if (seats[rank].listener == nullptr || seats[rank].told) continue;
          seats[rank].told = true;
          call(lock, static_cast<int>(rank), [&](ControlListener& listener) { listener.verdict(cause); });
        }
      }
      auto must_move = [this] { return stopping || changed; };
      if (auto moment = coordinator.next_moment()) {
        wake.wait_until(lock, *moment, must_move);
      } else {
        wake.wait(lock, must_move);
      }
    }
  }

  template <class Call>
  bool call(std::unique_lock<std::mutex>& lock, int rank, Call&& call_listener) {
    ControlListener* listener = seats[static_cast<std::size_t>(rank)].listener;
    if (listener == nullptr) return false;
    busy_with = rank;
    lock.unlock();
    call_listener(*listener);
    lock.lock();
    busy_with = -1;
    idle.notify_all();
    return true;
  }

  /// Called with the mutex held, after any event.
  void touch() {
    changed = true;
    wake.notify_all();
  }

  std::mutex mutex;
  std::condition_variable wake, idle;
  Coordinator coordinator;
  std::vector<Seat> seats;
  std::string host;
  int busy_with = -1;  ///< the rank whose listener is being called
  bool changed = false;
  bool stopping = false;
  bool begun = false;  ///< the thread has
  std::thread thread;
};

InProcessControl::InProcessControl(int world_size, std::chrono::milliseconds collection)
    : hub_(std::make_shared<Hub>(world_size, collection)) {}

InProcessControl::~InProcessControl() = default;

std::unique_ptr<ControlChannel> InProcessControl::open(int rank, ControlListener& listener) const {
  class Channel final : public ControlChannel {
   public:
    Channel(std::shared_ptr<Hub> hub, int rank, ControlListener& listener) : hub_(std::move(hub)), rank_(rank) {
      std::lock_guard lock(hub_->mutex);
      if (auto refusal = hub_->coordinator.refusal(rank)) fail(ErrorCode::invalid_argument, *refusal);
      hub_->coordinator.joined(rank, hub_->host);
      seat().listener = &listener;
      hub_->touch();
    }

    ~Channel() override {
      std::unique_lock lock(hub_->mutex);
      if (!has_left_ && abandoned_) {
        hub_->coordinator.lost(rank_, "an exception closed its World", Coordinator::Clock::now());
      } else if (!has_left_) {
        hub_->coordinator.left(rank_);
      }
      seat().listener = nullptr;
      hub_->touch();
      hub_->idle.wait(lock, [this] { return hub_->busy_with != rank_; });
    }

    void report(const Cause& cause) noexcept override {
      std::lock_guard lock(hub_->mutex);
      if (has_left_) return;
      hub_->coordinator.reported(rank_, cause, Coordinator::Clock::now());
      hub_->touch();
    }

    void leave() noexcept override {
      std::unique_lock lock(hub_->mutex);
      if (has_left_) return;
      has_left_ = true;
      hub_->coordinator.left(rank_);
      seat().listener = nullptr;
      hub_->touch();
      if (std::this_thread::get_id() == hub_->thread.get_id()) return;  // from within a call of its listener
      hub_->idle.wait(lock, [this] { return hub_->busy_with != rank_; });
    }

    void abandon() noexcept override {
      std::lock_guard lock(hub_->mutex);
      abandoned_ = true;
    }

   private:
    Hub::Seat& seat() { return hub_->seats[static_cast<std::size_t>(rank_)]; }
    std::shared_ptr<Hub> hub_;
    int rank_;
    bool has_left_ = false;
    bool abandoned_ = false;
  };
  return std::make_unique<Channel>(hub_, rank, listener);
}

}  // namespace trireme::rendezvous
