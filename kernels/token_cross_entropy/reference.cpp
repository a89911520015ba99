// SPDX-License-Identifier: Apache-2.0
#include "kernels/token_cross_entropy/reference.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

namespace trireme::kernels::reference {

template <class T>
void token_cross_entropy(const TokenCrossEntropyCall<T>& call) {
  for (std::size_t r = 0; r < call.rows; ++r) {
    const std::vector<double> z(call.logits + r * call.classes, call.logits + (r + 1) * call.classes);
    const std::size_t target = call.targets[r];
    const double shift = *std::max_element(z.begin(), z.end());
    long double sum = 0;  // of up to 65536 terms
    for (double value : z) sum += std::exp(value - shift);
    if (call.losses != nullptr)
      call.losses[r] = static_cast<double>(std::log(sum) - static_cast<long double>(z[target] - shift));
    if (call.gradient == nullptr) continue;
    for (std::size_t j = 0; j < call.classes; ++j) {
      const double probability = std::exp(z[j] - shift) / static_cast<double>(sum);
      call.gradient[r * call.classes + j] =
          static_cast<T>((probability - (j == target ? 1.0 : 0.0)) / static_cast<double>(call.rows));
    }
  }
}

template void token_cross_entropy(const TokenCrossEntropyCall<float>& call);
template void token_cross_entropy(const TokenCrossEntropyCall<double>& call);

}  // namespace trireme::kernels::reference
