// SPDX-License-Identifier: Apache-2.0
#include "ps/event_loop.hpp"

#include "ps/joined_workers.hpp"
#include "ps/wire.hpp"
#include "rendezvous/quiet_thread.hpp"
#include "trireme/base/error.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <utility>

namespace trireme::ps {
namespace {

using Clock = Deadline::Clock;

constexpr std::uint64_t bell_id = 0;
/// After so many bytes of one connection the others have their turn.
constexpr std::uint64_t bytes_at_once = 16u << 20;
constexpr int messages_at_once = 256;
constexpr std::chrono::seconds silence_check{1};
/// So long workers may take to hear why they are not served any more.
constexpr std::chrono::seconds leave_taking{1};
/// Answers are gathered up to so much before they are sent: small ones would cost a call each.
constexpr std::uint64_t gathered_bytes = 64u << 10;

}  // namespace

struct EventLoop::Connection {
  Connection(ConnectionId id_, Reception::Guest guest, std::uint64_t limit)
      : id(id_),
        socket(std::move(guest.socket)),
        from(std::move(guest.from)),
        is_server(guest.role.is_server),
        incoming(limit, {}, guest.role.is_server ? most_server_control_bytes : most_control_bytes) {}
  ConnectionId id;
  net::Connection socket;
  std::string from;
  bool is_server;
  WorkerId worker = 0;     ///< that the shard has welcomed; 0: none
  WorkerId applicant = 0;  ///< that has asked to join
  bool has_left = false;
  bool leads_to_replica = false;
  IncomingFrames incoming;
  OutgoingFrames outgoing;
  net::SilenceWatch silence;
  bool reads = true, writes = false;  ///< what the poller watches for
  bool is_touched = false, is_over = false;
  bool is_unfinished = false;  ///< frames may be in its buffer, of which the poller knows nothing
  bool is_paused = false;      ///< they wait until it has taken its answers
};

EventLoop::EventLoop(Options options, Roster& roster)
    : options_(std::move(options)),
      roster_(roster),
      dropped_(options_.log, "more connections were dropped"),
      shard_(options_.shard),
      serve_alone_at_(Clock::now() + options_.partner_patience) {
  poller_.add(bell_.descriptor(), bell_id);
  thread_ = rendezvous::start_quiet_thread([this] { run(); });
}

EventLoop::~EventLoop() {
  stopping_ = true;
  bell_.ring();
  thread_.join();
}

void EventLoop::add(Reception::Guest guest) {
  {
    std::lock_guard lock(mutex_);
    if (takes_nobody_) return;
    arrivals_.push_back({.guest = std::move(guest)});
  }
  bell_.ring();
}

void EventLoop::stop(Error why) {
  {
    std::lock_guard lock(mutex_);
    if (!stop_asked_) stop_asked_ = std::move(why);
  }
  bell_.ring();
}

void EventLoop::add_replica(net::Connection connection, std::string name) {
  Reception::Guest guest{.socket = std::move(connection), .from = std::move(name), .role{.is_server = true}};
  {
    std::lock_guard lock(mutex_);
    if (takes_nobody_) return;
    arrivals_.push_back({.guest = std::move(guest), .leads_to_replica = true});
  }
  bell_.ring();
}

void EventLoop::decided(const View& view) {
  {
    std::lock_guard lock(mutex_);
    decided_.push_back(view);
  }
  bell_.ring();
}

EventLoop::Statistics EventLoop::statistics() const {
  std::lock_guard lock(mutex_);
  return statistics_;
}

void EventLoop::run() noexcept {
  if (const auto why = serve_all()) {
    tell_owner(*why);
    take_leave(*why);
    has_stopped_ = true;
  }
  for (auto& [id, connection] : connections_) {
    if (connection->worker != 0 && !connection->is_over) roster_.ended(connection->worker);
  }
  connections_.clear();
}

/// Until it is stopped: nothing. Or why it cannot go on.
std::optional<Error> EventLoop::serve_all() noexcept {
  try {
    propose_all();
    while (!stopping_) {
      turn();
      std::lock_guard lock(mutex_);
      if (stop_asked_) return stop_asked_;
    }
    return std::nullopt;
  } catch (const std::exception& exception) {
    return Error{.code = ErrorCode::system,
                 .message = std::string("an event loop of a parameter server stops: ") + exception.what()};
  }
}

void EventLoop::tell_owner(const Error& why) noexcept {
  try {
    if (options_.stopped) options_.stopped(why);
  } catch (const std::exception&) {  // whoever fails to note it hears of it by failure()
  }
}

/// Says why to all workers, who with replicas are to ask another server; then waits until they close, as what is closed here while
/// something comes is torn down, and may take the word with it.
void EventLoop::take_leave(const Error& why) noexcept {
  try {
    std::vector<Arrival> late;
    {
      std::lock_guard lock(mutex_);
      takes_nobody_ = true;
      late.swap(arrivals_);
    }
    const Control word = Failed{0, options_.shard.has_views ? ErrorCode::closed : why.code, why.message};
    std::erase_if(connections_, [](const auto& each) { return each.second->is_over || each.second->worker == 0; });
    for (auto& [id, connection] : connections_) {
      connection->outgoing.queue(make_frame(word));
      poller_.change(connection->socket.descriptor(), id, true, true);
    }
    for (const Deadline limit = Deadline::after(leave_taking); !stopping_ && !limit.passed();) {
      std::erase_if(connections_, [&](const auto& each) {
        const bool is_over = hears_nothing_more(*each.second);
        if (is_over) roster_.ended(each.second->worker);
        return is_over;
      });
      if (connections_.empty()) return;
      for (const auto& event : poller_.wait(limit.moment())) {
        if (event.id == bell_id) bell_.answer();
      }
    }
  } catch (const std::exception&) {  // then connections end without a word
  }
}

/// Sends what is for it, and passes over what it says. True: it has closed, or the connection broke.
bool EventLoop::hears_nothing_more(Connection& connection) {
  if (!connection.outgoing.flush(connection.socket)) return true;
  poller_.change(connection.socket.descriptor(), connection.id, true, !connection.outgoing.is_empty());
  for (int messages = 0; messages < messages_at_once; ++messages) {
    Message passed_over;
    const auto outcome = connection.incoming.next(connection.socket, passed_over);
    if (outcome == IncomingFrames::Outcome::nothing) return false;
    if (outcome != IncomingFrames::Outcome::frame) return true;
  }
  return false;
}

/// One wait, and what came of it.
void EventLoop::turn() {
  const auto next_look = looked_ + silence_check;
  std::optional<Clock::time_point> moment;
  if (!connections_.empty()) moment = next_look;
  if (!unfinished_.empty()) moment = Clock::now();
  if (!absent_.empty()) moment = std::min(moment.value_or(absent_.front().first), absent_.front().first);
  if (!shard_.is_settled()) moment = std::min(moment.value_or(serve_alone_at_), serve_alone_at_);
  for (const rendezvous::Poller::Event& event : poller_.wait(moment)) {
    if (event.id == bell_id) {
      bell_.answer();
    } else if (auto entry = connections_.find(event.id); entry != connections_.end()) {
      serve(*entry->second, event);
    }
  }
  for (const ConnectionId id : std::exchange(unfinished_, {})) {
    const auto entry = connections_.find(id);
    if (entry == connections_.end() || !std::exchange(entry->second->is_unfinished, false)) continue;
    serve(*entry->second, {.id = id, .readable = true});
  }
  std::vector<Arrival> arrivals;
  std::vector<View> decided;
  {
    std::lock_guard lock(mutex_);
    arrivals.swap(arrivals_);
    decided.swap(decided_);
  }
  for (const View& view : decided) {
    shard_.decided(view, out_);
    dispatch();
  }
  for (Arrival& arrival : arrivals) seat(std::move(arrival));
  // The first updates are to have a replica, unless none comes.
  if (Clock::now() >= serve_alone_at_) {
    serve_alone_at_ = Clock::time_point::max();
    if (!shard_.is_settled()) shard_.serve_alone(out_);
    dispatch();
  }
  give_up_waiting();
  if (Clock::now() >= next_look) look_for_silence();
  close_ended();
  propose_all();
  publish();
}

void EventLoop::propose_all() {
  for (const View& view : shard_.take_proposals()) options_.propose(view, [this](const View& last) { decided(last); });
}

void EventLoop::seat(Arrival arrival) {
  auto join = std::move(arrival.guest.join);
  auto owned = std::make_unique<Connection>(next_id_++, std::move(arrival.guest), options_.payload_limit);
  Connection& connection = *owned;
  connection.leads_to_replica = arrival.leads_to_replica;
  poller_.add(connection.socket.descriptor(), connection.id);
  connections_.emplace(connection.id, std::move(owned));
  if (join) {
    connection.applicant = join->worker;
    handle(connection, Message{*std::move(join)});
  }
  finish_later(connection);  // what came with its first message may have been read already
  if (connection.leads_to_replica) {
    replica_ = connection.id;
    try {
      shard_.set_replica(connection.id, out_);
    } catch (const std::exception& exception) {
      end(connection, exception.what());
    }
  }
  dispatch();
}

void EventLoop::serve(Connection& connection, const rendezvous::Poller::Event& event) {
  if (connection.is_over) return;
  if (event.writable) flush(connection);
  if (event.readable) receive(connection);
  dispatch();
}

void EventLoop::receive(Connection& connection) {
  const std::uint64_t before = connection.incoming.bytes();
  if (connection.is_paused) return;
  bool is_at_end = false;
  for (int messages = 0; messages < messages_at_once && !connection.is_over; ++messages) {
    // What is asked beyond the limit waits in the kernel, and then with the peer, until it has taken its answers.
    if (connection.outgoing.queued_bytes() >= options_.queue_limit) {
      publish();
      flush(connection);
      connection.is_paused = connection.outgoing.queued_bytes() >= options_.queue_limit;
      if (connection.is_over || connection.is_paused) break;
    }
    if (connection.incoming.bytes() - before >= bytes_at_once) break;
    Message message;
    const auto outcome = connection.incoming.next(connection.socket, message);
    if (outcome == IncomingFrames::Outcome::frame) {
      handle(connection, std::move(message));
      if (queue_all() >= gathered_bytes) dispatch();
      continue;
    }
    if (outcome == IncomingFrames::Outcome::corrupt) end(connection, connection.incoming.problem());
    if (outcome == IncomingFrames::Outcome::ended)
      end(connection, connection.incoming.error() == 0 ? "" : std::strerror(connection.incoming.error()));
    is_at_end = true;
    break;
  }
  if (!is_at_end && !connection.is_paused) finish_later(connection);
  bytes_in_ += connection.incoming.bytes() - before;
}

void EventLoop::handle(Connection& connection, Message message) {
  const auto* const leave = std::get_if<Leave>(&message.control);
  if (leave != nullptr && connection.worker != 0) {
    connection.has_left = true;
    if (leave->lost)
      drop_line(connection.from, "worker " + std::to_string(rank_of(connection.worker)) + " has ended itself");
    else
      roster_.left(connection.worker);
  }
  const auto* const failed = std::get_if<Failed>(&message.control);
  std::string refusal;
  if (failed != nullptr && connection.is_server && failed->code != ErrorCode::closed)
    refusal = "the replica does not follow: " + failed->message;
  try {
    shard_.handle(connection.id, std::move(message), out_);
  } catch (const Exception& exception) {
    // One connection's trouble. Anything else (no memory, say) may have come in the midst of a sum that others wait for.
    return end(connection, exception.what());
  }
  if (!refusal.empty()) end(connection, refusal);  // another connection begins with all there is
}

/// Queues what the shard wants sent. Returns bytes queued since dispatch() was called last.
std::uint64_t EventLoop::queue_all() {
  for (std::size_t i = 0; i < out_.size(); ++i) {  // a connection that ends here makes the shard say more
    Outgoing outgoing = std::move(out_[i]);
    const auto entry = connections_.find(outgoing.to);
    if (entry == connections_.end() || entry->second->is_over) continue;
    Connection& connection = *entry->second;
    if (std::holds_alternative<Welcome>(outgoing.control) && connection.worker == 0 && connection.applicant != 0) {
      connection.worker = connection.applicant;
      roster_.joined(connection.worker);
    }
    if (const auto* refused = std::get_if<Refused>(&outgoing.control)) {
      ++refused_;
      drop_line(connection.from, refused->message);
    }
    const std::uint64_t before = connection.outgoing.queued_bytes();
    try {
      connection.outgoing.queue(make_frame(outgoing.control, std::move(outgoing.payload)));
    } catch (const Exception& exception) {
      const std::string why = "what is for it cannot be said: " + exception.error().message;
      if (connection.worker == 0) {
        end(connection, why);
        continue;
      }
      // It would come back, and have it said again: so it hears why, and ends.
      drop_line(connection.from, why);
      connection.outgoing.queue(make_frame(Failed{0, exception.error().code, why}));
    }
    queued_ += connection.outgoing.queued_bytes() - before;
    gathered_ += connection.outgoing.queued_bytes() - before;
    most_queued_ = std::max(most_queued_, queued_);
    if (!std::exchange(connection.is_touched, true)) touched_.push_back(connection.id);
    if (connection.outgoing.queued_bytes() > options_.most_queued && !connection.is_server)
      end(connection,
          "it takes nothing, and " + std::to_string(connection.outgoing.queued_bytes()) + " bytes wait for it");
  }
  out_.clear();
  return gathered_;
}

/// Queues what the shard wants sent, and sends what can be sent now.
void EventLoop::dispatch() {
  queue_all();
  gathered_ = 0;
  if (!touched_.empty()) publish();
  for (std::size_t i = 0; i < touched_.size(); ++i) {
    const auto entry = connections_.find(touched_[i]);
    if (entry == connections_.end()) continue;
    entry->second->is_touched = false;
    if (!entry->second->is_over) flush(*entry->second);
  }
  touched_.clear();
  if (!out_.empty()) dispatch();
}

void EventLoop::flush(Connection& connection) {
  const std::uint64_t before = connection.outgoing.bytes();
  const bool is_open = connection.outgoing.flush(connection.socket);
  bytes_out_ += connection.outgoing.bytes() - before;
  queued_ -= connection.outgoing.bytes() - before;
  if (!is_open) return end(connection, std::strerror(connection.outgoing.error()));
  const bool writes = !connection.outgoing.is_empty();
  const bool reads = connection.outgoing.queued_bytes() < options_.queue_limit;
  if (reads && std::exchange(connection.is_paused, false)) finish_later(connection);
  if (reads == connection.reads && writes == connection.writes) return;
  connection.reads = reads;
  connection.writes = writes;
  poller_.change(connection.socket.descriptor(), connection.id, reads, writes);
}

void EventLoop::finish_later(Connection& connection) {
  if (!std::exchange(connection.is_unfinished, true)) unfinished_.push_back(connection.id);
}

/// `why` empty: the peer has closed.
void EventLoop::end(Connection& connection, const std::string& why) {
  if (std::exchange(connection.is_over, true)) return;
  ended_.push_back(connection.id);
  queued_ -= connection.outgoing.queued_bytes();
  if (!connection.has_left) drop_line(connection.from, why.empty() ? "it has closed without leaving" : why);
  if (connection.worker != 0) roster_.ended(connection.worker);
  if (connection.id == replica_) {
    replica_ = 0;
    shard_.replica_lost(out_);
  }
  const bool may_return = connection.worker != 0 && !connection.has_left &&
                          options_.shard.consistency.kind == ConsistencyKind::bulk_synchronous;
  if (may_return) {
    absent_.emplace_back(Clock::now() + options_.worker_patience, connection.id);
  } else {
    shard_.connection_lost(connection.id, out_);
  }
  if (connection.leads_to_replica && options_.replica_lost) options_.replica_lost();
}

/// A worker that has joined by another connection meanwhile is not lost with this one: the shard knows.
void EventLoop::give_up_waiting() {
  for (; !absent_.empty() && absent_.front().first <= Clock::now(); absent_.pop_front())
    shard_.connection_lost(absent_.front().second, out_);
  dispatch();
}

void EventLoop::look_for_silence() {
  looked_ = Clock::now();
  for (auto& [id, connection] : connections_) {
    if (!connection->is_over && connection->silence.is_silent(connection->socket.socket()))
      end(*connection, "its host answers nothing any more");
  }
  dispatch();
}

void EventLoop::close_ended() {
  for (const ConnectionId id : ended_) connections_.erase(id);
  ended_.clear();
}

/// Comes before what tells of it is sent: whoever has an answer finds it counted.
void EventLoop::publish() {
  const auto [served, replicated] = shard_.served_groups();
  std::lock_guard lock(mutex_);
  statistics_ = {.shard = shard_.statistics(),
                 .connections = connections_.size(),
                 .waiting_bytes = shard_.waiting_bytes(),
                 .most_waiting_bytes = shard_.most_waiting_bytes(),
                 .refused = refused_,
                 .bytes_in = bytes_in_,
                 .bytes_out = bytes_out_,
                 .queued_bytes = queued_,
                 .most_queued_bytes = most_queued_,
                 .served_groups = served,
                 .replicated_groups = replicated};
}

void EventLoop::drop_line(const std::string& from, const std::string& why) {
  dropped_.warn("the parameter server dropped a connection from " + from + ": " + why);
}

}  // namespace trireme::ps
