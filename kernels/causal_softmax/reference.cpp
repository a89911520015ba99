// SPDX-License-Identifier: Apache-2.0
#include "kernels/causal_softmax/reference.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

namespace trireme::kernels::reference {

template <class T>
void causal_softmax(T* values, std::size_t length, T scale) {
  for (std::size_t i = 0; i < length; ++i) {
    T* row = values + i * length;
    const auto factor = static_cast<double>(scale);
    const double shift = static_cast<double>(*std::max_element(row, row + i + 1)) * factor;
    std::vector<double> e;
    double sum = 0;
    for (std::size_t j = 0; j <= i; ++j) sum += e.emplace_back(std::exp(static_cast<double>(row[j]) * factor - shift));
    for (std::size_t j = 0; j < length; ++j) row[j] = j <= i ? static_cast<T>(e[j] / sum) : T{0};
  }
}

template <class T>
void causal_softmax_backward(T* gradient, const T* weights, std::size_t length, T scale) {
  for (std::size_t i = 0; i < length; ++i) {
    const T* p = weights + i * length;
    T* d = gradient + i * length;
    double sum = 0;
    for (std::size_t j = 0; j <= i; ++j) sum += static_cast<double>(p[j]) * static_cast<double>(d[j]);
    for (std::size_t j = 0; j < length; ++j) {
      const double product = static_cast<double>(p[j]) * (static_cast<double>(d[j]) - sum);
      d[j] = j <= i ? static_cast<T>(static_cast<double>(scale) * product) : T{0};
    }
  }
}

template void causal_softmax(float* values, std::size_t length, float scale);
template void causal_softmax(double* values, std::size_t length, double scale);
template void causal_softmax_backward(float* gradient, const float* weights, std::size_t length, float scale);
template void causal_softmax_backward(double* gradient, const double* weights, std::size_t length, double scale);

}  // namespace trireme::kernels::reference
