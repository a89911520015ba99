// SPDX-License-Identifier: Apache-2.0
#include "kernels/plane_convolution/reference.hpp"

#include "kernels/pooled_relu/reference.hpp"

#include <algorithm>
#include <vector>

namespace trireme::kernels::reference {
namespace {

template <class T>
T pixel(const T* image, const PlaneShape& s, std::size_t y, std::size_t x) {  // each one further down or right
  const bool inside = y >= 1 && x >= 1 && y <= s.height && x <= s.width;
  return inside ? image[(y - 1) * s.width + x - 1] : T{0};
}

}  // namespace

template <class T>
void plane_convolution(T* y, PoolPlace* places, const T* x, const T* weight, const T* bias, const PlaneShape& s, T*) {
  std::vector<T> z(s.images * s.height * s.width * s.outputs);
  std::size_t element = 0;
  for (std::size_t n = 0; n < s.images; ++n) {
    for (std::size_t i = 0; i < s.height; ++i) {
      for (std::size_t j = 0; j < s.width; ++j) {
        for (std::size_t o = 0; o < s.outputs; ++o, ++element) {
          for (std::size_t t = 0; t < 9; ++t) {
            z[element] += weight[9 * o + t] * pixel(x + n * s.height * s.width, s, i + t / 3, j + t % 3);
          }
        }
      }
    }
  }
  pooled_relu(y, places, z.data(), bias, {s.images, s.height, s.width, s.outputs});
}

template <class T>
void plane_gradients(T* weights, T* biases, const T* x, const T* dy, const PoolPlace* places, const PlaneShape& s, T*) {
  std::fill_n(weights, s.images * s.outputs * 9, T{0});
  std::fill_n(biases, s.images * s.outputs, T{0});
  std::size_t element = 0;
  for (std::size_t n = 0; n < s.images; ++n) {
    for (std::size_t i = 0; i < s.height / 2; ++i) {
      for (std::size_t j = 0; j < s.width / 2; ++j) {
        for (std::size_t o = 0; o < s.outputs; ++o, ++element) {
          biases[n * s.outputs + o] += places[element] == nowhere ? T{0} : dy[element];
          for (std::size_t q = 0; q < 4; ++q) {
            const T derivative = places[element] == q ? dy[element] : T{0};
            for (std::size_t t = 0; t < 9; ++t) {
              const T value = pixel(x + n * s.height * s.width, s, 2 * i + q / 2 + t / 3, 2 * j + q % 2 + t % 3);
              weights[(n * s.outputs + o) * 9 + t] += derivative * value;
            }
          }
        }
      }
    }
  }
}

template void plane_convolution(float*, PoolPlace*, const float*, const float*, const float*, const PlaneShape&,
                                float*);
template void plane_convolution(double*, PoolPlace*, const double*, const double*, const double*, const PlaneShape&,
                                double*);
template void plane_gradients(float*, float*, const float*, const float*, const PoolPlace*, const PlaneShape&, float*);
template void plane_gradients(double*, double*, const double*, const double*, const PoolPlace*, const PlaneShape&,
                              double*);

}  // namespace trireme::kernels::reference
