// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ps/shard.hpp"

#include <cstring>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace trireme::testing {

/// One shard, spoken to by hand. Worker r's connection is r + 1.
class Desk {
 public:
  explicit Desk(ps::ShardOptions options) : options_(options), shard_(std::move(options)) {}

  ps::Join join_of(std::uint32_t rank, std::uint32_t incarnation = 1) const {
    return {.worker = ps::WorkerId{rank} << 32 | incarnation,
            .rank = rank,
            .workers = options_.workers,
            .leaves = options_.leaves,
            .plan_fingerprint = options_.plan->fingerprint(),
            .consistency = options_.consistency.to_string(),
            .settings = options_.settings};
  }
  void join_all() {
    for (std::uint32_t rank = 0; rank < options_.workers; ++rank) say(rank, join_of(rank));
  }
  /// What is said in answer.
  std::vector<ps::Outgoing> say_on(ps::ConnectionId connection, ps::Control control, ps::Payload payload = {}) {
    std::vector<ps::Outgoing> out;
    shard_.handle(connection, {std::move(control), std::move(payload)}, out);
    return out;
  }
  std::vector<ps::Outgoing> say(std::uint32_t rank, ps::Control control, ps::Payload payload = {}) {
    return say_on(rank + 1, std::move(control), std::move(payload));
  }
  std::uint64_t next() { return ++sequence_; }
  ps::Shard& shard() { return shard_; }
  const ps::ShardOptions& options() const { return options_; }

 private:
  ps::ShardOptions options_;
  ps::Shard shard_;
  std::uint64_t sequence_ = 0;
};

/// The first message of that type to that connection; null when there is none.
template <class Type>
const ps::Outgoing* first(const std::vector<ps::Outgoing>& out, ps::ConnectionId to) {
  for (const ps::Outgoing& each : out) {
    if (each.to == to && std::holds_alternative<Type>(each.control)) return &each;
  }
  return nullptr;
}

template <class T>
ps::Payload payload_of(const std::vector<T>& elements) {
  ps::Payload payload(elements.size() * sizeof(T));
  if (!payload.empty()) std::memcpy(payload.data(), elements.data(), payload.size());
  return payload;
}

template <class T>
std::vector<T> elements_of(const ps::Payload& payload) {
  std::vector<T> elements(payload.size() / sizeof(T));
  if (!payload.empty()) std::memcpy(elements.data(), payload.data(), payload.size());
  return elements;
}

/// What a Failed or Refused to that connection says; empty: there is none.
inline std::string failure(const std::vector<ps::Outgoing>& out, ps::ConnectionId to) {
  if (const auto* failed = first<ps::Failed>(out, to)) return std::get<ps::Failed>(failed->control).message;
  if (const auto* refused = first<ps::Refused>(out, to)) return std::get<ps::Refused>(refused->control).message;
  return {};
}

}  // namespace trireme::testing
