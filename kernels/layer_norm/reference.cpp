// SPDX-License-Identifier: Apache-2.0
#include "kernels/layer_norm/reference.hpp"

#include <cmath>
#include <vector>

namespace trireme::kernels::reference {
namespace {

/// Eight lanes, then the tree over them.
double lane_sum(const std::vector<double>& terms) {
  double lanes[8] = {};
  for (std::size_t i = 0; i < terms.size(); ++i) lanes[i % 8] += terms[i];
  return ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) + ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7]));
}

}  // namespace

template <class T>
void layer_norm(const LayerNormCall<T>& call) {
  for (std::size_t r = 0; r < call.rows; ++r) {
    const T* x = call.x + r * call.columns;
    std::vector<double> terms(x, x + call.columns);
    const double mean = lane_sum(terms) / static_cast<double>(call.columns);
    for (double& term : terms) term = (term - mean) * (term - mean);
    const double variance = lane_sum(terms) / static_cast<double>(call.columns);
    call.means[r] = static_cast<T>(mean);
    call.inverse_roots[r] = static_cast<T>(1.0 / std::sqrt(variance + call.epsilon));
    for (std::size_t c = 0; c < call.columns; ++c) {
      const T normalised = (x[c] - call.means[r]) * call.inverse_roots[r];
      call.y[r * call.columns + c] = normalised * call.gain[c] + call.bias[c];
    }
  }
}

template <class T>
void layer_norm_backward(const LayerNormBackwardCall<T>& call) {
  for (std::size_t r = 0; r < call.rows; ++r) {
    std::vector<T> a(call.columns), normalised(call.columns);
    std::vector<double> sums(call.columns), products(call.columns);
    for (std::size_t c = 0; c < call.columns; ++c) {
      const std::size_t i = r * call.columns + c;
      normalised[c] = (call.x[i] - call.means[r]) * call.inverse_roots[r];
      a[c] = call.gain[c] * call.dy[i];
      call.gain_terms[i] = call.dy[i] * normalised[c];
      sums[c] = static_cast<double>(a[c]);
      products[c] = static_cast<double>(a[c]) * static_cast<double>(normalised[c]);
    }
    const T mean = static_cast<T>(lane_sum(sums) / static_cast<double>(call.columns));
    const T slope = static_cast<T>(lane_sum(products) / static_cast<double>(call.columns));
    for (std::size_t c = 0; c < call.columns; ++c) {
      call.dx[r * call.columns + c] += call.inverse_roots[r] * ((a[c] - mean) - normalised[c] * slope);
    }
  }
}

template void layer_norm(const LayerNormCall<float>& call);
template void layer_norm(const LayerNormCall<double>& call);
template void layer_norm_backward(const LayerNormBackwardCall<float>& call);
template void layer_norm_backward(const LayerNormBackwardCall<double>& call);

}  // namespace trireme::kernels::reference
