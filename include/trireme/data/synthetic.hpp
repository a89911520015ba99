// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/data/rows.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace trireme::data {

/// What made-up samples are of.
enum class SyntheticKind : std::uint8_t {
  linear,    ///< label = w . x + b + noise n, n normal
  logistic,  ///< label 1 with probability 1 / (1 + e^-(w . x + b)), else 0
  blobs,     ///< label = sample mod classes; x = the centre of that class + noise n, n normal for every feature
};

struct SyntheticOptions {
  SyntheticKind kind = SyntheticKind::linear;
  std::size_t features = 8;
  std::size_t classes = 2;  ///< of blobs, from 1
  double noise = 0.1;       ///< deviation of the noise, from 0; of linear and blobs
  double separation = 4.0;  ///< deviation of the centres of blobs
  std::uint64_t seed = 0;
};

/// Samples without a file, whose answer is known: each is a function of the options and its number alone, so there are
/// as many as one asks for, in any order, on any rank, with the same bits on every processor. "Normal" is the sum of
/// twelve uniform numbers of 16 bits less 6: mean 0, deviation 1 (to 2^-33), nothing beyond 6, integers until the end.
/// Order:   w . x is summed in f64 in ascending order, from b; what is written is rounded once to f32.
/// Threads: any number at a time.
class Synthetic {
 public:
  /// Errors: invalid_argument for no features, blobs of no classes or of more than 2^24, a noise or separation below 0
  ///         or not finite.
  explicit Synthetic(const SyntheticOptions& options);

  const SyntheticOptions& options() const { return options_; }
  /// w of linear and logistic, normal; empty of blobs.
  std::span<const double> weights() const { return weights_; }
  /// b of linear and logistic, normal.
  double bias() const { return bias_; }
  /// Of blobs: classes x features.
  std::span<const double> centres() const { return centres_; }

  /// Writes the features of a sample and gives its label.  Shape: out.size() == features.
  float sample(std::uint64_t number, std::span<float> out) const;
  /// Puts samples numbers[0], numbers[1], … into `out`, in place of what it held.
  void read(std::span<const std::uint32_t> numbers, DenseTable& out) const;
  /// Puts samples first to first + count - 1 there.
  void read(std::uint64_t first, std::size_t count, DenseTable& out) const;

 private:
  SyntheticOptions options_;
  std::vector<double> weights_;
  double bias_ = 0.0;
  std::vector<double> centres_;
};

}  // namespace trireme::data
