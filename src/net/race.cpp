// SPDX-License-Identifier: Apache-2.0
#include "net/connecting.hpp"
#include "net/resolve.hpp"
#include "trireme/base/error.hpp"
#include "trireme/net/socket.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <vector>

#include <poll.h>

namespace trireme::net {
namespace {

using Clock = Deadline::Clock;
using std::chrono::milliseconds;

// An address that answers does so within a round trip; one that swallows packets holds the next up for no longer.
constexpr milliseconds between_starts{50};
constexpr milliseconds between_questions{50};  // whether it is given up
constexpr milliseconds first_pause{10};
constexpr milliseconds longest_pause{500};
// The kernel repeats a lost request to connect after 1, 3, 7, 15, 31 s: one that comes back to life meanwhile is not kept waiting.
constexpr milliseconds first_patience{1500};
constexpr milliseconds longest_patience{6000};

/// One candidate: waiting for its turn, or under way.
struct Runner {
  Endpoint endpoint;
  std::size_t buffer_bytes = 0;
  Socket socket{};
  Clock::time_point next_start{};
  milliseconds pause = first_pause;
  milliseconds patience = first_patience;
  Clock::time_point give_up{};
  std::string reason = "no answer";

  /// True when connected at once.
  bool start() {
    int error = 0;
    give_up = Clock::now() + patience;
    socket = begin_connect(endpoint, error, buffer_bytes);
    if (error == 0 && socket.is_open()) return true;
    if (error != EINPROGRESS) fall(error);
    return false;
  }
  /// True when the connection stands.
  bool look() {
    const int error = connect_result(socket);
    if (error == 0) return true;
    fall(error);
    return false;
  }
  /// Whether the attempt under way was given up, to be begun anew at once.
  bool is_stuck(Clock::time_point now) {
    if (!socket.is_open() || now < give_up) return false;
    socket.close();
    next_start = now;
    patience = std::min(2 * patience, longest_patience);
    return true;
  }
  void fall(int error) {
    socket.close();
    reason = std::strerror(error);
    next_start = Clock::now() + pause;
    pause = std::min(2 * pause, longest_pause);
  }
};

std::vector<Runner> line_up(std::span<const Address> candidates, Deadline deadline, std::size_t buffer_bytes) {
  std::vector<Runner> runners;
  const auto now = Clock::now();
  for (const Address& candidate : candidates) {
    Resolution resolution = resolve(candidate, deadline);
    if (resolution.endpoints.empty()) {
      fail(ErrorCode::invalid_argument, "cannot connect to " + candidate.to_string() + ": " + resolution.problem);
    }
    Runner runner{.endpoint = resolution.endpoints.front(), .buffer_bytes = buffer_bytes};
    runner.next_start = now + between_starts * static_cast<long>(runners.size());
    runners.push_back(std::move(runner));
  }
  return runners;
}

[[noreturn]] void fail_all(std::span<const Address> candidates, const std::vector<Runner>& runners) {
  std::string text;
  for (std::size_t i = 0; i < runners.size(); ++i)
    text += (i == 0 ? "" : ", ") + candidates[i].to_string() + " (" + runners[i].reason + ")";
  fail(ErrorCode::timeout,
       "cannot connect to " + text + ": see that the process there runs and that nothing on the way drops packets");
}

}  // namespace

RaceResult race_tcp(std::span<const Address> candidates, Deadline deadline, std::size_t buffer_bytes,
                    const std::function<bool()>& is_given_up) {
  if (candidates.empty()) fail(ErrorCode::invalid_argument, "cannot connect: no address is given");
  auto runners = line_up(candidates, deadline, buffer_bytes);
  std::size_t attempts = 0;
  const auto win = [&](std::size_t winner) {
    set_stream_options(runners[winner].socket);
    return RaceResult{std::move(runners[winner].socket), winner, attempts};
  };
  std::vector<pollfd> polled;
  std::vector<std::size_t> running;
  while (!deadline.passed()) {
    if (is_given_up && is_given_up()) fail(ErrorCode::closed, "nobody wants this connection any more");
    const auto now = Clock::now();
    auto wake = is_given_up ? std::min(deadline.moment(), now + between_questions) : deadline.moment();
    polled.clear();
    running.clear();
    for (std::size_t i = 0; i < runners.size(); ++i) {
      auto& runner = runners[i];
      runner.is_stuck(now);
      if (!runner.socket.is_open() && runner.next_start <= now) {
        ++attempts;
        if (runner.start()) return win(i);
      }
      if (runner.socket.is_open()) {
        polled.push_back({runner.socket.descriptor(), POLLOUT, 0});
        running.push_back(i);
        wake = std::min(wake, runner.give_up);
      } else {
        wake = std::min(wake, runner.next_start);
      }
    }
    const int ready =
        ::poll(polled.data(), static_cast<nfds_t>(polled.size()), Deadline::at(wake).milliseconds_left(1000));
    if (ready < 0 && errno != EINTR) fail_system("poll", errno);
    for (std::size_t k = 0; ready > 0 && k < polled.size(); ++k) {
      if (polled[k].revents != 0 && runners[running[k]].look()) return win(running[k]);
    }
  }
  fail_all(candidates, runners);
}

}  // namespace trireme::net
