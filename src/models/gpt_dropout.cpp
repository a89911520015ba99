// SPDX-License-Identifier: Apache-2.0
#include "models/gpt_dropout.hpp"

#include "trireme/data/philox.hpp"
#include "trireme/data/random.hpp"

#include <algorithm>

namespace trireme::models {

Dropout::Dropout(double probability, std::uint64_t seed, const SamplePlace& place)
    : key_(data::stream_key(seed, place.step)),
      first_row_(place.first_row),
      threshold_(static_cast<std::uint32_t>(probability * 0x1p32)),
      factor_(1.0 / (1.0 - probability)) {}

template <class T>
void Dropout::apply(T* values, std::size_t rows, std::size_t count, std::uint32_t site) const noexcept {
  if (!on()) return;
  for (std::size_t r = 0; r < rows; ++r) apply(values + r * count, values + r * count, r, 0, count, site);
}

template <class T>
void Dropout::apply(T* to, const T* from, std::size_t row, std::size_t begin, std::size_t count,
                    std::uint32_t site) const noexcept {
  const std::uint64_t sample = first_row_ + row;
  const auto factor = static_cast<T>(factor_);
  const std::size_t end = begin + count;
  for (std::size_t block = begin / 4; block * 4 < end; ++block) {
    const auto words = data::philox4x32({static_cast<std::uint32_t>(block), site, static_cast<std::uint32_t>(sample),
                                         static_cast<std::uint32_t>(sample >> 32)},
                                        key_);
    const std::size_t first = std::max(begin, block * 4);
    const std::size_t last = std::min(end, block * 4 + 4);
    for (std::size_t e = first; e < last; ++e) {
      to[e - begin] = words[e % 4] < threshold_ ? T{0} : from[e - begin] * factor;
    }
  }
}

template void Dropout::apply(float*, std::size_t, std::size_t, std::uint32_t) const noexcept;
template void Dropout::apply(double*, std::size_t, std::size_t, std::uint32_t) const noexcept;
template void Dropout::apply(float*, const float*, std::size_t, std::size_t, std::size_t, std::uint32_t) const noexcept;
template void Dropout::apply(double*, const double*, std::size_t, std::size_t, std::size_t,
                             std::uint32_t) const noexcept;

}  // namespace trireme::models
