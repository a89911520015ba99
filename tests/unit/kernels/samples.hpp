// SPDX-License-Identifier: Apache-2.0
// What every kernel test needs: the instruction sets of this machine, inputs with special values at any alignment, and
// equality of bits with NaN as one class.
#pragma once

#include "kernels/cast/reference.hpp"
#include "kernels/isa.hpp"
#include "trireme/base/dtype.hpp"

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <utility>
#include <vector>

namespace trireme::kernels::samples {

inline std::vector<Isa> isas() {
  std::vector<Isa> all;
  for (Isa isa : {Isa::portable, Isa::avx2, Isa::avx512}) {
    if (isa <= best_isa()) all.push_back(isa);
  }
  return all;
}

/// `count` elements of a type, `offset` bytes off the alignment of the allocator, with guards behind them.
class Array {
 public:
  Array(DType dtype, std::size_t count, std::size_t offset = 0)
      : dtype_(dtype),
        count_(count),
        offset_(offset),
        bytes_(offset + count * size_of(dtype) + guard, std::byte{0xa5}) {}

  void* data() { return bytes_.data() + offset_; }
  const void* data() const { return bytes_.data() + offset_; }
  void* at(std::size_t index) { return bytes_.data() + offset_ + index * size_of(dtype_); }
  const void* at(std::size_t index) const { return bytes_.data() + offset_ + index * size_of(dtype_); }
  DType dtype() const { return dtype_; }
  std::size_t count() const { return count_; }
  double value(std::size_t index) const { return reference::load(data(), dtype_, index); }
  void set(std::size_t index, double value) { reference::store(data(), dtype_, index, value); }

  /// The same elements at another alignment.
  Array moved(std::size_t offset) const {
    Array copy(dtype_, count_, offset);
    if (count_ != 0) std::memcpy(copy.data(), data(), count_ * size_of(dtype_));
    return copy;
  }

  /// Nothing was written before or behind the elements.
  bool guards_intact() const {
    for (std::size_t i = 0; i < offset_; ++i) {
      if (bytes_[i] != std::byte{0xa5}) return false;
    }
    for (std::size_t i = bytes_.size() - guard; i < bytes_.size(); ++i) {
      if (bytes_[i] != std::byte{0xa5}) return false;
    }
    return true;
  }

 private:
  static constexpr std::size_t guard = 64;
  DType dtype_;
  std::size_t count_;
  std::size_t offset_;
  std::vector<std::byte> bytes_;
};

/// The least positive and the greatest finite value of a floating type.
inline std::pair<double, double> extremes(DType dtype) {
  switch (dtype) {
    case DType::f64: return {4.9e-324, 1.7e308};
    case DType::f16: return {0x1p-24, 65504.0};
    case DType::bf16: return {0x1p-133, 3.38e38};
    case DType::f8e4m3: return {0x1p-9, 448.0};
    case DType::f8e5m2: return {0x1p-16, 57344.0};
    default: return {0x1p-149, 3.38e38};
  }
}

/// Every pattern of a type of 1 or 2 bytes, in order.
inline Array all_patterns(DType dtype) {
  const std::size_t count = size_of(dtype) == 1 ? 256 : 65536;
  Array array(dtype, count);
  for (std::size_t i = 0; i < count; ++i) {
    const auto bits = static_cast<std::uint16_t>(i);
    std::memcpy(array.at(i), &bits, size_of(dtype));  // little endian, as every machine this is built for
  }
  return array;
}

/// Random elements; of floating types one in `special_every` is a special value (0: none), the others are of moderate
/// size with full mantissas.
inline Array random(DType dtype, std::size_t count, unsigned seed, std::size_t special_every = 4,
                    std::size_t offset = 0) {
  Array array(dtype, count, offset);
  std::mt19937_64 generator(seed);
  if (!is_floating(dtype)) {
    auto* bytes = static_cast<unsigned char*>(array.data());
    const unsigned char mask = dtype == DType::boolean ? 1 : 0xff;
    for (std::size_t i = 0; i < count * size_of(dtype); ++i) bytes[i] = static_cast<unsigned char>(generator() & mask);
    return array;
  }
  const auto [tiny, large] = extremes(dtype);
  const double inf = std::numeric_limits<double>::infinity();
  const double specials[] = {0.0, -0.0,        inf,   -inf,   std::nan(""), tiny, -tiny,   3 * tiny,
                             1.0, -1.0 / 1024, large, -large, 1.0 + 0x1p-8, 1.0,  -6.2e-5, 1000 * tiny};
  std::uniform_real_distribution<double> mantissa(-2.0, 2.0);
  for (std::size_t i = 0; i < count; ++i) {
    std::uint64_t dice = generator();
    bool special = special_every != 0 && (dice >> 32) % special_every == 0;
    array.set(i, special ? specials[dice % 16] : std::ldexp(mantissa(generator), static_cast<int>(dice % 9) - 4));
  }
  return array;
}

/// Bit by bit, but any NaN equals any NaN. Returns the first index that differs, or count.
inline std::size_t first_difference(const Array& a, const Array& b) {
  for (std::size_t i = 0; i < a.count(); ++i) {
    if (std::memcmp(a.at(i), b.at(i), size_of(a.dtype())) == 0) continue;
    if (is_floating(a.dtype()) && std::isnan(a.value(i)) && std::isnan(b.value(i))) continue;
    return i;
  }
  return a.count();
}

inline bool same(const Array& a, const Array& b) {
  return a.count() == b.count() && a.dtype() == b.dtype() && first_difference(a, b) == a.count();
}

}  // namespace trireme::kernels::samples
