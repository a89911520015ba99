// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/parameter.hpp"
#include "trireme/checkpoint/state.hpp"
#include "trireme/data/distributed_sampler.hpp"
#include "trireme/optim/loss_scaler.hpp"
#include "trireme/optim/optimizer.hpp"
#include "trireme/optim/weight_average.hpp"

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace trireme::checkpoint {

/// The values of parameters, or of a model's values without gradients (running statistics), by name.
class ParameterState final : public Stateful {
 public:
  /// The list is copied; the values must outlive this.
  explicit ParameterState(std::span<const Parameter> parameters) : parameters_(parameters.begin(), parameters.end()) {}
  void save(StateWriter& writer) const override;
  /// Errors: invalid_argument when number, names, shapes or dtypes are others.
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

/// Which batch comes next: after a step's apply() or done() the one behind it. Errors: invalid_argument at restore when the number of samples, the batch or the seed is another.
class SamplerState final : public Stateful {
 public:
  explicit SamplerState(data::DistributedSampler& sampler) : sampler_(sampler) {}
  void save(StateWriter& writer) const override;
  void restore(StateReader& reader) override;

 private:
  data::DistributedSampler& sampler_;
};

/// A number of a loop's own, by name.
struct Counter {
  Counter(std::string its_name, std::uint64_t& its_number) : name(std::move(its_name)), number(&its_number) {}
  Counter(std::string its_name, double& its_number) : name(std::move(its_name)), number(&its_number) {}
  std::string name;
  std::variant<std::uint64_t*, double*> number;
};

/// What a loop counts by itself, the same on every rank: steps done, the best loss so far, a learning rate that follows it.
///
///     std::uint64_t step = 0;
///     double best_loss = 1e300;
///     checkpoint::CounterState counters{{"step", step}, {"best_loss", best_loss}};
class CounterState final : public Stateful {
 public:
  /// The numbers must outlive this.
  CounterState(std::initializer_list<Counter> counters) : counters_(counters) {}
  void save(StateWriter& writer) const override;
  /// Errors: invalid_argument, naming it, for a number that the checkpoint does not have, or has as one of another kind.
  void restore(StateReader& reader) override;

 private:
  std::vector<Counter> counters_;
};

}  // namespace trireme::checkpoint
