// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/embedding/embedding.hpp"

namespace trireme::kernels::reference {

// As the functions of embedding.hpp, one element after the other; equal in bits.
template <class T>
void embedding(T* x, const std::uint16_t* tokens, const T* table, const T* positions, std::size_t count,
               std::size_t length, std::size_t channels);
template <class T>
void embedding_backward(T* gradient, const std::uint16_t* tokens, const T* dx, std::size_t count, std::size_t channels);

}  // namespace trireme::kernels::reference
