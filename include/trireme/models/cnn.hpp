// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/models/image_classifier.hpp"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace trireme::models {

struct CnnOptions {
  ImageExtent input{28, 28, 1};
  std::vector<std::size_t> convolutions{16, 32};  ///< channels of each
  std::vector<std::size_t> hidden{128};           ///< units of each dense layer before the last
  std::size_t classes = 10;
  std::uint64_t seed = 0;
  std::size_t rows = 64;  ///< samples per call to make room for; a larger call grows the workspace
};

/// A plain convolutional classifier with a hand-written backward pass: for each of `convolutions` a 3 x 3 convolution, relu
/// and the greatest of every 2 x 2 pixels; then dense layers with relu, the last without; mean cross-entropy of the
/// softmax.
/// Shape:   features rows x height x width x channels. Parameters "conv0.weight" {channels, 3, 3, input's channels},
///          "conv0.bias" {channels}, …, "dense0.weight" {units, inputs}, "dense0.bias" {units}, …
/// Start:   uniform in (-1/sqrt(inputs), 1/sqrt(inputs)) of each unit's inputs, PyTorch's default; element by element as in
///          Mlp.
/// Cost:    6 flops per weight and pixel it meets, less 2 for the first layer; no heap in a call whose rows fit the
///          workspace.
template <class T>
class Cnn final : public ImageClassifier<T> {
 public:
  /// Errors: invalid_argument for extents of 0, images that pooling leaves nothing of, and classes other than 2 to 256.
  explicit Cnn(const CnnOptions& options);
};

extern template class Cnn<float>;
extern template class Cnn<double>;

}  // namespace trireme::models
