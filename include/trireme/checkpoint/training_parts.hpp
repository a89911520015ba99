// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/parameter.hpp"
#include "trireme/checkpoint/state.hpp"
#include "trireme/data/distributed_sampler.hpp"
#include "trireme/layout/interval.hpp"
#include "trireme/layout/ownership.hpp"
#include "trireme/optim/loss_scaler.hpp"
#include "trireme/optim/optimizer.hpp"
#include "trireme/optim/weight_average.hpp"

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace trireme::checkpoint {

/// Which elements of a parameter this rank owns, where ranks own parts of parameters: DataParallel::owned(). They are saved as
/// parts, and a checkpoint of whole parameters or of any other parts is loaded into them; one of parts is loaded whole by who
/// gives no such function.
using OwnedElements = std::function<layout::Interval(std::string_view parameter)>;

/// Whether what this rank owns is saved by it. All ranks together save every element once: where several own the same (groups that
/// each have all), only those of the first group do.
enum class SavesOwned : unsigned char { yes, no };

/// The values of parameters, or of a model's values without gradients (running statistics), by name.
class ParameterState final : public Stateful {
 public:
  /// The list is copied; the values must outlive this.
  explicit ParameterState(std::span<const Parameter> parameters) : parameters_(parameters.begin(), parameters.end()) {}
  /// The same of which each value is this rank's part: the elements that it owns; the shape is the whole's.
  ParameterState(std::span<const Parameter> parameters, OwnedElements owned, SavesOwned saves = SavesOwned::yes)
      : parameters_(parameters.begin(), parameters.end()), owned_(std::move(owned)), saves_(saves) {}
  /// The same of what DataParallel::ownership() says; at stage 3 `parameters` are its owned_parameters(), below 3 values are
  /// whole, and this form is not for them.
  ParameterState(std::span<const Parameter> parameters, const layout::Ownership& ownership)
      : ParameterState(parameters, ownership.owned, ownership.saves ? SavesOwned::yes : SavesOwned::no) {
    alike_ = ownership.alike;
  }
  /// Errors: invalid_argument when a part is not what this rank owns.
  void save(StateWriter& writer) const override;
  /// Errors: invalid_argument when number, names, shapes or dtypes are others, or a part is not what this rank owns.
  void restore(StateReader& reader) override;

 private:
  layout::Interval part_of(const Parameter& parameter) const;

  std::vector<Parameter> parameters_;
  OwnedElements owned_;  // empty: values are whole
  SavesOwned saves_ = SavesOwned::yes;
  std::function<bool(std::string_view parameter)> alike_;  // empty: none are
};

/// What an optimizer keeps of every parameter it has seen: `<parameter>/exp_avg`, `<parameter>/master`, its count of steps. The
/// rule itself, its learning rate and its groups are settings, and not kept: but its name, so that no other takes its state.
class OptimizerState final : public Stateful {
 public:
  explicit OptimizerState(Optimizer& optimizer) : optimizer_(optimizer) {}
  /// Of what DataParallel::ownership() says, at any stage of ZeRO: the form for programs whose stage is a setting.
  OptimizerState(Optimizer& optimizer, const layout::Ownership& ownership)
      : OptimizerState(optimizer, ownership.owned, ownership.saves ? SavesOwned::yes : SavesOwned::no,
                       ownership.alike) {}
  /// The same of parts of parameters. Every rank's optimizer knows all parameters, empty parts included. `alike`: which of them
  /// every rank has whole, and alike (row-sparse ones): one of all saves each; none given: no parameter is.
  OptimizerState(Optimizer& optimizer, OwnedElements owned, SavesOwned saves = SavesOwned::yes,
                 std::function<bool(std::string_view parameter)> alike = {})
      : optimizer_(optimizer), owned_(std::move(owned)), saves_(saves), alike_(std::move(alike)) {}
  /// Errors: invalid_argument when the optimizer has other parts than this rank owns.
  void save(StateWriter& writer) const override;
  /// Errors: invalid_argument when the checkpoint is another rule's.
  void restore(StateReader& reader) override;

 private:
  Optimizer& optimizer_;
  OwnedElements owned_;  // empty: states are whole
  SavesOwned saves_ = SavesOwned::yes;
  std::function<bool(std::string_view parameter)> alike_;  // empty: none are
};

/// Averages of weights, and how many values they are of.
class WeightAverageState final : public Stateful {
 public:
  explicit WeightAverageState(WeightAverage& average) : average_(average) {}
  /// The same of parts of parameters.
  WeightAverageState(WeightAverage& average, OwnedElements owned, SavesOwned saves = SavesOwned::yes)
      : average_(average), owned_(std::move(owned)), saves_(saves) {}
  /// Errors: invalid_argument when the averages are of other parts than this rank owns.
  void save(StateWriter& writer) const override;
  void restore(StateReader& reader) override;
  void restored() override;

 private:
  struct Incoming {
    std::string name;
    DType dtype;
    std::size_t count;
    WeightAverage::Place place;
    std::vector<double> storage;  // 8-byte units: aligned for any dtype
  };
  WeightAverage& average_;
  OwnedElements owned_;  // empty: averages are whole
  SavesOwned saves_ = SavesOwned::yes;
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
