// SPDX-License-Identifier: Apache-2.0
// Tree: the binomial tree, rooted anywhere: with ranks counted from the root, rank v receives from v without its lowest
// set bit and serves the ranks that differ from it in lower bits only, the most distant first. The whole vector is one
// block in the output, which on every rank is also the input.
// Ring: P blocks follow one another along the chain of ranks that begins at the root; every rank but the last passes
// each block on as soon as it has it, so that the root sends the vector once whatever P is.
// Source: Thakur, Rabenseifner, Gropp, Optimization of Collective Communication Operations in MPICH, IJHPCA 19(1),
// 2005; the chain is the pipelined chain of Pjesivac-Grbovic, Angskun, Bosilca, Fagg, Gabriel, Dongarra, Performance
// analysis of MPI collective operations, Cluster Computing 10(2), 2007.
#include "plan/algorithms.hpp"

#include <vector>

namespace trireme::plan {
namespace {

struct Family {
  int parent = -1;  ///< -1: the root
  std::vector<int> children;
};

Family family_of(const Shape& shape, int rank) {
  const int ranks = shape.ranks;
  const int from_root = wrap(rank - shape.root, ranks);
  int distance = 1;
  while (distance < ranks && (from_root & distance) == 0) distance *= 2;
  Family family;
  if (from_root != 0) family.parent = wrap(rank - distance, ranks);
  for (distance /= 2; distance > 0; distance /= 2) {
    if (from_root + distance < ranks) family.children.push_back(wrap(rank + distance, ranks));
  }
  return family;
}

}  // namespace

Plan tree_broadcast(const Shape& shape, int rank) {
  GraphBuilder builder(1, {0, 1}, {0, 1});
  const Family family = family_of(shape, rank);
  if (family.parent >= 0) builder.recv(family.parent, 0, caller_output);
  for (int child : family.children) builder.send(child, 0, caller_output);
  return builder.finish();
}

Plan ring_broadcast(const Shape& shape, int rank) {
  const int from_root = wrap(rank - shape.root, shape.ranks);
  GraphBuilder builder(shape.ranks, {0, shape.ranks}, {0, shape.ranks});
  for (int block = 0; block < shape.ranks; ++block) {
    if (from_root > 0) builder.recv(wrap(rank - 1, shape.ranks), block, caller_output);
    if (from_root < shape.ranks - 1) builder.send(wrap(rank + 1, shape.ranks), block, caller_output);
  }
  return builder.finish();
}

Cost tree_broadcast_cost(const CostQuery& query) {
  const std::size_t children = family_of(query.shape, query.rank).children.size();
  return {.steps = ceil_log2(query.shape.ranks),
          .payload_bytes = children * query.count * query.element.output,
          .messages = children};
}

Cost ring_broadcast_cost(const CostQuery& query) {
  Cost cost{.steps = 2 * (query.shape.ranks - 1)};  // P blocks over P - 1 edges
  if (wrap(query.rank - query.shape.root, query.shape.ranks) == query.shape.ranks - 1) return cost;
  cost.messages = static_cast<std::size_t>(query.shape.ranks);
  cost.payload_bytes = query.count * query.element.output;
  return cost;
}

}  // namespace trireme::plan
