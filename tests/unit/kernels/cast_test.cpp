// SPDX-License-Identifier: Apache-2.0
#include "kernels/cast/cast.hpp"

#include "samples.hpp"

#include <catch2/catch.hpp>

#include <bit>

namespace trireme::kernels {
namespace {

using samples::Array;

using samples::all_patterns;

const std::vector<DType> floating{DType::f64, DType::f32, DType::f16, DType::bf16, DType::f8e4m3, DType::f8e5m2};
const std::vector<DType> narrow{DType::f16, DType::bf16, DType::f8e4m3, DType::f8e5m2};

void require_as_reference(const Array& source, DType to) {
  Array expected(to, source.count());
  REQUIRE(reference::cast(expected.data(), to, source.data(), source.dtype(), source.count()));
  for (Isa isa : samples::isas()) {
    Array actual(to, source.count(), 3);
    REQUIRE(cast(actual.data(), to, source.data(), source.dtype(), source.count(), isa));
    CAPTURE(name_of(isa), name_of(source.dtype()), name_of(to), source.count(),
            samples::first_difference(expected, actual));
    REQUIRE(samples::same(expected, actual));
    REQUIRE(actual.guards_intact());
  }
}

float widened_by_base(DType dtype, std::uint32_t pattern) {
  const auto bits = static_cast<std::uint16_t>(pattern);
  const auto byte = static_cast<std::uint8_t>(pattern);
  switch (dtype) {
    case DType::f16: return to_float(Float16{bits});
    case DType::bf16: return to_float(BFloat16{bits});
    case DType::f8e4m3: return to_float(Float8E4M3{byte});
    default: return to_float(Float8E5M2{byte});
  }
}

std::uint16_t narrowed_by_base(DType dtype, float value) {
  switch (dtype) {
    case DType::f16: return to_float16(value).bits;
    case DType::bf16: return to_bfloat16(value).bits;
    case DType::f8e4m3: return to_float8_e4m3(value).bits;
    default: return to_float8_e5m2(value).bits;
  }
}

/// Every value of a narrow type, its neighbours in `T`, the midpoints to the next value, and the midpoints' neighbours.
template <class T>
Array around_rounding_boundaries(DType to) {
  const Array patterns = all_patterns(to);
  const std::size_t half = patterns.count() / 2;  // where the sign changes
  std::vector<T> values;
  for (std::size_t i = 0; i < patterns.count(); ++i) {
    auto here = static_cast<T>(patterns.value(i));
    if (!std::isfinite(here)) {
      values.push_back(here);
      continue;
    }
    auto above = static_cast<T>(patterns.value(i + 1 < patterns.count() && i != half - 1 ? i + 1 : i));
    // Beyond the largest value the boundary of overflow lies where the next value would be.
    const bool last = !std::isfinite(above);
    if (last) above = here + (here - static_cast<T>(patterns.value(i - 1)));
    T middle = here / 2 + above / 2;
    for (T value : {here, middle, above}) {
      if (value == above && !last) continue;  // its turn comes
      values.push_back(std::nextafter(value, -std::numeric_limits<T>::infinity()));
      values.push_back(value);
      values.push_back(std::nextafter(value, std::numeric_limits<T>::infinity()));
    }
  }
  Array array(dtype_of<T>, values.size());
  std::memcpy(array.data(), values.data(), values.size() * sizeof(T));
  return array;
}

}  // namespace

TEST_CASE("Every pattern of a narrow float is widened and converted as the reference does") {
  for (DType from : narrow) {
    for (DType to : floating) require_as_reference(all_patterns(from), to);
  }
}

TEST_CASE("Every pattern of a narrow float is widened as base does, and comes back unchanged") {
  for (Isa isa : samples::isas()) {
    for (DType dtype : narrow) {
      Array patterns = all_patterns(dtype);
      const std::size_t count = patterns.count();
      Array wide(DType::f32, count);
      Array back(dtype, count);
      REQUIRE(cast(wide.data(), DType::f32, patterns.data(), dtype, count, isa));
      REQUIRE(cast(back.data(), dtype, wide.data(), DType::f32, count, isa));
      CAPTURE(name_of(isa), name_of(dtype));
      REQUIRE(samples::same(patterns, back));
      Array expected(DType::f32, count);
      for (std::uint32_t i = 0; i < count; ++i) {
        const float value = widened_by_base(dtype, i);
        std::memcpy(expected.at(i), &value, 4);
      }
      REQUIRE(samples::same(expected, wide));
    }
  }
}

TEST_CASE("Narrowing f32 rounds as base does around every rounding boundary") {
  for (DType to : narrow) {
    Array source = around_rounding_boundaries<float>(to);
    Array expected(to, source.count());
    for (std::size_t i = 0; i < source.count(); ++i) {
      const std::uint16_t bits = narrowed_by_base(to, static_cast<float>(source.value(i)));
      std::memcpy(expected.at(i), &bits, size_of(to));
    }
    for (Isa isa : samples::isas()) {
      Array actual(to, source.count());
      REQUIRE(cast(actual.data(), to, source.data(), DType::f32, source.count(), isa));
      CAPTURE(name_of(isa), name_of(to));
      REQUIRE(samples::same(expected, actual));
    }
    require_as_reference(source, to);
  }
}

TEST_CASE("Narrowing f64 to 16 or 8 bits rounds once around every rounding boundary") {
  for (DType to : narrow) require_as_reference(around_rounding_boundaries<double>(to), to);
}

TEST_CASE("Beyond the greatest value f8e4m3 has a NaN where f8e5m2 has infinity") {
  const float inf = std::numeric_limits<float>::infinity();
  const std::vector<float> values{464.0f,   std::nextafter(464.0f, inf),   inf, -1e30f,
                                  61440.0f, std::nextafter(61440.0f, 0.0f)};
  for (Isa isa : samples::isas()) {
    std::vector<std::uint8_t> e4m3(values.size()), e5m2(values.size());
    REQUIRE(cast(e4m3.data(), DType::f8e4m3, values.data(), DType::f32, values.size(), isa));
    REQUIRE(cast(e5m2.data(), DType::f8e5m2, values.data(), DType::f32, values.size(), isa));
    REQUIRE(e4m3 == std::vector<std::uint8_t>{0x7e, 0x7f, 0x7f, 0xff, 0x7f, 0x7f});
    REQUIRE(e5m2 == std::vector<std::uint8_t>{0x5f, 0x5f, 0x7c, 0xfc, 0x7c, 0x7b});
  }
}

TEST_CASE("A value that double rounding would get wrong is rounded once") {
  // Just above the midpoint of 1 and the next value, by less than f32 can say.
  for (Isa isa : samples::isas()) {
    double above_f16 = 1.0 + 0x1p-11 + 0x1p-40;
    double above_bf16 = 1.0 + 0x1p-8 + 0x1p-40;
    std::uint16_t bits = 0;
    REQUIRE(cast(&bits, DType::f16, &above_f16, DType::f64, 1, isa));
    REQUIRE(bits == 0x3c01);
    REQUIRE(cast(&bits, DType::bf16, &above_bf16, DType::f64, 1, isa));
    REQUIRE(bits == 0x3f81);
  }
}

TEST_CASE("Random f32 bit patterns are narrowed as the reference does") {
  std::mt19937 generator(7);
  Array source(DType::f32, 200000);
  for (std::size_t i = 0; i < source.count(); ++i) {
    auto bits = static_cast<std::uint32_t>(generator());
    std::memcpy(source.at(i), &bits, 4);
  }
  for (DType to : {DType::f64, DType::f16, DType::bf16, DType::f8e4m3, DType::f8e5m2}) require_as_reference(source, to);
}

TEST_CASE("Any count and alignment converts as the reference does") {
  for (DType from : floating) {
    for (DType to : floating) {
      for (std::size_t count : {0u, 1u, 7u, 8u, 9u, 31u, 511u, 512u, 513u, 1029u}) {
        require_as_reference(samples::random(from, count, 11, 3, 1), to);
      }
    }
  }
}

TEST_CASE("Any type converts to itself as a copy, and pairs that do not convert say so and write nothing") {
  for (int d = 0; d < dtype_count; ++d) {
    auto dtype = static_cast<DType>(d);
    std::vector<std::byte> source(size_of(dtype) * 5);
    for (std::size_t i = 0; i < source.size(); ++i) source[i] = static_cast<std::byte>(7 * i + 1);
    std::vector<std::byte> copy(source.size());
    REQUIRE(cast(copy.data(), dtype, source.data(), dtype, 5));
    REQUIRE(copy == source);
  }
  for (auto [to, from] : std::vector<std::pair<DType, DType>>{{DType::f32, DType::i32},
                                                              {DType::i32, DType::f32},
                                                              {DType::i64, DType::i32},
                                                              {DType::f8e4m3, DType::u8},
                                                              {DType::f32, DType::boolean}}) {
    for (Isa isa : samples::isas()) {
      std::vector<std::byte> source(64), destination(64, std::byte{0x11});
      REQUIRE_FALSE(cast(destination.data(), to, source.data(), from, 4, isa));
      REQUIRE(destination == std::vector<std::byte>(64, std::byte{0x11}));
    }
  }
}

}  // namespace trireme::kernels
