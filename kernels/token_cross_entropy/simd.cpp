// SPDX-License-Identifier: Apache-2.0
#include "kernels/token_cross_entropy/simd.hpp"

#include "kernels/dense/exponential_of.hpp"
#include "kernels/lane_sum.hpp"

namespace trireme::kernels::TRIREME_KERNELS_ISA {
namespace {

template <class T>
void token_cross_entropy_loop(const TokenCrossEntropyCall<T>& call) {
  const std::size_t classes = call.classes;
  const auto rows = static_cast<double>(call.rows);
  alignas(64) T tile[chunk];
  for (std::size_t r = 0; r < call.rows; ++r) {
    const T* logits = call.logits + r * classes;
    T* gradient = call.gradient == nullptr ? nullptr : call.gradient + r * classes;
    const std::size_t target = call.targets[r];
    const T greatest = greatest_of(logits, classes);
    const bool valid = target < classes;
    const double shifted =
        valid ? static_cast<double>(logits[target]) - static_cast<double>(greatest) : __builtin_nan("");
    LaneSum sum;
    for (std::size_t begin = 0; begin < classes; begin += chunk) {
      const std::size_t count = classes - begin < chunk ? classes - begin : chunk;
      const T* z = logits + begin;
      T* e = gradient == nullptr ? tile : gradient + begin;
      TRIREME_KERNELS_INDEPENDENT
      for (std::size_t j = 0; j < count; ++j) e[j] = ExponentialOf<T>::of(z[j] - greatest);
      sum.add(count, [e](std::size_t j) { return e[j]; });
    }
    const double total = sum.result();
    if (call.losses != nullptr) call.losses[r] = Logarithm::of(total) - shifted;
    if (gradient == nullptr) continue;
    const double at_target = valid ? (static_cast<double>(gradient[target]) / total - 1.0) / rows : 0.0;
    const auto factor = static_cast<T>(1.0 / (total * rows));
    TRIREME_KERNELS_INDEPENDENT
    for (std::size_t j = 0; j < classes; ++j) gradient[j] = gradient[j] * factor;
    if (valid) gradient[target] = static_cast<T>(at_target);
  }
}

}  // namespace

void token_cross_entropy(const TokenCrossEntropyCall<float>& call) noexcept { token_cross_entropy_loop(call); }
void token_cross_entropy(const TokenCrossEntropyCall<double>& call) noexcept { token_cross_entropy_loop(call); }

}  // namespace trireme::kernels::TRIREME_KERNELS_ISA
