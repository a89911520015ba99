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
constexpr std::chrono::milliseconds pause_between{50};

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
  for (std::uint32_t loop = 0; loop < loops_.size(); ++loop) missing_.insert(loop);
  thread_ = rendezvous::start_quiet_thread([this] { run(); });
}

void PartnerLinks::lost(std::uint32_t loop) {
  std::lock_guard lock(mutex_);
  missing_.insert(loop);
  changed_.notify_all();
}

void PartnerLinks::run() {
  std::string said;
  for (;;) {
    std::set<std::uint32_t> missing;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return stopping_ || !missing_.empty(); });
      if (stopping_) return;
      missing = missing_;
    }
    std::string problem;
    for (const std::uint32_t loop : missing) {
      {
        std::lock_guard lock(mutex_);
        missing_.erase(loop);  // before: it may be lost again as soon as it is there
      }
      if (!try_link(loop, problem)) {
        std::lock_guard lock(mutex_);
        missing_.insert(loop);
        break;
      }
      said.clear();
    }
    if (problem.empty()) continue;
    if (problem != said) options_.log(LogLevel::debug, "no connection to the replica yet: " + problem);
    said = problem;
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, pause_between, [&] { return stopping_; });
  }
}

bool PartnerLinks::try_link(std::uint32_t loop, std::string& problem) {
  try {
    const std::vector<ServerCard> cards = options_.others();
    const auto card = std::find_if(cards.begin(), cards.end(),
                                   [this](const ServerCard& each) { return each.server == options_.partner; });
    if (card == cards.end()) {
      problem = "server " + std::to_string(options_.partner) + " has no card";
      return false;
    }
    net::Socket socket =
        dial(*card, options_.caller, {.is_server = true, .loop = loop}, Deadline::after(attempt), &breaker_);
    loops_[loop]->add_replica(std::move(socket), name_of_server(options_.partner, &*card));
    return true;
  } catch (const std::exception& exception) {
    problem = exception.what();
    return false;
  }
}

}  // namespace trireme::ps
