// SPDX-License-Identifier: Apache-2.0
#include "data/number.hpp"

#include "trireme/data/philox.hpp"

#include <catch2/catch.hpp>

#include <bit>
#include <charconv>
#include <cstdint>
#include <string>

using namespace trireme::data;

namespace {

/// The whole text as a number; not_a_number when something is left over.
Number number_of(std::string text) {
  const std::size_t size = text.size();
  text += '\n';
  Number number = parse_f32(text.data(), text.data() + size);
  if (number.status == NumberStatus::ok && number.end != text.data() + size) number.status = NumberStatus::not_a_number;
  return number;
}

std::uint32_t bits_of(float value) { return std::bit_cast<std::uint32_t>(value); }

}  // namespace

TEST_CASE("parse_f32 rounds as std::from_chars does, to the last bit") {
  PhiloxStream random(11);
  const auto digits = [&](std::size_t count) {
    std::string text;
    for (std::size_t i = 0; i < count; ++i) text += static_cast<char>('0' + random.below(10));
    return text;
  };
  int compared = 0;
  for (int i = 0; i < 200000; ++i) {
    std::string text = random.below(2) == 0 ? "-" : "";
    text += digits(random.below(12));
    if (random.below(3) != 0) text += "." + digits(random.below(14));
    if (random.below(3) == 0) text += (random.below(2) == 0 ? "e-" : "E+") + digits(1 + random.below(2));
    float expected = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), expected);
    const Number number = number_of(text);
    CAPTURE(text);
    if (error == std::errc{} && end == text.data() + text.size() && expected - expected == 0) {
      REQUIRE(number.status == NumberStatus::ok);
      REQUIRE(bits_of(number.value) == bits_of(expected));
      ++compared;
    }
  }
  REQUIRE(compared > 150000);
}

TEST_CASE("parse_f32 rounds once where a rounding to f64 before would lie midway") {
  // 1 + 2^-24 lies midway between two f32; what is a little above or below it does not, though it is the same f64.
  CHECK(number_of("1.000000059604644775390625").value == 1.0f);
  CHECK(number_of("1.00000005960464477539062500000001").value == 1.0f + 0x1p-23f);
  CHECK(number_of("1.00000005960464478").value == 1.0f + 0x1p-23f);
  CHECK(number_of("1.00000005960464477").value == 1.0f);
  CHECK(number_of("16777217").value == 16777216.0f);
  CHECK(number_of("16777219").value == 16777220.0f);
}

TEST_CASE("parse_f32 takes signs and points and keeps the sign of zero") {
  CHECK(number_of("+1.5").value == 1.5f);
  CHECK(number_of("-.5").value == -0.5f);
  CHECK(number_of("5.").value == 5.0f);
  CHECK(number_of("00000000000000000000000007").value == 7.0f);
  CHECK(bits_of(number_of("-0").value) == bits_of(-0.0f));
  CHECK(bits_of(number_of("-0.000").value) == bits_of(-0.0f));
  CHECK(number_of("0e999999999999999999999").value == 0.0f);
}

TEST_CASE("parse_f32 gives zero below the smallest f32 and refuses what is beyond the largest") {
  const std::string zeros(400, '0');
  CHECK(number_of("1e-45").value == 0x1p-149f);
  for (const std::string& text : {std::string("1e-46"), std::string("3.5e-400"), "0." + zeros + "1",
                                  "1" + zeros + "e-900", std::string("1e-99999999999999999999999999")}) {
    CAPTURE(text);
    const Number number = number_of(text);
    CHECK(number.status == NumberStatus::ok);
    CHECK(bits_of(number.value) == bits_of(0.0f));
    CHECK(bits_of(number_of("-" + text).value) == bits_of(-0.0f));
  }
  CHECK(number_of("3.4028234e38").status == NumberStatus::ok);
  for (const std::string& text : {std::string("3.5e38"), std::string("-1e400"), "1" + zeros, "0." + zeros + "1e900",
                                  std::string("1e99999999999999999999999999")}) {
    CAPTURE(text);
    CHECK(number_of(text).status == NumberStatus::too_large);
  }
}

TEST_CASE("parse_f32 takes nothing else for a number") {
  for (const char* text :
       {"",    "-",    "+",   ".",        "-.",    "e5",  "1e",  "1e+", "+-1",  "-+1",  "--1",  "nan",
        "NaN", "-nan", "inf", "Infinity", "0x1p3", "1,5", "1 5", "abc", "1abc", "1..2", "1.2.3"}) {
    CAPTURE(text);
    CHECK(number_of(text).status == NumberStatus::not_a_number);
  }
}
