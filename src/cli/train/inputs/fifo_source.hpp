// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/data/byte_source.hpp"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <span>
#include <string>

namespace trireme::cli {

/// How long is waited for those who write.
struct FifoWait {
  const std::atomic<bool>& stop;                                 ///< set: nobody wants the bytes any more
  std::chrono::milliseconds longest = std::chrono::minutes(15);  ///< for the FIFO, and for each next byte
  std::function<void(const std::string&)> say{};                 ///< every 30 s, what is missing
};

/// The bytes that somebody writes into a FIFO, to where its first writer closes it. It may come into being after this.
class FifoSource final : public data::ByteSource {
 public:
  /// Waits until the path is there.
  /// Errors: invalid_argument naming the path when it does not come into being in time, or is neither FIFO nor file; closed when
  ///         stopped.
  FifoSource(std::string path, FifoWait wait);
  FifoSource(const FifoSource&) = delete;
  FifoSource& operator=(const FifoSource&) = delete;
  ~FifoSource() override;

  /// Errors: invalid_argument when nothing comes in time; closed when stopped; system.
  std::size_t read(std::span<std::uint8_t> out) override;

 private:
  class Patience;
  std::string path_;
  FifoWait wait_;
  int descriptor_ = -1;
  bool is_fifo_ = true;
  bool has_ended_ = false;
};

}  // namespace trireme::cli
