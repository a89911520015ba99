// SPDX-License-Identifier: Apache-2.0
#include "kernels/device_loops.hpp"
#include "kernels/sparse_product/sparse_product_device.hpp"

namespace trireme::kernels {
namespace {

using namespace on_device;

template <class T>
struct SparseProduct {
  static constexpr const char* name = "trireme_sparse_product";
  static constexpr unsigned run_length = wide<T>;
  T* y;
  SparseMatrix x;
  const T* w;
  std::size_t columns;

  template <unsigned n>
  TRIREME_DEVICE void at(std::size_t e) const {
    const auto [i, c] = divide(e, columns);
    Wide<T, n> sum{};
    for (std::uint64_t k = x.offsets[i]; k < x.offsets[i + 1]; ++k) {
      const Wide<T, n> from = load<n>(w + x.indices[k] * columns + c);
      const auto value = static_cast<T>(x.values[k]);
      for (unsigned l = 0; l < n; ++l) sum.at[l] = sum.at[l] + value * from.at[l];
    }
    store(y + e, sum);
  }
};

template <class T>
struct SparseBackwardBody {
  static constexpr const char* name = "trireme_sparse_product_backward";
  static constexpr unsigned threads = 128;
  static constexpr unsigned phases = 1;
  struct Shared {};
  T* gradient;
  SparseMatrix x;
  const T* dy;
  std::size_t columns;

  TRIREME_DEVICE bool is_first(std::uint64_t k) const {
    for (std::uint64_t before = x.offsets[0]; before < k; ++before) {
      if (x.indices[before] == x.indices[k]) return false;
    }
    return true;
  }

  /// The row that stored element k is in.
  TRIREME_DEVICE std::size_t row_of(std::uint64_t k) const {
    std::size_t low = 0, high = x.rows;
    while (high - low > 1) {
      const std::size_t middle = (low + high) / 2;
      if (x.offsets[middle] <= k)
        low = middle;
      else
        high = middle;
    }
    return low;
  }

  template <unsigned phase>
  TRIREME_DEVICE void run(device::Place place, Shared&) const {
    const std::uint64_t end = x.offsets[x.rows];
    for (std::uint64_t k = x.offsets[0] + place.block; k < end; k += place.blocks) {
      if (!is_first(k)) continue;
      const std::uint32_t index = x.indices[k];
      for (std::size_t c = place.thread; c < columns; c += threads) {
        T sum = gradient[index * columns + c];
        std::size_t row = row_of(k);
        for (std::uint64_t other = k; other < end; ++other) {
          while (other >= x.offsets[row + 1]) ++row;
          if (x.indices[other] == index) sum = sum + static_cast<T>(x.values[other]) * dy[row * columns + c];
        }
        gradient[index * columns + c] = sum;
      }
    }
  }
};

}  // namespace

template <class T>
void sparse_product(T* y, const SparseMatrix& x, const T* w, std::size_t columns, device::Queue queue) {
  launch_elements(queue, SparseProduct<T>{y, x, w, columns}, x.rows * columns, columns % wide<T> == 0 && aligned(y, w));
}
template <class T>
void sparse_product_backward(T* gradient, const SparseMatrix& x, std::size_t stored, const T* dy, std::size_t columns,
                             device::Queue queue) {
  device::launch(queue, SparseBackwardBody<T>{gradient, x, dy, columns}, device::blocks_for(stored, 1, 1));
}

template void sparse_product(float*, const SparseMatrix&, const float*, std::size_t, device::Queue);
template void sparse_product(double*, const SparseMatrix&, const double*, std::size_t, device::Queue);
template void sparse_product_backward(float*, const SparseMatrix&, std::size_t, const float*, std::size_t,
                                      device::Queue);
template void sparse_product_backward(double*, const SparseMatrix&, std::size_t, const double*, std::size_t,
                                      device::Queue);

void sparse_product_kernels(std::vector<const device::KernelEntry*>& kernels) {
  kernels.push_back(elements_entry<SparseProduct<float>>());
  kernels.push_back(elements_entry<SparseProduct<double>>());
  kernels.push_back(&device::entry_of<SparseBackwardBody<float>>());
  kernels.push_back(&device::entry_of<SparseBackwardBody<double>>());
}

}  // namespace trireme::kernels
