// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/tensor_view.hpp"
#include "trireme/base/work.hpp"
#include "trireme/tensor_parallel/axis.hpp"
#include "trireme/tensor_parallel/split.hpp"

#include <string_view>

// What a tensor is on the ranks of an axis before and after, and the way of the gradients back. Four states:
//
//   replicated  every rank has the same tensor, and does the same with it: one logical tensor
//   copies      every rank has the same tensor, and does something else with it: as many logical tensors as ranks
//   sharded     every rank has its share of a dimension (Split)
//   partial     every rank has a tensor of the same shape, and their sum is meant
//
// Each pair F, F* is conjugate, <F x, y> = <x, F* y>, copies and partial being counted once per rank, so that a backward pass
// written by hand calls `…_backward` where its forward pass called the function of that name:
//
//   forward                    backward                     elsewhere known as
//   replicated_to_copies       the sum over ranks           copy to the tensor-parallel region
//   partial_to_replicated      nothing                      reduce from it
//   replicated_to_sharded      all_gather                   scatter to it
//   sharded_to_replicated      this rank's share            gather from it
//   sharded_to_copies          reduce_scatter               gather from the sequence-parallel region
//   partial_to_sharded         all_gather                   reduce-scatter to it
//
// Shape:  dtypes f64, f32, f16, bf16 in host memory; a share has axis.share_count(split) elements. `in` and `out` are apart, but
//         for what moves nothing, where they are one argument.
// Cost:   P ranks, n elements: all_reduce 2n(P-1)/P, the others n(P-1)/P elements sent, nothing at P = 1; a copy each way through arena
//         memory where outer is not 1.
// Order:  sums canonical unless AxisOptions say otherwise: the same bits in every run and on every transport.
// Errors: invalid_argument naming `label` and the counts; the communicator's.
// Source: Shoeybi et al., Megatron-LM, 2019 (arXiv 1909.08053); Korthikanti et al., 2022 (arXiv 2205.05198), the sequence forms.
namespace trireme::tensor_parallel {

/// forward: x is x. Its backward: dx becomes the sum of all ranks' dx.
void replicated_to_copies_backward(Axis& axis, TensorView dx, std::string_view label);
/// The same, under way beside what the caller computes meanwhile; dx is the operation's until then.
Work replicated_to_copies_backward_async(Axis& axis, TensorView dx, std::string_view label);

/// x becomes the sum of all ranks' x. Its backward: dx is dx.
void partial_to_replicated(Axis& axis, TensorView x, std::string_view label);

/// `share` becomes this rank's share of `whole`; nothing is sent.
void replicated_to_sharded(Axis& axis, const Split& split, ConstTensorView whole, TensorView share,
                           std::string_view label);
/// `dwhole` becomes all ranks' shares.
void replicated_to_sharded_backward(Axis& axis, const Split& split, ConstTensorView dshare, TensorView dwhole,
                                    std::string_view label);

/// `whole` becomes all ranks' shares.
void sharded_to_replicated(Axis& axis, const Split& split, ConstTensorView share, TensorView whole,
                           std::string_view label);
/// `dshare` becomes this rank's share of `dwhole`; nothing is sent.
void sharded_to_replicated_backward(Axis& axis, const Split& split, ConstTensorView dwhole, TensorView dshare,
                                    std::string_view label);

/// `whole` becomes all ranks' shares.
void sharded_to_copies(Axis& axis, const Split& split, ConstTensorView share, TensorView whole, std::string_view label);
/// `dshare` becomes this rank's share of the sum of all ranks' `dwhole`.
void sharded_to_copies_backward(Axis& axis, const Split& split, ConstTensorView dwhole, TensorView dshare,
                                std::string_view label);

/// `share` becomes this rank's share of the sum of all ranks' `whole`.
void partial_to_sharded(Axis& axis, const Split& split, ConstTensorView whole, TensorView share,
                        std::string_view label);
/// `dwhole` becomes all ranks' shares.
void partial_to_sharded_backward(Axis& axis, const Split& split, ConstTensorView dshare, TensorView dwhole,
                                 std::string_view label);

}  // namespace trireme::tensor_parallel
