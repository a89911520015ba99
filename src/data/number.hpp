// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace trireme::data {

/// What parse_f32 found.
enum class NumberStatus {
  ok,
  not_a_number,  ///< no decimal number begins here; "nan" and "inf" are none
  too_large,     ///< beyond the largest f32
};

struct Number {
  NumberStatus status = NumberStatus::not_a_number;
  float value = 0;
  const char* end = nullptr;  ///< behind the last character of the number
};

/// The decimal number that begins at `text`, rounded once to f32 (as std::from_chars does; a sign + is welcome). What
/// is nearer to 0 than the smallest f32 is 0 of its sign.
/// Shape: text <= end, and *end is readable and no character of a number (a line end): digits are read up to it without
///        looking at `end`.
Number parse_f32(const char* text, const char* end) noexcept;

}  // namespace trireme::data
