// SPDX-License-Identifier: Apache-2.0
#include "kernels/cast/cast.hpp"

#include "samples.hpp"

#include <catch2/catch.hpp>

#include <bit>

namespace trireme::kernels {
namespace {

using samples::Array;

const std::vector<DType> floating{DType::f64, DType::f32, DType::f16, DType::bf16};

Array all_patterns(DType dtype) {
  Array array(dtype, 65536);
  for (std::uint32_t i = 0; i < 65536; ++i) {
    auto bits = static_cast<std::uint16_t>(i);
    std::memcpy(array.at(i), &bits, 2);
  }
  return array;
}

void require_as_reference(const Array& source, DType to, Isa isa) {
  Array expected(to, source.count());
  Array actual(to, source.count(), 3);
  REQUIRE(reference::cast(expected.data(), to, source.data(), source.dtype(), source.count()));
  REQUIRE(cast(actual.data(), to, source.data(), source.dtype(), source.count(), isa));
  CAPTURE(name_of(isa), name_of(source.dtype()), name_of(to), source.count(),
          samples::first_difference(expected, actual));
  REQUIRE(samples::same(expected, actual));
  REQUIRE(actual.guards_intact());
}

/// Every 16-bit value, its neighbours in `wide`, the midpoints to the next value, and the midpoints' neighbours.
template <class T>
Array around_rounding_boundaries(DType narrow) {
  Array patterns = all_patterns(narrow);
  std::vector<T> values;
  for (std::size_t i = 0; i < 65536; ++i) {
    auto here = static_cast<T>(patterns.value(i));
    if (!std::isfinite(here)) {
      values.push_back(here);
      continue;
    }
    auto above = static_cast<T>(patterns.value(i + 1 < 65536 && i != 32767 ? i + 1 : i));
    // Beyond the largest value the boundary of overflow lies where the next value would be.
    if (!std::isfinite(above)) above = here + (here - static_cast<T>(patterns.value(i - 1)));
    T middle = here / 2 + above / 2;
    for (T value : {here, middle}) {
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

TEST_CASE("Every 16-bit pattern is widened and converted as the reference does") {
  for (Isa isa : samples::isas()) {
    for (DType from : {DType::f16, DType::bf16}) {
      for (DType to : floating) require_as_reference(all_patterns(from), to, isa);
    }
  }
}

TEST_CASE("Every 16-bit pattern is widened as base does, and comes back unchanged") {
  for (Isa isa : samples::isas()) {
    for (DType dtype : {DType::f16, DType::bf16}) {
      Array patterns = all_patterns(dtype);
      Array wide(DType::f32, 65536);
      Array back(dtype, 65536);
      REQUIRE(cast(wide.data(), DType::f32, patterns.data(), dtype, 65536, isa));
      REQUIRE(cast(back.data(), dtype, wide.data(), DType::f32, 65536, isa));
      REQUIRE(samples::same(patterns, back));
      Array expected(DType::f32, 65536);
      for (std::uint32_t i = 0; i < 65536; ++i) {
        auto bits = static_cast<std::uint16_t>(i);
        float value = dtype == DType::f16 ? to_float(Float16{bits}) : to_float(BFloat16{bits});
        std::memcpy(expected.at(i), &value, 4);
      }
      REQUIRE(samples::same(expected, wide));
    }
  }
}

TEST_CASE("Narrowing f32 rounds as base does around every rounding boundary") {
  for (DType to : {DType::f16, DType::bf16}) {
    Array source = around_rounding_boundaries<float>(to);
    Array expected(to, source.count());
    for (std::size_t i = 0; i < source.count(); ++i) {
      auto value = static_cast<float>(source.value(i));
      std::uint16_t bits = to == DType::f16 ? to_float16(value).bits : to_bfloat16(value).bits;
      std::memcpy(expected.at(i), &bits, 2);
    }
    for (Isa isa : samples::isas()) {
      Array actual(to, source.count());
      REQUIRE(cast(actual.data(), to, source.data(), DType::f32, source.count(), isa));
      CAPTURE(name_of(isa), name_of(to));
      REQUIRE(samples::same(expected, actual));
      require_as_reference(source, to, isa);
    }
  }
}

TEST_CASE("Narrowing f64 to 16 bits rounds once around every rounding boundary") {
  for (DType to : {DType::f16, DType::bf16}) {
    Array source = around_rounding_boundaries<double>(to);
    for (Isa isa : samples::isas()) require_as_reference(source, to, isa);
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
  for (Isa isa : samples::isas()) {
    for (DType to : {DType::f64, DType::f16, DType::bf16}) require_as_reference(source, to, isa);
  }
}

TEST_CASE("Any count and alignment converts as the reference does") {
  for (Isa isa : samples::isas()) {
    for (DType from : floating) {
      for (DType to : floating) {
        for (std::size_t count : {0u, 1u, 7u, 8u, 9u, 31u, 511u, 512u, 513u, 4095u, 4097u}) {
          require_as_reference(samples::random(from, count, 11, 3, 1), to, isa);
        }
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
                                                              {DType::f8e4m3, DType::f32},
                                                              {DType::f32, DType::boolean}}) {
    for (Isa isa : samples::isas()) {
      std::vector<std::byte> source(64), destination(64, std::byte{0x11});
      REQUIRE_FALSE(cast(destination.data(), to, source.data(), from, 4, isa));
      REQUIRE(destination == std::vector<std::byte>(64, std::byte{0x11}));
    }
  }
}

}  // namespace trireme::kernels
