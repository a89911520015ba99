// SPDX-License-Identifier: Apache-2.0
#include "trireme/data/dropout_mask.hpp"

#include "trireme/base/error.hpp"
#include "trireme/data/philox.hpp"
#include "trireme/data/random.hpp"

#include <algorithm>
#include <array>
#include <string>

namespace trireme::data {
namespace {

/// Blocks of four words that are computed before any is used: the loop over their elements then chooses without a jump each,
/// which would go the unforeseen way as often as an element is dropped.
constexpr std::size_t group_blocks = 16;

}  // namespace

void check_dropout(double probability) {
  if (probability >= 0.0 && probability < 1.0) return;  // no NaN
  fail(ErrorCode::invalid_argument, "dropout is a probability from 0 to below 1, not " + std::to_string(probability));
}

DropoutMask::DropoutMask(double probability, std::uint64_t seed, std::uint64_t step, std::uint64_t first_row)
    : key_(stream_key(seed, step)),
      first_row_(first_row),
      threshold_(static_cast<std::uint32_t>(probability * 0x1p32)),
      factor_(1.0 / (1.0 - probability)) {}

template <class T>
void DropoutMask::apply(T* values, std::size_t rows, std::size_t count, std::uint32_t site) const noexcept {
  if (!on()) return;
  for (std::size_t r = 0; r < rows; ++r) apply(values + r * count, values + r * count, r, 0, count, site);
}

template <class T>
void DropoutMask::apply(T* to, const T* from, std::size_t row, std::size_t begin, std::size_t count,
                        std::uint32_t site) const noexcept {
  const std::uint64_t sample = first_row_ + row;
  const auto factor = static_cast<T>(factor_);
  const std::uint32_t threshold = threshold_;
  const std::size_t end = begin + count;
  std::array<std::uint32_t, 4 * group_blocks> words;
  for (std::size_t origin = begin / 4 * 4; origin < end; origin += words.size()) {
    const std::size_t last = std::min(end, origin + words.size());
    for (std::size_t e = origin; e < last; e += 4) {
      const auto block = philox4x32({static_cast<std::uint32_t>(e / 4), site + 1, static_cast<std::uint32_t>(sample),
                                     static_cast<std::uint32_t>(sample >> 32)},
                                    key_);
      std::copy(block.begin(), block.end(), words.begin() + static_cast<std::ptrdiff_t>(e - origin));
    }
    for (std::size_t e = std::max(begin, origin); e < last; ++e) {
      to[e - begin] = words[e - origin] < threshold ? T{0} : from[e - begin] * factor;
    }
  }
}

template void DropoutMask::apply(float*, std::size_t, std::size_t, std::uint32_t) const noexcept;
template void DropoutMask::apply(double*, std::size_t, std::size_t, std::uint32_t) const noexcept;
template void DropoutMask::apply(float*, const float*, std::size_t, std::size_t, std::size_t,
                                 std::uint32_t) const noexcept;
template void DropoutMask::apply(double*, const double*, std::size_t, std::size_t, std::size_t,
                                 std::uint32_t) const noexcept;

}  // namespace trireme::data
