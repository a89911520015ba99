// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "field.hpp"
#include "kernels/cast/reference.hpp"
#include "trireme/base/parameter_access.hpp"
#include "trireme/optim/adamw.hpp"
#include "trireme/optim/loss_scaler.hpp"
#include "trireme/parallel/data_parallel.hpp"
#include "trireme/world/run_ranks.hpp"

#include <array>
#include <cmath>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace trireme::testing {

/// A parameter of a MixedField.
struct MixedParameter {
  std::vector<std::int64_t> shape;
  DType value = DType::f32;
  DType gradient = DType::f32;
  std::size_t count() const {
    std::size_t all = 1;
    for (const auto extent : shape) all *= static_cast<std::size_t>(extent);
    return all;
  }
};

/// A Field of parameters of several types, whose gradients may be wanted elsewhere than in its own memory.
class MixedField {
 public:
  explicit MixedField(const std::vector<MixedParameter>& list, bool own_gradients = true) : list_(list) {
    std::vector<std::size_t> counts;
    for (const MixedParameter& each : list) counts.push_back(each.count());
    const Field<double> start(counts);
    for (std::size_t p = 0; p < list.size(); ++p) {
      values_.emplace_back(counts[p] * size_of(list[p].value));
      gradients_.emplace_back(own_gradients ? counts[p] * size_of(list[p].gradient) : 0);
      for (std::size_t e = 0; e < counts[p]; ++e)
        kernels::reference::store(values_[p].data(), list[p].value, e, start.value(p)[e]);
      parameters_.push_back({"parameter" + std::to_string(p), list[p].shape,
                             TensorView(values_[p].data(), counts[p], list[p].value),
                             TensorView(own_gradients ? gradients_[p].data() : nullptr, counts[p], list[p].gradient)});
    }
  }
  MixedField(const MixedField&) = delete;
  MixedField& operator=(const MixedField&) = delete;

  const std::vector<Parameter>& parameters() const { return parameters_; }
  void use_gradients(const std::vector<Parameter>& parameters) {
    for (std::size_t p = 0; p < parameters_.size(); ++p) parameters_[p].gradient = parameters[p].gradient;
  }
  /// The gradient of the loss times `scale` over `samples`, written to `to`.
  void backward(std::size_t p, std::span<const std::uint32_t> samples, double scale, const TensorView& to) const {
    for (std::size_t e = 0; e < parameters_[p].value.count; ++e) {
      const auto value = static_cast<float>(kernels::reference::load(values_[p].data(), parameters_[p].value.dtype, e));
      const double g = scale * static_cast<double>(Field<float>::gradient_of(p, e, value, samples));
      // Rounded as its own gradient would be, wherever it goes.
      std::array<std::byte, 8> rounded{};
      kernels::reference::store(rounded.data(), list_[p].gradient, 0, g);
      kernels::reference::store(to.data, to.dtype, e, kernels::reference::load(rounded.data(), list_[p].gradient, 0));
    }
  }
  std::string bytes() const {
    std::string all;
    for (const auto& each : values_) all.append(reinterpret_cast<const char*>(each.data()), each.size());
    return all;
  }

 private:
  std::vector<MixedParameter> list_;
  std::vector<std::vector<std::byte>> values_, gradients_;
  std::vector<Parameter> parameters_;
};

/// Several blocks, cut where they do not divide; less than a block; nothing; a giant; f64 and 16 bits.
inline std::vector<MixedParameter> mixed_parameters() {
  return {{{6, 11}},
          {{5000}},
          {{0}},
          {{3, 1500}, DType::bf16, DType::bf16},
          {{9001}, DType::f16, DType::f32},
          {{7}},
          {{4099}, DType::f64, DType::f64},
          {{131, 101}},
          {{1}}};
}

/// A way to train, with everything on that could disturb the bits.
struct ZeroWay {
  int ranks = 1;
  int stage = 0;
  LeafAssignment assignment = LeafAssignment::block;
  int leaves = 8;
  int group = 0;
  bool whole = false;
  bool views = false;
  bool access = false;
  bool overlap = true;
  std::size_t bucket_bytes = 32768;
  std::vector<std::vector<std::string>> units{};
  std::string transport = "mem";

  DataParallelOptions options() const {
    return {.bucket_bytes = Bytes{bucket_bytes},
            .first_bucket_bytes = Bytes{4096},
            .logical_shards = leaves,
            .zero_stage = stage,
            .zero_whole_tensors = whole,
            .shard_group = group,
            .leaf_assignment = assignment,
            .units = units,
            .overlap = overlap,
            .gradients_as_bucket_views = views};
  }
  std::string describe() const {
    return std::to_string(ranks) + " ranks, stage " + std::to_string(stage) + ", " + std::string(name_of(assignment)) +
           ", " + std::to_string(leaves) + " leaves, groups of " + std::to_string(group) +
           (whole ? ", whole tensors" : "") + (views ? ", views" : "") + (access ? ", access" : "") +
           (overlap ? "" : ", no overlap") + ", " + transport;
  }
};

using MakeOptimizer = std::function<std::unique_ptr<Optimizer>()>;
inline std::unique_ptr<Optimizer> make_decaying_adamw() {
  return std::make_unique<AdamW>(AdamWOptions{.learning_rate = 0.02, .weight_decay = 0.3});
}

/// The parameters after four steps, by rank: clipped, with a loss scale, an overflow in the second step, a parameter that no
/// leaf uses in the third, and one that some leaves use; both kinds of clipping at work.
inline std::vector<std::string> trained_by(const ZeroWay& way, const std::vector<MixedParameter>& list,
                                           const MakeOptimizer& make = make_decaying_adamw) {
  std::vector<std::string> results(static_cast<std::size_t>(way.ranks));
  run_ranks(way.ranks,
            [&](World& world) {
              MixedField model(list, !way.access);
              const auto optimizer = make();
              LossScaler scaler({.initial = 256, .interval = 2});
              DataParallel data_parallel(world.communicator(), model.parameters(), way.options());
              if (way.views) model.use_gradients(data_parallel.parameters());
              DistributedSampler sampler({.count = 35, .global_batch = 10, .seed = 5});
              for (auto& step : data_parallel.steps(sampler)) {
                for (auto& shard : step.shards()) {
                  const std::uint32_t first = shard.samples().front();
                  for (std::size_t p = list.size(); p-- > 0;) {
                    if (p == 1 && step.index() == 2) continue;
                    if (p == 4 && first % 3 == 0) continue;
                    const TensorView to =
                        way.access ? data_parallel.access().gradient(p) : model.parameters()[p].gradient;
                    model.backward(p, shard.samples(), scaler.scale(), to);
                    if (p == 7 && step.index() == 1 && first % 2 == 0) to.as<float>()[13000] = INFINITY;
                    shard.ready(p);
                  }
                }
                if (step.reduce() != StepOutcome::ready) break;
                step.apply(*optimizer, {.clip_norm = 3.0, .clip_value = 0.02, .loss_scaler = &scaler});
              }
              results[static_cast<std::size_t>(world.rank())] =
                  model.bytes() + "/" + std::to_string(scaler.state().skipped) + "/" + std::to_string(scaler.scale());
            },
            {.transport = way.transport});
  return results;
}

}  // namespace trireme::testing
