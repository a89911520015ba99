// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/perf/buffer.hpp"
#include "cli/perf/operation.hpp"
#include "cli/perf/shared_segment.hpp"
#include "kernels/reduce/reduce.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace trireme::cli {

/// A collective with nothing in its way: every rank maps the memory of all others and reads inputs, or writes results, where
/// they lie. No matching, no errors, no choice of algorithm: a barrier of flags, the bytes, a barrier.
///
/// A combination is cut into as many parts as there are ranks; each rank combines one, straight from all inputs into all
/// outputs, a different one in each call so that no part stays in one cache. What is only moved is copied once, by the
/// rank that gets it, or by the rank that has it where the root gets all.
/// Threads: one per rank. Errors: timeout when another rank does not come for a minute.
class ZeroCopy {
 public:
  struct Setting {
    const PerfOperation* operation = nullptr;
    DType dtype = DType::f32;
    ReduceOp op{};
    int root = 0;
    bool rotates = true;
    std::size_t input_bytes = 0;   ///< at most, of all buffers of a rotation
    std::size_t output_bytes = 0;  ///< the same; 0: in place
  };

  /// Collective. The ranks of one host.
  ZeroCopy(const Communicator& communicator, const Setting& setting);

  /// Whether all ranks could map all memory (not where their processes cannot see each other). If not, nothing else may
  /// be called. Alike on all ranks.
  bool possible() const { return !segments_.empty(); }

  /// What the next run() combines or moves. Shape: `count` elements per block.
  std::span<std::byte> input(std::size_t count, std::uint64_t turn) const { return at(input_of(rank_, count, turn)); }
  std::span<std::byte> output(std::size_t count, std::uint64_t turn) const { return at(output_of(rank_, count, turn)); }
  void run(std::size_t count, std::uint64_t turn);

 private:
  /// A range of the memory of one rank.
  struct Range {
    int rank = 0;
    std::size_t offset = 0;
    std::size_t size = 0;
  };
  Range input_of(int rank, std::size_t count, std::uint64_t turn) const;
  Range output_of(int rank, std::size_t count, std::uint64_t turn) const;
  std::span<std::byte> at(const Range& range) const;
  void barrier();
  void combine(std::size_t count, std::uint64_t turn);
  void move(std::size_t count, std::uint64_t turn) const;

  Setting setting_;
  int rank_;
  int ranks_;
  std::vector<SharedSegment> segments_;  // of every rank, mapped here
  std::vector<std::int16_t> program_;
  std::vector<kernels::ReduceSource> sources_;
  std::vector<std::byte*> outputs_;
  std::uint64_t round_ = 0;
};

}  // namespace trireme::cli
