// SPDX-License-Identifier: Apache-2.0
#include "kernels/embedding/simd.hpp"

#include "kernels/formats.hpp"

namespace trireme::kernels::TRIREME_KERNELS_ISA {
namespace {

template <class T>
void embedding_loop(T* x, const std::uint16_t* tokens, const T* table, const T* positions, std::size_t count,
                    std::size_t length, std::size_t channels) {
  for (std::size_t i = 0; i < count; ++i) {
    T* out = x + i * channels;
    const T* row = table + tokens[i] * channels;
    const T* position = positions + i % length * channels;
    TRIREME_KERNELS_INDEPENDENT
    for (std::size_t c = 0; c < channels; ++c) out[c] = row[c] + position[c];
  }
}

template <class T>
void embedding_backward_loop(T* gradient, const std::uint16_t* tokens, const T* dx, std::size_t count,
                             std::size_t channels) {
  for (std::size_t i = 0; i < count; ++i) {
    T* row = gradient + tokens[i] * channels;
    const T* d = dx + i * channels;
    TRIREME_KERNELS_INDEPENDENT
    for (std::size_t c = 0; c < channels; ++c) row[c] = row[c] + d[c];
  }
}

}  // namespace

void embedding(float* x, const std::uint16_t* tokens, const float* table, const float* positions, std::size_t count,
               std::size_t length, std::size_t channels) noexcept {
  embedding_loop(x, tokens, table, positions, count, length, channels);
}
void embedding_backward(float* gradient, const std::uint16_t* tokens, const float* dx, std::size_t count,
                        std::size_t channels) noexcept {
  embedding_backward_loop(gradient, tokens, dx, count, channels);
}
void embedding(double* x, const std::uint16_t* tokens, const double* table, const double* positions, std::size_t count,
               std::size_t length, std::size_t channels) noexcept {
  embedding_loop(x, tokens, table, positions, count, length, channels);
}
void embedding_backward(double* gradient, const std::uint16_t* tokens, const double* dx, std::size_t count,
                        std::size_t channels) noexcept {
  embedding_backward_loop(gradient, tokens, dx, count, channels);
}

}  // namespace trireme::kernels::TRIREME_KERNELS_ISA
