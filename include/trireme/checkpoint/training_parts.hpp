// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/parameter.hpp"
#include "trireme/checkpoint/state.hpp"
#include "trireme/data/distributed_sampler.hpp"
#include "trireme/optim/loss_scaler.hpp"
#include "trireme/optim/optimizer.hpp"
#include "trireme/optim/weight_average.hpp"

#include <string>
#include <utility>
#include <vector>

namespace trireme::checkpoint {

/// The values of parameters, or of a model's values without gradients, by name.
class ParameterState final : public Stateful {
 public:
  explicit ParameterState(std::vector<Parameter> parameters) : parameters_(std::move(parameters)) {}
  void save(StateWriter& writer) const override;
  void restore(StateReader& reader) override;

 private:
  std::vector<Parameter> parameters_;
};

/// What an optimizer keeps of every parameter it has seen: `<parameter>/exp_avg`, `<parameter>/master`, its count of steps. The
/// rule itself, its learning rate and its groups are settings, and not kept: but its name, so that no other takes its state.
class OptimizerState final : public Stateful {
 public:
  explicit OptimizerState(Optimizer& optimizer) : optimizer_(optimizer) {}
  void save(StateWriter& writer) const override;
  /// Errors: invalid_argument when the checkpoint is another rule's.
  void restore(StateReader& reader) override;

 private:
  Optimizer& optimizer_;
};

/// Averages of weights, and how many values they are of.
class WeightAverageState final : public Stateful {
 public:
  explicit WeightAverageState(WeightAverage& average) : average_(average) {}
  void save(StateWriter& writer) const override;
  void restore(StateReader& reader) override;
  void restored() override;

 private:
  struct Incoming {
    std::string name;
    DType dtype;
    std::size_t count;
    std::vector<double> storage;  // 8-byte units: aligned for any dtype
  };
  WeightAverage& average_;
  std::vector<Incoming> incoming_;
  std::uint64_t incoming_updates_ = 0;
};

class LossScalerState final : public Stateful {
 public:
  explicit LossScalerState(LossScaler& scaler) : scaler_(scaler) {}
  void save(StateWriter& writer) const override;
  void restore(StateReader& reader) override;

 private:
  LossScaler& scaler_;
};

/// Which batch comes next. Errors: invalid_argument at restore when the number of samples, the batch or the seed is another.
class SamplerState final : public Stateful {
 public:
  explicit SamplerState(data::DistributedSampler& sampler) : sampler_(sampler) {}
  void save(StateWriter& writer) const override;
  void restore(StateReader& reader) override;

 private:
  data::DistributedSampler& sampler_;
};

}  // namespace trireme::checkpoint
