// SPDX-License-Identifier: Apache-2.0
#include "cli/plan/memory.hpp"

#include "cli/plan/mesh_sizes.hpp"
#include "pipeline/proof.hpp"
#include "pipeline/rank_plan.hpp"
#include "trireme/layout/reduction_tree.hpp"
#include "trireme/parallel/data_parallel.hpp"

#include <algorithm>
#include <cmath>

namespace trireme::cli {
namespace {

/// What both kinds of models share.
class MemorySizes {
 public:
  MemorySizes(const PlanSetting& setting, const MeshChoice& choice)
      : setting_(setting), choice_(choice), model_(setting.model), sizes_(setting, choice) {}

 protected:
  double channels() const { return static_cast<double>(model_.channels); }
  double per_token() const { return sizes_.activation() * sizes_.tokens(); }
  /// Of positions between layers, the share that a rank has.
  double own() const {
    return choice_.sequence_parallel ? std::ceil(sizes_.tokens() / choice_.tensor) / sizes_.tokens() : 1;
  }
  /// Of a layer and a micro-batch, without the layer's input.
  double kept_per_layer() const {
    const double c = channels();
    return per_token() *
           (2 * c + own() * (c + 4) + sizes_.share() * (12 * c + static_cast<double>(model_.heads * model_.context)));
  }
  double logits() const { return per_token() * std::ceil(static_cast<double>(model_.vocabulary) / choice_.tensor); }

  const PlanSetting& setting_;
  const MeshChoice& choice_;
  const ModelSize& model_;
  MeshSizes sizes_;
};

class WholeMemory : MemorySizes {
 public:
  using MemorySizes::MemorySizes;

  RankMemory of(const RankStages& rank) const {
    RankMemory here{.parameters = sizes_.parameters(rank)};
    const parallel::ZeroWidths& widths = setting_.widths;
    const int stage = choice_.zero_stage, m = choice_.micro_batches;
    const auto per_parameter = [&](const parallel::ZeroWidths& some) {
      return here.parameters * parallel::zero_bytes_per_parameter(stage, choice_.data, some);
    };
    here.values = per_parameter({widths.value, 0, 0});
    here.optimizer_state = per_parameter({0, 0, widths.state});
    here.gradients = m == 1 ? per_parameter({0, widths.gradient, 0})
                            : here.parameters * widths.gradient * (layout::fold_depth(m) + (stage < 2 ? 1 : 0));
    const auto layers = static_cast<double>(rank.layers);
    here.activations =
        layers * (setting_.recompute ? sizes_.boundary() : kept_per_layer() + sizes_.boundary()) + scratch();
    if (choice_.data == 1) return here;
    const double layer = sizes_.layer_parameters(), outer = sizes_.outer_parameters(rank);
    // The outer unit's gradients are touched at both ends of backward: its bucket stays open beside those of two layers.
    if (stage >= 2 && m == 1) here.transient += (std::min(layers, 2.0) * layer + outer) * widths.gradient;
    if (stage == 3) here.transient += (layer + std::max(layer, outer)) * widths.value;
    return here;
  }

 private:
  double scratch() const {
    double bytes = per_token() * 7 * channels();  // backward: narrow, wide, terms of gains, derivative
    if (setting_.recompute) bytes += kept_per_layer() + sizes_.boundary();
    return bytes + per_token() * channels() + logits();
  }
};

class SharesMemory : MemorySizes {
 public:
  SharesMemory(const PlanSetting& setting, const MeshChoice& choice, const pipeline::Schedule& schedule)
      : MemorySizes(setting, choice), schedule_(schedule), proof_(pipeline::prove(schedule, {}, {}, 0)) {}

  std::vector<RankMemory> run() const {
    std::vector<RankMemory> all;
    for (int rank = 0; rank < choice_.pipeline; ++rank) all.push_back(of(rank));
    return all;
  }

