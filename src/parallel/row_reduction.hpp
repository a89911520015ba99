// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "parallel/leaf_pass.hpp"
#include "parallel/row_sum.hpp"
#include "parallel/row_union.hpp"
#include "parallel/step_trace.hpp"
#include "trireme/base/parameter.hpp"
#include "trireme/comm/communicator.hpp"
#include "trireme/parallel/data_parallel.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace trireme::parallel {

/// The weighted mean of the row-sparse parameters' gradients, with the bits of the dense path: own leaves are folded over the
/// rows they touched, the ranks exchange which those are, and the rows of the union, packed, are reduced along the tree and
/// divided once.
///
/// Per step, on all ranks in this order, when the total weight is known and not 0: how many rows of each parameter each rank
/// touched (u32); then for each parameter in list order which rows (see RowUnion), and the rows themselves.
/// Shape:   mean[r] of every row r outside the union is +0.
/// Cost:    4 n bytes from each rank for n parameters, and for each of them the union's exchange and |U| * columns elements
///          all-reduced; all rows when |U| is more than half of them. Memory: one arena copy of the gradient, in which the
///          rows are packed first and then moved apart, and depth + 2 times the rows that this rank touches, on the heap.
/// Threads: one at a time.  Errors: the communicator's.
class RowReduction {
 public:
  RowReduction(const Communicator& communicator, const std::vector<Parameter>& parameters,
               const std::vector<bool>& row_sparse, const DataParallelOptions& options, int leaves, int own_leaves);

  bool has(std::size_t parameter) const { return tables_of_[parameter].has_value(); }
  /// Parameter names, in the order of reduction.
  std::vector<std::string> labels() const;
  /// Errors: invalid_argument naming parameter and row unless `rows` are its own, ascending and distinct.
  void check_rows(std::size_t parameter, std::span<const std::uint32_t> rows) const;
  std::span<const std::uint32_t> every_row(std::size_t parameter);

  void begin_step();
  /// The leaf touched `rows`, none if it was not ready.
  void fold(std::size_t parameter, const FoldedLeaf& leaf, std::span<const std::uint32_t> rows);
  /// Finds the unions and starts the reductions.  Shape: total_weight is not 0.
  void start(double total_weight, const StepTrace& trace);
  /// After start(): the means are in place.
  void wait(const StepTrace& trace);
  /// For who adds them up elsewhere, instead of start() and wait(): the rows that this rank's leaves touched, their weighted
  /// sums, and where the mean of all rows shall be.
  std::span<const std::uint32_t> own_rows(std::size_t parameter) const;
  ConstTensorView own_sums(std::size_t parameter) const;
  /// After wait(): the rows of the union; none: all.
  std::optional<std::span<const std::uint32_t>> touched_rows(std::size_t parameter) const;
  TensorView room_for_mean(std::size_t parameter);
  /// After wait(), until the next begin_step(); to be read only: what is written between the union's rows stays there.
  TensorView gradient(std::size_t parameter) const;

 private:
  struct Table {
    Parameter parameter;
    std::size_t rows = 0;
    std::size_t columns = 0;
    DType dtype = DType::f32;  ///< the accumulator type
    ArenaBuffer mean;          ///< every row outside the union is +0 between steps
    std::vector<RowSum> stack;
    RowUnion touched;
    std::vector<std::uint32_t> every_row;  ///< 0, 1, …; once somebody asks
    Work work;
    std::size_t sent = 0;  ///< elements under way
    StepTrace::Moment started{};
    std::size_t row_bytes() const { return columns * size_of(dtype); }
    void spread();
    void clear();
  };
  void exchange_counts();
  CallOptions call_options(std::string_view label) const;

  Communicator communicator_;
  std::optional<std::chrono::milliseconds> deadline_;
  ReductionOrder order_;
  int leaves_;
  std::vector<Table> tables_;
  std::vector<std::optional<std::size_t>> tables_of_;  ///< per parameter
  RowSum::Workspace workspace_;
  std::vector<std::uint32_t> own_counts_;  ///< per table
  std::vector<std::uint32_t> counts_;      ///< per rank and table
  std::vector<std::size_t> touched_;       ///< of one table, per rank
  bool started_ = false;
};

}  // namespace trireme::parallel
