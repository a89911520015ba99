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
#include <sys/socket.h>

namespace trireme::rendezvous {
namespace {

/// How long leaving waits for the server to hear it.
constexpr std::chrono::seconds farewell_limit{1};
/// Where a rank serves: how long its end waits for this rank to find out in which operation it happened.
constexpr std::chrono::milliseconds own_view_limit{300};
/// Reports not yet sent; the first ones are those that count.
constexpr std::size_t outbox_limit = 64;

class TcpControl final : public ControlChannel {
 public:
  TcpControl(FramedSocket socket, const ServerAddress& server, ControlListener& listener)
      : socket_(std::move(socket)), server_(server), listener_(listener) {
    thread_ = start_quiet_thread([this] { run(); });
  }

  ~TcpControl() override {
    {
      std::lock_guard lock(mutex_);
      say_goodbye(abandoned_ ? ClientMessage(Abandon{}) : ClientMessage(Leave{}));
    }
    reported_.notify_all();
    bell_.ring();
    thread_.join();
  }

  void report(const Cause& cause) noexcept override {
    {
      std::lock_guard lock(mutex_);
      if (!own_view_) own_view_ = cause;
      reported_.notify_all();
      if (leaving_ || outbox_.size() >= outbox_limit) return;
      outbox_.push_back(encode(ClientMessage(Report{cause})));
    }
    bell_.ring();
  }

  void leave() noexcept override {
    std::unique_lock lock(mutex_);
    if (!say_goodbye(Leave{})) return;
    reported_.notify_all();
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
    goodbye_deadline_ = Deadline::after(farewell_limit);
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
    if (released_) {
      ::shutdown(socket_.descriptor(), SHUT_RDWR);  // the server waits for us to take its goodbye
    } else if (!announced_) {
      announce(server_loss());
    }
    std::lock_guard lock(mutex_);
    done_ = true;
    heard_.notify_all();
  }

  /// The server ended without a verdict or a goodbye. Where a rank serves, that rank is lost, and its links tell this rank
  /// in which operation; what this rank found out about itself or others with certainty stands.
  Cause server_loss() {
    Cause loss{.code = ErrorCode::peer_lost,
               .epoch = server_.epoch,
               .member = server_.serving_rank,
               .message = describe_loss(server_)};
    if (server_.serving_rank < 0) return loss;
    std::optional<Cause> own_view;
    {
      std::unique_lock lock(mutex_);
      reported_.wait_for(lock, own_view_limit, [this] { return own_view_ || leaving_; });
      own_view = own_view_;
    }
    if (own_view) {
      const bool is_consequence = own_view->code == ErrorCode::peer_lost || own_view->code == ErrorCode::closed ||
                                  own_view->code == ErrorCode::timeout;
      if (!is_consequence) return *own_view;
      loss.communicator = own_view->communicator;
      loss.operation = own_view->operation;
      loss.operation_name = own_view->operation_name;
      if (own_view->member == loss.member) loss.member_host = own_view->member_host;
    }
    if (loss.operation_name.empty()) {  // its links broke outside of any operation, or have not yet
      std::optional<Status> status;
      call_listener([&] { status = listener_.status(); });
      if (status && status->in_operation) {
        loss.communicator = status->communicator;
        loss.operation = status->operation;
        loss.operation_name = status->operation_name;
      }
    }
    loss.message = describe_loss(server_, loss.member_host);
    if (!loss.operation_name.empty()) loss.message += ", during " + loss.operation_name;
    return loss;
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
      status->rank = server_.rank;
      socket_.queue(encode(ClientMessage(Answer{*std::move(status)})));
      return true;
    }
    if (auto* verdict = std::get_if<Verdict>(&message)) {
      announce(verdict->cause);
      return true;
    }
    // Unasked, too: the server stops in good order, and we go on without one. Anything else has no place here.
    released_ = std::holds_alternative<Goodbye>(message);
    return false;
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

  FramedSocket socket_;  ///< the thread's alone, like is_open_, announced_ and released_
  const ServerAddress server_;
  ControlListener& listener_;
  Doorbell bell_;
  bool is_open_ = true;
  bool announced_ = false;
  bool released_ = false;

  std::mutex mutex_;  ///< guards what follows
  std::condition_variable heard_, reported_;
  std::vector<Bytestring> outbox_;
  std::optional<Cause> own_view_;  ///< the first report
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
