// SPDX-License-Identifier: Apache-2.0
// The binomial tree, rooted anywhere: with ranks counted from the root, rank v receives from v without its lowest set
// bit and serves the ranks that differ from it in lower bits only, the most distant first. The whole vector is one
// block in the output, which on every rank is also the input.
// Source: Thakur, Rabenseifner, Gropp, Optimization of Collective Communication Operations in MPICH, IJHPCA 19(1),
// 2005.
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

Cost tree_broadcast_cost(const CostQuery& query) {
  const std::size_t children = family_of(query.shape, query.rank).children.size();
  return {.steps = ceil_log2(query.shape.ranks),
          .payload_bytes = children * query.count * query.element.output,
          .messages = children};
}

}  // namespace trireme::plan
