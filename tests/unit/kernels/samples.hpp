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
#include <vector>

namespace trireme::kernels::samples {

inline std::vector<Isa> isas() {
  std::vector<Isa> all{Isa::portable};
  if (best_isa() != Isa::portable) all.push_back(best_isa());
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

/// Random elements; of floating types one in `special_every` is a special value (0: none), the others are of moderate
/// size with full mantissas.
inline Array random(DType dtype, std::size_t count, unsigned seed, std::size_t special_every = 4,
                    std::size_t offset = 0) {
  Array array(dtype, count, offset);
  std::mt19937_64 generator(seed);
  if (!is_floating(dtype)) {
    auto* bytes = static_cast<unsigned char*>(array.data());
    for (std::size_t i = 0; i < count * size_of(dtype); ++i) bytes[i] = static_cast<unsigned char>(generator());
    return array;
  }
  const double tiny = dtype == DType::f64    ? 4.9e-324
                      : dtype == DType::f16  ? 0x1p-24
                      : dtype == DType::bf16 ? 0x1p-133
                                             : 0x1p-149;
  const double large = dtype == DType::f64 ? 1.7e308 : dtype == DType::f16 ? 65504.0 : 3.38e38;
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
