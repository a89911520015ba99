// SPDX-License-Identifier: Apache-2.0
#include "trireme/data/synthetic.hpp"

#include "trireme/base/error.hpp"
#include "trireme/data/random.hpp"

#include <cmath>
#include <string>

namespace trireme::data {
namespace {

// Streams of a seed; a sample's own numbers are a stream of `samples`.
constexpr std::uint64_t parameters = 0x73796e7468770000u;
constexpr std::uint64_t samples = 0x73796e7468780000u;

/// The `index`-th normal number of `key`.
double normal_at(std::uint64_t key, std::uint64_t index) noexcept {
  std::uint64_t sum = 0;
  for (std::uint64_t draw = 0; draw < 3; ++draw) {
    const std::uint64_t bits = splitmix64_at(key, 3 * index + draw);
    sum += (bits & 0xffff) + (bits >> 16 & 0xffff) + (bits >> 32 & 0xffff) + (bits >> 48);
  }
  return (static_cast<double>(sum) - 6 * 65535.0) * 0x1p-16;
}

/// 1 / (1 + e^-z) to 1e-13, of additions, multiplications and divisions alone.
double logistic(double z) noexcept {
  const double size = std::fabs(z);
  if (!(size < 40)) return z > 0 ? 1.0 : 0.0;
  const double reduced = -size * 0x1p-6;
  double power = 1.0;  // e^reduced, by Horner's rule
  for (int k = 14; k > 0; --k) power = 1.0 + reduced * power / k;
  for (int k = 0; k < 6; ++k) power *= power;
  return z > 0 ? 1.0 / (1.0 + power) : power / (1.0 + power);
}

void check(const SyntheticOptions& options) {
  if (options.features == 0) fail(ErrorCode::invalid_argument, "synthetic samples of no features");
  if (options.kind == SyntheticKind::blobs && (options.classes == 0 || options.classes > std::size_t{1} << 24)) {
    fail(ErrorCode::invalid_argument,
         "synthetic blobs of " + std::to_string(options.classes) + " classes: from 1 to 2^24 are possible");
  }
  for (double deviation : {options.noise, options.separation}) {
    if (std::isfinite(deviation) && deviation >= 0) continue;
    fail(ErrorCode::invalid_argument, "noise and separation of synthetic samples are finite and not below 0");
  }
}

}  // namespace

Synthetic::Synthetic(const SyntheticOptions& options) : options_(options) {
  check(options);
  const std::uint64_t key = stream_key(options.seed, parameters);
  if (options.kind == SyntheticKind::blobs) {
    centres_.resize(options.classes * options.features);
    for (std::size_t k = 0; k < centres_.size(); ++k) centres_[k] = options.separation * normal_at(key, k);
  } else {
    weights_.resize(options.features);
    for (std::size_t k = 0; k < weights_.size(); ++k) weights_[k] = normal_at(key, k);
    bias_ = normal_at(key, options.features);
  }
}

float Synthetic::sample(std::uint64_t number, std::span<float> out) const {
  if (out.size() != options_.features) {
    fail(ErrorCode::invalid_argument, "a synthetic sample has " + std::to_string(options_.features) +
                                          " features, not " + std::to_string(out.size()));
  }
  const std::uint64_t key = stream_key(stream_key(options_.seed, samples), number);
  if (options_.kind == SyntheticKind::blobs) {
    const std::uint64_t label = number % options_.classes;
    const double* const centre = centres_.data() + label * options_.features;
    for (std::size_t j = 0; j < out.size(); ++j) {
      out[j] = static_cast<float>(centre[j] + options_.noise * normal_at(key, j));
    }
    return static_cast<float>(label);
  }
  double z = bias_;
  for (std::size_t j = 0; j < out.size(); ++j) {
    out[j] = static_cast<float>(normal_at(key, j));
    z += weights_[j] * static_cast<double>(out[j]);
  }
  if (options_.kind == SyntheticKind::linear) {
    return static_cast<float>(z + options_.noise * normal_at(key, options_.features));
  }
  return unit_interval(splitmix64_at(key, 3 * options_.features)) < logistic(z) ? 1.0f : 0.0f;
}

void Synthetic::read(std::span<const std::uint32_t> numbers, DenseTable& out) const {
  out.features = options_.features;
  out.rows = numbers.size();
  out.values.resize(numbers.size() * options_.features);
  out.labels.resize(numbers.size());
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    out.labels[i] = sample(numbers[i], std::span(out.values).subspan(i * options_.features, options_.features));
  }
}

void Synthetic::read(std::uint64_t first, std::size_t count, DenseTable& out) const {
  out.features = options_.features;
  out.rows = count;
  out.values.resize(count * options_.features);
  out.labels.resize(count);
  for (std::size_t i = 0; i < count; ++i) {
    out.labels[i] = sample(first + i, std::span(out.values).subspan(i * options_.features, options_.features));
  }
}

}  // namespace trireme::data
