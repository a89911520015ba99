// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ps/incoming_frames.hpp"
#include "ps/outgoing_frames.hpp"
#include "ps/request.hpp"
#include "trireme/base/deadline.hpp"
#include "trireme/net/connection.hpp"
#include "trireme/net/silence.hpp"

#include <compare>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace trireme::ps {

/// A worker's way to one event loop of one server: what waits to be sent, in order of priority, and what was sent and is not done.
/// Between two connections it keeps all of it, and sends again what was not answered.
/// Threads: one.
class Channel {
 public:
  using Clock = Deadline::Clock;

  Channel(std::uint32_t server, std::uint32_t loop, std::function<std::uint64_t()> next_number)
      : server_(server), loop_(loop), next_number_(std::move(next_number)) {}

  std::uint32_t server() const { return server_; }
  std::uint32_t loop() const { return loop_; }

  // --- the connection ---

  /// A new connection; it carries nothing but Join until welcome().
  void open(net::Connection connection, const Control& join, std::uint64_t payload_limit, IncomingFrames::Place place);
  /// False: the connection before broke off in the midst of a sum, and this is another server process: what was pushed may lie
  /// half overwritten by that sum, and cannot be sent again to who does not know it.
  bool welcome(std::uint64_t window_bytes, std::uint64_t incarnation);
  /// What was sent and not done waits again. `now`: from when on it is lost.
  void lose(Clock::time_point now);
  bool is_open() const { return connection_.is_open(); }
  bool is_welcome() const { return welcome_; }
  /// Of the server process that said welcome last; 0: none has.
  std::uint64_t incarnation() const { return incarnation_; }
  int descriptor() const { return connection_.descriptor(); }
  /// Since when there has been none that was welcome.
  std::optional<Clock::time_point> lost_since() const { return lost_since_; }
  /// Whatever is queued here: what was sent may lie in the kernel's buffer, and nobody answers for it.
  bool is_silent() { return silence_.is_silent(connection_.socket()); }

  // --- requests ---

  void add(Request& request);
  /// Takes out all of a group, in the order in which they are to be sent again elsewhere.
  std::vector<Request*> take(std::uint32_t group);
  /// The window has room for so much more.
  void grant(std::uint64_t bytes) { window_ += bytes; }
  /// An offer may be sent.
  void grant(Key key, std::uint64_t step);
  /// It is done, and known here no more.
  void remove(Request& request);
  /// A message without a request: TakeOver, Leave. Goes before all requests not sent yet.
  void say(const Control& control) { outgoing_.queue(make_frame(control)); }
  /// The same; while it is not let in, as soon as it is.
  void say_when_welcome(Control control);

  /// Says that this worker ends in the midst of its work, if that can be said now: others need not wait for it to come back.
  void say_lost();

  /// What is sent first: again before anew, then by priority, step, and order of calls.
  struct Turn {
    bool anew = true;
    std::uint32_t priority = 0;
    std::uint64_t step = 0;
    std::uint64_t id = 0;
    auto operator<=>(const Turn&) const = default;
  };
  /// The push with a payload that is to be sent next; nothing while none waits or none can be sent.
  struct NextPush {
    Turn turn;
    std::uint64_t bytes = 0;
  };
  std::optional<NextPush> next_push() const;
  /// Gives it to the connection, or offers it where the server's window has no room.
  void admit_push(const std::function<void(Request&)>& numbered);
  /// Of pushes that were sent and are not done.
  std::uint64_t pushed_bytes() const { return pushed_bytes_; }

  /// Sends what can be sent now, pushes with a payload only once they are admitted. False when the connection broke. `gone`: ids of requests whose memory is not sent from any more.
  /// `numbered` is called for each request that is sent.
  bool pump(std::vector<std::uint64_t>& gone, const std::function<void(Request&)>& numbered);
  /// Whether the socket must become writable before more can go.
  bool waits_to_write() const { return waits_to_write_; }
  void now_writable() { is_writable_ = true; }
  IncomingFrames::Outcome next(Message& message) { return incoming_->next(connection_, message); }
  std::string problem() const;
  bool has_output() const { return !outgoing_.is_empty(); }
  bool has_requests() const { return !ready_.empty() || !ready_pushes_.empty() || !lines_.empty() || !sent_.empty(); }
  std::uint64_t bytes_sent() const { return sent_before_ + outgoing_.bytes(); }
  std::uint64_t bytes_received() const { return received_before_ + (incoming_ ? incoming_->bytes() : 0); }

 private:
  static Turn turn_of(const Request& request);
  static bool has_push_payload(const Request& request) {
    return request.kind == Request::Kind::push && request.payload_bytes != 0;
  }
  void put_in_line(Request& request);
  void now_ready(Request& request) {
    (has_push_payload(request) ? ready_pushes_ : ready_)[turn_of(request)] = &request;
  }
  void not_ready(Request& request) {
    std::erase_if(has_push_payload(request) ? ready_pushes_ : ready_,
                  [&](const auto& each) { return each.second == &request; });
  }
  void send(Request& request);
  void requeue(std::vector<Request*> requests);

  const std::uint32_t server_, loop_;
  std::function<std::uint64_t()> next_number_;
  net::Connection connection_;
  std::unique_ptr<IncomingFrames> incoming_;
  OutgoingFrames outgoing_;
  net::SilenceWatch silence_;
  bool welcome_ = false;
  bool waits_to_write_ = false, is_writable_ = true;
  std::optional<Clock::time_point> lost_since_;
  std::uint64_t window_ = 0;
  std::uint64_t incarnation_ = 0;                        ///< of the server that said welcome last
  bool is_torn_ = false;                                 ///< a sum of its was broken off in memory given for it
  std::uint64_t sent_before_ = 0, received_before_ = 0;  ///< on earlier connections
  std::string last_problem_;
  std::vector<Control> to_say_;  ///< once it is let in

  std::map<Turn, Request*> ready_, ready_pushes_;  ///< the second: pushes with a payload
  std::uint64_t pushed_bytes_ = 0;
  /// Sequenced requests of a key go one after the other: those not sent yet, of which the first is ready, or offered.
  std::map<Key, std::deque<Request*>> lines_;
  std::map<std::pair<Key, std::uint64_t>, Request*> offered_;  ///< by key and step
  std::map<std::uint64_t, Request*> sent_;                     ///< by number
};

}  // namespace trireme::ps
