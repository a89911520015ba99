// SPDX-License-Identifier: Apache-2.0
#include "ps/channel.hpp"

#include "ps/wire.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace trireme::ps {
namespace {

/// So much is given to the socket ahead of what it takes: more would keep what is urgent behind what is not.
constexpr std::uint64_t ahead_bytes = 256u << 10;

void number(Control& control, std::uint64_t value) {
  if (auto* initialise = std::get_if<Initialise>(&control)) initialise->sequence = value;
  if (auto* push = std::get_if<Push>(&control)) push->sequence = value;
  if (auto* update = std::get_if<Update>(&control)) update->sequence = value;
  if (auto* pull = std::get_if<Pull>(&control)) pull->request = value;
  if (auto* read = std::get_if<ReadState>(&control)) read->request = value;
}

/// What was sent once, in that order; then the rest, in the order of calls.
void sort_by_call(std::vector<Request*>& requests) {
  const auto place = [](const Request* request) {
    return std::pair(request->number == 0, request->number != 0 ? request->number : request->id);
  };
  std::sort(requests.begin(), requests.end(), [&](const Request* a, const Request* b) { return place(a) < place(b); });
}

}  // namespace

void Channel::open(net::Connection connection, const Control& join, std::uint64_t payload_limit,
                   IncomingFrames::Place place) {
  connection_ = std::move(connection);
  incoming_ = std::make_unique<IncomingFrames>(payload_limit, std::move(place));
  outgoing_ = OutgoingFrames();
  silence_ = net::SilenceWatch();
  outgoing_.queue(make_frame(join));
}

bool Channel::welcome(std::uint64_t window_bytes, std::uint64_t incarnation) {
  welcome_ = true;
  window_ = window_bytes;
  lost_since_.reset();
  for (const Control& control : std::exchange(to_say_, {})) say(control);
  const bool is_other = std::exchange(incarnation_, incarnation) != incarnation;
  return !(std::exchange(is_torn_, false) && is_other);
}

void Channel::say_when_welcome(Control control) { welcome_ ? say(control) : to_say_.push_back(std::move(control)); }

void Channel::lose(Clock::time_point now) {
  last_problem_ = problem();
  sent_before_ += outgoing_.bytes();
  received_before_ += incoming_ ? incoming_->bytes() : 0;
  is_torn_ |= incoming_ && incoming_->is_inside_given_sum();
  connection_.close();
  incoming_.reset();
  outgoing_ = OutgoingFrames();
  welcome_ = waits_to_write_ = false;
  if (!lost_since_) lost_since_ = now;
  std::vector<Request*> all;
  for (auto& [id, request] : sent_) all.push_back(request);
  sent_.clear();
  pushed_bytes_ = 0;
  requeue(std::move(all));
}

std::string Channel::problem() const {
  if (incoming_ && !incoming_->problem().empty()) return incoming_->problem();
  const int error = outgoing_.error() != 0 ? outgoing_.error() : incoming_ ? incoming_->error() : 0;
  return error != 0 ? std::strerror(error) : last_problem_;
}

Channel::Turn Channel::turn_of(const Request& request) {
  if (request.number != 0 && request.is_sequenced()) return {.anew = false, .id = request.number};
  return {.priority = request.priority, .step = request.step, .id = request.id};
}

void Channel::put_in_line(Request& request) {
  if (!request.is_sequenced()) return now_ready(request);
  auto& line = lines_[request.key];
  line.push_back(&request);
  if (line.size() == 1) now_ready(request);
}

void Channel::add(Request& request) { put_in_line(request); }

/// Puts what had been sent in front of what had not.
void Channel::requeue(std::vector<Request*> requests) {
  for (auto& [key, line] : lines_) requests.insert(requests.end(), line.begin(), line.end());
  for (auto& [turn, request] : ready_) {
    if (!request->is_sequenced()) requests.push_back(request);
  }
  ready_.clear();
  ready_pushes_.clear();
  lines_.clear();
  offered_.clear();
  sort_by_call(requests);
  for (Request* request : requests) {
    request->sent = request->offered = request->granted = request->on_wire = false;
    put_in_line(*request);
  }
}

