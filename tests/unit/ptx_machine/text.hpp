// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "support/fake_cuda/ptx/machine.hpp"

#include <cstring>
#include <span>
#include <string>
#include <vector>

namespace trireme::testing::ptx {

/// A kernel of one parameter, the address of its memory, around these statements.
inline std::string kernel_text(const std::string& statements) {
  return ".version 9.0\n.target sm_90\n.address_size 64\n"
         ".entry example(.param .align 8 .b8 example_param_0[8])\n.maxntid 64, 1, 1\n{\n"
         ".reg .pred %p<8>;\n.reg .b16 %rs<8>;\n.reg .b32 %r<16>;\n.reg .b64 %rd<16>;\n.reg .f32 %f<8>;\n.reg .f64 %fd<8>;\n"
         ".shared .align 16 .b8 shared[64];\n.local .align 8 .b8 local[16];\n"
         "ld.param.u64 %rd0, [example_param_0];\nmov.u32 %r0, %tid.x;\n" +
         statements + "\nret;\n}\n";
}

/// Runs it over `memory`, as device memory, and nothing else.
inline void run(const std::string& statements, std::span<std::uint64_t> memory, unsigned threads = 1,
                unsigned blocks = 1, std::uint64_t seed = 1, Traffic* traffic = nullptr) {
  const Kernel kernel = parse(kernel_text(statements), "example");
  const auto begin = reinterpret_cast<std::uintptr_t>(memory.data());
  // Addresses are the bytes' own, moved: what forgets that finds nothing.
  constexpr std::int64_t shift = std::int64_t{1} << 52;
  const std::uint64_t seen = begin - static_cast<std::uint64_t>(shift);
  std::vector<std::byte> params(sizeof seen);
  std::memcpy(params.data(), &seen, sizeof seen);
  Machine machine(kernel, params, threads, blocks, {{seen, seen + memory.size_bytes(), shift}},
                  {.traffic = traffic, .races = true});
  for (unsigned block = 0; block < blocks; ++block) machine.run_block(block, seed + block);
}

}  // namespace trireme::testing::ptx
