// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/tensor_view.hpp"
#include "trireme/tensor_parallel/axis.hpp"
#include "trireme/tensor_parallel/split.hpp"

#include <string_view>

// The three movements that all conjugate pairs consist of, beside all_reduce.
namespace trireme::tensor_parallel {

/// `share` becomes this rank's share of `whole`.
void take_share(const Axis& axis, const Split& split, ConstTensorView whole, TensorView share, std::string_view label);
/// `whole` becomes all ranks' shares.
void gather_shares(Axis& axis, const Split& split, ConstTensorView share, TensorView whole, std::string_view label);
/// `share` becomes this rank's share of the sum of all ranks' `whole`.
void sum_to_shares(Axis& axis, const Split& split, ConstTensorView whole, TensorView share, std::string_view label);

}  // namespace trireme::tensor_parallel
