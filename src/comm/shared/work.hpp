// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/reduce/reduce.hpp"
#include "trireme/comm/request.hpp"
#include "trireme/layout/interval.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace trireme::comm::shared {

/// Where one rank's input and output of the elements at hand lie, as mapped here; of a reduce_scatter's input, the block
/// of the rank that looks. Null: there is nothing to show.
struct Sight {
  const std::byte* input = nullptr;
  std::byte* output = nullptr;
};

/// Elements over which pieces are counted: of one block, where there are several; of the largest, where sizes differ.
std::size_t elements_of_block(const Request& request);

/// The elements of block `rank` in the vector of all blocks.
layout::Interval block_of(const Request& request, std::size_t rank);

/// What of `range`, counted from the beginning of a block, block `rank` has: less than all where sizes differ.
layout::Interval part_of_block(const Request& request, std::size_t rank, layout::Interval range);

/// The part of `count` elements that `rank` combines in an all_reduce: whole cache lines, so that no line has two writers.
layout::Interval part_of(std::size_t count, std::size_t element, std::size_t ranks, std::size_t rank);

/// What the collectives do with memory all ranks see: pure functions of addresses, no flags.
class Work {
 public:
  explicit Work(std::size_t ranks) : sources_(ranks) {}

  /// Readies what a reduction over `leaves` needs; the functions below then allocate nothing.
  void prepare(int leaves) { program(leaves); }
  /// What this rank does for elements `range` of the collective (of each block, where there are several), whose first
  /// element is at each Sight. An all_reduce is done in parts: this rank combines its part from all inputs into all
  /// outputs; everything else goes to `own_output` alone, which is the caller's whole output.
  void piece(const Request& request, std::span<const Sight> sights, std::size_t rank, layout::Interval range,
             double divisor, std::byte* own_output);
  /// This rank's part of an all_reduce, of which `part` are the elements: from all inputs into all outputs, which begin at
  /// the sights.
  void combine_part(const Request& request, std::span<const Sight> sights, std::size_t rank, layout::Interval part,
                    double divisor);
  /// All of a collective whose contributions are all at the sights: everything goes to `own_output`.
  void whole(const Request& request, std::span<const Sight> sights, std::size_t rank, double divisor,
             std::byte* own_output);

 private:
  void combine(const Request& request, std::byte* destination, std::size_t count, double divisor,
               std::byte* also = nullptr);
  std::span<const std::int16_t> program(int leaves) {
    return last_ < programs_.size() && programs_[last_].leaves == leaves ? programs_[last_].postfix : find(leaves);
  }
  std::span<const std::int16_t> find(int leaves);

  struct Program {
    int leaves;
    std::vector<std::int16_t> postfix;
  };
  std::vector<kernels::ReduceSource> sources_;
  std::vector<Program> programs_;
  std::size_t last_ = 0;  // asked for
};

}  // namespace trireme::comm::shared
