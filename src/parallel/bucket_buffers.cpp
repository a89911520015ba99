// SPDX-License-Identifier: Apache-2.0
#include "parallel/bucket_buffers.hpp"

#include "trireme/base/dtype.hpp"

#include <algorithm>
#include <utility>

namespace trireme::parallel {

BucketBuffers::BucketBuffers(const BucketPlan& plan, std::byte* kept) {
  for (const Bucket& bucket : plan.buckets) places_.push_back(kept + bucket.begin_bytes);
}

BucketBuffers::BucketBuffers(const BucketPlan& plan, const Memory& arena)
    : places_(plan.buckets.size(), nullptr), arena_(arena) {
  for (const Bucket& bucket : plan.buckets)
    bytes_.push_back(std::max<std::size_t>(bucket.count * size_of(bucket.dtype), 1));
}

std::byte* BucketBuffers::acquire(std::size_t bucket) {
  if (places_[bucket] != nullptr) return places_[bucket];
  const auto bytes_of = [](const Buffer& buffer) { return buffer.memory.bytes().size(); };
  Buffer* fitting = nullptr;
  Buffer* largest = nullptr;
  for (Buffer& buffer : buffers_) {
    if (!buffer.free) continue;
    if (largest == nullptr || bytes_of(buffer) > bytes_of(*largest)) largest = &buffer;
    if (bytes_of(buffer) >= bytes_[bucket] && (fitting == nullptr || bytes_of(buffer) < bytes_of(*fitting)))
      fitting = &buffer;
  }
  if (fitting == nullptr) {
    if (largest == nullptr) largest = &buffers_.emplace_back();
    largest->memory = ArenaBuffer();  // given back before more is asked for
    largest->memory = arena_->allocate(Bytes{bytes_[bucket]});
    fitting = largest;
  }
  fitting->free = false;
  ++held_;
  return places_[bucket] = fitting->memory.bytes().data();
}

void BucketBuffers::release(std::size_t bucket) {
  if (!pooled()) return;
  const std::byte* const place = std::exchange(places_[bucket], nullptr);
  for (Buffer& buffer : buffers_) {
    if (buffer.free || buffer.memory.bytes().data() != place) continue;
    buffer.free = true;
    --held_;
    return;
  }
}

Bytes BucketBuffers::pool_bytes() const {
  Bytes all{0};
  for (const Buffer& buffer : buffers_) all = Bytes{all.value + buffer.memory.bytes().size()};
  return all;
}

}  // namespace trireme::parallel
