// SPDX-License-Identifier: Apache-2.0
#include "ps/redialer.hpp"

#include "rendezvous/quiet_thread.hpp"

#include <algorithm>
#include <chrono>
#include <exception>

namespace trireme::ps {
namespace {

constexpr std::chrono::milliseconds patience_per_dial{500};
constexpr std::chrono::milliseconds between_rounds{20};

}  // namespace

Redialer::Redialer(Caller caller, std::function<std::vector<ServerCard>()> servers, Host& host)
    : caller_(std::move(caller)), servers_(std::move(servers)), host_(host) {
  thread_ = rendezvous::start_quiet_thread([this] { run(); });
}

void Redialer::want(std::uint32_t server, std::uint32_t loop) {
  std::lock_guard lock(mutex_);
  wanted_.insert({server, loop});
  changed_.notify_all();
}

void Redialer::stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  breaker_.stop();
  if (thread_.joinable()) thread_.join();
}

void Redialer::run() {
  for (;;) {
    std::set<Place> wanted;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return stopping_ || !wanted_.empty(); });
      if (stopping_) return;
      wanted = wanted_;
    }
    if (try_all(wanted)) continue;
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, between_rounds, [&] { return stopping_; });
  }
}

bool Redialer::try_all(const std::set<Place>& wanted) {
  std::vector<ServerCard> cards;
  Error no_cards{};
  try {
    cards = servers_();
  } catch (const Exception& exception) {
    no_cards = exception.error();
  } catch (const std::exception& exception) {
    no_cards = {.code = ErrorCode::system, .message = exception.what()};
  }
  std::set<std::uint32_t> silent;  // who did not answer for one loop does not for another
  bool all = true;
  for (const auto& [server, loop] : wanted) {
    if (breaker_.is_stopped()) return false;
    if (silent.count(server) != 0) continue;
    const auto card = std::find_if(cards.begin(), cards.end(),
                                   [&, number = server](const ServerCard& each) { return each.server == number; });
    Error problem = no_cards;
    if (!problem && card == cards.end()) {
      problem = {.code = ErrorCode::peer_lost, .message = name_of_server(server, nullptr) + " has published no card"};
      host_.has_no_card(server);
    }
    if (!problem) {
      try {
        net::Connection connection =
            dial(*card, caller_, {.loop = loop}, Deadline::after(patience_per_dial), &breaker_);
        {
          std::lock_guard lock(mutex_);
          wanted_.erase({server, loop});
        }
        host_.dialled(server, loop, std::move(connection), name_of_server(server, &*card));
        continue;
      } catch (const Exception& exception) {
        problem = exception.error();
      } catch (const std::exception& exception) {
        problem = {.code = ErrorCode::system, .message = exception.what()};
      }
    }
    all = false;
    silent.insert(server);
    if (!breaker_.is_stopped()) host_.not_dialled(server, loop, std::move(problem));
  }
  return all;
}

}  // namespace trireme::ps
