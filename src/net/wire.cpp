// SPDX-License-Identifier: Apache-2.0
#include "trireme/net/wire.hpp"

#include "trireme/base/error.hpp"

namespace trireme::net {
namespace {

constexpr std::size_t most_text_bytes = std::size_t{1} << 20;

template <class T>
void append_little_endian(std::vector<std::byte>& data, T value) {
  for (std::size_t i = 0; i < sizeof(T); ++i) data.push_back(static_cast<std::byte>((value >> (8 * i)) & 0xff));
}

template <class T>
T read_little_endian(std::span<const std::byte> bytes) {
  T value = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    value = static_cast<T>(value | static_cast<T>(static_cast<T>(std::to_integer<T>(bytes[i])) << (8 * i)));
  }
  return value;  // zero when the span is empty: the field did not fit
}

}  // namespace

void Writer::u8(std::uint8_t value) { append_little_endian(data_, value); }
void Writer::u16(std::uint16_t value) { append_little_endian(data_, value); }
void Writer::u32(std::uint32_t value) { append_little_endian(data_, value); }
void Writer::u64(std::uint64_t value) { append_little_endian(data_, value); }

void Writer::bytes(std::span<const std::byte> value) { data_.insert(data_.end(), value.begin(), value.end()); }

void Writer::text(std::string_view value) {
  if (value.size() > most_text_bytes) {
    fail(ErrorCode::invalid_argument, "a text field of " + std::to_string(value.size()) + " bytes: at most 1 MiB fits");
  }
  u32(static_cast<std::uint32_t>(value.size()));
  bytes(std::as_bytes(std::span(value)));
}

std::uint8_t Reader::u8() { return read_little_endian<std::uint8_t>(bytes(1)); }
std::uint16_t Reader::u16() { return read_little_endian<std::uint16_t>(bytes(2)); }
std::uint32_t Reader::u32() { return read_little_endian<std::uint32_t>(bytes(4)); }
std::uint64_t Reader::u64() { return read_little_endian<std::uint64_t>(bytes(8)); }

std::span<const std::byte> Reader::bytes(std::size_t count) {
  if (!ok_ || count > data_.size()) {
    ok_ = false;
    return {};
  }
  auto result = data_.first(count);
  data_ = data_.subspan(count);
  return result;
}

std::string Reader::text(std::size_t limit) {
  std::size_t length = u32();
  if (length > limit) ok_ = false;
  auto value = bytes(length);
  return {reinterpret_cast<const char*>(value.data()), value.size()};
}

}  // namespace trireme::net
