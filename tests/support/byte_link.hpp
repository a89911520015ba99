// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/transport/link.hpp"

#include <algorithm>
#include <cstring>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

namespace trireme::testing {

/// A link whose other end is the test: it feeds bytes in, sees what is written, decides how much may be written, what may
/// be lent and how it ends.
class ByteLink final : public transport::Link {
 public:
  void feed(std::span<const std::byte> bytes) { incoming_.insert(incoming_.end(), bytes.begin(), bytes.end()); }
  std::size_t unread() const { return incoming_.size() - read_; }
  const std::vector<std::byte>& written() const { return written_; }
  /// Ends the stream; what was fed is read first.
  void end(transport::LinkState how) { end_ = how; }
  /// Bytes that may still be written.
  std::size_t write_budget = std::numeric_limits<std::size_t>::max();
  /// At most so many bytes come back per read.
  std::size_t read_piece = std::numeric_limits<std::size_t>::max();
  bool streams = false;                                 ///< says that it never lends
  std::span<const std::byte> lendable;                  ///< own memory that can be lent
  std::span<std::byte> peer_memory;                     ///< what tokens, as offsets, point into
  std::vector<std::unique_ptr<transport::Link>> lanes;  ///< further ones, until the endpoint takes them

  std::size_t write(std::span<const std::span<const std::byte>> parts) noexcept override {
    if (state_ != transport::LinkState::open) return 0;
    std::size_t taken = 0;
    for (auto part : parts) {
      const std::size_t now = std::min(part.size(), write_budget);
      written_.insert(written_.end(), part.begin(), part.begin() + static_cast<std::ptrdiff_t>(now));
      write_budget -= now;
      taken += now;
      if (now < part.size()) break;
    }
    return taken;
  }
  std::size_t read(std::span<std::byte> into) noexcept override {
    const std::size_t count = std::min({into.size(), unread(), read_piece});
    if (count == 0) {
      if (unread() == 0) state_ = end_;
      return 0;
    }
    std::memcpy(into.data(), incoming_.data() + read_, count);
    read_ += count;
    return count;
  }
  bool lend(const void* data, std::size_t bytes, std::uint64_t& token) const noexcept override {
    const auto* first = static_cast<const std::byte*>(data);
    if (first < lendable.data() || first + bytes > lendable.data() + lendable.size()) return false;
    token = static_cast<std::uint64_t>(first - lendable.data());
    return true;
  }
  bool streams_all() const noexcept override { return streams; }
  std::byte* borrow(std::uint64_t token, std::size_t bytes) noexcept override {
    if (token > peer_memory.size() || bytes > peer_memory.size() - token) return nullptr;
    return peer_memory.data() + token;
  }
  void nudge() noexcept override {}
  int descriptor() const noexcept override { return -1; }
  bool arm(bool) noexcept override { return unread() == 0 && state_ == transport::LinkState::open; }
  void disarm() noexcept override {}
  void check() noexcept override {}
  transport::LinkState state() const noexcept override { return state_; }
  int errno_value() const noexcept override { return 0; }
  void close() noexcept override {}
  std::vector<std::unique_ptr<transport::Link>> take_lanes() override { return std::move(lanes); }

 private:
  std::vector<std::byte> incoming_;
  std::size_t read_ = 0;
  std::vector<std::byte> written_;
  transport::LinkState end_ = transport::LinkState::open;
  transport::LinkState state_ = transport::LinkState::open;
};

}  // namespace trireme::testing