 private:
  RankMemory of(int number) const {
    const RankStages rank = sizes_.of_rank(proof_.facts, number);
    RankMemory here{.parameters = sizes_.parameters(rank)};
    const auto& [value, gradient, state] = setting_.widths;
    const double d = choice_.data;
    here.values = value * here.parameters;
    here.optimizer_state = state * here.parameters / (choice_.zero_stage >= 1 ? d : 1.0);
    here.gradients = gradient * (gradient_elements(here.parameters) + term_elements(rank));
    if (rank.has_first && rank.has_last) here.gradients += gradient * sizes_.table();
    if (choice_.zero_stage >= 2 && choice_.leaves == 1 && choice_.data > 1)
      here.transient = std::min(gradient * here.parameters, 2 * bucket(rank));
    for (const int stage : proof_.facts.stages_of(number)) here.activations += of_stage(stage);
    here.activations += scratch(rank);
    const pipeline::RankPlan plan = pipeline::plan_rank(schedule_, proof_.facts, proof_.exchange, number);
    here.messages = static_cast<double>(plan.boundary_of_buffer.size()) * own() * sizes_.boundary();
    return here;
  }

  /// Of the model and of what DataParallel folds.
  double gradient_elements(double parameters) const {
    const double levels = layout::fold_depth(choice_.leaves);
    if (choice_.zero_stage < 2) return parameters * (levels + (choice_.leaves > 1 ? 1 : 0));
    return parameters * (1 + (choice_.leaves > 1 ? levels : 1.0 / choice_.data));
  }
  double largest_weight() const { return 4 * channels() * channels() * sizes_.share(); }
  /// Two tensors that follow each other in the list, the largest such pair.
  double term_elements(const RankStages& rank) const {
    double most = rank.layers == 0 ? 0 : largest_weight() + 4 * channels() * sizes_.share();
    if (rank.has_first) most = std::max(most, sizes_.table() + model_.positions());
    if (rank.has_last) most = std::max(most, sizes_.table() + channels());
    return most;
  }
  double bucket(const RankStages& rank) const {
    const double largest = std::max(rank.has_first || rank.has_last ? sizes_.table() : 0.0, largest_weight());
    return std::max(static_cast<double>(DataParallelOptions{}.bucket_bytes.value), setting_.widths.gradient * largest);
  }

  /// Of all live micro-batches.
  double of_stage(int number) const {
    const StageSize size = sizes_.stage(number);
    const auto layers = static_cast<double>(size.layers);
    const double c = channels();
    double slot = per_token() * own() * c * (layers - (size.is_first ? 0 : 1) + (size.is_last ? 1 : 0));  // inputs
    if (!setting_.recompute) slot += layers * kept_per_layer();
    if (proof_.facts.splits_backward) slot += layers * derivatives();
    if (size.is_first) slot += per_token() * c;
    if (size.is_last) slot += per_token() * c + logits();
    double once = setting_.recompute ? kept_per_layer() : 0;
    if (size.is_first) once += per_token() * own() * c;
    if (choice_.sequence_parallel)  // each norm's terms of its gain
      once += per_token() * own() * c * (2 * layers + (size.is_last ? 1 : 0));
    return once + slot * proof_.facts.peak_of_stage[static_cast<std::size_t>(number)];
  }
  double derivatives() const { return per_token() * channels() * (2 + 7 * sizes_.share()); }
  double scratch(const RankStages& rank) const {
    if (rank.layers == 0) return 0;
    const double once = proof_.facts.splits_backward ? 0 : derivatives();
    return once + per_token() * channels() * (1 + 2 * own() + sizes_.share()) +
           2 * sizes_.activation() * static_cast<double>(model_.context * model_.context);
  }

  const pipeline::Schedule& schedule_;
  pipeline::Proof proof_;
};

}  // namespace

RankMemory memory_of_whole(const PlanSetting& setting, const MeshChoice& choice) {
  return WholeMemory(setting, choice).of({.layers = setting.model.layers, .has_first = true, .has_last = true});
}

std::vector<RankMemory> memory_of_shares(const PlanSetting& setting, const MeshChoice& choice,
                                         const pipeline::Schedule& schedule) {
  return SharesMemory(setting, choice, schedule).run();
}

}  // namespace trireme::cli
