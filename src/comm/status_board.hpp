// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/comm/request.hpp"
#include "trireme/rendezvous/cause.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>

#include <sched.h>

namespace trireme::comm {

/// What this rank is doing, as the control channel's thread may ask at any time, whatever the rank's own threads do:
/// written under the progress lock, read without it (a sequence lock made of atomics).
class StatusBoard {
 public:
  /// `request` null: in no operation; then `operation` is the last one.
  void write(std::uint64_t communicator, std::uint64_t operation, const Request* request,
             std::span<const int> waiting_for) noexcept {
    const auto version = version_.load(std::memory_order_relaxed);
    version_.store(version + 1, std::memory_order_release);
    communicator_.store(communicator, std::memory_order_release);
    operation_.store(operation, std::memory_order_release);
    in_operation_.store(request != nullptr, std::memory_order_release);
    if (request != nullptr) name(*request);
    const auto count = static_cast<std::uint32_t>(std::min(waiting_for.size(), waiting_.size()));
    for (std::size_t i = 0; i < count; ++i) waiting_[i].store(waiting_for[i], std::memory_order_release);
    waiting_count_.store(count, std::memory_order_release);
    version_.store(version + 2, std::memory_order_release);
  }

  /// In no operation: `operation`, which was `last`, is over.
  void write_idle(std::uint64_t communicator, std::uint64_t operation, const Request& last) noexcept {
    const auto version = version_.load(std::memory_order_relaxed);
    version_.store(version + 1, std::memory_order_release);
    communicator_.store(communicator, std::memory_order_release);
    operation_.store(operation, std::memory_order_release);
    in_operation_.store(false, std::memory_order_release);
    name(last);
    waiting_count_.store(0, std::memory_order_release);
    version_.store(version + 2, std::memory_order_release);
  }

  rendezvous::Status read(int rank) const {
    rendezvous::Status status;
    status.rank = rank;
    // The writer holds the board for nanoseconds; the bound only keeps a reader from waiting for a stopped thread.
    for (int attempt = 1; attempt < 1'000'000; ++attempt) {
      if (attempt % 64 == 0) ::sched_yield();
      const auto before = version_.load(std::memory_order_acquire);
      if ((before & 1) != 0) continue;
      status.communicator = communicator_.load(std::memory_order_acquire);
      status.operation = operation_.load(std::memory_order_acquire);
      status.in_operation = in_operation_.load(std::memory_order_acquire);
      const auto collective = collective_.load(std::memory_order_acquire);
      char label[33] = {};
      for (std::size_t i = 0; i < label_.size(); ++i) {
        const auto word = label_[i].load(std::memory_order_acquire);
        std::memcpy(label + 8 * i, &word, 8);
      }
      status.waiting_for.clear();
      const auto count = std::min<std::size_t>(waiting_count_.load(std::memory_order_acquire), waiting_.size());
      for (std::size_t i = 0; i < count; ++i) status.waiting_for.push_back(waiting_[i].load(std::memory_order_acquire));
      if (version_.load(std::memory_order_acquire) == before) {
        if (collective != none) {
          status.operation_name = std::string(plan::name_of(static_cast<plan::Collective>(collective))) + " #" +
                                  std::to_string(status.operation);
          if (label[0] != '\0') status.operation_name += " '" + std::string(label) + "'";
        }
        return status;
      }
    }
    rendezvous::Status unknown;
    unknown.rank = rank;
    return unknown;
  }

 private:
  void name(const Request& request) noexcept {
    collective_.store(static_cast<std::uint8_t>(request.collective), std::memory_order_release);
    for (std::size_t i = 0; i < label_.size(); ++i) {
      std::uint64_t word = 0;
      std::memcpy(&word, request.label.data() + 8 * i, 8);
      label_[i].store(word, std::memory_order_release);
    }
  }

  static constexpr std::uint8_t none = 0xff;
  std::atomic<std::uint64_t> version_{0};
  std::atomic<std::uint64_t> communicator_{0};
  std::atomic<std::uint64_t> operation_{0};
  std::atomic<bool> in_operation_{false};
  std::atomic<std::uint8_t> collective_{none};
  std::array<std::atomic<std::uint64_t>, 4> label_{};
  std::atomic<std::uint32_t> waiting_count_{0};
  std::array<std::atomic<std::int32_t>, 128> waiting_{};  // as many as a message would name
};

}  // namespace trireme::comm
