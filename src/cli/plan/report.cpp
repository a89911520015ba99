// SPDX-License-Identifier: Apache-2.0
#include "cli/plan/report.hpp"

#include <nlohmann/json.hpp>

#include <array>
#include <cstdio>
#include <utility>

namespace trireme::cli {
namespace {

using Json = nlohmann::ordered_json;

template <class... Values>
std::string formatted(const char* format, Values... values) {
  std::array<char, 512> line{};
  std::snprintf(line.data(), line.size(), format, values...);
  return line.data();
}

/// "1.50 GiB".
std::string size_text(double bytes) {
  constexpr std::array<const char*, 5> units{"B", "KiB", "MiB", "GiB", "TiB"};
  std::size_t unit = 0;
  for (; bytes >= 1024 && unit + 1 < units.size(); ++unit) bytes /= 1024;
  return formatted(unit == 0 ? "%.0f %s" : "%.2f %s", bytes, units[unit]);
}

std::string time_text(double seconds) {
  if (seconds < 1e-3) return formatted("%.1f us", seconds * 1e6);
  if (seconds < 1) return formatted("%.2f ms", seconds * 1e3);
  return formatted("%.3f s", seconds);
}

std::string schedule_text(const MeshChoice& choice) {
  return choice.schedule.empty()
             ? "-"
             : choice.schedule +
                   (choice.chunks > 1 && choice.schedule == "interleaved" ? " " + std::to_string(choice.chunks) : "");
}

std::string heading(const PlanOptions& options) {
  const PlanSetting& setting = options.setting;
  return formatted(
      "# %.0f parameters, %s, %s (%g + %g + %g bytes each); %d ranks, %d per node, %s each; %d samples a step\n",
      setting.model.parameters(), std::string(name_of(setting.dtype)).c_str(), options.optimizer.c_str(),
      setting.widths.value, setting.widths.gradient, setting.widths.state, setting.world, setting.ranks_per_node,
      size_text(setting.memory_per_rank).c_str(), setting.batch_size);
}

std::string row(const Plan& plan) {
  const auto& [choice, predicted] = plan;
  return formatted("%10s %4d %4d %4d %4d %-13s %5d %11s %11s %11s %11s %7.1f%%\n",
                   time_text(predicted.step_s()).c_str(), choice.data, choice.pipeline, choice.tensor,
                   choice.zero_stage, schedule_text(choice).c_str(), choice.micro_batches,
                   size_text(predicted.memory()).c_str(), size_text(predicted.wire_data).c_str(),
                   size_text(predicted.wire_pipeline).c_str(), size_text(predicted.wire_tensor).c_str(),
                   100 * predicted.bubble_share);
}

std::string table_heading() {
  return formatted("%10s %4s %4s %4s %4s %-13s %5s %11s %11s %11s %11s %8s\n", "step", "data", "pipe", "tens", "zero",
                   "schedule", "micro", "memory", "data_wire", "pipe_wire", "tensor_wire", "bubble");
}

std::string closest_text(const PlanOptions& options, const Plan& plan) {
  const PlanPrediction& predicted = plan.prediction;
  const auto part = [](const char* what, double bytes) { return std::string(what) + " " + size_text(bytes); };
  std::string text = "nothing fits. Closest is " + mesh_text(plan.choice) + ", zero stage " +
                     std::to_string(plan.choice.zero_stage) + ", " + std::to_string(plan.choice.micro_batches) +
                     " micro-batches" + (plan.choice.schedule.empty() ? "" : " by " + schedule_text(plan.choice)) +
                     ": it needs " + size_text(predicted.memory()) + " a rank, " +
                     size_text(predicted.memory() - options.setting.memory_per_rank) + " more than there is (" +
                     part("values", predicted.values) + ", " + part("gradients", predicted.gradients) + ", " +
                     part("optimizer state", predicted.optimizer_state) + ", " +
                     part("buckets and units under way", predicted.transient) + ", " +
                     part("activations", predicted.activations) + ")\n";
  return text;
}

Json plan_of(const Plan& plan) {
  const auto& [choice, predicted] = plan;
  return {{"mesh", mesh_text(choice)},
          {"data", choice.data},
          {"pipeline", choice.pipeline},
          {"tensor", choice.tensor},
          {"zero_stage", choice.zero_stage},
          {"schedule", choice.schedule},
          {"chunks", choice.chunks},
          {"micro_batches", choice.micro_batches},
          {"step_s", predicted.step_s()},
          {"makespan_s", predicted.makespan_s},
          {"exposed_data_s", predicted.exposed_data_s},
          {"bubble_ns", to_string(predicted.bubble)},
          {"bubble_share", predicted.bubble_share},
          {"memory", predicted.memory()},
          {"parameters", predicted.parameters},
          {"values", predicted.values},
          {"gradients", predicted.gradients},
          {"optimizer_state", predicted.optimizer_state},
          {"transient", predicted.transient},
          {"activations", predicted.activations},
          {"wire_data", predicted.wire_data},
          {"wire_pipeline", predicted.wire_pipeline},
          {"wire_tensor", predicted.wire_tensor}};
}

}  // namespace

std::string plan_text(const PlanOptions& options, const PlanSearch& found) {
  std::string text = heading(options);
  if (!found.plans.empty()) text += "# of the rank that needs or sends most; wire: sent per step\n" + table_heading();
  std::size_t shown = 0;
  for (const Plan& plan : found.plans) {
    if (options.rows != 0 && shown == options.rows) break;
    text += row(plan);
    ++shown;
  }
  if (shown < found.plans.size())
    text += "# and " + std::to_string(found.plans.size() - shown) + " slower ones: --rows 0 shows all\n";
  for (const auto& [reason, count] : found.left_out)
    text += "# left out: " + std::to_string(count) + ", " + reason + "\n";
  if (!found.plans.empty()) return text;
  if (found.closest) return text + closest_text(options, *found.closest);
  return text + "nothing fits, whatever the memory: change what the reasons name\n";
}

std::string plan_json(const PlanOptions& options, const PlanSearch& found) {
  const PlanSetting& setting = options.setting;
  Json whole{{"setting",
              {{"parameters", setting.model.parameters()},
               {"layers", setting.model.layers},
               {"heads", setting.model.heads},
               {"channels", setting.model.channels},
               {"context", setting.model.context},
               {"vocabulary", setting.model.vocabulary},
               {"dtype", std::string(name_of(setting.dtype))},
               {"optimizer", options.optimizer},
               {"recompute", setting.recompute},
               {"world", setting.world},
               {"ranks_per_node", setting.ranks_per_node},
               {"memory_per_rank", setting.memory_per_rank},
               {"flops_per_rank", setting.flops_per_rank},
               {"link_bytes_per_s", setting.link.bytes_per_s},
               {"node_link_bytes_per_s", setting.node_link.bytes_per_s},
               {"batch_size", setting.batch_size}}},
             {"plans", Json::array()},
             {"left_out", Json::object()},
             {"closest", nullptr}};
  for (const Plan& plan : found.plans) whole["plans"].push_back(plan_of(plan));
  for (const auto& [reason, count] : found.left_out) whole["left_out"][reason] = count;
  if (found.closest) whole["closest"] = plan_of(*found.closest);
  return whole.dump(1) + "\n";
}

}  // namespace trireme::cli
