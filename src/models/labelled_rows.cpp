// SPDX-License-Identifier: Apache-2.0
#include "models/labelled_rows.hpp"

#include "trireme/base/error.hpp"

#include <algorithm>
#include <string>

namespace trireme::models {

void check_rows(ConstTensorView features, DType dtype, std::span<const std::uint8_t> labels, std::size_t inputs,
                std::size_t classes, std::size_t most_rows) {
  if (features.dtype != dtype) {
    fail(ErrorCode::invalid_argument, "this model takes features of " + std::string(name_of(dtype)) + ", not of " +
                                          std::string(name_of(features.dtype)));
  }
  if (labels.size() > most_rows || features.count != labels.size() * inputs) {
    fail(ErrorCode::invalid_argument, std::to_string(features.count) + " features are not " +
                                          std::to_string(labels.size()) + " rows of " + std::to_string(inputs));
  }
  const auto bad = std::find_if(labels.begin(), labels.end(), [&](std::uint8_t label) { return label >= classes; });
  if (bad != labels.end()) {
    fail(ErrorCode::invalid_argument, "label " + std::to_string(*bad) + " of row " +
                                          std::to_string(bad - labels.begin()) + " is not below " +
                                          std::to_string(classes));
  }
}

template <class T>
const T* checked_features(ConstTensorView features, std::span<const std::uint8_t> labels, std::size_t inputs,
                          std::size_t classes, std::size_t most_rows, data::AlignedBuffer<T>& copy) {
  if (features.dtype != dtype_of<T> || features.device.kind != DeviceKind::cpu) {
    fail(ErrorCode::invalid_argument, "this model takes features of " + std::string(name_of(dtype_of<T>)) +
                                          " in host memory, not of " + std::string(name_of(features.dtype)));
  }
  check_rows(features, dtype_of<T>, labels, inputs, classes, most_rows);
  const T* data = static_cast<const T*>(features.data);
  if (reinterpret_cast<std::uintptr_t>(data) % data::AlignedBuffer<T>::alignment == 0 || features.count == 0) {
    return data;
  }
  copy.ensure(features.count);
  std::copy_n(data, features.count, copy.data());
  return copy.data();
}

void check_losses(std::span<const double> losses, std::size_t rows) {
  if (!losses.empty() && losses.size() != rows) {
    fail(ErrorCode::invalid_argument,
         "room for " + std::to_string(losses.size()) + " losses, but there are " + std::to_string(rows) + " rows");
  }
}

template const float* checked_features(ConstTensorView, std::span<const std::uint8_t>, std::size_t, std::size_t,
                                       std::size_t, data::AlignedBuffer<float>&);
template const double* checked_features(ConstTensorView, std::span<const std::uint8_t>, std::size_t, std::size_t,
                                        std::size_t, data::AlignedBuffer<double>&);

}  // namespace trireme::models
