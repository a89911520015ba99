// SPDX-License-Identifier: Apache-2.0
#include "ps/partner_links.hpp"

#include "rendezvous/quiet_thread.hpp"
#include "trireme/base/error.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

namespace trireme::ps {
namespace {

constexpr std::chrono::milliseconds attempt{1000};
constexpr std::chrono::milliseconds pause_between_dials{50};
/// So long the next server alone is dialled: at the start, when all come at once, and after a loss.
constexpr std::chrono::milliseconds first_patience{4000};
constexpr std::chrono::milliseconds later_patience{1000};

}  // namespace

PartnerLinks::PartnerLinks(Options options) : options_(std::move(options)) {}

void PartnerLinks::stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  breaker_.stop();
  if (thread_.joinable()) thread_.join();
}

void PartnerLinks::start(std::vector<EventLoop*> loops) {
  std::lock_guard lock(mutex_);
  loops_ = std::move(loops);
  for (std::uint32_t loop = 0; loop < loops_.size(); ++loop) missing_[loop] = Clock::now() + first_patience;
  thread_ = rendezvous::start_quiet_thread([this] { run(); });
}

void PartnerLinks::lost(std::uint32_t loop) {
  std::lock_guard lock(mutex_);
  missing_[loop] = Clock::now() + later_patience;
  changed_.notify_all();
}

void PartnerLinks::run() {
  std::string said;
  for (;;) {
    std::map<std::uint32_t, Clock::time_point> missing;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return stopping_ || !missing_.empty(); });
      if (stopping_) return;
      missing = missing_;
    }
    std::string problem;
    for (const auto& [loop, until] : missing) {
      {
        std::lock_guard lock(mutex_);
        missing_.erase(loop);  // before: it may be lost again as soon as it is there
      }
      if (!try_links(loop, until, problem)) {
        std::lock_guard lock(mutex_);
        missing_.emplace(loop, until);
        break;
      }
      said.clear();
    }
    if (problem.empty()) continue;
    if (problem != said) options_.log(LogLevel::debug, "no connection to the replica yet: " + problem);
    said = problem;
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, pause_between_dials, [&] { return stopping_; });
  }
}

bool PartnerLinks::try_links(std::uint32_t loop, Clock::time_point until, std::string& problem) {
  const std::uint32_t others = Clock::now() < until ? 1 : options_.servers - 1;
  for (std::uint32_t i = 1; i <= others && !breaker_.is_stopped(); ++i) {
    if (try_link(loop, (options_.server + i) % options_.servers, problem)) return true;
  }
  return false;
}

bool PartnerLinks::try_link(std::uint32_t loop, std::uint32_t partner, std::string& problem) {
  try {
    const std::vector<ServerCard> cards = options_.others();
    const auto card =
        std::find_if(cards.begin(), cards.end(), [partner](const ServerCard& each) { return each.server == partner; });
    if (card == cards.end()) {
      problem = "server " + std::to_string(partner) + " has no card";
      return false;
    }
    net::Connection connection =
        dial(*card, options_.caller, {.is_server = true, .loop = loop}, Deadline::after(attempt), &breaker_);
    loops_[loop]->add_replica(std::move(connection), name_of_server(partner, &*card));
    return true;
  } catch (const std::exception& exception) {
    problem = exception.what();
    return false;
  }
}

}  // namespace trireme::ps
