// SPDX-License-Identifier: Apache-2.0
#include "kernels/device_loops.hpp"
#include "kernels/embedding/embedding_device.hpp"

namespace trireme::kernels {
namespace {

using namespace on_device;

template <class T>
struct Embedding {
  static constexpr const char* name = "trireme_embedding";
  static constexpr unsigned run_length = wide<T>;
  T* x;
  const std::uint16_t* tokens;
  const T* table;
  const T* positions;
  std::size_t length;
  std::size_t channels;

  template <unsigned n>
  TRIREME_DEVICE void at(std::size_t e) const {
    const auto [i, c] = divide(e, channels);
    Wide<T, n> row = load<n>(table + tokens[i] * channels + c);
    const Wide<T, n> position = load<n>(positions + column_of(i, length) * channels + c);
    for (unsigned k = 0; k < n; ++k) row.at[k] = row.at[k] + position.at[k];
    store(x + e, row);
  }
};

template <class T>
struct EmbeddingBackwardBody {
  static constexpr const char* name = "trireme_embedding_backward";
  static constexpr unsigned threads = 128;
  static constexpr unsigned phases = 1;
  struct Shared {};
  T* gradient;
  const std::uint16_t* tokens;
  const T* dx;
  std::size_t count;
  std::size_t channels;

  TRIREME_DEVICE bool is_first(std::size_t i) const {
    for (std::size_t before = 0; before < i; ++before) {
      if (tokens[before] == tokens[i]) return false;
    }
    return true;
  }

  template <unsigned phase>
  TRIREME_DEVICE void run(device::Place place, Shared&) const {
    for (std::size_t i = place.block; i < count; i += place.blocks) {
      if (!is_first(i)) continue;
      const std::uint16_t token = tokens[i];
      for (std::size_t c = place.thread; c < channels; c += threads) {
        T sum = gradient[token * channels + c];
        for (std::size_t j = i; j < count; ++j) {
          if (tokens[j] == token) sum = sum + dx[j * channels + c];
        }
        gradient[token * channels + c] = sum;
      }
    }
  }
};

}  // namespace

template <class T>
void embedding(T* x, const std::uint16_t* tokens, const T* table, const T* positions, std::size_t count,
               std::size_t length, std::size_t channels, device::Queue queue) {
  launch_elements(queue, Embedding<T>{x, tokens, table, positions, length, channels}, count * channels,
                  channels % wide<T> == 0 && aligned(x, table, positions));
}
template <class T>
void embedding_backward(T* gradient, const std::uint16_t* tokens, const T* dx, std::size_t count, std::size_t channels,
                        device::Queue queue) {
  device::launch(queue, EmbeddingBackwardBody<T>{gradient, tokens, dx, count, channels},
                 device::blocks_for(count, 1, 1));
}

template void embedding(float*, const std::uint16_t*, const float*, const float*, std::size_t, std::size_t, std::size_t,
                        device::Queue);
template void embedding(double*, const std::uint16_t*, const double*, const double*, std::size_t, std::size_t,
                        std::size_t, device::Queue);
template void embedding_backward(float*, const std::uint16_t*, const float*, std::size_t, std::size_t, device::Queue);
template void embedding_backward(double*, const std::uint16_t*, const double*, std::size_t, std::size_t, device::Queue);

void embedding_kernels(std::vector<const device::KernelEntry*>& kernels) {
  kernels.push_back(elements_entry<Embedding<float>>());
  kernels.push_back(elements_entry<Embedding<double>>());
  kernels.push_back(&device::entry_of<EmbeddingBackwardBody<float>>());
  kernels.push_back(&device::entry_of<EmbeddingBackwardBody<double>>());
}

}  // namespace trireme::kernels
