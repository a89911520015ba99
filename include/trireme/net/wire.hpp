// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace trireme::net {

/// Appends little-endian fields to a growing message.
class Writer {
 public:
  void u8(std::uint8_t value);
  void u16(std::uint16_t value);
  void u32(std::uint32_t value);
  void u64(std::uint64_t value);
  void i32(std::int32_t value) { u32(static_cast<std::uint32_t>(value)); }
  void bytes(std::span<const std::byte> value);  ///< raw, no length
  void text(std::string_view value);             ///< u32 length, then the bytes; at most 1 MiB
  std::span<const std::byte> data() const { return data_; }

 private:
  std::vector<std::byte> data_;
};

/// Reads them back from bytes that may be hostile. The first field that does not fit makes the reader bad; every later
/// read returns zero or empty. Callers look at ok() once, at the end. Never throws, never reads outside the span.
class Reader {
 public:
  explicit Reader(std::span<const std::byte> data) : data_(data) {}
  std::uint8_t u8();
  std::uint16_t u16();
  std::uint32_t u32();
  std::uint64_t u64();
  std::int32_t i32() { return static_cast<std::int32_t>(u32()); }
  std::span<const std::byte> bytes(std::size_t count);
  std::string text(std::size_t limit = 1u << 20);
  bool ok() const { return ok_; }
  /// ok, and nothing is left over.
  bool finished() const { return ok_ && data_.empty(); }

 private:
  std::span<const std::byte> data_;
  bool ok_ = true;
};

}  // namespace trireme::net
