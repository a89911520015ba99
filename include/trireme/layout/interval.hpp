// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

namespace trireme::layout {

/// Half-open range of elements [begin, end).
struct Interval {
  std::size_t begin = 0;
  std::size_t end = 0;
  constexpr std::size_t size() const { return end - begin; }
  friend constexpr bool operator==(Interval, Interval) = default;
};

/// floor(a*b/c) without overflow of the product. Shape: c > 0, and the result is a std::size_t.
constexpr std::size_t multiply_divide(std::size_t a, std::size_t b, std::size_t c) {
  __extension__ using Wide = unsigned __int128;
  return static_cast<std::size_t>(static_cast<Wide>(a) * b / c);
}

/// The `index`-th of `parts` almost equal pieces of `whole`: [floor(i*n/parts), floor((i+1)*n/parts)) after its begin.
constexpr Interval piece(Interval whole, std::size_t parts, std::size_t index) {
  return {whole.begin + multiply_divide(whole.size(), index, parts),
          whole.begin + multiply_divide(whole.size(), index + 1, parts)};
}

}  // namespace trireme::layout
