// SPDX-License-Identifier: Apache-2.0
#include "parallel/row_reduction.hpp"

#include "kernels/float_environment.hpp"
#include "parallel/row_sparse.hpp"
#include "trireme/base/error.hpp"
#include "trireme/layout/reduction_tree.hpp"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <utility>

namespace trireme::parallel {

RowReduction::RowReduction(const Communicator& communicator, const std::vector<Parameter>& parameters,
                           const std::vector<bool>& row_sparse, const DataParallelOptions& options, int leaves,
                           int own_leaves)
    : communicator_(communicator),
      deadline_(options.deadline),
      order_(options.order),
      leaves_(leaves),
      tables_of_(parameters.size()) {
  for (std::size_t p = 0; p < parameters.size(); ++p) {
    if (!row_sparse[p]) continue;
    const std::size_t rows = rows_of(parameters[p]);
    const std::size_t columns = rows == 0 ? 0 : parameters[p].gradient.count / rows;
    const DType dtype = accumulator_of(parameters[p].gradient.dtype);
    tables_of_[p] = tables_.size();
    tables_.push_back({.parameter = parameters[p],
                       .rows = rows,
                       .columns = columns,
                       .dtype = dtype,
                       .mean = communicator_.memory().allocate(Bytes{rows * columns * size_of(dtype)}),
                       .stack = {},
                       .touched = RowUnion(rows),
                       .every_row = {},
                       .work = {}});
    const auto depth = static_cast<std::size_t>(layout::fold_depth(own_leaves));
    tables_.back().stack.assign(depth, RowSum(columns, dtype));
  }
  own_counts_.resize(tables_.size());
  touched_.resize(static_cast<std::size_t>(communicator_.size()));
  counts_.resize(tables_.size() * touched_.size());
}

CallOptions RowReduction::call_options(std::string_view label) const {
  return {.deadline = deadline_, .order = order_, .label = label, .leaves = leaves_};
}

std::vector<std::string> RowReduction::labels() const {
  std::vector<std::string> names;
  for (const Table& table : tables_) names.push_back(table.parameter.name);
  return names;
}

void RowReduction::check_rows(std::size_t parameter, std::span<const std::uint32_t> rows) const {
  const Table& table = tables_[*tables_of_[parameter]];
  const auto refuse = [&](const std::string& what) {
    fail(ErrorCode::invalid_argument, "ready_rows(): '" + table.parameter.name + "': " + what);
  };
  for (std::size_t i = 1; i < rows.size(); ++i) {
    if (rows[i] == rows[i - 1]) refuse("row " + std::to_string(rows[i]) + " is named twice");
    if (rows[i] < rows[i - 1]) {
      refuse("row " + std::to_string(rows[i]) + " stands behind row " + std::to_string(rows[i - 1]) +
             "; rows are named in ascending order");
    }
  }
  if (!rows.empty() && rows.back() >= table.rows)
    refuse("there is no row " + std::to_string(rows.back()) + " among " + std::to_string(table.rows));
}

std::span<const std::uint32_t> RowReduction::every_row(std::size_t parameter) {
  Table& table = tables_[*tables_of_[parameter]];
  if (table.every_row.size() != table.rows) {
    table.every_row.resize(table.rows);
    std::iota(table.every_row.begin(), table.every_row.end(), 0u);
  }
  return table.every_row;
}

void RowReduction::begin_step() {
  for (Table& table : tables_) table.clear();
  started_ = false;
}

void RowReduction::Table::clear() {
  std::byte* const memory = mean.bytes().data();
  const auto rows_touched = touched.rows();
  if (touched.all()) {
    std::fill_n(memory, rows * row_bytes(), std::byte{0});
  } else {
    for (std::size_t begin = 0, end = 0; begin < rows_touched.size(); begin = end) {
      end = end_of_run(rows_touched, begin);
      std::fill_n(memory + rows_touched[begin] * row_bytes(), (end - begin) * row_bytes(), std::byte{0});
    }
  }
  touched.clear();
}

void RowReduction::fold(std::size_t parameter, const FoldedLeaf& leaf, std::span<const std::uint32_t> rows) {
  const kernels::FloatEnvironment environment;
  Table& table = tables_[*tables_of_[parameter]];
  auto at = static_cast<std::size_t>(leaf.below);
  if (leaf.weight == 0.0) {
    table.stack[at].assign_identity();
  } else {
    table.stack[at].assign(table.parameter.gradient, rows, leaf.weight);
  }
  for (int k = 0; k < leaf.combines; ++k, --at) table.stack[at - 1].add(table.stack[at], workspace_);
}

void RowReduction::exchange_counts() {
  for (std::size_t t = 0; t < tables_.size(); ++t)
    own_counts_[t] = static_cast<std::uint32_t>(tables_[t].stack.front().rows().size());
  communicator_.all_gather(std::span<const std::uint32_t>(own_counts_), std::span(counts_),
                           {.deadline = deadline_, .label = "touched rows"});
}

void RowReduction::start(double total_weight, const StepTrace& trace) {
  if (tables_.empty()) return;
  started_ = true;
  const auto counting = trace.now();
  exchange_counts();
  trace.row_counts_gathered(counting);
  for (std::size_t t = 0; t < tables_.size(); ++t) {
    Table& table = tables_[t];
    for (std::size_t r = 0; r < touched_.size(); ++r) touched_[r] = counts_[r * tables_.size() + t];
    const std::string& name = table.parameter.name;
    const RowSum& mine = table.stack.front();
    const auto gathering = trace.now();
    table.touched.exchange(communicator_, mine.rows(), touched_, {.deadline = deadline_, .label = name});
    trace.rows_gathered(t, gathering);
    std::byte* const memory = table.mean.bytes().data();
    const std::size_t count = (table.touched.all() ? table.rows : table.touched.rows().size()) * table.columns;
    table.sent = count;
    if (count == 0) continue;
    if (table.touched.all()) {
      mine.lay_out_all(memory, table.rows);
    } else {
      mine.lay_out(memory, table.touched.rows());
    }
    const TensorView range{memory, count, table.dtype};
    table.started = trace.now();
    table.work = communicator_.all_reduce_async(range, range, average_over(total_weight), call_options(name));
  }
}

void RowReduction::wait(const StepTrace& trace) {
  if (!std::exchange(started_, false)) return;
  for (std::size_t t = 0; t < tables_.size(); ++t) {
    Table& table = tables_[t];
    if (table.sent == 0) continue;
    {
      const auto span = trace.waits_for_rows(t);
      table.work.wait();
    }
    trace.rows_reduced(t, table.started);
    table.spread();
  }
}

/// From the front of the memory to where they belong, the last first: a row never moves forward onto one that is yet to
/// move. What a run leaves behind is cleared; earlier rows may be moved there later.
void RowReduction::Table::spread() {
  if (touched.all()) return;
  std::byte* const memory = mean.bytes().data();
  const auto packed = touched.rows();
  for (std::size_t end = packed.size(); end > 0 && packed[end - 1] != end - 1;) {
    std::size_t begin = end - 1;
    while (begin > 0 && packed[begin - 1] + 1 == packed[begin]) --begin;
    const std::size_t target = packed[begin];
    std::memmove(memory + target * row_bytes(), memory + begin * row_bytes(), (end - begin) * row_bytes());
    std::fill_n(memory + begin * row_bytes(), (std::min(end, target) - begin) * row_bytes(), std::byte{0});
    end = begin;
  }
}

std::span<const std::uint32_t> RowReduction::own_rows(std::size_t parameter) const {
  return tables_[*tables_of_[parameter]].stack.front().rows();
}

ConstTensorView RowReduction::own_sums(std::size_t parameter) const {
  const Table& table = tables_[*tables_of_[parameter]];
  const RowSum& sums = table.stack.front();
  return {sums.values(), sums.rows().size() * table.columns, table.dtype};
}

std::optional<std::span<const std::uint32_t>> RowReduction::touched_rows(std::size_t parameter) const {
  const Table& table = tables_[*tables_of_[parameter]];
  if (table.touched.all()) return std::nullopt;
  return table.touched.rows();
}

TensorView RowReduction::room_for_mean(std::size_t parameter) {
  tables_[*tables_of_[parameter]].touched.assign_all();
  return gradient(parameter);
}

TensorView RowReduction::gradient(std::size_t parameter) const {
  const Table& table = tables_[*tables_of_[parameter]];
  return {table.mean.bytes().data(), table.rows * table.columns, table.dtype};
}

}  // namespace trireme::parallel
