// SPDX-License-Identifier: Apache-2.0
#include "ps/client_loop.hpp"

#include "ps/wire.hpp"
#include "rendezvous/quiet_thread.hpp"

#include <algorithm>
#include <chrono>
#include <tuple>
#include <utility>

namespace trireme::ps {
namespace {

constexpr std::chrono::milliseconds look_while_lost{20};
constexpr std::chrono::milliseconds look_while_well{1000};

/// Two keys for every channel (or tensors, where none of their keys is done before all have come), so that none runs dry while a sum
/// comes back; and half a megabyte for a slow network, 2 for a fast one.
PushLead lead_of(const KeyPlan& plan) {
  constexpr std::uint64_t least = 512u << 10, most = 2u << 20;
  std::uint64_t largest = 0;
  const bool whole = plan.options().scope != UpdateScope::elements;
  for (const KeyInfo& key : plan.keys()) {
    const TensorInfo& tensor = plan.tensors()[key.tensor];
    largest =
        std::max<std::uint64_t>(largest, (whole ? tensor.count() : key.range.size()) * size_of(tensor.accumulator));
  }
  return {std::max(least, 2 * largest * plan.options().servers * plan.options().loops), most};
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
      channels_(servers_, loops_, [this] { return next_number_++; }),
      holders_({.servers = servers_,
                .loops = loops_,
                .replicas = plan_->options().replicas,
                .takeover = options_.client.takeover,
                .timeout = options_.client.timeout},
               *this),
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
  for (std::uint32_t server = 0; server < servers_; ++server) {
    names_.push_back(name_of_server(server, nullptr));
    absences_.emplace_back("it was not reached yet");
    told_holders_.insert(told_holders_.end(), loops_, server);
  }
  was_counted_.resize(servers_);
  is_gone_.resize(servers_);
  began_anew_.resize(servers_);
  moved_at_ = Clock::now().time_since_epoch().count();
  redialer_ = std::make_unique<Redialer>(Caller{.key = options_.client.key,
                                                .job_id = options_.client.job_id,
                                                .epoch = options_.client.epoch,
                                                .rank = static_cast<int>(options_.client.rank),
                                                .congestion = options_.client.congestion,
                                                .tls = options_.client.tls},
                                         options_.client.servers, static_cast<Redialer::Host&>(*this));
  for (const auto& channel : channels_.all()) redialer_->want(channel->server(), channel->loop());
  thread_ = rendezvous::start_quiet_thread([this] { run(); });
}

ClientLoop::~ClientLoop() {
  redialer_->stop();
  stopping_ = true;
  channels_.ring();
  thread_.join();
}

// --- from other threads ---

void ClientLoop::submit(std::vector<std::unique_ptr<Request>> requests) {
  {
    std::lock_guard lock(mutex_);
    for (auto& request : requests) submitted_.push_back(std::move(request));
  }
  if (asleep_) channels_.ring();
}

void ClientLoop::leave() {
  {
    std::lock_guard lock(mutex_);
    leave_asked_ = true;
  }
  channels_.ring();
}

void ClientLoop::give_up(Error cause) {
  {
    std::lock_guard lock(mutex_);
    if (!given_up_) given_up_ = std::move(cause);
  }
  channels_.ring();
}

void ClientLoop::dialled(std::uint32_t server, std::uint32_t loop, net::Connection connection, std::string name) {
  {
    std::lock_guard lock(mutex_);
    arrivals_.push_back({.server = server, .loop = loop, .connection = std::move(connection), .name = std::move(name)});
  }
  channels_.ring();
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
  channels_.ring();
}

void ClientLoop::has_no_card(std::uint32_t server) {
  std::lock_guard lock(mutex_);
  without_card_.push_back(server);
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

ClientLoop::HeldUpBy ClientLoop::ask_awaited(std::optional<std::size_t> tensor, Deadline limit) {
  std::unique_lock lock(mutex_);
  inquiry_ = Inquiry{.tensor = tensor};
  channels_.ring();
  has_answered_.wait_until(lock, limit.moment(),
                           [&] { return takes_no_questions_ || (inquiry_->is_sent && inquiry_->unanswered.empty()); });
  HeldUpBy result = std::move(inquiry_->result);
  for (const auto& [number, asked] : inquiry_->unanswered) {
    if (!takes_no_questions_) result.silent.insert(names_[asked.server]);
  }
  inquiry_.reset();
  return result;
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
  auto moment = Clock::now() + (channels_.are_welcome() || has_failed_ ? look_while_well : look_while_lost);
  if (const auto look_again = lead_.look_again_at()) moment = std::min(moment, *look_again);
  asleep_ = true;
  {
    std::lock_guard lock(mutex_);
    if (!submitted_.empty()) moment = Clock::time_point{};
  }
  const auto events = channels_.wait(moment);
  asleep_ = false;
  channels_.take_in(events, *this);
  take_in();
  if (has_failed_) return;
  pump_all();
  look_after_lost();
  publish();
}

void ClientLoop::take_in() {
  std::vector<std::unique_ptr<Request>> submitted;
  std::vector<Arrival> arrivals;
  std::vector<std::uint32_t> without_card;
  std::optional<Error> given_up;
  {
    std::lock_guard lock(mutex_);
    submitted.swap(submitted_);
    arrivals.swap(arrivals_);
    without_card.swap(without_card_);
    given_up = given_up_;
    is_leaving_ = leave_asked_;
  }
  if (given_up && !has_failed_) fail_all(*given_up);
  if (has_failed_) return;
  for (const std::uint32_t server : without_card) {
    if (is_gone_[server]) continue;
    is_gone_[server] = true;
    holders_.forget_answers();
  }
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
    channel_of(request).add(request);
  }
  inquire();
}

/// Of each key that something is under way for, by what may wait for other workers, if anything does, in the first such step; the
/// first keys speak for all.
void ClientLoop::inquire() {
  constexpr std::size_t most_asked = 64;
  const std::lock_guard lock(mutex_);
  if (!inquiry_ || inquiry_->is_sent) return;
  const auto waits_for_others = [](const Request& each) { return each.wants_sum || each.kind == Request::Kind::pull; };
  const auto turn = [&](const Request& each) {
    return std::tuple(!waits_for_others(each), each.kind != Request::Kind::initialise, each.step, each.id);
  };
  std::map<Key, const Request*> asked;
  for (const auto& [id, request] : requests_) {
    if (inquiry_->tensor && request->tensor != *inquiry_->tensor) continue;
    const auto [entry, is_new] = asked.try_emplace(request->key, request.get());
    if (!is_new && turn(*request) < turn(*entry->second)) entry->second = request.get();
  }
  for (const auto& [key, request] : asked) {
    Channel& channel = channel_of(*request);
    if (!channel.is_welcome()) continue;
    const std::uint64_t number = next_number_++;
    // Of step 0 nobody's push is missing.
    channel.say(AskAwaited{.request = number, .key = key, .step = waits_for_others(*request) ? request->step : 0});
    inquiry_->unanswered[number] = {.server = channel.server(),
                                    .gives_values = request->kind == Request::Kind::initialise};
    if (inquiry_->unanswered.size() == most_asked) break;
  }
  inquiry_->is_sent = true;
  has_answered_.notify_all();
}

void ClientLoop::answered(std::uint64_t number, const Awaited* awaited) {
  const std::lock_guard lock(mutex_);
  if (!inquiry_) return;
  const auto question = inquiry_->unanswered.find(number);
  if (question == inquiry_->unanswered.end()) return;
  if (awaited != nullptr) {
    inquiry_->result.workers.insert(awaited->ranks.begin(), awaited->ranks.end());
    inquiry_->result.lack_values |= awaited->lacks_values && !question->second.gives_values;
    if (awaited->replica && *awaited->replica < servers_)
      inquiry_->result.replicas.insert(names_[question->second.server] + " waits for its replica, " +
                                       names_[*awaited->replica]);
  }
  inquiry_->unanswered.erase(question);
  has_answered_.notify_all();
}

void ClientLoop::seat(Arrival arrival) {
  Channel& channel = channels_.of(arrival.server, arrival.loop);
  if (channel.is_open() || said_leave_) return;  // who joined after the goodbye would be lost, not gone
  {
    std::lock_guard lock(mutex_);
    names_[arrival.server] = std::move(arrival.name);
  }
  is_gone_[arrival.server] = false;
  join_.attempt = ++joins_;
  channels_.open(channel, std::move(arrival.connection), join_, options_.payload_limit,
                 [this](const Control& control, std::uint64_t bytes) { return place_of(control, bytes); });
}

bool ClientLoop::receive(Channel& channel, Message message) {
  handle(channel, std::move(message));
  return !has_failed_;
}

void ClientLoop::refuse(Channel& channel) {
  fail_all({.code = ErrorCode::corrupt, .message = name_of(channel.server()) + ": " + channel.problem()});
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
    handle_welcome(channel, *welcome);
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
  } else if (const auto* awaited = std::get_if<Awaited>(&message.control)) {
    answered(awaited->request, awaited);
  } else if (const auto* failed = std::get_if<Failed>(&message.control)) {
    handle_failed(channel, *failed);
  } else {
    fail_all({.code = ErrorCode::corrupt, .message = name_of(channel.server()) + " sent what is not for workers"});
  }
}

void ClientLoop::handle_welcome(Channel& channel, const Welcome& welcome) {
  if (channel.incarnation() != 0 && channel.incarnation() != welcome.server_incarnation) {
    began_anew_[channel.server()] = true;
    holders_.forget_answers();
  }
  // A replica, and who restores from one, knows what was pushed.
  if (!channel.welcome(welcome.window_bytes, welcome.server_incarnation) && !plan_->options().replicas) {
    return fail_all({.code = ErrorCode::peer_lost,
                     .message = name_of(channel.server()) +
                                " was lost in the midst of a sum, and began anew: it is to be summed from memory that "
                                "the sum has partly taken; servers with replicas outlive that"});
  }
  if (channels_.are_welcome(channel.server())) {
    was_counted_[channel.server()] = false;
    std::lock_guard lock(mutex_);
    absences_[channel.server()].clear();
  }
  if (has_connected_ || !channels_.are_welcome()) return;
  {
    std::lock_guard lock(mutex_);
    has_connected_ = true;
  }
  host_.connected();
}

void ClientLoop::handle_sum(Message message) {
  auto& reduced = std::get<Reduced>(message.control);
  const auto entry = summing_.find({reduced.key, reduced.step});
  host_.summed(std::move(reduced), std::move(message.payload));
  if (entry == summing_.end()) return;
  Request& request = *entry->second;
  served(request);
  request.summed = true;
  // Once it has begun to go, be it over an earlier connection, it is in the sum, or was too late for it: either way it need not be
  // sent again, and its memory may be the sum's.
  if (request.number != 0) request.acknowledged = true;
  finish(request);
}

void ClientLoop::handle_failed(Channel& channel, const Failed& failed) {
  const auto entry = by_number_.find(failed.sequence);
  const bool is_known = failed.sequence != 0 && entry != by_number_.end();
  if (failed.sequence != 0 && !is_known) return answered(failed.sequence, nullptr);  // or of what was done meanwhile
  if (failed.code == ErrorCode::closed && holders_.may_move()) {
    // Others have had the keys taken over, or who was asked to serve them does not.
    for (std::uint32_t server = 0; server < servers_; ++server) {
      if (is_known && entry->second->group != server) continue;
      if (failed.server && *failed.server != server) continue;
      holders_.refused(server, channel.loop(), channel.server(), failed, Clock::now());
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
  if (request.payload_bytes != 0) lead_.done(request.payload_bytes, Clock::now());
  channel_of(request).remove(request);
  by_number_.erase(request.number);
  if (request.wants_sum) summing_.erase({request.key, request.step});
  publish();  // whoever is woken by it finds it counted
  host_.done(request);
  requests_.erase(request.id);
}

void ClientLoop::pump_all() {
  std::vector<std::uint64_t> gone;
  channels_.admit_pushes(lead_, *this);
  channels_.pump(gone, *this);
  for (const std::uint64_t id : gone) {
    const auto entry = requests_.find(id);
    if (entry == requests_.end()) continue;
    entry->second->on_wire = false;
    finish(*entry->second);
  }
  if (!is_leaving_ || has_left_) return;
  if (!said_leave_ && requests_.empty() && hear_goodbye()) {
    said_leave_ = true;
    for (const auto& channel : channels_.all()) {
      if (channel->is_welcome()) channel->say(Leave{});
    }
    return pump_all();
  }
  const bool is_quiet =
      std::none_of(channels_.all().begin(), channels_.all().end(), [](const auto& each) { return each->has_output(); });
  if (said_leave_ && is_quiet) {
    has_left_ = true;
    host_.left();
  }
}

/// Whoever is dialled again at this moment is waited for, as by takeovers: it would take for lost who ends in order.
bool ClientLoop::hear_goodbye() const {
  const auto now = Clock::now();
  return std::all_of(channels_.all().begin(), channels_.all().end(), [&](const auto& each) {
    const auto since = each->lost_since();
    return each->is_welcome() || is_gone_[each->server()] || (since && now - *since >= options_.client.takeover);
  });
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

void ClientLoop::look_after_lost() {
  const auto now = Clock::now();
  if (now - looked_ >= look_while_well) {
    looked_ = now;
    for (const auto& channel : channels_.all()) {
      if (channel->is_open() && channel->is_silent()) lose(*channel);
    }
  }
  for (std::uint32_t server = 0; server < servers_; ++server) {
    for (std::uint32_t loop = 0; loop < loops_ && !has_failed_; ++loop) {
      const KeyHolders::Look look = holders_.look(server, loop, now);
      if (look.are_lost) give_up_keys_of(server);
      if (look.gives_up) give_up_on(holders_.lost(server, loop));
      if (look.ask) take_over(server, loop, *look.ask);
    }
  }
}

/// Nobody has served its keys for too long, though they are wanted.
void ClientLoop::give_up_on(std::uint32_t lost) {
  std::string why;
  {
    std::lock_guard lock(mutex_);
    why = names_[lost] + " is gone, and nobody replaces it: " + absences_[lost];
  }
  fail_all({.code = ErrorCode::peer_lost, .message = std::move(why)});
}

/// No server has them any more.
void ClientLoop::give_up_keys_of(std::uint32_t server) {
  std::string ended;
  for (std::uint32_t each = 0; each < servers_; ++each) {
    if (is_gone_[each] || began_anew_[each])
      ended +=
          (ended.empty() ? "" : "; ") + name_of(each) + (is_gone_[each] ? " has ended" : " has ended and begun anew");
  }
  fail_all({.code = ErrorCode::peer_lost,
            .message = "the keys of parameter server " + std::to_string(server) +
                       " are lost, as no server that is left has them" + (ended.empty() ? "" : ": " + ended)});
}

void ClientLoop::take_over(std::uint32_t server, std::uint32_t loop, std::uint32_t holder) {
  const std::uint32_t before = holders_.of(server, loop);
  Channel& from = channels_.of(before, loop);
  Channel& to = channels_.of(holder, loop);
  // It may still be sending from memory that is the caller's again once another has answered, and what was offered there is void.
  // What is done by that is forgotten where it is known: so before the holder changes.
  if (from.is_open()) lose(from);
  const KeyHolders::Moved moved = holders_.move(server, loop, holder, Clock::now());
  if (moved.is_first && !was_counted_[before]) {
    was_counted_[before] = true;
    ++counted_.takeovers;
    options_.client.log(LogLevel::warning,
                        name_of(before) + " does not serve its keys: " + name_of(holder) + " is asked to");
  }
  to.say_when_welcome(TakeOver{.server = server, .lost = moved.lost});
  for (Request* request : from.take(server)) to.add(*request);
  {
    std::lock_guard lock(mutex_);
    told_holders_[server * loops_ + loop] = holder;
  }
  pump_all();
}

/// Somebody answered for keys of a group.
void ClientLoop::served(const Request& request) {
  const auto unserved = holders_.served(request.group, loop_of(request), Clock::now());
  if (unserved) counted_.last_takeover_seconds = std::chrono::duration<double>(*unserved).count();
}

void ClientLoop::fail_all(Error cause) {
  if (std::exchange(has_failed_, true)) return;
  lead_.is_open();  // nothing waits any more
  for (const auto& channel : channels_.all()) {
    if (!said_leave_) channel->say_lost();
    channel->lose(Clock::now());
  }
  summing_.clear();
  by_number_.clear();
  {
    const std::lock_guard lock(mutex_);
    takes_no_questions_ = true;
  }
  has_answered_.notify_all();
  if (cause.rank < 0) cause.rank = static_cast<int>(options_.client.rank);
  host_.failed(std::move(cause));
}

void ClientLoop::publish() {
  const std::uint64_t sent = channels_.bytes_sent(), received = channels_.bytes_received();
  std::lock_guard lock(mutex_);
  statistics_ = counted_;
  statistics_.bytes_sent = sent;
  statistics_.bytes_received = received;
}

}  // namespace trireme::ps
