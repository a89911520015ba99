// SPDX-License-Identifier: Apache-2.0
#include "kernels/pooled_relu/reference.hpp"

namespace trireme::kernels::reference {
namespace {

/// Calls visit(element of the output, its channel, the window's four elements of x) for every output.
template <class Visit>
void for_each_window(const PoolShape& s, Visit visit) {
  std::size_t element = 0;
  for (std::size_t n = 0; n < s.images; ++n) {
    for (std::size_t i = 0; i < s.height / 2; ++i) {
      for (std::size_t j = 0; j < s.width / 2; ++j) {
        for (std::size_t c = 0; c < s.channels; ++c, ++element) {
          std::size_t from[4];
          for (std::size_t q = 0; q < 4; ++q) {
            from[q] = ((n * s.height + 2 * i + q / 2) * s.width + 2 * j + q % 2) * s.channels + c;
          }
          visit(element, c, from);
        }
      }
    }
  }
}

}  // namespace

template <class T>
void pooled_relu(T* y, PoolPlace* places, const T* x, const T* bias, const PoolShape& shape) {
  for_each_window(shape, [&](std::size_t element, std::size_t c, const std::size_t* from) {
    PoolPlace place = 0;
    for (PoolPlace q = 1; q < 4; ++q) {
      if (x[from[q]] > x[from[place]] || x[from[q]] != x[from[q]]) place = q;
    }
    const T sum = x[from[place]] + bias[c];
    y[element] = sum < T{0} ? T{0} : sum;
    places[element] = sum > T{0} ? place : nowhere;
  });
}

template <class T>
void pooled_relu_mask(T* dy, const PoolPlace* places, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) dy[i] = places[i] == nowhere ? T{0} : dy[i];
}

template <class T>
void pooled_relu_backward(T* dx, const T* dy, const PoolPlace* places, const PoolShape& shape) {
  for (std::size_t i = 0; i < shape.images * shape.height * shape.width * shape.channels; ++i) dx[i] = T{0};
  for_each_window(shape, [&](std::size_t element, std::size_t, const std::size_t* from) {
    if (places[element] != nowhere) dx[from[places[element]]] = dy[element];
  });
}

template void pooled_relu(float*, PoolPlace*, const float*, const float*, const PoolShape&);
template void pooled_relu(double*, PoolPlace*, const double*, const double*, const PoolShape&);
template void pooled_relu_mask(float*, const PoolPlace*, std::size_t);
template void pooled_relu_mask(double*, const PoolPlace*, std::size_t);
template void pooled_relu_backward(float*, const float*, const PoolPlace*, const PoolShape&);
template void pooled_relu_backward(double*, const double*, const PoolPlace*, const PoolShape&);

}  // namespace trireme::kernels::reference
