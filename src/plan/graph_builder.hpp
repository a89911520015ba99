// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/plan/graph.hpp"

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace trireme::plan {

/// Whether the caller may give one memory as input and as output.
enum class Buffers { may_be_one, apart };

/// Writes one rank's graph step by step, in an order in which the steps could run one after the other, and finds what
/// each step must wait for: the last write of what it reads, and the reads since the last write of what it writes.
/// Block b of the input and block b of the output count as one memory unless told otherwise, because they are when the
/// call is in place. A wait that follows from another wait of the same step is left out.
/// Cost: linear in the steps so far, and in the blocks named, for each step added.
class GraphBuilder {
 public:
  GraphBuilder(int blocks, BlockRange input_blocks, BlockRange output_blocks, Buffers buffers = Buffers::may_be_one);

  /// A new slot for `blocks`.
  Operand scratch(BlockRange blocks, Role role);
  Operand scratch(int block, Role role) { return scratch(BlockRange{block, 1}, role); }

  /// The bytes on the wire have the dtype of the source. `after`: a step to wait for though no data asks for it; -1: none.
  void send(int peer, BlockRange blocks, Operand source, int after = -1);
  void send(int peer, int block, Operand source, int after = -1) { send(peer, BlockRange{block, 1}, source, after); }
  /// The bytes on the wire have the dtype of the destination. Returns the step's index.
  int recv(int peer, BlockRange blocks, Operand destination);
  int recv(int peer, int block, Operand destination) { return recv(peer, BlockRange{block, 1}, destination); }
  /// Finalizes if and only if the destination is the output. The destination may be one of the sources.
  void load_reduce(BlockRange blocks, std::vector<Operand> sources, std::vector<std::int16_t> program,
                   Operand destination);
  void load_reduce(int block, std::vector<Operand> sources, std::vector<std::int16_t> program, Operand destination) {
    load_reduce(BlockRange{block, 1}, std::move(sources), std::move(program), destination);
  }
  void copy(int block, Operand source, Operand destination, bool finalize);

  /// A plan without algorithm and shape, loopable if no step of this rank names several blocks. Ends the builder.
  Plan finish();

 private:
  /// Who touched one block of one memory last.
  struct Cell {
    int writer = -1;
    std::vector<int> readers;  ///< since that write
  };

  Cell& cell(Operand operand, int block);
  int append(Step step, std::span<const Operand> reads, const Operand* write, int after = -1);
  std::vector<int> without_implied(const std::vector<int>& waits);

  Plan plan_;
  std::vector<Cell> caller_;          ///< by block: input and output where they may be one, otherwise first the input
  std::size_t output_ = 0;            ///< where in caller_ the output begins
  std::vector<Cell> scratch_;         ///< by slot and block
  std::vector<std::size_t> slots_{};  ///< where in scratch_ each slot begins
  std::vector<char> mark_;            ///< of each step, used by without_implied
};

/// The operands that are the caller's.
inline constexpr Operand caller_input{Space::input, 0, Role::input};
inline constexpr Operand caller_output{Space::output, 0, Role::output};
/// The input where nothing is added: it has the dtype of the output.
inline constexpr Operand moved_input{Space::input, 0, Role::output};

}  // namespace trireme::plan
