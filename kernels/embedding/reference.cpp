// SPDX-License-Identifier: Apache-2.0
#include "kernels/embedding/reference.hpp"

namespace trireme::kernels::reference {

template <class T>
void embedding(T* x, const std::uint16_t* tokens, const T* table, const T* positions, std::size_t count,
               std::size_t length, std::size_t channels) {
  for (std::size_t e = 0; e < count * channels; ++e) {
    const std::size_t i = e / channels, c = e % channels;
    x[e] = table[tokens[i] * channels + c] + positions[i % length * channels + c];
  }
}

template <class T>
void embedding_backward(T* gradient, const std::uint16_t* tokens, const T* dx, std::size_t count,
                        std::size_t channels) {
  for (std::size_t e = 0; e < count * channels; ++e) {
    gradient[tokens[e / channels] * channels + e % channels] += dx[e];
  }
}

template void embedding(float* x, const std::uint16_t* tokens, const float* table, const float* positions,
                        std::size_t count, std::size_t length, std::size_t channels);
template void embedding(double* x, const std::uint16_t* tokens, const double* table, const double* positions,
                        std::size_t count, std::size_t length, std::size_t channels);
template void embedding_backward(float* gradient, const std::uint16_t* tokens, const float* dx, std::size_t count,
                                 std::size_t channels);
template void embedding_backward(double* gradient, const std::uint16_t* tokens, const double* dx, std::size_t count,
                                 std::size_t channels);

}  // namespace trireme::kernels::reference
