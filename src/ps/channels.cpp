// SPDX-License-Identifier: Apache-2.0
#include "ps/channels.hpp"

#include <algorithm>
#include <numeric>
#include <optional>
#include <utility>

namespace trireme::ps {
namespace {

constexpr std::uint64_t channels_bell = 0;
/// After so many bytes of one channel the others have their turn.
constexpr std::uint64_t most_bytes_per_turn = 16u << 20;

}  // namespace

Channels::Channels(std::uint32_t servers, std::uint32_t loops, const std::function<std::uint64_t()>& next_number)
    : loops_(loops) {
  poller_.add(bell_.descriptor(), channels_bell);
  for (std::uint32_t server = 0; server < servers; ++server) {
    for (std::uint32_t loop = 0; loop < loops; ++loop)
      channels_.push_back(std::make_unique<Channel>(server, loop, next_number));
  }
}

bool Channels::are_welcome() const {
  return std::all_of(channels_.begin(), channels_.end(), [](const auto& each) { return each->is_welcome(); });
}

bool Channels::are_welcome(std::uint32_t server) const {
  for (std::uint32_t loop = 0; loop < loops_; ++loop) {
    if (!of(server, loop).is_welcome()) return false;
  }
  return true;
}

void Channels::open(Channel& channel, net::Connection connection, const Control& join, std::uint64_t payload_limit,
                    IncomingFrames::Place place) {
  channel.open(std::move(connection), join, payload_limit, std::move(place));
  poller_.add(channel.descriptor(), id_of(channel));
}

Channels::Events Channels::wait(Clock::time_point moment) {
  return poller_.wait(unfinished_.empty() ? moment : Clock::time_point{});
}

void Channels::take_in(const Events& events, Host& host) {
  for (const auto& event : events) {
    if (event.id == channels_bell) {
      bell_.answer();
      continue;
    }
    Channel& channel = *channels_[event.id - 1];
    if (event.writable) channel.now_writable();
    if (event.readable && channel.is_open()) receive(channel, host);
  }
  for (Channel* channel : std::exchange(unfinished_, {})) {
    if (channel->is_open()) receive(*channel, host);
  }
}

void Channels::receive(Channel& channel, Host& host) {
  const std::uint64_t before = channel.bytes_received();
  bool goes_on = true, is_at_end = false;
  while (goes_on && channel.bytes_received() - before < most_bytes_per_turn) {
    Message message;
    const auto outcome = channel.next(message);
    if (outcome == IncomingFrames::Outcome::nothing) {
      is_at_end = true;
      break;
    }
    if (outcome == IncomingFrames::Outcome::frame) {
      goes_on = host.receive(channel, std::move(message)) && channel.is_open();
    } else {
      goes_on = false;
      outcome == IncomingFrames::Outcome::ended ? host.lose(channel) : host.refuse(channel);
    }
  }
  if (goes_on && !is_at_end) unfinished_.push_back(&channel);  // its buffer may hold more
  // Only of those who have let it in: a server that dies again and again makes no progress.
  if (channel.is_welcome() && channel.bytes_received() != before) host.moved();
}

void Channels::admit_pushes(PushLead& lead, Host& host) {
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
    if (first == nullptr) return lead.is_open();
    while (!lead.admits(under_way, push->bytes)) {
      if (!lead.is_blocked(now)) return;
    }
    const std::uint64_t before = first->pushed_bytes();
    first->admit_push([&](Request& request) { host.sent(request); });
    under_way += first->pushed_bytes() - before;
  }
}

void Channels::pump(std::vector<std::uint64_t>& gone, Host& host) {
  for (const auto& owned : channels_) {
    Channel& channel = *owned;
    if (!channel.is_open()) continue;
    const bool was_waiting = channel.waits_to_write();
    const std::uint64_t before = channel.bytes_sent();
    const bool is_open = channel.pump(gone, [&](Request& request) { host.sent(request); });
    if (channel.is_welcome() && channel.bytes_sent() != before) host.moved();
    if (!is_open)
      host.lose(channel);
    else if (channel.waits_to_write() != was_waiting)
      poller_.change(channel.descriptor(), id_of(channel), true, channel.waits_to_write());
  }
}

std::uint64_t Channels::bytes_sent() const {
  return std::accumulate(channels_.begin(), channels_.end(), std::uint64_t{0},
                         [](std::uint64_t sum, const auto& each) { return sum + each->bytes_sent(); });
}

std::uint64_t Channels::bytes_received() const {
  return std::accumulate(channels_.begin(), channels_.end(), std::uint64_t{0},
                         [](std::uint64_t sum, const auto& each) { return sum + each->bytes_received(); });
}

}  // namespace trireme::ps
