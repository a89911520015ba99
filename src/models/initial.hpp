// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace trireme::models {

/// What a parameter starts as: uniform in [-bound, bound], around `centre`.
struct Initial {
  double bound = 0.0;
  double centre = 0.0;
};

/// values[i], element e = first + i of the parameter, becomes centre + (2u - 1) bound, rounded to T, where u is the upper 53 bits of
/// data::philox_at(data::stream_key(seed, parameter), e): a function of (seed, parameter, e), whatever surrounds it.
/// Cost:  one block of Philox per two elements; none where the bound is 0.
template <class T>
void set_initial(std::span<T> values, const Initial& initial, std::uint64_t seed, std::size_t parameter,
                 std::size_t first = 0);

extern template void set_initial(std::span<float>, const Initial&, std::uint64_t, std::size_t, std::size_t);
extern template void set_initial(std::span<double>, const Initial&, std::uint64_t, std::size_t, std::size_t);

}  // namespace trireme::models
