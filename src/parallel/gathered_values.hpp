// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "parallel/bucket_buffers.hpp"
#include "parallel/bucket_plan.hpp"
#include "parallel/shard_plan.hpp"
#include "parallel/sharded_values.hpp"
#include "trireme/base/parameter.hpp"
#include "trireme/comm/communicator.hpp"

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace trireme::parallel {

/// Values that are whole in the caller's memory on every rank: the parts updated are all-gathered, bucket by bucket, each value
/// in its own dtype, without padding.
/// Cost: a rank sends its part to the others, (P-1)/P of all values on the average; one copy of each value into the buckets'
///       memory, which gradients have left by then, and back. Several buckets are under way, of a pool two.
class GatheredValues final : public ShardedValues {
 public:
  /// `buffers` must outlive this.
  GatheredValues(Communicator group, std::vector<Parameter> parameters, const BucketPlan& plan, const ShardPlan& shards,
                 BucketBuffers& buffers, std::optional<std::chrono::milliseconds> deadline);

  TensorView part(std::size_t parameter) override;
  void after_update() override;

 private:
  /// Owned elements of one parameter, where they stand in the packed bucket.
  struct Piece {
    std::size_t parameter = 0;
    layout::Interval elements;
    std::size_t begin_bytes = 0;
  };
  struct Gather {
    std::string label;
    std::vector<std::vector<Piece>> pieces;  ///< by rank of the group
    std::vector<std::size_t> counts;         ///< bytes, the same
    std::size_t bytes = 0;
    std::byte* memory = nullptr;
    Work work;
  };
  std::byte* value_of(const Piece& piece) const;
  std::size_t bytes_of(const Piece& piece) const;
  void start(std::size_t bucket);
  void finish(std::size_t bucket);

  Communicator group_;
  std::vector<Parameter> parameters_;
  std::vector<layout::Interval> owned_;
  BucketBuffers& buffers_;
  std::optional<std::chrono::milliseconds> deadline_;
  std::vector<Gather> gathers_;  ///< one per bucket
};

}  // namespace trireme::parallel
