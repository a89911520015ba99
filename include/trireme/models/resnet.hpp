// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/models/image_classifier.hpp"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace trireme::models {

struct ResNetOptions {
  ImageExtent input{28, 28, 1};
  std::vector<std::size_t> stages{16, 32, 64};  ///< channels of each
  std::size_t blocks = 1;                       ///< per stage
  std::size_t classes = 10;
  double momentum = 0.1;  ///< share of a step's mean and variance in the running ones
  double epsilon = 1e-5;  ///< added to variances
  std::uint64_t seed = 0;
  std::size_t rows = 64;  ///< samples per call to make room for; a larger call grows the workspace
};

/// A residual network with a hand-written backward pass: a 3 x 3 convolution, batch normalisation and relu with the channels of
/// the first stage; stages of basic blocks, each but the first beginning with a stride of 2; the mean over pixels; a dense
/// layer; mean cross-entropy of the softmax.
/// Shape:   features rows x height x width x channels. Parameters "stem.conv.weight", "stem.norm.gain", "stem.norm.shift",
///          "stage0.block0.conv0.weight", …, "head.weight", "head.bias"; convolutions {channels, 3, 3, input's channels}
///          and without bias. Buffers "….running_mean", "….running_variance" of every norm.
/// Start:   convolutions uniform with variance 2/inputs, gains 1, shifts 0, the head uniform in (-1/sqrt(inputs),
///          1/sqrt(inputs)); element by element as in Mlp.
/// Order:   a call's samples are one leaf, over which batch normalisation takes mean and variance, so that the bits do not depend on
///          the number of ranks; use_statistics_exchange() takes them over all ranks' samples instead.
/// Cost:    6 flops per weight and pixel it meets, less 2 for the first layer; no heap in a call whose rows fit the
///          workspace.
/// Source:  He, Zhang, Ren, Sun, "Deep residual learning for image recognition", CVPR 2016.
template <class T>
class ResNet final : public ImageClassifier<T> {
 public:
  /// Errors: invalid_argument for extents of 0, no stage or block, classes other than 2 to 256, momentum outside [0, 1] and
  ///         epsilon not above 0.
  explicit ResNet(const ResNetOptions& options);
};

extern template class ResNet<float>;
extern template class ResNet<double>;

}  // namespace trireme::models
