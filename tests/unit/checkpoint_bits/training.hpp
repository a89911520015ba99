// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "support/require.hpp"
#include "trireme/checkpoint/training_parts.hpp"
#include "trireme/models/weights_hash.hpp"
#include "trireme/optim/schedule.hpp"
#include "trireme/parallel/data_parallel.hpp"
#include "trireme/world/world.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace trireme::testing {

/// A training loop with all that a checkpoint must carry, on one rank.
class Training {
 public:
  /// How many steps are done; false: the loop is left.
  using AfterStep = std::function<bool(std::uint64_t)>;
  virtual ~Training() = default;
  virtual void add_to(checkpoint::TrainingState& state) = 0;
  /// From where it stands to the last step.
  virtual void run(const AfterStep& after_step) = 0;
  /// Everything whose bits the next steps depend on, and which samples the next one takes.
  virtual std::string bits() = 0;
};
using MakeTraining = std::function<std::unique_ptr<Training>(World&)>;

/// What a model of these tests does in a step.
struct LeafPlace {
  std::uint64_t step = 0;       ///< of the training
  std::uint64_t first_row = 0;  ///< in the global batch
  double scale = 1.0;           ///< of the loss
};

struct TrainingSettings {
  std::size_t samples = 37;  ///< batches of 10, 10, 10 and 7: unequal leaves, and an empty one
  std::size_t batch = 10;
  std::uint64_t steps = 8;  ///< two epochs
  int leaves = 8;
  double clip_norm = 2.0;
  bool scales_loss = false;
  WeightAverageOptions average{};
  std::vector<std::string> row_sparse{};
};

/// `Model`: parameters(), buffers(), begin_step(batch), pass(shard, place), end_step(communicator, leaves).
template <class Model>
class TrainingOf final : public Training {
 public:
  template <class Build>
  TrainingOf(World& world, const Build& build, std::unique_ptr<Optimizer> optimizer, const TrainingSettings& settings)
      : settings_(settings),
        model_(build(world)),
        optimizer_(std::move(optimizer)),
        average_(settings.average),
        scaler_({.initial = 256, .interval = 2}),
        data_parallel_(
            world.communicator(), model_->parameters(),
            {.bucket_bytes = Bytes{2048}, .logical_shards = settings.leaves, .row_sparse = settings.row_sparse}),
        sampler_({.count = settings.samples, .global_batch = settings.batch, .seed = 5}),
        schedule_({.kind = ScheduleKind::cosine, .warmup_steps = 2, .total_steps = settings.steps + 1}),
        rate_(optimizer_->learning_rate()),
        parameters_(model_->parameters()),
        buffers_(model_->buffers()) {
    optimizer_->add_group({.name = "slow", .parameters = {"*bias", "last"}, .learning_rate_scale = 0.5});
  }

  void add_to(checkpoint::TrainingState& state) override {
    state.add("model", parameters_);
    state.add("buffers", buffers_);
    state.add("optimizer", optimizer_state_);
    state.add("average", average_state_);
    state.add("scaler", scaler_state_);
    state.add("sampler", sampler_state_);
    state.add("loop", counters_);
  }

  void run(const AfterStep& after_step) override {
    while (done_ < settings_.steps) {
      for (auto& step : data_parallel_.steps(sampler_)) {
        const auto* const batch = sampler_.batch().data();
        model_->begin_step(step.batch_size());
        for (auto& shard : step.shards()) {
          const auto first_row = static_cast<std::uint64_t>(shard.samples().data() - batch);
          model_->pass(shard, {done_, first_row, settings_.scales_loss ? scaler_.scale() : 1.0});
        }
        require(step.reduce() == StepOutcome::ready, "a step is ready");
        optimizer_->set_learning_rate(rate_ * schedule_.factor(done_ + 1));
        const auto outcome = step.apply(
            *optimizer_, {.clip_norm = settings_.clip_norm, .loss_scaler = settings_.scales_loss ? &scaler_ : nullptr});
        Communicator communicator = data_parallel_.communicator();
        model_->end_step(communicator, settings_.leaves);
        if (outcome == ApplyOutcome::applied) average_.update(model_->parameters());
        ++done_;
        rates_ += optimizer_->learning_rate();
        if (!after_step(done_) || done_ == settings_.steps) return;
      }
    }
  }

  std::string bits() override {
    std::string all = models::weights_hash(model_->parameters());
    const auto add = [&](const ConstTensorView& view) {
      if (view.size_bytes() != 0) all.append(static_cast<const char*>(view.data), view.size_bytes());
    };
    for (const Parameter& each : model_->parameters()) add(each.value);
    for (const Parameter& each : model_->buffers()) add(each.value);
    for (const auto& [name, state] : optimizer_->states()) {
      const auto saved = optimizer_->saved(name);
      all += name + ' ' + std::to_string(saved.steps) + ' ' + std::to_string(saved.shape.rows);
      for (const auto& [tensor_name, tensor] : saved.tensors) {
        all += tensor_name;
        add(tensor);
      }
    }
    all += " average " + std::to_string(average_.updates());
    for (const std::string& name : average_.names()) {
      all += name;
      add(average_.average(name));
    }
    const LossScaler::State& scaler = scaler_.state();
    all += " scaler " + std::to_string(scaler.scale) + ' ' + std::to_string(scaler.finite_steps) + ' ' +
           std::to_string(scaler.skipped);
    all += " step " + std::to_string(done_) + " rates " + std::to_string(rates_) + " epoch " +
           std::to_string(sampler_.cursor().epoch) + " samples";
    for (const std::uint32_t sample : sampler_.batch()) all += ' ' + std::to_string(sample);
    return all;
  }

 private:
  TrainingSettings settings_;
  std::unique_ptr<Model> model_;
  std::unique_ptr<Optimizer> optimizer_;
  WeightAverage average_;
  LossScaler scaler_;
  DataParallel data_parallel_;
  DistributedSampler sampler_;
  Schedule schedule_;
  double rate_ = 0.0;
  std::uint64_t done_ = 0;
  double rates_ = 0.0;

  checkpoint::ParameterState parameters_, buffers_;
  checkpoint::OptimizerState optimizer_state_{*optimizer_};
  checkpoint::WeightAverageState average_state_{average_};
  checkpoint::LossScalerState scaler_state_{scaler_};
  checkpoint::SamplerState sampler_state_{sampler_};
  checkpoint::CounterState counters_{{"step", done_}, {"rates", rates_}};
};

/// Training of what `build` makes on a rank, with what `make_optimizer` makes.
template <class Model, class MakeOptimizer, class Build>
MakeTraining training_of(MakeOptimizer make_optimizer, TrainingSettings settings, Build build) {
  return [=](World& world) -> std::unique_ptr<Training> {
    return std::make_unique<TrainingOf<Model>>(world, build, make_optimizer(), settings);
  };
}

}  // namespace trireme::testing
