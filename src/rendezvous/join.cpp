// SPDX-License-Identifier: Apache-2.0
#include "trireme/rendezvous/join.hpp"

#include "rendezvous/join_reminding.hpp"
#include "trireme/base/error.hpp"

#include <algorithm>

namespace trireme::rendezvous {
namespace {

using Clock = Deadline::Clock;

std::string key_of(std::uint64_t epoch, int rank, const char* what) {
  return "join/" + std::to_string(epoch) + "/" + std::to_string(rank) + "/" + what;
}

std::vector<int> missing_ranks(Store& store, std::uint64_t epoch, int first, int world_size) {
  std::vector<int> missing;
  for (int rank = first; rank < world_size; ++rank) {
    if (store.add(key_of(epoch, rank, "arrivals"), 0) == 0) missing.push_back(rank);
  }
  return missing;
}

/// "ranks 1, 3 of 4"; "nodes 1 (algo-2), 3 (algo-4) of 4".
std::string list(const std::vector<int>& ranks, int world_size, const Naming& naming) {
  constexpr std::size_t shown = 16;
  std::string text = (ranks.size() == 1 ? naming.one : naming.many) + " ";
  for (std::size_t i = 0; i < std::min(ranks.size(), shown); ++i) {
    if (i > 0) text += ", ";
    text += std::to_string(ranks[i]);
    const auto number = static_cast<std::size_t>(ranks[i]);
    if (number < naming.names.size() && !naming.names[number].empty()) text += " (" + naming.names[number] + ")";
  }
  if (ranks.size() > shown) text += " and " + std::to_string(ranks.size() - shown) + " more";
  return text + " of " + std::to_string(world_size);
}

std::string seconds_since(Clock::time_point start) {
  auto milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - start).count();
  if (milliseconds >= 10'000) return std::to_string(milliseconds / 1000) + " s";
  return std::to_string(milliseconds / 1000) + "." + std::to_string(milliseconds % 1000 / 100) + " s";
}

}  // namespace

std::vector<std::string> join_reminding(Store& store, std::uint64_t epoch, int rank, int world_size,
                                        const std::string& card, Deadline deadline, const Log& log,
                                        std::chrono::milliseconds reminder, const Naming& naming) {
  if (world_size < 1 || rank < 0 || rank >= world_size) {
    fail(ErrorCode::invalid_argument, naming.one + " " + std::to_string(rank) + " is outside the world of " +
                                          std::to_string(world_size) + " " + naming.many);
  }
  Clock::time_point start = Clock::now();
  // The counter tells a second process of this rank apart from the first even when their cards are equal, and lets
  // others ask who is missing without waiting.
  if (store.add(key_of(epoch, rank, "arrivals"), 1) != 1) {
    std::string who = naming.one + " " + std::to_string(rank);
    fail(ErrorCode::invalid_argument, who + " has joined already: two processes were started as " + who +
                                          "; give every process a " + naming.one + " of its own");
  }
  store.set(key_of(epoch, rank, "card"), card);

  std::vector<std::string> cards(static_cast<std::size_t>(world_size));
  for (int peer = 0; peer < world_size; ++peer) {
    for (;;) {
      Clock::time_point next_reminder = Clock::now() + reminder;
      bool is_last_wait = deadline.moment() <= next_reminder;
      try {
        Deadline until = is_last_wait ? deadline : Deadline::at(next_reminder);
        cards[static_cast<std::size_t>(peer)] = store.get(key_of(epoch, peer, "card"), until);
        break;
      } catch (const Exception& exception) {
        if (exception.error().code != ErrorCode::timeout) throw;
      }
      std::vector<int> missing = missing_ranks(store, epoch, peer, world_size);
      if (is_last_wait) {
        // A rank between its arrival and its card is as good as missing.
        if (missing.empty()) missing.push_back(peer);
        fail(ErrorCode::timeout, list(missing, world_size, naming) + (missing.size() == 1 ? " has" : " have") +
                                     " not joined within " + seconds_since(start) +
                                     ": see whether they were started and reach the rendezvous address");
      }
      if (!missing.empty()) {
        log(rank == 0 ? LogLevel::warning : LogLevel::info,  // one of them must be heard
            "waiting for " + list(missing, world_size, naming) + " to join (" + seconds_since(start) + " so far)");
      }
    }
  }
  return cards;
}

std::vector<std::string> join(Store& store, std::uint64_t epoch, int rank, int world_size, const std::string& card,
                              Deadline deadline, const Log& log, const Naming& naming) {
  return join_reminding(store, epoch, rank, world_size, card, deadline, log, std::chrono::seconds(30), naming);
}

}  // namespace trireme::rendezvous
