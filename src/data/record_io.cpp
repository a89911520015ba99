// SPDX-License-Identifier: Apache-2.0
#include "trireme/data/record_io.hpp"

#include "trireme/base/error.hpp"

#include <algorithm>
#include <array>

namespace trireme::data {
namespace {

constexpr std::uint32_t length_bits = 29;

std::uint32_t word_of(std::span<const std::uint8_t> bytes) {
  return static_cast<std::uint32_t>(bytes[0]) | static_cast<std::uint32_t>(bytes[1]) << 8 |
         static_cast<std::uint32_t>(bytes[2]) << 16 | static_cast<std::uint32_t>(bytes[3]) << 24;
}

std::uint8_t byte_of_magic(std::uint32_t index) {
  return static_cast<std::uint8_t>(RecordIoReader::magic >> (8 * index));
}

}  // namespace

/// All of `out`.
void RecordIoReader::take(std::span<std::uint8_t> out) {
  const std::size_t got = inner_.read(out);
  if (got != out.size())
    fail(ErrorCode::corrupt, name_ + ": ends at byte " + std::to_string(offset_ + got) + ", within a record");
  offset_ += got;
}

/// False only between records, where the stream may end.
bool RecordIoReader::read_header(bool continues) {
  std::array<std::uint8_t, 8> header{};
  const std::size_t got = inner_.read(header);
  if (got == 0 && !continues) return false;
  const auto refuse = [&](const std::string& what) {
    fail(ErrorCode::corrupt, name_ + ": " + what + " at byte " + std::to_string(offset_));
  };
  if (got != header.size()) refuse("ends within a record that begins");
  if (word_of(std::span(header).first(4)) != magic) refuse("no RecordIO record begins");
  const std::uint32_t word = word_of(std::span(header).last(4));
  const std::uint32_t part = word >> length_bits;
  if (part > 3 || continues != (part == 2 || part == 3)) refuse("parts of a record are out of their order");
  offset_ += header.size();
  is_last_part_ = part == 0 || part == 3;
  left_ = word & ((std::uint32_t{1} << length_bits) - 1);
  padding_ = (4 - left_ % 4) % 4;
  place_ = Place::in_part;
  return true;
}

void RecordIoReader::end_part() {
  std::array<std::uint8_t, 3> zeros{};
  take(std::span(zeros).first(padding_));
  place_ = is_last_part_ ? Place::at_end : Place::at_joint;
  joint_left_ = 4;
}

std::size_t RecordIoReader::read(std::span<std::uint8_t> out) {
  std::size_t done = 0;
  while (done < out.size()) {
    switch (place_) {
      case Place::between_records:
      case Place::at_end: return done;
      case Place::in_part: {
        const std::size_t count = std::min<std::size_t>(out.size() - done, left_);
        take(out.subspan(done, count));
        done += count;
        left_ -= static_cast<std::uint32_t>(count);
        break;
      }
      case Place::at_joint:
        if (joint_left_ == 0) {
          read_header(true);
        } else {
          out[done++] = byte_of_magic(4 - joint_left_--);
        }
        break;
    }
    if (place_ == Place::in_part && left_ == 0) end_part();
  }
  return done;
}

bool RecordIoReader::next() {
  std::array<std::uint8_t, 4096> rest{};
  while (read(rest) == rest.size()) {
  }
  place_ = Place::between_records;
  if (!read_header(false)) return false;
  if (left_ == 0) end_part();
  return true;
}

}  // namespace trireme::data
