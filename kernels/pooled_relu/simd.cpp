// SPDX-License-Identifier: Apache-2.0
#include "kernels/pooled_relu/simd.hpp"

#include "kernels/lanes.hpp"

namespace trireme::kernels::TRIREME_KERNELS_ISA {
namespace {

/// The elements of a window begin at from[0 .. 3].
template <class T>
void pool_window(T* y, PoolPlace* places, const T* const* from, const T* bias, std::size_t channels) {
  using L = Lanes<T>;
  using Values = typename L::Values;
  using Masks = typename L::Masks;
  std::size_t c = 0;
  for (; c + L::count <= channels; c += L::count) {
    Values greatest = *reinterpret_cast<const typename L::AnyValues*>(from[0] + c);
    Masks place = {};
    for (int q = 1; q < 4; ++q) {
      const Values value = *reinterpret_cast<const typename L::AnyValues*>(from[q] + c);
      const Masks wins = (Masks)(value > greatest) | (Masks)(value != value);
      greatest = (Values)((wins & (Masks)value) | (~wins & (Masks)greatest));
      place = (wins & q) | (~wins & place);
    }
    const Values sum = greatest + *reinterpret_cast<const typename L::AnyValues*>(bias + c);
    const Masks passes = (Masks)(sum > T{0});
    const Masks cut = (Masks)(sum < T{0});
    place = (passes & place) | (~passes & static_cast<int>(nowhere));
    *reinterpret_cast<typename L::AnyValues*>(y + c) = (Values)(~cut & (Masks)sum);
    L::store_bytes(places + c, place);
  }
  for (; c < channels; ++c) {
    T greatest = from[0][c];
    PoolPlace place = 0;
    for (PoolPlace q = 1; q < 4; ++q) {
      const T value = from[q][c];
      const bool wins = (value > greatest) | (value != value);
      greatest = wins ? value : greatest;
      place = wins ? q : place;
    }
    const T sum = greatest + bias[c];
    y[c] = sum < T{0} ? T{0} : sum;
    places[c] = sum > T{0} ? place : nowhere;
  }
}

template <class T>
void spread_window(T* const* to, const T* dy, const PoolPlace* places, std::size_t channels) {
  using L = Lanes<T>;
  using Values = typename L::Values;
  using Masks = typename L::Masks;
  std::size_t c = 0;
  for (; c + L::count <= channels; c += L::count) {
    const Values value = *reinterpret_cast<const typename L::AnyValues*>(dy + c);
    Masks place;
    L::load_bytes(place, places + c);
    for (int q = 0; q < 4; ++q) {
      *reinterpret_cast<typename L::AnyValues*>(to[q] + c) = (Values)((Masks)(place == q) & (Masks)value);
    }
  }
  for (; c < channels; ++c) {
    for (PoolPlace q = 0; q < 4; ++q) to[q][c] = places[c] == q ? dy[c] : T{0};
  }
}

/// Calls visit(first element of the output, first elements of the window in x) for every window.
template <class Visit>
void for_each_window(const PoolShape& s, Visit visit) {
  const std::size_t channels = s.channels;
  const std::size_t row = s.width * channels;
  std::size_t output = 0;
  for (std::size_t n = 0; n < s.images; ++n) {
    for (std::size_t i = 0; i < s.height / 2; ++i) {
      std::size_t upper = (n * s.height + 2 * i) * row;
      for (std::size_t j = 0; j < s.width / 2; ++j, output += channels, upper += 2 * channels) {
        visit(output, upper, upper + row);
      }
    }
  }
}

template <class T>
void pooled_relu_of(T* y, PoolPlace* places, const T* x, const T* bias, const PoolShape& s) {
  const std::size_t channels = s.channels;
  for_each_window(s, [=](std::size_t output, std::size_t upper, std::size_t lower) {
    const T* from[4] = {x + upper, x + upper + channels, x + lower, x + lower + channels};
    pool_window(y + output, places + output, from, bias, channels);
  });
}

template <class T>
void pooled_relu_mask_of(T* dy, const PoolPlace* places, std::size_t count) {
  using L = Lanes<T>;
  using Values = typename L::Values;
  using Masks = typename L::Masks;
  std::size_t i = 0;
  for (; i + L::count <= count; i += L::count) {
    Masks place;
    L::load_bytes(place, places + i);
    const Values value = *reinterpret_cast<const typename L::AnyValues*>(dy + i);
    *reinterpret_cast<typename L::AnyValues*>(dy + i) =
        (Values)((Masks)(place != static_cast<int>(nowhere)) & (Masks)value);
  }
  for (; i < count; ++i) dy[i] = places[i] == nowhere ? T{0} : dy[i];
}

template <class T>
void pooled_relu_backward_of(T* dx, const T* dy, const PoolPlace* places, const PoolShape& s) {
  const std::size_t channels = s.channels;
  if (s.height % 2 != 0 || s.width % 2 != 0) {
    const std::size_t count = s.images * s.height * s.width * channels;
    for (std::size_t i = 0; i < count; ++i) dx[i] = T{0};
  }
  for_each_window(s, [=](std::size_t output, std::size_t upper, std::size_t lower) {
    T* to[4] = {dx + upper, dx + upper + channels, dx + lower, dx + lower + channels};
    spread_window(to, dy + output, places + output, channels);
  });
}

}  // namespace

void pooled_relu(float* y, PoolPlace* places, const float* x, const float* bias, const PoolShape& shape) noexcept {
  pooled_relu_of(y, places, x, bias, shape);
}
void pooled_relu_mask(float* dy, const PoolPlace* places, std::size_t count) noexcept {
  pooled_relu_mask_of(dy, places, count);
}
void pooled_relu_backward(float* dx, const float* dy, const PoolPlace* places, const PoolShape& shape) noexcept {
  pooled_relu_backward_of(dx, dy, places, shape);
}
void pooled_relu(double* y, PoolPlace* places, const double* x, const double* bias, const PoolShape& shape) noexcept {
  pooled_relu_of(y, places, x, bias, shape);
}
void pooled_relu_mask(double* dy, const PoolPlace* places, std::size_t count) noexcept {
  pooled_relu_mask_of(dy, places, count);
}
void pooled_relu_backward(double* dx, const double* dy, const PoolPlace* places, const PoolShape& shape) noexcept {
  pooled_relu_backward_of(dx, dy, places, shape);
}

}  // namespace trireme::kernels::TRIREME_KERNELS_ISA
