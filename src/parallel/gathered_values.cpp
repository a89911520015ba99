// SPDX-License-Identifier: Apache-2.0
#include "parallel/gathered_values.hpp"

#include "trireme/base/dtype.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <utility>

namespace trireme::parallel {
namespace {

constexpr std::size_t most_under_way = 16;

TensorView bytes_at(std::byte* data, std::size_t count) { return {data, count, DType::u8}; }

}  // namespace

GatheredValues::GatheredValues(Communicator group, std::vector<Parameter> parameters, const BucketPlan& plan,
                               const ShardPlan& shards, BucketBuffers& buffers,
                               std::optional<std::chrono::milliseconds> deadline)
    : group_(std::move(group)),
      parameters_(std::move(parameters)),
      owned_(parameters_.size()),
      buffers_(buffers),
      deadline_(deadline) {
  for (const std::string& label : bucket_labels(plan, parameters_)) {
    Gather gather;
    gather.label = "values of " + label;
    for (int rank = 0; rank < group_.size(); ++rank) {
      gather.pieces.emplace_back();
      const std::size_t begin = gather.bytes;
      for (const std::size_t p : plan.buckets[gathers_.size()].parameters) {
        const layout::Interval owned = shards.owned(p, rank);
        if (rank == group_.rank()) owned_[p] = owned;
        if (owned.size() == 0) continue;
        gather.pieces.back().push_back({p, owned, gather.bytes});
        gather.bytes += owned.size() * size_of(parameters_[p].value.dtype);
      }
      gather.counts.push_back(gather.bytes - begin);
    }
    gathers_.push_back(std::move(gather));
  }
}

std::byte* GatheredValues::value_of(const Piece& piece) const {
  const TensorView& value = parameters_[piece.parameter].value;
  return static_cast<std::byte*>(value.data) + piece.elements.begin * size_of(value.dtype);
}

std::size_t GatheredValues::bytes_of(const Piece& piece) const {
  return piece.elements.size() * size_of(parameters_[piece.parameter].value.dtype);
}

TensorView GatheredValues::part(std::size_t parameter) {
  const TensorView& value = parameters_[parameter].value;
  const layout::Interval owned = owned_[parameter];
  if (owned.size() == 0) return {value.data, 0, value.dtype};
  return {static_cast<std::byte*>(value.data) + owned.begin * size_of(value.dtype), owned.size(), value.dtype};
}

void GatheredValues::after_update() {
  if (group_.size() == 1) return;
  const std::size_t window = buffers_.pooled() ? 2 : most_under_way;
  for (std::size_t b = 0; b < gathers_.size(); ++b) {
    if (b >= window) finish(b - window);
    start(b);
  }
  for (std::size_t b = gathers_.size() - std::min(window, gathers_.size()); b < gathers_.size(); ++b) finish(b);
}

void GatheredValues::start(std::size_t bucket) {
  Gather& gather = gathers_[bucket];
  const auto rank = static_cast<std::size_t>(group_.rank());
  std::size_t begin = 0;
  for (std::size_t r = 0; r < rank; ++r) begin += gather.counts[r];
  gather.memory = buffers_.acquire(bucket);
  for (const Piece& piece : gather.pieces[rank])
    std::memcpy(gather.memory + piece.begin_bytes, value_of(piece), bytes_of(piece));
  gather.work = group_.all_gather_async(bytes_at(gather.memory + begin, gather.counts[rank]),
                                        bytes_at(gather.memory, gather.bytes), gather.counts,
                                        {.deadline = deadline_, .label = gather.label});
}

void GatheredValues::finish(std::size_t bucket) {
  Gather& gather = gathers_[bucket];
  gather.work.wait();
  for (std::size_t r = 0; r < gather.pieces.size(); ++r) {
    if (r == static_cast<std::size_t>(group_.rank())) continue;
    for (const Piece& piece : gather.pieces[r])
      std::memcpy(value_of(piece), gather.memory + piece.begin_bytes, bytes_of(piece));
  }
  buffers_.release(bucket);
}

}  // namespace trireme::parallel
