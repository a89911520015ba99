// SPDX-License-Identifier: Apache-2.0
// A kernel as the machine runs it: the instructions of PTX (NVIDIA's "PTX ISA", version 9.0), decoded.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace trireme::testing::ptx {

enum class Space : std::uint8_t { generic, global, shared, local, param };

enum class Special : std::uint8_t { tid, ntid, ctaid, nctaid, globaltimer };

struct Operand {
  enum class Kind : std::uint8_t { value, reg, shared, local, param, special };
  Kind kind = Kind::value;
  std::uint32_t index = 0;  ///< of the register, or the Special
  std::uint64_t value = 0;  ///< of a constant; what is added to a register or to the beginning of a space
};

struct Thread;
struct Instruction;
using Handler = void (*)(Thread&, const Instruction&);

struct Instruction {
  enum class Flow : std::uint8_t { next, branch, barrier, end };
  Handler run = nullptr;
  Flow flow = Flow::next;
  Space space = Space::generic;
  std::uint8_t width = 1;    ///< elements of a vector
  bool unless = false;       ///< runs where the guard is false
  std::int32_t guard = -1;   ///< the register that says whether it runs
  std::uint32_t target = 0;  ///< of a branch
  std::uint32_t line = 0;    ///< of the PTX, for messages
  std::array<Operand, 5> operands{};
};

struct Kernel {
  std::string name;
  std::size_t param_bytes = 0;
  std::size_t shared_bytes = 0;
  std::size_t local_bytes = 0;
  unsigned most_threads = 1024;  ///< of a block, as compiled for
  std::size_t registers = 0;
  bool waits = false;  ///< reads words that others write meanwhile
  std::vector<Instruction> code;
};

/// The names of the kernels in a text of PTX.
std::vector<std::string> kernel_names(std::string_view text);
/// Throws std::runtime_error, naming kernel and line, where something is not known to the machine.
Kernel parse(std::string_view text, std::string_view name);

/// What `opcode` does, such as "add.rn.f32", spaces and ".vN" taken out; null: not known.
Handler handler_of(std::string_view opcode);

}  // namespace trireme::testing::ptx
