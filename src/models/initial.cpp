// SPDX-License-Identifier: Apache-2.0
#include "models/initial.hpp"

#include "kernels/float_environment.hpp"
#include "trireme/data/philox.hpp"
#include "trireme/data/random.hpp"

#include <algorithm>

namespace trireme::models {

template <class T>
void set_initial(std::span<T> values, const Initial& initial, std::uint64_t seed, std::size_t parameter,
                 std::size_t first) {
  const kernels::FloatEnvironment environment;
  if (initial.bound == 0.0) {
    std::fill(values.begin(), values.end(), static_cast<T>(initial.centre));
    return;
  }
  const std::uint64_t key = data::stream_key(seed, parameter);
  const auto value = [&](std::uint64_t word) {
    return static_cast<T>(initial.centre + (2.0 * data::unit_interval(word) - 1.0) * initial.bound);
  };
  std::size_t i = 0;
  if (first % 2 != 0 && !values.empty()) values[i++] = value(data::philox_at(key, first));
  for (; i + 2 <= values.size(); i += 2) {
    const auto words = data::philox_pair(key, (first + i) / 2);
    values[i] = value(words[0]);
    values[i + 1] = value(words[1]);
  }
  if (i < values.size()) values[i] = value(data::philox_at(key, first + i));
}

template void set_initial(std::span<float>, const Initial&, std::uint64_t, std::size_t, std::size_t);
template void set_initial(std::span<double>, const Initial&, std::uint64_t, std::size_t, std::size_t);

}  // namespace trireme::models
