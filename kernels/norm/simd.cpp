// SPDX-License-Identifier: Apache-2.0
#include "kernels/norm/simd.hpp"

#include "kernels/convert.hpp"

namespace trireme::kernels::TRIREME_KERNELS_ISA {
namespace {

// Vectors of the compiler's own, so that eight lanes stay in registers on every architecture.
typedef double Double4 __attribute__((vector_size(32)));
typedef float Float4 __attribute__((vector_size(16)));

/// Eight running sums; element i of what is fed goes to lane i mod 8.
template <bool square>
class Lanes {
 public:
  /// Feeds f32 or f64 elements. Shape: the number fed before is a multiple of 8.
  template <class S>
  void feed(const void* data, std::size_t count) {
    const typename S::Raw* s = static_cast<const typename S::Raw*>(data);
    std::size_t i = 0;
    for (; i + 8 <= count; i += 8) {
      Double4 a, b;
      if constexpr (same_format<S, F64>) {
        __builtin_memcpy(&a, s + i, sizeof a);
        __builtin_memcpy(&b, s + i + 4, sizeof b);
      } else {
        Float4 narrow_a, narrow_b;
        __builtin_memcpy(&narrow_a, s + i, sizeof narrow_a);
        __builtin_memcpy(&narrow_b, s + i + 4, sizeof narrow_b);
        a = __builtin_convertvector(narrow_a, Double4);
        b = __builtin_convertvector(narrow_b, Double4);
      }
      if constexpr (square) {
        a *= a;
        b *= b;
      }
      low_ += a;
      high_ += b;
    }
    for (std::size_t lane = 0; i < count; ++i, ++lane) {
      auto value = static_cast<double>(s[i]);
      if constexpr (square) value *= value;
      if (lane < 4) {
        low_[lane] += value;
      } else {
        high_[lane - 4] += value;
      }
    }
  }

  /// Feeds narrow elements by way of f32.
  template <class S>
  void feed_widened(const void* data, std::size_t count) {
    const typename S::Raw* s = static_cast<const typename S::Raw*>(data);
    alignas(64) float widened[chunk];
    for (std::size_t begin = 0; begin < count; begin += chunk) {
      std::size_t n = count - begin < chunk ? count - begin : chunk;
      Convert<F32, S>::run(widened, s + begin, n);
      feed<F32>(widened, n);
    }
  }

  double sum() const {
    return ((low_[0] + low_[1]) + (low_[2] + low_[3])) + ((high_[0] + high_[1]) + (high_[2] + high_[3]));
  }

 private:
  Double4 low_ = {0, 0, 0, 0};
  Double4 high_ = {0, 0, 0, 0};
};

}  // namespace

double block_sum_of_squares(const void* data, DType dtype, std::size_t count) noexcept {
  Lanes<true> lanes;
  switch (dtype) {
    case DType::f64: lanes.feed<F64>(data, count); break;
    case DType::f32: lanes.feed<F32>(data, count); break;
    case DType::f16: lanes.feed_widened<F16>(data, count); break;
    case DType::bf16: lanes.feed_widened<BF16>(data, count); break;
    case DType::f8e4m3: lanes.feed_widened<F8E4M3>(data, count); break;
    case DType::f8e5m2: lanes.feed_widened<F8E5M2>(data, count); break;
    default: break;
  }
  return lanes.sum();
}

double block_sum(const double* data, std::size_t count) noexcept {
  Lanes<false> lanes;
  lanes.feed<F64>(data, count);
  return lanes.sum();
}

}  // namespace trireme::kernels::TRIREME_KERNELS_ISA
