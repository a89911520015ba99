// SPDX-License-Identifier: Apache-2.0
#include "kernels/embedding/embedding.hpp"

#include "kernels/embedding/simd.hpp"

namespace trireme::kernels {

template <class T>
void embedding(T* x, const std::uint16_t* tokens, const T* table, const T* positions, std::size_t count,
               std::size_t length, std::size_t channels, Isa isa) noexcept {
  isa >= Isa::avx2 ? avx2::embedding(x, tokens, table, positions, count, length, channels)
                   : portable::embedding(x, tokens, table, positions, count, length, channels);
}

template <class T>
void embedding_backward(T* gradient, const std::uint16_t* tokens, const T* dx, std::size_t count, std::size_t channels,
                        Isa isa) noexcept {
  isa >= Isa::avx2 ? avx2::embedding_backward(gradient, tokens, dx, count, channels)
                   : portable::embedding_backward(gradient, tokens, dx, count, channels);
}

template void embedding(float* x, const std::uint16_t* tokens, const float* table, const float* positions,
                        std::size_t count, std::size_t length, std::size_t channels, Isa) noexcept;
template void embedding(double* x, const std::uint16_t* tokens, const double* table, const double* positions,
                        std::size_t count, std::size_t length, std::size_t channels, Isa) noexcept;
template void embedding_backward(float* gradient, const std::uint16_t* tokens, const float* dx, std::size_t count,
                                 std::size_t channels, Isa) noexcept;
template void embedding_backward(double* gradient, const std::uint16_t* tokens, const double* dx, std::size_t count,
                                 std::size_t channels, Isa) noexcept;

}  // namespace trireme::kernels
