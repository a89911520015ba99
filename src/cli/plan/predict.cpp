// SPDX-License-Identifier: Apache-2.0
#include "cli/plan/predict.hpp"

#include "cli/plan/memory.hpp"
#include "cli/plan/mesh_sizes.hpp"
#include "trireme/base/error.hpp"
#include "trireme/pipeline/check.hpp"
#include "trireme/pipeline/generate.hpp"
#include "trireme/pipeline/simulate.hpp"
#include "trireme/plan/cost.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

namespace trireme::cli {
namespace {

using plan::Algorithm;
using plan::Collective;

std::int64_t nanoseconds(double seconds) {
  if (!(seconds < 1e6)) {
    fail(
        ErrorCode::invalid_argument,
        "one micro-batch would take more than 11 days at one stage: --flops-per-rank or a link is too slow for this model");
  }
  return std::llround(seconds * 1e9);
}

/// Whether groups of `size` ranks that lie `stride` apart stay inside nodes.
bool inside_nodes(const PlanSetting& setting, int stride, int size) {
  const int span = stride * size;
  if (setting.world <= setting.ranks_per_node) return true;
  return span <= setting.ranks_per_node && setting.ranks_per_node % span == 0;
}

/// Cost of a collective of `bytes` over `ranks`, by the closed formula of a plan.
plan::Cost cost_of(Collective collective, Algorithm algorithm, int ranks, double bytes) {
  return plan::cost_of(algorithm, {.collective = collective, .ranks = ranks, .leaves = ranks}, 0,
                       static_cast<std::size_t>(bytes), {1, 1, 1});
}

double seconds_of(const plan::Cost& cost, const Link& link) {
  return plan::predicted_seconds(
      cost, {.alpha_s = link.latency_s, .beta_s_per_byte = 1 / link.bytes_per_s, .gamma_s_per_element = 0});
}

/// The parts of a prediction that follow from setting and choice alone.
class Predictor {
 public:
  Predictor(const PlanSetting& setting, const MeshChoice& choice)
      : setting_(setting),
        choice_(choice),
        model_(setting.model),
        sizes_(setting, choice),
        tensor_link_(inside_nodes(setting, 1, choice.tensor) ? setting.node_link : setting.link),
        pipeline_link_(inside_nodes(setting, choice.tensor, choice.pipeline) ? setting.node_link : setting.link),
        data_link_(inside_nodes(setting, choice.tensor * choice.pipeline, choice.data) ? setting.node_link
                                                                                       : setting.link) {}

  PlanPrediction run() {
    const pipeline::Schedule schedule =
        choice_.pipeline == 1
            ? pipeline::one_forward_one_backward(1, choice_.micro_batches)
            : pipeline::make_schedule(choice_.schedule, {choice_.pipeline, choice_.micro_batches, choice_.chunks});
    const pipeline::ScheduleFacts facts = pipeline::check(schedule);
    pipeline::Costs costs{
        .stages = {},
        .message = nanoseconds(sizes_.boundary() / pipeline_link_.bytes_per_s + pipeline_link_.latency_s)};
    for (int stage = 0; stage < sizes_.stages(); ++stage) costs.stages.push_back(cost_of_stage(stage));
    const pipeline::Simulation simulation = pipeline::simulate(schedule, costs);
    PlanPrediction all;
    all.makespan_s = simulation.makespan.approximately() * 1e-9;
    all.bubble = simulation.bubble();
    if (simulation.makespan != pipeline::Rational(0))
      all.bubble_share = (simulation.bubble() / simulation.makespan).approximately();
    for (int rank = 0; rank < choice_.pipeline; ++rank)
      take(all, facts, costs, rank, simulation.ranks[static_cast<std::size_t>(rank)]);
    keep_worst(all, choice_.shares_model() ? memory_of_shares(setting_, choice_, schedule)
                                           : std::vector{memory_of_whole(setting_, choice_)});
    return all;
  }

 private:
  /// The sum over tensor ranks of one activation: bytes sent, and how long.
  plan::Cost tensor_sum() const {
    if (choice_.tensor == 1) return {};
    return cli::cost_of(Collective::all_reduce, Algorithm::direct, choice_.tensor, sizes_.boundary());
  }
  /// Sums over tensor ranks that a stage makes forward, and backward for the gradient of its input.
  std::pair<double, double> sums_of(const StageSize& stage) const {
    const auto layers = static_cast<double>(stage.layers);
    return {2 * layers + (stage.is_first ? 1 : 0), 2 * layers * (setting_.recompute ? 2 : 1) + (stage.is_last ? 1 : 0)};
  }

  pipeline::StageCost cost_of_stage(int number) const {
    const StageSize size = sizes_.stage(number);
    const auto layers = static_cast<double>(size.layers);
    const double share = sizes_.share();
    double weights = layers * model_.shared_weights * share;
    if (size.is_last) weights += sizes_.table();
    const double attention =
        4 * layers * static_cast<double>(model_.context) * static_cast<double>(model_.channels) * share;
    const double per_flop = sizes_.tokens() / setting_.flops_per_rank;
    const double sum_s = seconds_of(tensor_sum(), tensor_link_);
    const auto [forward_sums, backward_sums] = sums_of(size);
    double forward = (2 * weights + attention) * per_flop;
    double input = (2 * weights + 2 * attention) * per_flop;
    if (setting_.recompute) input += (2 * layers * model_.shared_weights * share + attention) * per_flop;
    return {.forward = nanoseconds(forward + forward_sums * sum_s),
            .input = nanoseconds(input + backward_sums * sum_s),
            .weight = nanoseconds(2 * weights * per_flop)};
  }

