// SPDX-License-Identifier: Apache-2.0
#include "world/reversals.hpp"

#include "trireme/base/deadline.hpp"

#include <charconv>
#include <chrono>

namespace trireme {

Reversals::Reversals(rendezvous::Store* store, std::uint64_t epoch, int rank)
    : store_(store), epoch_(epoch), rank_(rank) {}

std::string Reversals::key(int peer, const std::string& what) const {
  return "links/" + std::to_string(epoch_) + "/reversed/" + std::to_string(peer) + "/" + what;
}

void Reversals::ask(int peer, const std::string& why) {
  const auto number = store_->add(key(peer, "count"), 1);
  store_->set(key(peer, std::to_string(number)), std::to_string(rank_) + " " + why);
}

std::vector<Reversals::Request> Reversals::asked() {
  std::vector<Request> requests;
  if (store_ == nullptr) return requests;
  for (const auto total = store_->add(key(rank_, "count"), 0); seen_ < total;) {
    // Set a moment after it was counted.
    const auto text = store_->get(key(rank_, std::to_string(++seen_)), Deadline::after(std::chrono::seconds(10)));
    Request request;
    const char* const begin = text.data();
    const auto [end, error] = std::from_chars(begin, begin + text.size(), request.peer);
    if (error != std::errc() || end == begin + text.size()) continue;
    request.why = end + 1;
    requests.push_back(std::move(request));
  }
  return requests;
}

}  // namespace trireme
