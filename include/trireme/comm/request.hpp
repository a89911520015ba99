// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/op.hpp"
#include "trireme/base/tensor_view.hpp"
#include "trireme/plan/graph.hpp"

#include <array>
#include <chrono>
#include <cstddef>

namespace trireme::comm {

/// One validated call, as an engine sees it. A plain value.
struct Request {
  plan::Collective collective = plan::Collective::all_reduce;
  ConstTensorView input{};
  TensorView output{};
  ReduceOp op{};
  ReductionOrder order = ReductionOrder::canonical;
  int root = 0;           ///< broadcast: the root; send_recv: the peer (ranks of the communicator)
  bool outgoing = false;  ///< send_recv: a send
  int leaves = 0;         ///< leaves of the reduction tree, >= the number of ranks
  Stream stream{};
  std::chrono::nanoseconds timeout{0};
  std::array<char, 32> label{};  ///< zero-terminated

  /// The count as the caller gave it: per rank for reduce_scatter and all_gather.
  std::size_t count() const {
    switch (collective) {
      case plan::Collective::all_gather: return input.count;
      case plan::Collective::send_recv: return outgoing ? input.count : output.count;
      default: return output.count;
    }
  }

  /// Elements of the logical vector: P times the count per rank for reduce_scatter (all_gather).
  std::size_t logical_count() const {
    switch (collective) {
      case plan::Collective::reduce_scatter: return input.count;
      case plan::Collective::send_recv: return outgoing ? input.count : output.count;
      default: return output.count;
    }
  }
};

}  // namespace trireme::comm
