// SPDX-License-Identifier: Apache-2.0
#include "ps/client_loop.hpp"

#include "ps/wire.hpp"
#include "rendezvous/quiet_thread.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

namespace trireme::ps {
namespace {

constexpr std::uint64_t loop_bell_id = 0;
constexpr std::chrono::milliseconds look_while_lost{20};
constexpr std::chrono::milliseconds look_while_well{1000};
constexpr std::uint64_t most_bytes_per_turn = 16u << 20;

/// Two keys for every channel (or tensors, where none of their keys is done before all have come), so that none runs dry while a sum
/// comes back; and what a fast network has under way.
std::uint64_t lead_of(const KeyPlan& plan) {
  constexpr std::uint64_t least = 2u << 20;
  std::uint64_t largest = 0;
  const bool whole = plan.options().scope != UpdateScope::elements;
  for (const KeyInfo& key : plan.keys()) {
    const TensorInfo& tensor = plan.tensors()[key.tensor];
    largest =
        std::max<std::uint64_t>(largest, (whole ? tensor.count() : key.range.size()) * size_of(tensor.accumulator));
  }
  return std::max(least, 2 * largest * plan.options().servers * plan.options().loops);
}

/// Words for a problem of dialling that trying again does not mend.
bool is_final(ErrorCode code) {
  return code == ErrorCode::invalid_argument || code == ErrorCode::mismatch || code == ErrorCode::unsupported;
}

}  // namespace

ClientLoop::ClientLoop(Options options, Host& host)
    : options_(std::move(options)),
      plan_(options_.client.plan),
      servers_(plan_->options().servers),
      loops_(plan_->options().loops),
      host_(host),
      join_{.worker = options_.worker,
            .rank = options_.client.rank,
            .workers = options_.client.workers,
            .leaves = options_.client.leaves,
            .plan_fingerprint = plan_->fingerprint(),
            .consistency = options_.client.consistency.to_string(),
            .settings = options_.client.settings,
            .plan = encode(*plan_)},
      lead_(lead_of(*plan_)) {
  if (join_.plan.size() > most_control_bytes / 2) join_.plan.clear();  // for servers that were started with it
  poller_.add(bell_.descriptor(), loop_bell_id);
  for (std::uint32_t server = 0; server < servers_; ++server) {
    names_.push_back(name_of_server(server, nullptr));
    absences_.emplace_back("it was not reached yet");
    for (std::uint32_t loop = 0; loop < loops_; ++loop) {
      groups_.push_back({.holder = server});
      holders_.push_back(server);
      channels_.push_back(std::make_unique<Channel>(server, loop, [this] { return next_number_++; }));
    }
  }
  was_counted_.resize(servers_);
  moved_at_ = Clock::now().time_since_epoch().count();
  redialer_ = std::make_unique<Redialer>(Caller{.key = options_.client.key,
                                                .job_id = options_.client.job_id,
                                                .epoch = options_.client.epoch,
                                                .rank = static_cast<int>(options_.client.rank),
                                                .congestion = options_.client.congestion,
                                                .tls = options_.client.tls},
                                         options_.client.servers, static_cast<Redialer::Host&>(*this));
  for (const auto& channel : channels_) redialer_->want(channel->server(), channel->loop());
  thread_ = rendezvous::start_quiet_thread([this] { run(); });
}

ClientLoop::~ClientLoop() {
  redialer_->stop();
  stopping_ = true;
  bell_.ring();
  thread_.join();
}

// --- from other threads ---

void ClientLoop::submit(std::vector<std::unique_ptr<Request>> requests) {
  {
    std::lock_guard lock(mutex_);
    for (auto& request : requests) submitted_.push_back(std::move(request));
  }
  if (asleep_) bell_.ring();
}

void ClientLoop::leave() {
  {
    std::lock_guard lock(mutex_);
    leave_asked_ = true;
  }
  bell_.ring();
}

void ClientLoop::give_up(Error cause) {
  {
    std::lock_guard lock(mutex_);
    if (!given_up_) given_up_ = std::move(cause);
  }
  bell_.ring();
}

void ClientLoop::dialled(std::uint32_t server, std::uint32_t loop, net::Connection connection, std::string name) {
  {
    std::lock_guard lock(mutex_);
    arrivals_.push_back({.server = server, .loop = loop, .connection = std::move(connection), .name = std::move(name)});
  }
  bell_.ring();
}

void ClientLoop::not_dialled(std::uint32_t server, std::uint32_t, Error why) {
  {
    std::lock_guard lock(mutex_);
    absences_[server] = why.message;
    if (!has_connected_ && is_final(why.code) && !given_up_) {
      why.message = names_[server] + ": " + why.message;
      given_up_ = std::move(why);
    }
  }
  bell_.ring();
}

std::string ClientLoop::absence_of(Key key) const {
  std::lock_guard lock(mutex_);
  return absences_[holder_locked(key)];
}

std::string ClientLoop::name_of_key_server(Key key) const {
  std::lock_guard lock(mutex_);
  return names_[holder_locked(key)];
}

std::string ClientLoop::name_of(std::uint32_t server) const {
  std::lock_guard lock(mutex_);
  return names_[server];
}

Client::Statistics ClientLoop::statistics() const {
  std::lock_guard lock(mutex_);
  return statistics_;
}

// --- the thread ---

void ClientLoop::run() noexcept {
  try {
    while (!stopping_) turn();
  } catch (const Exception& exception) {
    fail_all(exception.error());
  } catch (const std::exception& exception) {
    fail_all({.code = ErrorCode::system, .message = std::string("a client of parameter servers: ") + exception.what()});
  }
  channels_.clear();
}

void ClientLoop::turn() {
  const bool all_well =
      std::all_of(channels_.begin(), channels_.end(), [](const auto& each) { return each->is_welcome(); });
  auto moment = Clock::now() + (all_well || has_failed_ ? look_while_well : look_while_lost);
  if (const auto look_again = lead_.look_again_at()) moment = std::min(moment, *look_again);
  asleep_ = true;
  {
    std::lock_guard lock(mutex_);
    if (!submitted_.empty() || !unfinished_.empty()) moment = Clock::time_point{};
  }
  const auto events = poller_.wait(moment);
  asleep_ = false;
  for (const rendezvous::Poller::Event& event : events) {
    if (event.id == loop_bell_id) {
      bell_.answer();
      continue;
    }
    Channel& channel = *channels_[event.id - 1];
    if (event.writable) channel.now_writable();
    if (event.readable && channel.is_open()) receive(channel);
  }
  for (Channel* channel : std::exchange(unfinished_, {})) {
    if (channel->is_open()) receive(*channel);
  }
  take_in();
  if (has_failed_) return;
  pump_all();
  look_after_lost();
  publish();
}

void ClientLoop::take_in() {
  std::vector<std::unique_ptr<Request>> submitted;
  std::vector<Arrival> arrivals;
  std::optional<Error> given_up;
  {
    std::lock_guard lock(mutex_);
    submitted.swap(submitted_);
    arrivals.swap(arrivals_);
    given_up = given_up_;
    is_leaving_ = leave_asked_;
  }
  if (given_up && !has_failed_) fail_all(*given_up);
  if (has_failed_) return;
  for (Arrival& arrival : arrivals) seat(std::move(arrival));
  for (auto& owned : submitted) {
    Request& request = *owned;
    const KeyInfo& key = plan_->keys()[request.key];
    request.group = key.server;
    if (request.wants_sum) {
      summing_[{request.key, request.step}] = &request;
      request.summed = host_.has_sum(request.key, request.step);
    }
    if (request.kind == Request::Kind::push) ++counted_.pushes;
    if (request.kind == Request::Kind::pull) ++counted_.pulls;
    requests_[request.id] = std::move(owned);
    channel_of(group_of(request).holder, key.loop).add(request);
  }
}

void ClientLoop::seat(Arrival arrival) {
  Channel& channel = channel_of(arrival.server, arrival.loop);
  if (channel.is_open() || said_leave_) return;  // who joined after the goodbye would be lost, not gone
  {
    std::lock_guard lock(mutex_);
    names_[arrival.server] = std::move(arrival.name);
  }
  join_.attempt = ++joins_;
  channel.open(std::move(arrival.connection), join_, options_.payload_limit,
               [this](const Control& control, std::uint64_t bytes) { return place_of(control, bytes); });
  poller_.add(channel.descriptor(), 1 + arrival.server * loops_ + arrival.loop);
}

void ClientLoop::receive(Channel& channel) {
  const std::uint64_t before = channel.bytes_received();
  bool is_open = true, is_at_end = false;
  while (is_open && !has_failed_ && channel.bytes_received() - before < most_bytes_per_turn) {
    Message message;
    const auto outcome = channel.next(message);
    if (outcome == IncomingFrames::Outcome::nothing) {
      is_at_end = true;
      break;
    }
    if (outcome == IncomingFrames::Outcome::frame) {
      handle(channel, std::move(message));
      is_open = channel.is_open();
    } else if (outcome == IncomingFrames::Outcome::ended) {
      is_open = false;
      lose(channel);
    } else {
      fail_all({.code = ErrorCode::corrupt, .message = name_of(channel.server()) + ": " + channel.problem()});
    }
  }
  if (is_open && !is_at_end && !has_failed_) unfinished_.push_back(&channel);  // its buffer may hold more
  // Only of those who have let it in: a server that dies again and again makes no progress.
  if (channel.is_welcome() && channel.bytes_received() != before) moved_at_ = Clock::now().time_since_epoch().count();
}

std::span<std::byte> ClientLoop::place_of(const Control& control, std::uint64_t payload_bytes) {
  if (const auto* reduced = std::get_if<Reduced>(&control)) return host_.place_of_sum(*reduced, payload_bytes);
  if (const auto* values = std::get_if<Values>(&control)) {
    const auto entry = by_number_.find(values->request);
    if (entry == by_number_.end() || entry->second->kind != Request::Kind::pull) return {};
    if (entry->second->destination.size() != payload_bytes)
      fail(ErrorCode::corrupt, "values of another length than was asked for");
    return entry->second->destination;
  }
  return {};
}

void ClientLoop::handle(Channel& channel, Message message) {
  if (const auto* welcome = std::get_if<Welcome>(&message.control)) {
    // A replica, and who restores from one, knows what was pushed.
    if (!channel.welcome(welcome->window_bytes, welcome->server_incarnation) && !plan_->options().replicas) {
      return fail_all(
          {.code = ErrorCode::peer_lost,
           .message = name_of(channel.server()) +
                      " was lost in the midst of a sum, and began anew: it is to be summed from memory that "
                      "the sum has partly taken; servers with replicas outlive that"});
    }
    if (is_welcome(channel.server())) {
      was_counted_[channel.server()] = false;
      std::lock_guard lock(mutex_);
      absences_[channel.server()].clear();
    }
    const bool all =
        std::all_of(channels_.begin(), channels_.end(), [](const auto& each) { return each->is_welcome(); });
    if (all && !has_connected_) {
      {
        std::lock_guard lock(mutex_);
        has_connected_ = true;
      }
      host_.connected();
    }
  } else if (const auto* refused = std::get_if<Refused>(&message.control)) {
    fail_all({.code = refused->code == ErrorCode::none ? ErrorCode::mismatch : refused->code,
              .message = name_of(channel.server()) + " refuses this worker: " + refused->message});
  } else if (const auto* acknowledged = std::get_if<Acknowledged>(&message.control)) {
    const auto entry = by_number_.find(acknowledged->sequence);
    if (entry == by_number_.end()) return;
    served(*entry->second);
    entry->second->acknowledged = true;
    finish(*entry->second);
  } else if (std::holds_alternative<Reduced>(message.control)) {
    handle_sum(std::move(message));
  } else if (const auto* values = std::get_if<Values>(&message.control)) {
    const auto entry = by_number_.find(values->request);
    if (entry == by_number_.end() || entry->second->kind != Request::Kind::pull) return;
    served(*entry->second);
    host_.has_values(*entry->second, *values);
    entry->second->acknowledged = true;
    finish(*entry->second);
  } else if (auto* state = std::get_if<State>(&message.control)) {
    const auto entry = by_number_.find(state->request);
    if (entry == by_number_.end() || entry->second->kind != Request::Kind::read_state) return;
    host_.has_state(*entry->second, std::move(*state), std::move(message.payload));
    entry->second->acknowledged = true;
    finish(*entry->second);
  } else if (const auto* grant = std::get_if<Grant>(&message.control)) {
    if (grant->for_offer)
      channel.grant(grant->key, grant->step);
    else
      channel.grant(grant->bytes);
  } else if (const auto* failed = std::get_if<Failed>(&message.control)) {
    handle_failed(channel, *failed);
  } else {
    fail_all({.code = ErrorCode::corrupt, .message = name_of(channel.server()) + " sent what is not for workers"});
  }
}

void ClientLoop::handle_sum(Message message) {
  auto& reduced = std::get<Reduced>(message.control);
  const auto entry = summing_.find({reduced.key, reduced.step});
  host_.summed(std::move(reduced), std::move(message.payload));
  if (entry == summing_.end()) return;
  Request& request = *entry->second;
  served(request);
  request.summed = true;
  // It is in the sum, or was too late for it: either way it need not be sent again, and its memory may be the sum's.
  if (request.sent) request.acknowledged = true;
  finish(request);
}

void ClientLoop::handle_failed(Channel& channel, const Failed& failed) {
  const auto entry = by_number_.find(failed.sequence);
  const bool is_known = failed.sequence != 0 && entry != by_number_.end();
  if (failed.sequence != 0 && !is_known) return;  // of what was done meanwhile
  if (failed.code == ErrorCode::closed && has_replicas()) {
    // Others have had the keys taken over, or who was asked to serve them does not.
    for (std::uint32_t server = 0; server < servers_; ++server) {
      if (is_known && entry->second->group != server) continue;
      if (failed.server && *failed.server != server) continue;
      Group& moved = group(server, channel.loop());
      if (moved.holder != channel.server()) continue;
      if (failed.view >= moved.view) {
        moved.view = failed.view;
        moved.ask = failed.ask;
      }
      if (!moved.must_move_at) moved.must_move_at = Clock::now();
    }
    return;
  }
  Error error{.code = failed.code == ErrorCode::none ? ErrorCode::system : failed.code,
              .message = name_of(channel.server()) + ": " + failed.message};
  if (is_known) error.label = plan_->tensors()[entry->second->tensor].name;
  fail_all(std::move(error));
}

/// Forgets a request once it is done.
void ClientLoop::finish(Request& request) {
  if (!request.is_done()) return;
  if (request.payload_bytes != 0) lead_.moves(Clock::now());
  channel_of(group_of(request).holder, plan_->keys()[request.key].loop).remove(request);
  by_number_.erase(request.number);
  if (request.wants_sum) summing_.erase({request.key, request.step});
  host_.done(request);
  requests_.erase(request.id);
}

/// Pushes begin in one order over all servers, as far as the lead allows.
void ClientLoop::admit_pushes() {
  const auto now = Clock::now();
  std::uint64_t under_way = 0;
  for (const auto& channel : channels_) under_way += channel->pushed_bytes();
  for (;;) {
    Channel* first = nullptr;
    std::optional<Channel::NextPush> push;
    for (const auto& channel : channels_) {
      const auto next = channel->next_push();
      if (!next || (push && push->turn < next->turn)) continue;
      first = channel.get();
      push = next;
    }
    if (first == nullptr) return lead_.is_open();
    while (!lead_.admits(under_way, push->bytes)) {
      if (!lead_.is_blocked(now)) return;
    }
    const std::uint64_t before = first->pushed_bytes();
    first->admit_push([this](Request& request) { by_number_[request.number] = &request; });
    under_way += first->pushed_bytes() - before;
  }
}

void ClientLoop::pump_all() {
  std::vector<std::uint64_t> gone;
  admit_pushes();
  for (const auto& owned : channels_) {
    Channel& channel = *owned;
    if (!channel.is_open()) continue;
    const bool was_waiting = channel.waits_to_write();
    const std::uint64_t before = channel.bytes_sent();
    const bool is_open = channel.pump(gone, [this](Request& request) { by_number_[request.number] = &request; });
    if (channel.is_welcome() && channel.bytes_sent() != before) moved_at_ = Clock::now().time_since_epoch().count();
    if (!is_open) {
      lose(channel);
      continue;
    }
    if (channel.waits_to_write() != was_waiting)
      poller_.change(channel.descriptor(), 1 + channel.server() * loops_ + channel.loop(), true,
                     channel.waits_to_write());
  }
  for (const std::uint64_t id : gone) {
    const auto entry = requests_.find(id);
    if (entry == requests_.end()) continue;
    entry->second->on_wire = false;
    finish(*entry->second);
  }
  if (!is_leaving_ || has_left_) return;
  if (!said_leave_ && requests_.empty()) {
    said_leave_ = true;
    for (const auto& channel : channels_) {
      if (channel->is_welcome()) channel->say(Leave{});
    }
    return pump_all();
  }
  const bool is_quiet =
      std::none_of(channels_.begin(), channels_.end(), [](const auto& each) { return each->has_output(); });
  if (said_leave_ && is_quiet) {
    has_left_ = true;
    host_.left();
  }
}

// --- losses ---

void ClientLoop::lose(Channel& channel) {
  const std::string why = channel.problem();
  channel.lose(Clock::now());
  {
    std::lock_guard lock(mutex_);
    absences_[channel.server()] = why.empty() ? "it has closed the connection" : why;
  }
  if (has_left_) return;
  ++counted_.retries;
  std::vector<Request*> all;  // some waited only for their last bytes to go
  for (const auto& [id, request] : requests_) {
    if (request->is_done()) all.push_back(request.get());
  }
  for (Request* request : all) finish(*request);
  options_.client.log(LogLevel::info, name_of(channel.server()) +
                                          " is dialled again: " + (why.empty() ? "it has closed the connection" : why));
  redialer_->want(channel.server(), channel.loop());
}

bool ClientLoop::is_welcome(std::uint32_t server) const {
  for (std::uint32_t loop = 0; loop < loops_; ++loop) {
    if (!channels_[server * loops_ + loop]->is_welcome()) return false;
  }
  return true;
}

bool ClientLoop::is_lost(std::uint32_t server, std::uint32_t loop, Clock::time_point now) {
  const auto since = channel_of(server, loop).lost_since();
  return since && now - *since >= options_.client.takeover;
}

void ClientLoop::look_after_lost() {
  const auto now = Clock::now();
  if (now - looked_ >= look_while_well) {
    looked_ = now;
    for (const auto& channel : channels_) {
      if (channel->is_open() && channel->is_silent()) lose(*channel);
    }
  }
  for (std::uint32_t server = 0; server < servers_; ++server) {
    for (std::uint32_t loop = 0; loop < loops_ && !has_failed_; ++loop) look_after(server, loop, now);
  }
}

void ClientLoop::look_after(std::uint32_t server, std::uint32_t loop, Clock::time_point now) {
  Group& keys = group(server, loop);
  const Channel& channel = channel_of(keys.holder, loop);
  const auto since = channel.lost_since();
  if (since && !keys.lost_at) keys.lost_at = since;
  // Each who is asked may answer, and not serve. (Whoever took them over is asked once, and serves when something is wanted.)
  if (keys.asked > 2 * servers_) give_up_on(keys, channel, keys.lost_at, now);
  if (has_failed_) return;
  if (has_replicas() && now >= keys.ask_again_at && (keys.must_move_at || is_lost(keys.holder, loop, now))) {
    if (const auto next = next_holder(keys, loop, now)) return take_over(server, loop, *next);
  }
  give_up_on(keys, channel, since ? since : keys.must_move_at, now);
}

/// Fails once nobody has served them for too long, though they are wanted.
void ClientLoop::give_up_on(const Group& keys, const Channel& channel, std::optional<Clock::time_point> began,
                            Clock::time_point now) {
  if (!began || now - *began < options_.client.timeout || !channel.has_requests()) return;
  std::string why;
  {
    std::lock_guard lock(mutex_);
    const std::uint32_t lost = keys.lost.value_or(keys.holder);
    why = names_[lost] + " is gone, and nobody replaces it: " + absences_[lost];
  }
  fail_all({.code = ErrorCode::peer_lost, .message = std::move(why)});
}

/// Whom to ask to serve them: who was named, else the next one in the ring. None: nobody now.
std::optional<std::uint32_t> ClientLoop::next_holder(Group& keys, std::uint32_t loop, Clock::time_point now) {
  if (!keys.must_move_at) {
    keys.lost = keys.holder;
  } else if (keys.ask && *keys.ask != keys.holder) {
    if (channel_of(*keys.ask, loop).is_welcome()) return keys.ask;
    if (!is_lost(*keys.ask, loop, now)) return std::nullopt;
    keys.lost = keys.ask;
  }
  for (std::uint32_t i = 1; i < servers_; ++i) {
    const std::uint32_t next = (keys.holder + i) % servers_;
    if (channel_of(next, loop).is_welcome()) return next;
  }
  return std::nullopt;
}

void ClientLoop::take_over(std::uint32_t server, std::uint32_t loop, std::uint32_t holder) {
  Group& keys = group(server, loop);
  const std::uint32_t before = keys.holder;
  const bool is_first = keys.asked == 0;
  // It may still be sending from memory that is the caller's again once another has answered, and what was offered there is void.
  // What is done by that is forgotten where it is known: so before the holder changes.
  if (channel_of(before, loop).is_open()) lose(channel_of(before, loop));
  keys.holder = holder;
  keys.must_move_at.reset();
  keys.ask.reset();
  if (!keys.lost_at) keys.lost_at = Clock::now();
  // Once all have been asked there is time for somebody to come back.
  if (++keys.asked % servers_ == 0) keys.ask_again_at = Clock::now() + options_.client.takeover;
  if (is_first && !was_counted_[before]) {
    was_counted_[before] = true;
    ++counted_.takeovers;
    options_.client.log(LogLevel::warning,
                        name_of(before) + " does not serve its keys: " + name_of(holder) + " is asked to");
  }
  Channel& to = channel_of(holder, loop);
  to.say(TakeOver{.server = server, .lost = keys.lost});
  for (Request* request : channel_of(before, loop).take(server)) to.add(*request);
  {
    std::lock_guard lock(mutex_);
    holders_[server * loops_ + loop] = holder;
  }
  pump_all();
}

/// Somebody answered for keys of a group.
void ClientLoop::served(const Request& request) {
  Group& keys = group_of(request);
  keys.lost.reset();
  keys.asked = 0;
  if (!keys.lost_at) return;
  counted_.last_takeover_seconds = std::chrono::duration<double>(Clock::now() - *keys.lost_at).count();
  keys.lost_at.reset();
}

void ClientLoop::fail_all(Error cause) {
  if (std::exchange(has_failed_, true)) return;
  lead_.is_open();  // nothing waits any more
  for (const auto& channel : channels_) {
    if (!said_leave_) channel->say_lost();
    channel->lose(Clock::now());
  }
  summing_.clear();
  by_number_.clear();
  if (cause.rank < 0) cause.rank = static_cast<int>(options_.client.rank);
  host_.failed(std::move(cause));
}

void ClientLoop::publish() {
  std::uint64_t sent = 0, received = 0;
  for (const auto& channel : channels_) {
    sent += channel->bytes_sent();
    received += channel->bytes_received();
  }
  std::lock_guard lock(mutex_);
  statistics_ = counted_;
  statistics_.bytes_sent = sent;
  statistics_.bytes_received = received;
}

}  // namespace trireme::ps