std::vector<Request*> Channel::take(std::uint32_t group) {
  std::vector<Request*> taken;
  const auto sort_out = [&](Request* request) {
    if (request->group == group) taken.push_back(request);
  };
  std::vector<std::uint64_t> numbers;
  for (auto& [id, request] : sent_) {
    if (request->group != group) continue;
    taken.push_back(request);
    numbers.push_back(id);
    if (has_push_payload(*request)) pushed_bytes_ -= request->payload_bytes;
  }
  for (const std::uint64_t id : numbers) sent_.erase(id);
  for (auto& [key, line] : lines_) std::for_each(line.begin(), line.end(), sort_out);
  for (auto& [turn, request] : ready_) {
    if (!request->is_sequenced()) sort_out(request);
  }
  // What others have offered here stays offered.
  for (Request* request : taken) {
    offered_.erase({request->key, request->step});
    lines_.erase(request->key);  // a key is of one group
    not_ready(*request);
    request->sent = request->offered = request->granted = request->on_wire = false;
  }
  sort_by_call(taken);
  return taken;
}

void Channel::grant(Key key, std::uint64_t step) {
  const auto entry = offered_.find({key, step});
  if (entry == offered_.end()) return;
  Request& request = *entry->second;
  offered_.erase(entry);
  request.granted = true;
  now_ready(request);
}

void Channel::remove(Request& request) {
  if (request.number != 0 && sent_.erase(request.number) != 0 && has_push_payload(request))
    pushed_bytes_ -= request.payload_bytes;
  if (request.sent) return;
  not_ready(request);
  offered_.erase({request.key, request.step});
  const auto line = lines_.find(request.key);
  if (!request.is_sequenced() || line == lines_.end()) return;
  std::erase(line->second, &request);
  if (line->second.empty()) {
    lines_.erase(line);
  } else if (Request& first = *line->second.front(); !first.offered || first.granted) {
    now_ready(first);
  }
}

void Channel::send(Request& request) {
  if (request.is_sequenced()) {
    auto line = lines_.find(request.key);
    line->second.pop_front();
    if (line->second.empty())
      lines_.erase(line);
    else
      now_ready(*line->second.front());
  }
  if (request.number == 0) request.number = next_number_();
  number(request.control, request.number);
  OutgoingFrame frame{.head = encode_frame(request.control, request.payload_bytes),
                      .payload = request.payload,
                      .token = request.payload.empty() ? 0 : request.id};
  request.on_wire = frame.token != 0;
  request.sent = true;
  sent_[request.number] = &request;
  if (has_push_payload(request)) pushed_bytes_ += request.payload_bytes;
  outgoing_.queue(std::move(frame));
}

std::optional<Channel::NextPush> Channel::next_push() const {
  if (!welcome_ || ready_pushes_.empty()) return std::nullopt;
  const auto& [turn, request] = *ready_pushes_.begin();
  return NextPush{turn, request->payload_bytes};
}

void Channel::admit_push(const std::function<void(Request&)>& numbered) {
  Request& request = *ready_pushes_.begin()->second;
  ready_pushes_.erase(ready_pushes_.begin());
  if (!request.granted && request.payload_bytes > window_) {
    request.offered = true;
    offered_[{request.key, request.step}] = &request;
    return say(Offer{request.key, request.step, request.payload_bytes});
  }
  if (!request.granted) window_ -= request.payload_bytes;
  send(request);
  numbered(request);
}

void Channel::say_lost() {
  if (!welcome_ || !outgoing_.is_empty()) return;
  say(Leave{.lost = true});
  outgoing_.flush(connection_);
}

bool Channel::pump(std::vector<std::uint64_t>& gone, const std::function<void(Request&)>& numbered) {
  if (waits_to_write_ && !is_writable_) return true;
  for (bool sends_more = true; sends_more;) {
    while (welcome_ && !ready_.empty() && outgoing_.queued_bytes() < ahead_bytes) {
      Request& request = *ready_.begin()->second;
      ready_.erase(ready_.begin());
      send(request);
      numbered(request);
    }
    const bool could_take_more = !outgoing_.is_empty();
    if (!outgoing_.flush(connection_)) return false;
    sends_more = could_take_more && outgoing_.is_empty() && welcome_ && !ready_.empty();
  }
  waits_to_write_ = !outgoing_.is_empty();
  is_writable_ = !waits_to_write_;
  for (const std::uint64_t id : outgoing_.take_gone()) gone.push_back(id);
  return true;
}

}  // namespace trireme::ps
