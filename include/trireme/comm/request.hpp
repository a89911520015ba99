// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/op.hpp"
#include "trireme/base/tensor_view.hpp"
#include "trireme/plan/graph.hpp"

#include <array>
#include <chrono>
#include <cstddef>
#include <numeric>
#include <span>

namespace trireme::comm {

constexpr bool reduces(plan::Collective collective) {
  return collective == plan::Collective::all_reduce || collective == plan::Collective::reduce_scatter ||
         collective == plan::Collective::reduce;
}

/// Whether one rank plays another part than the rest.
constexpr bool has_root(plan::Collective collective) {
  return collective == plan::Collective::broadcast || collective == plan::Collective::reduce ||
         collective == plan::Collective::gather || collective == plan::Collective::scatter;
}

/// One validated call, as an engine sees it. A plain value.
struct Request {
  plan::Collective collective = plan::Collective::all_reduce;
  ConstTensorView input{};
  TensorView output{};
  ReduceOp op{};
  ReductionOrder order = ReductionOrder::canonical;
  int root = 0;           ///< of collectives that have one; send_recv: the peer (ranks of the communicator)
  bool outgoing = false;  ///< send_recv: a send
  int ranks = 1;
  int leaves = 0;   ///< leaves of the reduction tree, >= the number of ranks
  Stream stream{};  ///< of device memory: behind what it holds
  std::chrono::nanoseconds timeout{0};
  std::array<char, 32> label{};  ///< zero-terminated

  /// Blocks of unequal sizes. From the caller: elements per rank; all_to_all: of the input's and the output's blocks,
  /// otherwise both the same. For an engine: where block r begins, and the whole as the last entry.
  bool uneven = false;
  std::span<const std::size_t> input_blocks{};
  std::span<const std::size_t> output_blocks{};
  /// A group: the tensors whose concatenation input and output are; an engine finds it put together.
  std::span<const TensorView> pieces{};

  /// Whether it is about device memory.
  bool on_device() const {
    return output.device.kind != DeviceKind::cpu || input.device.kind != DeviceKind::cpu ||
           (!pieces.empty() && pieces.front().device.kind != DeviceKind::cpu) ||
           // An empty block says nothing of where it would lie: the stream does.
           (stream.device.kind != DeviceKind::cpu && input.count == 0 && output.count == 0 && pieces.empty() &&
            collective != plan::Collective::barrier);
  }

  /// The count as the caller gave it: per rank where there are blocks, of all of them where their sizes differ; 0 of an
  /// uneven all_to_all.
  std::size_t count() const {
    switch (collective) {
      case plan::Collective::all_gather:
      case plan::Collective::gather: return uneven ? logical_count() : input.count;
      case plan::Collective::reduce_scatter:
      case plan::Collective::scatter: return uneven ? logical_count() : output.count;
      case plan::Collective::all_to_all: return uneven ? 0 : input.count / static_cast<std::size_t>(ranks);
      default: return logical_count_of_one();
    }
  }

  /// Elements of the logical vector: of all blocks where there are blocks (all_to_all: of the own ones).
  std::size_t logical_count() const {
    const auto size = static_cast<std::size_t>(ranks);
    switch (collective) {
      case plan::Collective::reduce_scatter:
      case plan::Collective::all_to_all: return input.count;
      case plan::Collective::all_gather: return output.count;
      case plan::Collective::gather: return uneven ? elements_of_blocks(output_blocks) : input.count * size;
      case plan::Collective::scatter: return uneven ? elements_of_blocks(input_blocks) : output.count * size;
      default: return logical_count_of_one();
    }
  }

 private:
  std::size_t logical_count_of_one() const {
    if (collective == plan::Collective::send_recv) return outgoing ? input.count : output.count;
    return collective == plan::Collective::reduce ? input.count : output.count;
  }
  /// Counts or edges: edges have one entry more, which is the sum.
  std::size_t elements_of_blocks(std::span<const std::size_t> blocks) const {
    if (blocks.size() > static_cast<std::size_t>(ranks)) return blocks.back();
    return std::accumulate(blocks.begin(), blocks.end(), std::size_t{0});
  }
};

/// What the combined value is divided by; 1: nothing.
inline double divisor_of(const Request& request) {
  if (request.op.kind != ReduceKind::average) return 1.0;
  return request.op.scalar != 0.0 ? request.op.scalar : static_cast<double>(request.ranks);
}

}  // namespace trireme::comm
