// SPDX-License-Identifier: Apache-2.0
// Kernels that do the same with every element, at the bandwidth of memory: loads and stores of up to 16 bytes, several of
// them under way before the first is used.
#pragma once

#include "device/kernel.hpp"
#include "kernels/device_words.hpp"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>

namespace trireme::kernels::on_device {

/// Elements that lie side by side and are moved at once.
template <class Raw, unsigned count>
struct alignas(sizeof(Raw) * count) Run {
  Raw element[count];
};

template <unsigned count, class Raw>
TRIREME_DEVICE Run<Raw, count> load_run(const Raw* from) {
  return *reinterpret_cast<const Run<Raw, count>*>(from);
}
/// Through words that are put together in registers: left to itself the compiler stores narrow elements one by one, and wider
/// ones too where they are computed with branches.
template <class Raw, unsigned count>
TRIREME_DEVICE void store_run(Raw* to, const Run<Raw, count>& run) {
  if constexpr (sizeof run < 4) {
    *reinterpret_cast<Run<Raw, count>*>(to) = run;
  } else {
    using Bits =
        std::conditional_t<sizeof(Raw) == 1, std::uint8_t,
                           std::conditional_t<sizeof(Raw) == 2, std::uint16_t,
                                              std::conditional_t<sizeof(Raw) == 4, std::uint32_t, std::uint64_t>>>;
    std::uint32_t words[sizeof run / 4];
    TRIREME_UNROLL
    for (unsigned w = 0; w < sizeof run / 4; ++w) {
      if constexpr (sizeof(Raw) == 8) {
        words[w] = static_cast<std::uint32_t>(std::bit_cast<Bits>(run.element[w / 2]) >> (32 * (w % 2)));
      } else {
        constexpr unsigned per_word = 4 / sizeof(Raw);
        words[w] = 0;
        TRIREME_UNROLL
        for (unsigned e = 0; e < per_word; ++e)
          words[w] |= std::uint32_t{std::bit_cast<Bits>(run.element[w * per_word + e])} << (8 * sizeof(Raw) * e);
      }
    }
    store_words(to, words);
  }
}

/// Elements of the widest of some types that make 16 bytes: so every warp moves whole stretches of every array.
template <class... Raw>
inline constexpr unsigned run_width = static_cast<unsigned>(16 / std::max({sizeof(Raw)...}));

/// An array that takes part.
struct RunOperand {
  const void* memory;
  std::size_t element_bytes;
};

/// A range cut for runs: `head` elements one by one, then the runs, then what is left.
struct Cut {
  std::size_t head = 0;
  std::size_t runs = 0;
  std::size_t count = 0;
};

/// Runs from where all arrays are aligned; none where they never are together.
TRIREME_DEVICE Cut cut_into_runs(std::size_t count, unsigned width, const RunOperand* operands, unsigned size) {
  const std::size_t first_bytes = operands[0].element_bytes * width;
  const std::size_t head =
      (0 - reinterpret_cast<std::uintptr_t>(operands[0].memory)) % first_bytes / operands[0].element_bytes;
  if (head >= count) return {count, 0, count};
  for (unsigned k = 0; k < size; ++k) {
    const auto address = reinterpret_cast<std::uintptr_t>(operands[k].memory) + head * operands[k].element_bytes;
    if (address % (operands[k].element_bytes * width) != 0) return {count, 0, count};
  }
  return {head, (count - head) / width, count};
}

/// The share of one thread among `threads` times `blocks` in the runs and the rest of a cut. Work is a trivially copyable value:
///   static constexpr unsigned width, unroll;       elements of a run; runs of a thread that are loaded together
///   template <unsigned n> auto load(std::size_t index) const;       reads the n elements from `index` on, all arrays of them
///   template <unsigned n> void finish(std::size_t index, const auto& loaded) const;      computes and writes them
template <unsigned threads, class Work>
TRIREME_DEVICE void run_share(const Work& work, const Cut& cut, unsigned block, unsigned blocks, unsigned thread) {
  using Loaded = decltype(work.template load<Work::width>(std::size_t{}));
  constexpr std::size_t tile = std::size_t{threads} * Work::unroll;
  const std::size_t tiles = cut.runs / tile;
  for (std::size_t t = block; t < tiles; t += blocks) {
    const std::size_t first = cut.head + (t * tile + thread) * Work::width;
    Loaded loaded[Work::unroll];
    TRIREME_UNROLL
    for (unsigned u = 0; u < Work::unroll; ++u)
      loaded[u] = work.template load<Work::width>(first + std::size_t{u} * threads * Work::width);
    TRIREME_UNROLL
    for (unsigned u = 0; u < Work::unroll; ++u)
      work.template finish<Work::width>(first + std::size_t{u} * threads * Work::width, loaded[u]);
  }
  const std::size_t mine = std::size_t{block} * threads + thread;
  const std::size_t step = std::size_t{blocks} * threads;
  for (std::size_t k = tiles * tile + mine; k < cut.runs; k += step) {
    const std::size_t index = cut.head + k * Work::width;
    work.template finish<Work::width>(index, work.template load<Work::width>(index));
  }
  const std::size_t ran = cut.runs * Work::width;
  for (std::size_t k = mine; k < cut.count - ran; k += step) {
    const std::size_t index = k < cut.head ? k : k + ran;
    work.template finish<1>(index, work.template load<1>(index));
  }
}

/// The kernel of such a Work, which has a name too.
template <class Work>
struct RunBody {
  static constexpr const char* name = Work::name;
  static constexpr unsigned threads = 256;
  static constexpr unsigned phases = 1;
  struct Shared {};

  Work work;
  Cut cut;

  template <unsigned phase>
  TRIREME_DEVICE void run(device::Place place, Shared&) const {
    run_share<threads>(work, cut, place.block, place.blocks, place.thread);
  }
};

/// Gives it to the queue; `operands` are all arrays that the work touches.
template <class Work>
void launch_runs(device::Queue queue, const Work& work, std::size_t count, std::span<const RunOperand> operands) {
  using Body = RunBody<Work>;
  const Cut cut = cut_into_runs(count, Work::width, operands.data(), static_cast<unsigned>(operands.size()));
  const unsigned for_runs = device::blocks_for(cut.runs, Body::threads, Work::unroll);
  const unsigned for_rest = device::blocks_for(count - cut.runs * Work::width, Body::threads, 4);
  device::launch(queue, Body{work, cut}, std::max(for_runs, for_rest));
}

}  // namespace trireme::kernels::on_device
