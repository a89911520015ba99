// SPDX-License-Identifier: Apache-2.0
#include "parallel/data_parallel_settings.hpp"

#include "trireme/base/error.hpp"
#include "trireme/layout/reduction_tree.hpp"

#include <algorithm>
#include <bit>

namespace trireme::parallel {
namespace {

constexpr int most_leaves = 32768;

[[noreturn]] void refuse_option(const std::string& what) { fail(ErrorCode::invalid_argument, what); }

}  // namespace

int settle_leaves(const DataParallelOptions& options, int ranks) {
  if (options.bucket_bytes.value == 0 || options.first_bucket_bytes.value == 0) {
    fail(ErrorCode::invalid_argument, "bucket_bytes and first_bucket_bytes must be above 0");
  }
  const int leaves = options.logical_shards, passes = options.accumulate;
  if (passes != 0) {
    if (passes < 0 || !std::has_single_bit(static_cast<unsigned>(passes)) || passes > most_leaves / ranks) {
      fail(ErrorCode::invalid_argument, "accumulate is " + std::to_string(passes) +
                                            "; it must be a power of two (or 0), at most " +
                                            std::to_string(most_leaves) + " over the number of ranks");
    }
    if (leaves != 0 && leaves != passes * ranks) {
      fail(ErrorCode::invalid_argument, "logical_shards is " + std::to_string(leaves) + ", but " +
                                            std::to_string(ranks) + " ranks that accumulate " + std::to_string(passes) +
                                            " make " + std::to_string(passes * ranks) + ": give one of the two");
    }
    return passes * ranks;
  }
  if (leaves == 0) return ranks;
  if (leaves < 0 || !std::has_single_bit(static_cast<unsigned>(leaves)) || leaves > most_leaves) {
    fail(ErrorCode::invalid_argument, "logical_shards is " + std::to_string(leaves) +
                                          "; it must be a power of two up to 32768 (or 0: one per rank)");
  }
  if (leaves < ranks) {
    fail(ErrorCode::invalid_argument, "logical_shards is " + std::to_string(leaves) + " but there are " +
                                          std::to_string(ranks) +
                                          " ranks: raise it to at least the number of ranks, or use fewer ranks");
  }
  return leaves;
}

void check_sharding(const DataParallelOptions& options, int ranks, bool on_device) {
  const int stage = options.zero_stage;
  const std::string stage_text = "zero_stage is " + std::to_string(stage);
  if (stage < 0 || stage > 3) refuse_option(stage_text + "; stages are 0 to 3");
  if (stage == 3 && !options.row_sparse.empty()) {
    fail(ErrorCode::unsupported,
         stage_text + ", with row_sparse parameters: they are whole on every rank, which stages 0 to 2 take");
  }
  if (options.synchronizer && (stage > 0 || options.leaf_assignment == LeafAssignment::cyclic || on_device)) {
    fail(ErrorCode::unsupported,
         "DataParallelOptions::synchronizer takes parameters in host memory, leaves in blocks and zero_stage 0, but " +
             (stage > 0   ? stage_text
              : on_device ? std::string("parameters lie in device memory")
                          : std::string("leaf_assignment is cyclic")));
  }
  if (options.shard_group < 0 || (options.shard_group != 0 && ranks % options.shard_group != 0)) {
    refuse_option("shard_group is " + std::to_string(options.shard_group) + ", which does not divide the " +
                  std::to_string(ranks) + " ranks");
  }
  if (stage >= 2 && options.gradients_as_bucket_views) {
    refuse_option(stage_text +
                  ", where buckets have memory only while they are under way: gradients_as_bucket_views is for "
                  "stages 0 and 1; DataParallel::access() says where to write gradients");
  }
  const bool cyclic = options.leaf_assignment == LeafAssignment::cyclic;
  if (cyclic && !std::has_single_bit(static_cast<unsigned>(ranks))) {
    refuse_option("leaf_assignment is cyclic, which takes a power of two of ranks, and there are " +
                  std::to_string(ranks) + "; block takes any number");
  }
  if (cyclic && !options.row_sparse.empty())
    fail(ErrorCode::unsupported, "leaf_assignment is cyclic, with row_sparse parameters: they take block");
  if (on_device && (stage > 0 || cyclic)) {
    fail(ErrorCode::unsupported, (stage > 0 ? stage_text : std::string("leaf_assignment is cyclic")) +
                                     ", with parameters in device memory, which this version trains at stage 0 with "
                                     "blocks of leaves");
  }
}

std::string settings_text(const DataParallelOptions& options, int leaves) {
  std::string text =
      "logical_shards " + std::to_string(leaves) + ", bucket_bytes " + std::to_string(options.bucket_bytes.value) +
      ", first_bucket_bytes " + std::to_string(options.first_bucket_bytes.value) +
      (options.rebuild_buckets ? ", rebuilt" : ", fixed") + ", order " + std::string(name_of(options.order));
  if (options.leaf_assignment == LeafAssignment::cyclic) text += ", leaf_assignment cyclic";
  if (options.synchronizer) text += ", " + options.synchronizer->settings();
  if (options.zero_stage == 0) return text;
  text += ", zero_stage " + std::to_string(options.zero_stage);
  if (options.zero_whole_tensors) text += " of whole tensors";
  if (options.shard_group != 0) text += ", shard_group " + std::to_string(options.shard_group);
  if (options.zero_stage < 2 || options.units.empty()) return text;
  text += ", units";
  for (const auto& unit : options.units) {
    for (std::size_t i = 0; i < unit.size(); ++i) text += (i == 0 ? " {" : " ") + unit[i];
    text += "}";
  }
  return text;
}

OwnLeaves own_leaves(const DataParallelOptions& options, int leaves, int ranks, int rank) {
  if (options.leaf_assignment == LeafAssignment::cyclic && leaves > ranks)
    return {.first = rank, .count = leaves / ranks, .stride = ranks, .passes = leaves / ranks};
  const auto blocks = layout::leaf_blocks(leaves, ranks);
  const auto& block = blocks[static_cast<std::size_t>(rank)];
  int most = 0;
  for (const auto& each : blocks) most = std::max(most, each.count);
  return {.first = block.first, .count = block.count, .passes = options.zero_stage == 3 ? most : block.count};
}

bool own_leaves_alike(const DataParallelOptions& options, int leaves, int ranks) {
  const int count = own_leaves(options, leaves, ranks, 0).count;
  for (int rank = 1; rank < ranks; ++rank) {
    if (own_leaves(options, leaves, ranks, rank).count != count) return false;
  }
  return true;
}

}  // namespace trireme::parallel
