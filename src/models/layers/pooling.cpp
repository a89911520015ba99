// SPDX-License-Identifier: Apache-2.0
#include "models/layers/pooling.hpp"

#include "kernels/pooling/pooling.hpp"

namespace trireme::models::layers {
namespace {

kernels::PoolShape pool_shape(const ImageExtent& input, std::size_t images) {
  return {.images = images, .height = input.height, .width = input.width, .channels = input.channels};
}

}  // namespace

template <class T>
T* MeanPool<T>::forward(const T* x, std::size_t rows, Pass) {
  kernels::mean_pool(y_.data(), x, pool_shape(input_, rows));
  return y_.data();
}

template <class T>
void MeanPool<T>::backward(const T*, T* dy, T* dx, std::size_t rows, const Classifier::Listener&) {
  if (dx != nullptr) kernels::mean_pool_backward<T>(dx, dy, pool_shape(input_, rows));
}

template class MeanPool<float>;
template class MeanPool<double>;

}  // namespace trireme::models::layers
