// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "parallel/bucket_plan.hpp"
#include "trireme/base/bytes.hpp"
#include "trireme/comm/memory.hpp"

#include <cstddef>
#include <optional>
#include <vector>

namespace trireme::parallel {

/// Memory of whole buckets: each at its place in a copy of all gradients, for good; or from a pool of arena memory, while it
/// is held. The pool keeps what it has, and has as many buffers as were ever held at a time.
/// Cost:    of the pool: acquire() allocates until it has seen what it is asked for.
/// Threads: one at a time.
class BucketBuffers {
 public:
  BucketBuffers(const BucketPlan& plan, std::byte* kept);
  BucketBuffers(const BucketPlan& plan, const Memory& arena);

  bool pooled() const { return arena_.has_value(); }
  /// Null: it holds none.
  std::byte* at(std::size_t bucket) const { return places_[bucket]; }
  /// What it holds, or memory that it holds from now on, with anything in it.
  /// Errors: system when the arena is exhausted.
  std::byte* acquire(std::size_t bucket);
  void release(std::size_t bucket);

  /// How many are held; 0 without a pool.
  std::size_t held() const { return held_; }
  /// Of the pool, held or not.
  Bytes pool_bytes() const;

 private:
  struct Buffer {
    ArenaBuffer memory;
    bool free = true;
  };
  std::vector<std::size_t> bytes_;  ///< per bucket
  std::vector<std::byte*> places_;  ///< the same
  std::optional<Memory> arena_;
  std::vector<Buffer> buffers_;
  std::size_t held_ = 0;
};

}  // namespace trireme::parallel
