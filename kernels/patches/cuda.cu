// SPDX-License-Identifier: Apache-2.0
#include "kernels/device_loops.hpp"
#include "kernels/patches/patches_device.hpp"

namespace trireme::kernels {
namespace {

using namespace on_device;

/// PatchShape with what follows from it: its functions are the host's.
struct Windows {
  std::size_t height, width, channels, kernel, stride, out_height, out_width;
  explicit Windows(const PatchShape& s)
      : height(s.height),
        width(s.width),
        channels(s.channels),
        kernel(s.kernel),
        stride(s.stride),
        out_height(s.out_height()),
        out_width(s.out_width()) {}
};

template <class T>
struct GatherPatches {
  static constexpr const char* name = "trireme_gather_patches";
  static constexpr unsigned run_length = wide<T>;
  T* patches;
  const T* x;
  Windows s;

  template <unsigned n>
  TRIREME_DEVICE void at(std::size_t i) const {
    const auto [tap, c] = divide(i, s.channels);
    const auto [window_row, kx] = divide(tap, s.kernel);
    const auto [window, ky] = divide(window_row, s.kernel);
    const auto [out_row, ox] = divide(window, s.out_width);
    const auto [image, oy] = divide(out_row, s.out_height);
    // Negative coordinates wrap to far beyond the image.
    const std::size_t row = oy * s.stride + ky - s.kernel / 2;
    const std::size_t column = ox * s.stride + kx - s.kernel / 2;
    Wide<T, n> value{};
    if (row < s.height && column < s.width)
      value = load<n>(x + ((image * s.height + row) * s.width + column) * s.channels + c);
    store(patches + i, value);
  }
};

template <class T>
struct ScatterPatches {
  static constexpr const char* name = "trireme_scatter_patches";
  static constexpr unsigned run_length = wide<T>;
  T* x;
  const T* patches;
  Windows s;

  /// The first window that looks at a row, or column.
  TRIREME_DEVICE std::size_t first(std::size_t place) const {
    const std::size_t end = place + s.kernel / 2;  // of the window of ky = 0
    return end < s.kernel ? 0 : (end - s.kernel) / s.stride + 1;
  }
  /// Behind the last one.
  TRIREME_DEVICE std::size_t end(std::size_t place, std::size_t windows) const {
    const std::size_t last = (place + s.kernel / 2) / s.stride;
    return last < windows ? last + 1 : windows;
  }

  template <unsigned n>
  TRIREME_DEVICE void at(std::size_t i) const {
    const auto [pixel, c] = divide(i, s.channels);
    const auto [row, column] = divide(pixel, s.width);
    const auto [image, y] = divide(row, s.height);
    Wide<T, n> sum{};
    for (std::size_t oy = first(y); oy < end(y, s.out_height); ++oy) {
      const std::size_t ky = y + s.kernel / 2 - oy * s.stride;
      for (std::size_t ox = first(column); ox < end(column, s.out_width); ++ox) {
        const std::size_t kx = column + s.kernel / 2 - ox * s.stride;
        const std::size_t window = (image * s.out_height + oy) * s.out_width + ox;
        const Wide<T, n> term = load<n>(patches + ((window * s.kernel + ky) * s.kernel + kx) * s.channels + c);
        for (unsigned k = 0; k < n; ++k) sum.at[k] = sum.at[k] + term.at[k];
      }
    }
    store(x + i, sum);
  }
};

}  // namespace

template <class T>
void gather_patches(T* patches, const T* x, const PatchShape& shape, device::Queue queue) {
  launch_elements(queue, GatherPatches<T>{patches, x, Windows(shape)}, shape.patches() * shape.patch(),
                  shape.channels % wide<T> == 0 && aligned(patches, x));
}
template <class T>
void scatter_patches(T* x, const T* patches, const PatchShape& shape, device::Queue queue) {
  launch_elements(queue, ScatterPatches<T>{x, patches, Windows(shape)},
                  shape.images * shape.height * shape.width * shape.channels,
                  shape.channels % wide<T> == 0 && aligned(x, patches));
}

template void gather_patches(float*, const float*, const PatchShape&, device::Queue);
template void gather_patches(double*, const double*, const PatchShape&, device::Queue);
template void scatter_patches(float*, const float*, const PatchShape&, device::Queue);
template void scatter_patches(double*, const double*, const PatchShape&, device::Queue);

void patches_kernels(std::vector<const device::KernelEntry*>& kernels) {
  kernels.push_back(elements_entry<GatherPatches<float>>());
  kernels.push_back(elements_entry<GatherPatches<double>>());
  kernels.push_back(elements_entry<ScatterPatches<float>>());
  kernels.push_back(elements_entry<ScatterPatches<double>>());
}

}  // namespace trireme::kernels
