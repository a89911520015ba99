// SPDX-License-Identifier: Apache-2.0
// The table of algorithms. A new algorithm is one file and one row per collective.
#include "trireme/plan/plans.hpp"

#include "plan/table.hpp"
#include "trireme/base/error.hpp"
#include "trireme/layout/reduction_tree.hpp"

#include <algorithm>
#include <limits>

namespace trireme::plan {
namespace {

bool always(const Shape&) { return true; }

bool power_of_two(const Shape& shape) { return (shape.ranks & (shape.ranks - 1)) == 0; }

bool not_power_of_two(const Shape& shape) { return !power_of_two(shape); }

bool binomial(const Shape& shape) {
  return power_of_two(shape) &&
         layout::ReductionTree::contracted(shape.leaves, shape.ranks).equal_power_of_two_blocks();
}

constexpr const char* any_ranks = "any number of ranks";
constexpr const char* equal_blocks = "a power of two of ranks that own equally many leaves each";

constexpr TableRow table[] = {
    {Algorithm::direct, Collective::all_reduce, true, always, any_ranks, direct_all_reduce, direct_all_reduce_cost},
    {Algorithm::recursive_doubling, Collective::all_reduce, true, binomial, equal_blocks, recursive_doubling_all_reduce,
     recursive_doubling_all_reduce_cost},
    {Algorithm::tree, Collective::all_reduce, true, always, any_ranks, tree_all_reduce, tree_all_reduce_cost},
    {Algorithm::halving_doubling, Collective::all_reduce, true, binomial, equal_blocks, halving_doubling_all_reduce,
     halving_doubling_all_reduce_cost},
    {Algorithm::ring, Collective::all_reduce, false, always, any_ranks, ring_all_reduce, ring_all_reduce_cost},
    {Algorithm::direct, Collective::reduce_scatter, true, always, any_ranks, direct_reduce_scatter,
     direct_reduce_scatter_cost},
    {Algorithm::ring, Collective::reduce_scatter, false, always, any_ranks, ring_reduce_scatter,
     ring_reduce_scatter_cost},
    {Algorithm::ring, Collective::all_gather, true, always, any_ranks, ring_all_gather, ring_all_gather_cost},
    {Algorithm::bruck, Collective::all_gather, true, always, any_ranks, bruck_all_gather, bruck_all_gather_cost},
    {Algorithm::direct, Collective::all_gather, true, always, any_ranks, direct_all_gather, direct_all_gather_cost},
    {Algorithm::tree, Collective::broadcast, true, always, any_ranks, tree_broadcast, tree_broadcast_cost},
    {Algorithm::double_tree, Collective::broadcast, true, always, any_ranks, double_tree_broadcast,
     double_tree_broadcast_cost},
    {Algorithm::ring, Collective::broadcast, true, always, any_ranks, ring_broadcast, ring_broadcast_cost},
    {Algorithm::recursive_doubling, Collective::barrier, true, power_of_two, "a power of two of ranks",
     recursive_doubling_barrier, recursive_doubling_barrier_cost},
    {Algorithm::tree, Collective::barrier, true, not_power_of_two, "a number of ranks that is not a power of two",
     tree_barrier, tree_barrier_cost},
    {Algorithm::rooted, Collective::reduce, true, always, any_ranks, rooted_reduce, rooted_reduce_cost},
    {Algorithm::tree, Collective::reduce, true, always, any_ranks, tree_reduce, tree_reduce_cost},
    {Algorithm::double_tree, Collective::reduce, false, always, any_ranks, double_tree_reduce, double_tree_reduce_cost},
    {Algorithm::rooted, Collective::gather, true, always, any_ranks, rooted_gather, rooted_gather_cost},
    {Algorithm::tree, Collective::gather, true, always, any_ranks, tree_gather, tree_gather_cost},
    {Algorithm::rooted, Collective::scatter, true, always, any_ranks, rooted_scatter, rooted_scatter_cost},
    {Algorithm::tree, Collective::scatter, true, always, any_ranks, tree_scatter, tree_scatter_cost},
    {Algorithm::direct, Collective::all_to_all, true, always, any_ranks, direct_all_to_all, direct_all_to_all_cost},
};

bool reduces(Collective collective) {
  return collective == Collective::all_reduce || collective == Collective::reduce_scatter ||
         collective == Collective::reduce;
}

bool has_root(Collective collective) {
  return collective == Collective::broadcast || collective == Collective::reduce || collective == Collective::gather ||
         collective == Collective::scatter;
}

/// What is wrong with `shape` whatever the algorithm; empty if nothing.
std::string fault_of(const Shape& shape) {
  constexpr int most_ranks = std::numeric_limits<std::int16_t>::max();  // slots and tokens are 16 bits wide
  const std::string collective(name_of(shape.collective));
  if (shape.ranks < 1 || shape.ranks > most_ranks) {
    return collective + " over " + std::to_string(shape.ranks) + " ranks cannot be planned: give 1 to " +
           std::to_string(most_ranks);
  }
  if (reduces(shape.collective) && shape.leaves < shape.ranks) {
    return collective + " over " + std::to_string(shape.ranks) + " ranks with " + std::to_string(shape.leaves) +
           " leaves cannot be planned: every rank needs a leaf; use as many leaves or fewer ranks";
  }
  if (has_root(shape.collective) && (shape.root < 0 || shape.root >= shape.ranks)) {
    return collective + " with root " + std::to_string(shape.root) + " cannot be planned: the ranks are 0 to " +
           std::to_string(shape.ranks - 1);
  }
  if (shape.collective == Collective::send_recv) {
    return "send_recv has no plan: it is one message, posted as it is";
  }
  return {};
}

const TableRow* find(Algorithm algorithm, Collective collective) {
  const auto* row = std::find_if(std::begin(table), std::end(table), [&](const TableRow& candidate) {
    return candidate.algorithm == algorithm && candidate.collective == collective;
  });
  return row == std::end(table) ? nullptr : row;
}

std::string describe(const Shape& shape) {
  std::string text(name_of(shape.collective));
  text += " over " + std::to_string(shape.ranks) + (shape.ranks == 1 ? " rank" : " ranks");
  if (reduces(shape.collective)) text += " with " + std::to_string(shape.leaves) + " leaves";
  return text;
}

/// "direct, tree; not canonical: ring"
std::string alternatives(const Shape& shape) {
  std::string canonical;
  std::string others;
  for (const TableRow& row : table) {
    if (row.collective != shape.collective || !row.defined(shape)) continue;
    std::string& list = row.canonical ? canonical : others;
    list += (list.empty() ? "" : ", ") + std::string(name_of(row.algorithm));
  }
  return others.empty() ? canonical : canonical + "; not canonical: " + others;
}

/// A rank without peers: its output is its own input.
Plan plan_for_one(const Shape& shape) {
  GraphBuilder builder(1, {0, 1}, {0, 1});
  const bool has_input = shape.collective != Collective::broadcast && shape.collective != Collective::barrier;
  if (has_input) builder.copy(0, caller_input, caller_output, reduces(shape.collective));
  return builder.finish();
}

}  // namespace

Definedness definedness(Algorithm algorithm, const Shape& shape) {
  if (std::string fault = fault_of(shape); !fault.empty()) return {.reason = std::move(fault)};
  const TableRow* row = find(algorithm, shape.collective);
  const std::string name(name_of(algorithm));
  if (row == nullptr) {
    return {.reason = name + " is not an algorithm for " + std::string(name_of(shape.collective)) +
                      "; defined: " + alternatives(shape)};
  }
  if (!row->defined(shape)) {
    return {.reason = name + " is not defined for " + describe(shape) + ": it needs " + row->needs +
                      "; defined: " + alternatives(shape)};
  }
  return {.defined = true, .canonical = row->canonical};
}

std::vector<Algorithm> defined_algorithms(const Shape& shape, bool canonical_only) {
  std::vector<Algorithm> algorithms;
  if (!fault_of(shape).empty()) return algorithms;
  for (const TableRow& row : table) {
    if (row.collective != shape.collective || !row.defined(shape)) continue;
    if (row.canonical || !canonical_only) algorithms.push_back(row.algorithm);
  }
  return algorithms;
}

const TableRow& row_for(Algorithm algorithm, const Shape& shape, int rank) {
  Definedness answer = definedness(algorithm, shape);
  if (!answer.defined) fail(ErrorCode::invalid_argument, std::move(answer.reason));
  if (rank < 0 || rank >= shape.ranks) {
    fail(ErrorCode::invalid_argument, "no plan for rank " + std::to_string(rank) + " of " + describe(shape) +
                                          ": the ranks are 0 to " + std::to_string(shape.ranks - 1));
  }
  return *find(algorithm, shape.collective);
}

Plan make_plan(Algorithm algorithm, const Shape& shape, int rank) {
  const TableRow& row = row_for(algorithm, shape, rank);
  Plan plan = shape.ranks == 1 ? plan_for_one(shape) : row.make(shape, rank);
  plan.algorithm = algorithm;
  plan.shape = shape;
  plan.canonical = row.canonical;
  return plan;
}

}  // namespace trireme::plan
