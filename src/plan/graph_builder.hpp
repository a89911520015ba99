// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/plan/graph.hpp"

#include <cstdint>
#include <span>
#include <vector>

namespace trireme::plan {

/// Writes one rank's graph step by step, in an order in which the steps could run one after the other, and finds what
/// each step must wait for: the last write of what it reads, and the reads since the last write of what it writes.
/// Block b of the input and block b of the output count as one memory, because they are when the call is in place.
/// A wait that follows from another wait of the same step is left out.
/// Cost: linear in the steps so far for each step added.
class GraphBuilder {
 public:
  GraphBuilder(int blocks, BlockRange input_blocks, BlockRange output_blocks);

  /// A new slot of one block.
  Operand scratch(int block, Role role);

  /// The bytes on the wire have the dtype of the source.
  void send(int peer, int block, Operand source);
  /// The bytes on the wire have the dtype of the destination.
  void recv(int peer, int block, Operand destination);
  /// Finalizes if and only if the destination is the output. The destination may be one of the sources.
  void load_reduce(int block, std::vector<Operand> sources, std::vector<std::int16_t> program, Operand destination);
  void copy(int block, Operand source, Operand destination, bool finalize);

  /// A plan without algorithm and shape. Ends the builder.
  Plan finish();

 private:
  /// Who touched one block of one memory last.
  struct Cell {
    int writer = -1;
    std::vector<int> readers;  ///< since that write
  };

  Cell& cell(Operand operand, int block);
  void append(Step step, std::span<const Operand> reads, const Operand* write);
  std::vector<int> without_implied(const std::vector<int>& waits);

  Plan plan_;
  std::vector<Cell> caller_;  ///< input and output, by block
  std::vector<Cell> slots_;
  std::vector<char> mark_;  ///< of each step, used by without_implied
};

/// The operands that are the caller's.
inline constexpr Operand caller_input{Space::input, 0, Role::input};
inline constexpr Operand caller_output{Space::output, 0, Role::output};

}  // namespace trireme::plan
