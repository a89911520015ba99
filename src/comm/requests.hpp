// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/comm/call_options.hpp"
#include "trireme/comm/request.hpp"

#include <chrono>
#include <cstddef>
#include <span>

namespace trireme::comm {

/// Makes one description per call; blocking and asynchronous calls differ only in how they wait. Nothing is checked here.
class Requests {
 public:
  Requests(int ranks, int rank, std::chrono::nanoseconds timeout) : ranks_(ranks), rank_(rank), timeout_(timeout) {}

  Request all_reduce(ConstTensorView input, TensorView output, ReduceOp op, const CallOptions& options) const;
  Request reduce_scatter(ConstTensorView input, TensorView output, ReduceOp op, const CallOptions& options) const;
  Request reduce(ConstTensorView input, TensorView output, int root, ReduceOp op, const CallOptions& options) const;
  Request all_gather(ConstTensorView input, TensorView output, const CallOptions& options) const;
  Request gather(ConstTensorView input, TensorView output, int root, const CallOptions& options) const;
  Request scatter(ConstTensorView input, TensorView output, int root, const CallOptions& options) const;
  Request all_to_all(ConstTensorView input, TensorView output, const CallOptions& options) const;
  Request broadcast(TensorView data, int root, const CallOptions& options) const;
  Request all_reduce_group(std::span<const TensorView> tensors, ReduceOp op, const CallOptions& options) const;
  Request broadcast_group(std::span<const TensorView> tensors, int root, const CallOptions& options) const;
  Request barrier(const CallOptions& options) const;
  Request send(ConstTensorView data, int peer, const CallOptions& options) const;
  Request recv(TensorView data, int peer, const CallOptions& options) const;

  /// The same with blocks of unequal sizes.
  static Request uneven(Request request, std::span<const std::size_t> input_counts,
                        std::span<const std::size_t> output_counts);

 private:
  Request make(plan::Collective collective, const CallOptions& options) const;
  int ranks_;
  int rank_;
  std::chrono::nanoseconds timeout_;
};

}  // namespace trireme::comm
