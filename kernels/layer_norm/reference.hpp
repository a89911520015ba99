// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/layer_norm/layer_norm.hpp"

namespace trireme::kernels::reference {

// As the functions of layer_norm.hpp, one element after the other; equal in bits.
template <class T>
void layer_norm(const LayerNormCall<T>& call);
template <class T>
void layer_norm_backward(const LayerNormBackwardCall<T>& call);

}  // namespace trireme::kernels::reference
