// SPDX-License-Identifier: Apache-2.0
#include "parallel/shard_route.hpp"

#include "parallel/shard_groups.hpp"

namespace trireme::parallel {

ShardRoute::ShardRoute(const Communicator& all, int group_size, int leaves)
    : all_(all),
      group_size_(group_size),
      leaves_(leaves),
      way_(Way::inside),
      group_leaves_(leaves),
      group_(all),
      replicas_(all) {
  const int ranks = all_.size();
  if (group_size == ranks) return;
  const int group = all_.rank() / group_size, place = all_.rank() % group_size;
  group_ = *all_.split(group, place);
  way_ = Way::whole;
  if (group_size == 1) return;  // nothing is shared out
  const auto leaves_in = leaves_of_groups(leaves, ranks, group_size);
  if (leaves_in.empty()) return;
  way_ = Way::inside_then_across;
  group_leaves_ = leaves_in[static_cast<std::size_t>(group)];
  replicas_ = *all_.split(place, group);
}

Work ShardRoute::reduce(TensorView bucket, TensorView own, std::span<const std::size_t> counts, ReduceOp op,
                        CallOptions options) {
  if (way_ == Way::whole) {
    options.leaves = leaves_;
    return all_.all_reduce_async(bucket, bucket, op, options);
  }
  options.leaves = group_leaves_;
  return group_.reduce_scatter_async(bucket, own, counts, op, options);
}

Work ShardRoute::across(TensorView own, ReduceOp op, CallOptions options) {
  options.leaves = leaves_;
  return replicas_.all_reduce_async(own, own, op, options);
}

std::string ShardRoute::explain() const {
  const std::string ranks = std::to_string(all_.size()), size = std::to_string(group_size_);
  if (group_size_ == all_.size()) return "reduce_scatter over " + ranks + " ranks";
  if (group_size_ == 1) return "all_reduce over " + ranks + " ranks";
  const std::string groups = std::to_string(all_.size() / group_size_) + " groups of " + size + " ranks: ";
  if (way_ == Way::inside_then_across)
    return groups + "reduce_scatter inside each, all_reduce of the shards across them";
  return groups + "all_reduce of whole buckets over " + ranks + " ranks, because groups of " + size +
         " are no subtrees of the tree over " + std::to_string(leaves_) + " leaves";
}

}  // namespace trireme::parallel
