// SPDX-License-Identifier: Apache-2.0
// Runs blocks of a kernel, thread after thread from meeting to meeting, and looks at every access: that it is aligned, lies in memory
// that the device reaches and, in shared memory, that no other thread touches the same bytes before the next meeting.
#pragma once

#include "support/fake_cuda/ptx/kernel.hpp"

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace trireme::testing::ptx {

/// Memory that the kernel reaches: addresses as the kernel has them, and how far from there the bytes lie.
struct Range {
  std::uint64_t begin = 0, end = 0;
  std::int64_t shift = 0;
};

/// What a GPU would have ended the kernel for, or a checker told of.
struct Fault : std::runtime_error {
  enum class Kind { illegal_address, misaligned, race, barrier };
  Fault(Kind what, const std::string& text) : std::runtime_error(text), kind(what) {}
  Kind kind;
};

/// What the warps of a kernel moved between global memory and their registers, counted as GPUs do: in sectors of 32 bytes.
struct Traffic {
  static constexpr std::uint64_t sector = 32;
  std::uint64_t requested = 0;  ///< bytes that threads read and wrote
  std::uint64_t moved = 0;      ///< bytes of the sectors in which they lie, for each access of a warp anew
  std::uint64_t accesses = 0;   ///< of warps
  std::uint64_t least = 0;      ///< moved if a cache kept all: a sector once for being read, once for being written
};

/// What else a machine looks at, which takes several times as long.
struct Watch {
  Traffic* traffic = nullptr;  ///< is added to
  bool races = false;          ///< in global memory: bytes that threads share without a meeting of their block between
};

class Machine;

struct Thread {
  std::uint64_t* registers;
  std::byte* local;
  Machine* machine;
  unsigned index;
  std::uint32_t at = 0;
  bool ended = false;
};

class Machine {
 public:
  /// `ranges` ascend; `params` are the kernel's.
  Machine(const Kernel& kernel, std::vector<std::byte> params, unsigned threads, unsigned blocks,
          std::vector<Range> ranges, Watch watch = {});
  /// `seed` orders the threads. Throws Fault.
  void run_block(unsigned block, std::uint64_t seed);

  std::uint64_t value_of(const Thread& thread, const Operand& operand) const {
    if (operand.kind == Operand::Kind::value) return operand.value;
    if (operand.kind == Operand::Kind::reg) return thread.registers[operand.index] + operand.value;
    return named(thread, operand);
  }
  /// Where the bytes of an access lie. Throws Fault.
  std::byte* reach(const Thread& thread, const Instruction& instruction, std::uint64_t address, std::size_t bytes,
                   bool writes);

 private:
  /// Of a byte of shared memory: who touched it since which meeting.
  struct Touched {
    std::uint32_t written = 0, read = 0;  ///< meetings
    std::uint16_t writer = 0, reader = 0;
  };
  static constexpr std::uint16_t many = 0xffff;
  /// The same of global memory, of which the threads of all blocks are numbered from 1.
  struct TouchedByBlocks {
    std::uint32_t written = 0, read = 0;
    std::uint32_t writer = 0, reader = 0;
  };
  /// Where shared memory begins for the kernel, whose addresses of it may have 32 bits: no host has memory there.
  static constexpr std::uint64_t shared_window = 0x1000;

  std::uint64_t named(const Thread& thread, const Operand& operand) const;
  void run_to_meeting(Thread& thread);
  std::byte* inside(const Thread& thread, const Instruction& instruction, std::uint64_t offset, std::size_t bytes,
                    std::byte* begin, std::size_t size, const char* space);
  void touch(const Thread& thread, const Instruction& instruction, std::size_t offset, std::size_t bytes, bool writes);
  void touch_global(const Thread& thread, const Instruction& instruction, std::uint64_t address, std::size_t bytes,
                    bool writes);
  void count(const Thread& thread, const Instruction& instruction, std::uint64_t address, std::size_t bytes,
             bool writes);
  void add_up_traffic();
  [[noreturn]] void fault(Fault::Kind kind, const Thread& thread, const Instruction& instruction,
                          const std::string& text) const;

  const Kernel& kernel_;
  std::vector<std::byte> params_;
  const unsigned threads_, blocks_;
  const std::vector<Range> ranges_;
  std::size_t latest_range_ = 0;
  unsigned block_ = 0;
  std::uint32_t meeting_ = 0;
  std::uint64_t* const registers_;
  std::vector<std::byte> local_;
  std::vector<std::byte> shared_;
  std::vector<Touched> touched_;
  std::vector<Thread> states_;
  const Watch watch_;
  std::vector<std::uint32_t> times_;  ///< that each thread came to each instruction
  /// The sectors of what the threads of a warp access together: the same instruction, as often as each came to it.
  std::unordered_map<std::uint64_t, std::vector<std::uint64_t>> sectors_;
  std::unordered_map<std::uint64_t, TouchedByBlocks> touched_globally_;
  std::unordered_set<std::uint64_t> seen_;  ///< sectors, twice their number, and 1 more for written ones
};

}  // namespace trireme::testing::ptx
