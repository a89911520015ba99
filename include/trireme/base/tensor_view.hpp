// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/device.hpp"
#include "trireme/base/dtype.hpp"

#include <cstddef>
#include <span>
#include <type_traits>

namespace trireme {

/// Contiguous elements somewhere: not owned, not typed at compile time. count 0 is legal with any pointer.
struct TensorView {
  void* data = nullptr;
  std::size_t count = 0;
  DType dtype = DType::f32;
  Device device = {};

  TensorView() = default;
  TensorView(void* data_, std::size_t count_, DType dtype_, Device device_ = {})
      : data(data_), count(count_), dtype(dtype_), device(device_) {}
  template <class T>
    requires(!std::is_const_v<T>)
  TensorView(std::span<T> elements) : data(elements.data()), count(elements.size()), dtype(dtype_of<T>) {}

  std::size_t size_bytes() const { return count * size_of(dtype); }
  /// The elements as T. T must be the dtype's own type.
  template <class T>
  std::span<T> as() const {
    return {static_cast<T*>(data), count};
  }
};

/// The same, read only.
struct ConstTensorView {
  const void* data = nullptr;
  std::size_t count = 0;
  DType dtype = DType::f32;
  Device device = {};

  ConstTensorView() = default;
  ConstTensorView(const void* data_, std::size_t count_, DType dtype_, Device device_ = {})
      : data(data_), count(count_), dtype(dtype_), device(device_) {}
  ConstTensorView(const TensorView& view)
      : data(view.data), count(view.count), dtype(view.dtype), device(view.device) {}
  template <class T>
  ConstTensorView(std::span<T> elements)
      : data(elements.data()), count(elements.size()), dtype(dtype_of<std::remove_const_t<T>>) {}

  std::size_t size_bytes() const { return count * size_of(dtype); }
};

}  // namespace trireme
