// SPDX-License-Identifier: Apache-2.0
#include "comm/shared/groups.hpp"

#include "comm/shared/work.hpp"

#include <algorithm>

namespace trireme::comm::shared {
namespace {

/// Writes a tree as postfix programs. `inner(node)` says what to push in place of a whole subtree; negative: go down.
template <class Inner>
void write_postfix(const layout::ReductionTree& tree, int node, std::vector<std::int16_t>& program, Inner inner) {
  const int token = inner(node);
  if (token >= 0) {
    program.push_back(static_cast<std::int16_t>(token));
    return;
  }
  const auto& here = tree.nodes()[static_cast<std::size_t>(node)];
  write_postfix(tree, here.left, program, inner);
  write_postfix(tree, here.right, program, inner);
  program.push_back(layout::ReductionTree::combine);
}

}  // namespace

GroupChoice groups_of(std::span<const int> domains) {
  std::vector<int> seen;
  bool equal = true, consecutive = true;
  std::size_t size = 0, run = 0;
  for (std::size_t r = 0; r < domains.size(); ++r) {
    if (domains[r] < 0) {
      return {std::nullopt, "the cache domain of rank " + std::to_string(r) +
                                " is unknown (bound to no processors that share a last-level cache)"};
    }
    if (r != 0 && domains[r] == domains[r - 1]) {
      ++run;
    } else {
      if (seen.size() == 1) size = run;
      equal &= seen.size() <= 1 || run == size;
      run = 1;
      if (std::find(seen.begin(), seen.end(), domains[r]) == seen.end()) {
        seen.push_back(domains[r]);
      } else {
        consecutive = false;
      }
    }
  }
  const bool one = seen.size() <= 1;
  const std::string found = std::to_string(domains.size()) + " ranks in " + std::to_string(seen.size()) +
                            (one ? " cache domain" : " cache domains");
  if (one) return {std::nullopt, found};
  if (!consecutive) return {std::nullopt, found + ", not one domain after the other"};
  if (!equal || run != size) return {std::nullopt, found + ", not equally many in each"};
  if (size < 2) return {std::nullopt, found + ", one in each"};
  return {Groups{seen.size(), size}, found};
}

std::optional<TwoLevels> two_levels(const layout::ReductionTree& tree, Groups groups, std::size_t group) {
  const auto size = static_cast<int>(groups.size);
  std::vector<int> roots(groups.count, -1);  // of the groups, among the tree's nodes
  for (int node = 0; node <= tree.root(); ++node) {
    const auto& here = tree.nodes()[static_cast<std::size_t>(node)];
    if (here.first_rank % size == 0 && here.last_rank == here.first_rank + size - 1)
      roots[static_cast<std::size_t>(here.first_rank / size)] = node;
  }
  if (std::find(roots.begin(), roots.end(), -1) != roots.end()) return std::nullopt;
  TwoLevels levels;
  write_postfix(tree, roots[group], levels.within, [&](int node) {
    const bool rank = node < tree.ranks();
    return rank ? node - static_cast<int>(group) * size : -1;
  });
  write_postfix(tree, tree.root(), levels.across, [&](int node) {
    const auto found = std::find(roots.begin(), roots.end(), node);
    return found != roots.end() ? static_cast<int>(found - roots.begin()) : -1;
  });
  return levels;
}

bool keeps_partials(const Request& request) {
  const DType type = request.output.dtype;
  return request.input.dtype == type && accumulator_of(type) == type;
}

std::string describe_groups(const GroupChoice& choice, std::size_t from_bytes, const Request& request) {
  if (request.collective != plan::Collective::all_reduce) return {};
  const auto one_level = [](const std::string& why) { return "; in one level: " + why; };
  if (!choice.groups) return one_level(choice.why);
  if (request.output.size_bytes() < from_bytes)
    return one_level(choice.why + ", but below " + std::to_string(from_bytes) + " bytes");
  if (!keeps_partials(request)) return one_level(choice.why + ", but partial results are wider than the output's type");
  const auto tree = layout::ReductionTree::contracted(request.leaves, request.ranks);
  if (!two_levels(tree, *choice.groups, 0)) {
    return one_level(choice.why + ", but a domain is no subtree of the canonical brackets of " +
                     std::to_string(request.leaves) + " leaves");
  }
  return "; arena memory in two levels: " + choice.why;
}

Reach reduce_reach(Groups groups, std::size_t rank, std::size_t count, std::size_t element) {
  const RankRow itself{rank, 1, 1};
  return {neighbours(groups, rank), itself, part_of(count, element, groups.size, rank % groups.size)};
}

Reach combine_reach(Groups groups, std::size_t rank, std::size_t count, std::size_t element) {
  const auto part = part_of(count, element, groups.size, rank % groups.size);
  const auto share = part_of(part.size(), element, groups.count, rank / groups.size);
  const auto row = counterparts(groups, rank);
  return {row, row, {part.begin + share.begin, part.begin + share.end}};
}

Reach spread_reach(Groups groups, std::size_t rank, std::size_t count, std::size_t element) {
  const RankRow itself{rank, 1, 1};
  return {itself, neighbours(groups, rank), part_of(count, element, groups.size, rank % groups.size)};
}

}  // namespace trireme::comm::shared
