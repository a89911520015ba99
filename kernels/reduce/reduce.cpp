// SPDX-License-Identifier: Apache-2.0
#include "kernels/reduce/reduce.hpp"

#include "kernels/reduce/simd.hpp"

#include <algorithm>
#include <cassert>

namespace trireme::kernels {
namespace {

/// Combined values on the stack at most at a time while `program` runs.
std::size_t intermediates_of(std::span<const std::int16_t> program, [[maybe_unused]] std::size_t sources) noexcept {
  if (program.size() == 3) return 1;  // two sources: the commonest, and the call may be one of nanoseconds
  bool combined[reduce_stack_limit];  // the stack, one flag per value
  std::size_t depth = 0;
  std::size_t live = 0;
  std::size_t most = 0;
  for (std::int16_t token : program) {
    if (token >= 0) {
      assert(static_cast<std::size_t>(token) < sources && "a program names a source that is not there");
      assert(depth < reduce_stack_limit && "a program nests deeper than 1024 sources can");
      combined[depth++] = false;
    } else {
      assert(depth >= 2 && "a program combines more than there is");
      live -= (combined[depth - 1] ? 1u : 0u) + (combined[depth - 2] ? 1u : 0u);
      --depth;
      combined[depth - 1] = true;
      most = std::max(most, ++live);
    }
  }
  assert(depth == 1 && "a program leaves one value");
  return most;
}

}  // namespace

void reduce(const ReduceCall& call, Isa isa) noexcept {
  if (call.count == 0) return;
  ReduceTask task{call.kind == ReduceKind::average ? ReduceKind::sum : call.kind,
                  call.accumulator,
                  call.output,
                  call.destination,
                  call.count,
                  call.sources.data(),
                  call.program.data(),
                  call.program.size(),
                  intermediates_of(call.program, call.sources.size()),
                  is_floating(call.accumulator) ? call.divisor : 1.0,
                  call.also};
  switch (isa) {
    case Isa::avx512: return avx512::reduce(task);
    case Isa::avx2: return avx2::reduce(task);
    case Isa::portable: return portable::reduce(task);
  }
}

}  // namespace trireme::kernels
