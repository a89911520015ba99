// SPDX-License-Identifier: Apache-2.0
#include "rendezvous/dial.hpp"
#include "rendezvous/doorbell.hpp"
#include "rendezvous/quiet_thread.hpp"
#include "trireme/rendezvous/server.hpp"

#include <array>
#include <chrono>
#include <condition_variable>
#include <mutex>

#include <poll.h>

namespace trireme::rendezvous {
namespace {

/// How long leaving waits for the server to hear it.
constexpr std::chrono::seconds goodbye_limit{1};
/// Reports not yet sent; the first ones are those that count.
constexpr std::size_t outbox_limit = 64;

class TcpControl final : public ControlChannel {
 public:
  TcpControl(FramedSocket socket, const ServerAddress& server, ControlListener& listener)
      : socket_(std::move(socket)),
        address_(server.address),
        epoch_(server.epoch),
        rank_(server.rank),
        listener_(listener) {
    thread_ = start_quiet_thread([this] { run(); });
  }

  ~TcpControl() override {
    {
      std::lock_guard lock(mutex_);
      say_goodbye(abandoned_ ? ClientMessage(Abandon{}) : ClientMessage(Leave{}));
    }
    bell_.ring();
    thread_.join();
  }

  void report(const Cause& cause) noexcept override {
    {
      std::lock_guard lock(mutex_);
      if (leaving_ || outbox_.size() >= outbox_limit) return;
      outbox_.push_back(encode(ClientMessage(Report{cause})));
    }
    bell_.ring();
  }

  void leave() noexcept override {
    std::unique_lock lock(mutex_);
    if (!say_goodbye(Leave{})) return;
    bell_.ring();
    if (std::this_thread::get_id() == thread_.get_id()) return;  // from within a call of the listener
    heard_.wait_until(lock, goodbye_deadline_.moment(), [this] { return done_ && !calling_; });
  }

  void abandon() noexcept override {
    std::lock_guard lock(mutex_);
    abandoned_ = true;
  }

 private:
  /// Called with the mutex held. False when goodbye was said before.
  bool say_goodbye(const ClientMessage& message) {
    if (leaving_) return false;
    leaving_ = true;
    goodbye_deadline_ = Deadline::after(goodbye_limit);
    outbox_.push_back(encode(message));
    return true;
  }

  void run() {
    while (take_in() && send_out()) {
      Deadline until = leaving_deadline();
      if (until.passed()) break;
      short wanted = socket_.queued_bytes() > 0 ? POLLIN | POLLOUT : POLLIN;
      std::array<pollfd, 2> descriptors{pollfd{socket_.descriptor(), wanted, 0}, pollfd{bell_.descriptor(), POLLIN, 0}};
      ::poll(descriptors.data(), descriptors.size(), until.is_never() ? -1 : until.milliseconds_left());
      if (descriptors[1].revents != 0) bell_.answer();
      if (descriptors[0].revents != 0) is_open_ = socket_.receive();
    }
    announce(Cause{.code = ErrorCode::peer_lost, .epoch = epoch_, .message = describe_loss(address_)});
    std::lock_guard lock(mutex_);
    done_ = true;
    heard_.notify_all();
  }

  /// Deals with all that has come, which before the first wait may be what came with the welcome. False at the end.
  bool take_in() {
    while (auto body = socket_.next()) {
      auto message = parse_server_message(*body);
      if (!message || !handle(*message)) return false;
    }
    return is_open_ && !socket_.is_corrupt();
  }

  bool send_out() {
    std::lock_guard lock(mutex_);
    for (const Bytestring& body : outbox_) socket_.queue(body);
    outbox_.clear();
    return socket_.flush();
  }

  Deadline leaving_deadline() {
    std::lock_guard lock(mutex_);
    return leaving_ ? goodbye_deadline_ : Deadline::never();
  }

  /// False when the conversation is over.
  bool handle(const ServerMessage& message) {
    if (std::holds_alternative<Query>(message)) {
      std::optional<Status> status;
      call_listener([&] { status = listener_.status(); });
      if (!status) return true;
      status->rank = rank_;
      socket_.queue(encode(ClientMessage(Answer{*std::move(status)})));
      return true;
    }
    if (auto* verdict = std::get_if<Verdict>(&message)) {
      announce(verdict->cause);
      return true;
    }
    return false;  // Goodbye; anything else has no place here
  }

  /// Tells the listener, the first time.
  void announce(const Cause& cause) {
    if (std::exchange(announced_, true)) return;
    call_listener([&] { listener_.verdict(cause); });
  }

  /// Not after goodbye: the listener may be on its way out.
  template <class Call>
  void call_listener(Call&& call) {
    {
      std::lock_guard lock(mutex_);
      if (leaving_) return;
      calling_ = true;
    }
    call();
    std::lock_guard lock(mutex_);
    calling_ = false;
    heard_.notify_all();
  }

  FramedSocket socket_;  ///< the thread's alone, like is_open_ and announced_
  const net::Address address_;
  const std::uint64_t epoch_;
  const int rank_;
  ControlListener& listener_;
  Doorbell bell_;
  bool is_open_ = true;
  bool announced_ = false;

  std::mutex mutex_;  ///< guards what follows
  std::condition_variable heard_;
  std::vector<Bytestring> outbox_;
  bool leaving_ = false;
  bool abandoned_ = false;
  bool calling_ = false;
  bool done_ = false;
  Deadline goodbye_deadline_ = Deadline::never();
  std::thread thread_;
};

}  // namespace

std::unique_ptr<ControlChannel> connect_control(const ServerAddress& server, ControlListener& listener,
                                                Deadline deadline) {
  return std::make_unique<TcpControl>(dial(server, Hello::Service::control, deadline), server, listener);
}

}  // namespace trireme::rendezvous
