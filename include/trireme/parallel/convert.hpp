// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/tensor_view.hpp"
#include "trireme/comm/call_options.hpp"
#include "trireme/comm/communicator.hpp"
#include "trireme/layout/conversion.hpp"
#include "trireme/parallel/mesh.hpp"

#include <cstdint>
#include <span>

namespace trireme {

using layout::Conversion;
using layout::Placement;
using layout::TensorLayout;

/// Brings a tensor from one layout to another: `local_in` is what this rank holds in conversion.from(), `local_out` becomes
/// what it holds in conversion.to(). Collective over the mesh; the axes of the layouts are axes of it, in any number and order,
/// and the ranks of each group along the others convert a tensor of their own.
///
/// Order:   sums in the canonical order of each axis, the last axis of the layouts first.
/// Shape:   local tensors in row-major order; the two views disjoint, of one dtype, host memory. Sizes may be 0.
/// Cost:    predicted_bytes(); two copies of the local tensor at most for each step, in arena memory, none where what is given
///          or taken is whole.
/// Errors:  invalid_argument naming the tensor, before any byte moves: counts that are not those of the layouts, views
///          that overlap, an axis that the mesh has not or has in another size; unsupported for device memory;
///          the communicator's.
void convert(const Mesh& mesh, const Conversion& conversion, ConstTensorView local_in, TensorView local_out,
             const CallOptions& options = {});
/// On one axis: the ranks of a communicator.
void convert(Communicator communicator, const Conversion& conversion, ConstTensorView local_in, TensorView local_out,
             const CallOptions& options = {});

/// The same, planned on the spot.
void convert(const Mesh& mesh, ConstTensorView local_in, const TensorLayout& from, TensorView local_out,
             const TensorLayout& to, const CallOptions& options = {});
/// A tensor of `shape` on the ranks of a communicator. CallOptions::label names it.
void convert(Communicator communicator, ConstTensorView local_in, const Placement& from, TensorView local_out,
             const Placement& to, std::span<const std::int64_t> shape, const CallOptions& options = {});

/// The payload bytes that this rank sends in convert(), exactly: what Communicator::payload_bytes_sent() grows by. An all_reduce sends
/// what its algorithm needs (Communicator::explain()). Ranks that share memory send messages only in an all_to_all
/// whose blocks differ in size.
std::uint64_t predicted_bytes(const Mesh& mesh, const Conversion& conversion, DType dtype);
std::uint64_t predicted_bytes(const Communicator& communicator, const Conversion& conversion, DType dtype);

}  // namespace trireme