  /// The worst of all ranks of the pipeline, one by one.
  void take(PlanPrediction& all, const pipeline::ScheduleFacts& facts, const pipeline::Costs& costs, int rank,
            const pipeline::RankTimes& times) const {
    PlanPrediction here;
    const RankStages stages = sizes_.of_rank(facts, rank);
    double sums = 0, last_backward_s = 0;
    for (const int number : facts.stages_of(rank)) {
      const auto [forward_sums, backward_sums] = sums_of(sizes_.stage(number));
      sums += forward_sums + backward_sums;
      const pipeline::StageCost& cost = costs.stages[static_cast<std::size_t>(number)];
      last_backward_s += (cost.input + cost.weight).approximately() * 1e-9;
    }
    here.parameters = sizes_.parameters(stages);
    here.wire_tensor = sums * choice_.micro_batches * static_cast<double>(tensor_sum().payload_bytes);
    here.wire_pipeline = static_cast<double>(times.messages_sent) * sizes_.boundary();
    add_data_axis(here, static_cast<double>(stages.layers), times.work.approximately() * 1e-9, last_backward_s);
    if (sizes_.stages() > 1 && stages.has_first != stages.has_last) add_tied_table(here);
    all.wire_data = std::max(all.wire_data, here.wire_data);
    all.wire_pipeline = std::max(all.wire_pipeline, here.wire_pipeline);
    all.wire_tensor = std::max(all.wire_tensor, here.wire_tensor);
    all.exposed_data_s = std::max(all.exposed_data_s, here.exposed_data_s);
  }

  void add_data_axis(PlanPrediction& here, double layers, double work_s, double last_backward_s) const {
    const int d = choice_.data, stage = choice_.zero_stage;
    if (d == 1) return;
    parallel::ZeroWidths widths = setting_.widths;
    if (stage == 3) widths.value *= choice_.micro_batches;
    here.wire_data = here.parameters * parallel::zero_wire_bytes_per_parameter(stage, d, widths);
    const double gradient = here.parameters * setting_.widths.gradient, value = here.parameters * setting_.widths.value;
    const double units = layers + 1;  // messages: a bucket for each layer, and one for the rest
    const auto time = [&](Collective collective, Algorithm algorithm, double bytes) {
      return units * seconds_of(cli::cost_of(collective, algorithm, d, bytes / units), data_link_);
    };
    const double gather_s = stage == 0 ? 0 : time(Collective::all_gather, Algorithm::ring, value);
    const double reduce_s = stage == 0 ? time(Collective::all_reduce, Algorithm::direct, gradient)
                                       : time(Collective::reduce_scatter, Algorithm::direct, gradient);
    here.exposed_data_s = std::max(0.0, reduce_s - last_backward_s);
    if (stage == 1 || stage == 2) here.exposed_data_s += gather_s;
    if (stage == 3) here.exposed_data_s += std::max(0.0, 2 * choice_.micro_batches * gather_s - work_s);
  }

  /// First and last stage have a copy of the table each: their gradients are added.
  void add_tied_table(PlanPrediction& here) const {
    const plan::Cost cost =
        cli::cost_of(Collective::all_reduce, Algorithm::direct, 2, sizes_.table() * setting_.widths.gradient);
    here.wire_pipeline += static_cast<double>(cost.payload_bytes);
    here.exposed_data_s += seconds_of(cost, pipeline_link_);
  }

  static void keep_worst(PlanPrediction& all, const std::vector<RankMemory>& ranks) {
    const auto worst = std::max_element(ranks.begin(), ranks.end(),
                                        [](const RankMemory& a, const RankMemory& b) { return a.total() < b.total(); });
    all.parameters = worst->parameters;
    all.values = worst->values;
    all.gradients = worst->gradients;
    all.optimizer_state = worst->optimizer_state;
    all.transient = worst->transient;
    all.activations = worst->activations + worst->messages;
  }

  const PlanSetting& setting_;
  const MeshChoice& choice_;
  const ModelSize& model_;
  MeshSizes sizes_;
  Link tensor_link_, pipeline_link_, data_link_;
};

}  // namespace

std::string mesh_text(const MeshChoice& choice) {
  return "data=" + std::to_string(choice.data) + ",pipeline=" + std::to_string(choice.pipeline) +
         ",tensor=" + std::to_string(choice.tensor);
}

std::optional<std::string> why_not(const PlanSetting& setting, const MeshChoice& choice) {
  if (choice.tensor > setting.model.heads) return "more tensor ranks than heads of attention";
  if (choice.pipeline * choice.chunks > setting.model.layers) return "more stages of the pipeline than layers";
  if (static_cast<std::int64_t>(choice.data) * choice.micro_batches > setting.batch_size)
    return "more micro-batches than samples of a step";
  if (choice.shares_model() && choice.zero_stage == 3)
    return "stage 3 of ZeRO, which shares out values, beside pipeline or tensor ranks";
  if (!choice.shares_model() && !std::has_single_bit(static_cast<unsigned>(choice.micro_batches)))
    return "leaves of a rank that are no power of two";
  return std::nullopt;
}

PlanPrediction predict(const PlanSetting& setting, const MeshChoice& choice) {
  return Predictor(setting, choice).run();
}

}  // namespace trireme::cli
