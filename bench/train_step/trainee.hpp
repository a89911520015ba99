// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bench/train_step/options.hpp"
#include "trireme/base/parameter.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace trireme::bench {

/// What the benchmark trains: a model together with data in memory. A sample is an image, or a row of text.
class Trainee {
 public:
  virtual ~Trainee() = default;
  virtual std::string data() const = 0;
  virtual std::size_t samples() const = 0;
  virtual const std::vector<Parameter>& parameters() const = 0;
  virtual void use_gradients(std::span<const Parameter> parameters) = 0;
  /// Makes these samples the batch of the next pass, by the calling thread.
  virtual void gather(std::span<const std::uint32_t> samples) = 0;
  /// Forward and backward over the batch gathered last; the loss.
  virtual double pass(const std::function<void(std::size_t parameter)>& ready) = 0;
};

/// An image classifier of Fashion-MNIST's shape (MLP 784-512-512-10, or CNN with 16 and 32 channels and 128 units) or a
/// transformer of 6 layers, 384 channels, 6 heads and context 128 over bytes.
/// Errors: those of load_training_data.
std::unique_ptr<Trainee> make_trainee(const TrainStepOptions& options);

}  // namespace trireme::bench
