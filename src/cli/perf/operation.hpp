// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/comm/communicator.hpp"

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace trireme::cli {

/// Where a block of a result comes from: block `block` of the input of `rank`, or of the combination of all inputs.
struct PerfOrigin {
  int rank = 0;
  int block = 0;
};
inline constexpr int everyone = -1;  ///< the rank of an origin: the combination

/// One call of an operation.
struct PerfCall {
  ConstTensorView input{};
  TensorView output{};
  int root = 0;
  ReduceOp op{};
  CallOptions options{};
};

/// How many blocks of `count` elements a rank's memory has.
enum class PerfBlocks : unsigned char { none, one, per_rank };

/// Whether input and output are one memory. Where inputs are not rewritten before each call (--warm), a result must not
/// replace its input: `in_place_if_rewritten` is then `separate`.
enum class PerfPlace : unsigned char { separate, in_place, in_place_if_rewritten };

/// A collective as perf measures it. "bytes" and "count" of a row are those of nccl-tests: count is that of a block, bytes
/// that of the larger of input and output.
struct PerfOperation {
  std::string_view name{};
  PerfBlocks input = PerfBlocks::one;
  PerfBlocks output = PerfBlocks::one;
  PerfPlace place = PerfPlace::separate;
  bool reduces = false;      ///< takes --op and --order
  bool rooted = false;       ///< takes --root
  bool root_only = false;    ///< only the root has an output
  bool full_duplex = false;  ///< every rank sends as much as it receives: comparable to an exchange of so much
  bool apart = false;        ///< input and output are never one memory: no --in-place
  bool explains = false;     ///< Communicator::explain() speaks of it; takes --algorithm
  double (*bus_factor)(int ranks) = nullptr;  ///< bytes a link must carry per byte of the row. Source: nccl-tests
  PerfOrigin (*origin)(int rank, int ranks, int root, int block) = nullptr;  ///< of a block of that rank's output
  void (*call)(Communicator& communicator, const PerfCall& call) = nullptr;
  /// The same without waiting: what there is to wait for is appended. Null for what moves no memory.
  void (*start)(Communicator& communicator, const PerfCall& call, std::vector<Work>& works) = nullptr;

  /// Blocks of the larger of input and output, at least 1.
  std::size_t blocks(int ranks) const;
};

std::size_t count_of(PerfBlocks blocks, int ranks);

/// All, in the order of --help.
std::span<const PerfOperation> perf_operations();
/// Null when there is none of that name.
const PerfOperation* find_perf_operation(std::string_view name);
/// "all_reduce, reduce_scatter, …"
std::string perf_operation_names();

}  // namespace trireme::cli
