// SPDX-License-Identifier: Apache-2.0
#include "cli/plan/options.hpp"

#include "cli/arguments.hpp"
#include "cli/byte_size.hpp"
#include "cli/train/optimizers.hpp"
#include "trireme/base/error.hpp"

namespace trireme::cli {
namespace {

constexpr int most_ranks = 1 << 16;

[[noreturn]] void refuse(const std::string& message) { fail(ErrorCode::invalid_argument, message); }

struct Typed {
  std::string model = "gpt", dtype = "f32", optimizer = "adamw", memory;
  std::int64_t layers = 4, heads = 4, channels = 192, context = 128, vocabulary = 256;
  double parameters = 0, link = 10, node_link = 100, latency_us = 20, node_latency_us = 2, flops = 1e12;
  int world = 1, ranks_per_node = 1, batch_size = 1, micro_batches = 0, rows = 20;
  bool recompute = false;
};

void describe(Arguments& flags, Typed& typed, PlanOptions& options) {
  flags.option("--world", typed.world, "ranks in all", {.least = 1, .most = most_ranks});
  flags.option("--memory-per-rank", typed.memory, "what a rank has for training, as in 16GiB");
  flags.option("--flops-per-rank", typed.flops, "a second, as products of matrices reach them on a rank: 1e14",
               {.least = 1e6, .most = 1e18});
  flags.option("--batch-size", typed.batch_size, "samples of a step, of all ranks together",
               {.least = 1, .most = 1 << 24});
  flags.option("--model", typed.model, "gpt (default): of the sizes below").one_of({"gpt"});
  flags.option("--parameters", typed.parameters,
               "in place of --model: of any transformer of these sizes, so many altogether; its layers share what "
               "vocabulary, context and norms leave",
               {.least = 1, .most = 1e15});
  flags.option("--layers", typed.layers, "blocks (default 4)", {.least = 1, .most = 1024});
  flags.option("--heads", typed.heads, "of attention in each block: a divisor of --channels (default 4)",
               {.least = 1, .most = 1024});
  flags.option("--channels", typed.channels, "width (default 192)", {.least = 1, .most = 1 << 16});
  flags.option("--context", typed.context, "tokens of a sample (default 128)", {.least = 1, .most = 1 << 20});
  flags.option("--vocabulary", typed.vocabulary, "different tokens (default 256)", {.least = 2, .most = 1 << 24});
  flags.flag("--recompute", typed.recompute, "activations are computed again in backward instead of being kept");
  flags
      .option(
          "--dtype", typed.dtype,
          "of values and activations: f32 (default), or bf16 with f32 gradients and masters (not of trireme train --mesh)")
      .one_of({"f32", "bf16"});
  flags.option("--optimizer", typed.optimizer, optimizer_names() + " (default adamw)");
  flags.option("--ranks-per-node", typed.ranks_per_node, "a divisor of --world (default: all ranks on one node)",
               {.least = 1, .most = most_ranks});
  flags.option("--link-gbit-per-s", typed.link, "between nodes, each rank's own, in each direction (default 10)",
               {.least = 1e-3, .most = 1e6});
  flags.option("--node-link-gbit-per-s", typed.node_link, "inside a node, likewise (default 100)",
               {.least = 1e-3, .most = 1e6});
  flags.option("--link-latency-us", typed.latency_us, "of a message between nodes (default 20)",
               {.least = 0, .most = 1e6});
  flags.option("--node-link-latency-us", typed.node_latency_us, "of a message inside a node (default 2)",
               {.least = 0, .most = 1e6});
  flags.option("--micro-batches", typed.micro_batches,
               "of each pipeline, or leaves of each rank where there is none (default 0: 1, 2, 4, … 256 are tried)",
               {.least = 0, .most = 4096});
  flags.option("--rows", typed.rows, "of the table (default 20; 0: all)", {.least = 0, .most = 1 << 20});
  flags.option("--json", options.json, "file for all that fit, best first, and what was left out");
  for (const char* needed : {"--world", "--memory-per-rank", "--flops-per-rank", "--batch-size"}) flags.require(needed);
  flags.footer(
      "Prints meshes of data x pipeline x tensor ranks (the last axis on neighbouring ranks), stages of ZeRO, schedules and\n"
      "numbers of micro-batches that fit into memory, the shortest predicted step first. Formulas: src/cli/plan/predict.hpp.\n"
      "Exit code 0 when something fits, 1 when nothing does, 2 when the flags make no sense.");
}

}  // namespace

double state_bytes(std::string_view optimizer, std::int64_t channels, DType dtype) {
  const OptimizerEntry& entry = optimizer_named(optimizer);
  const auto rule = entry.make({.name = std::string(entry.name),
                                .learning_rate = entry.learning_rate,
                                .momentum = entry.momentum,
                                .weight_decay = entry.weight_decay});
  const TensorShape shape{static_cast<std::size_t>(4 * channels), static_cast<std::size_t>(channels)};
  double elements = 0;
  for (std::size_t state = 0; state < rule->state_names().size(); ++state)
    elements += static_cast<double>(rule->state_count(state, shape));
  return 4 * elements / static_cast<double>(shape.count()) + (dtype == DType::f32 ? 0 : 4);
}

std::optional<PlanOptions> parse_plan_options(const std::vector<std::string>& arguments) {
  Arguments flags("Which meshes train a model within memory, and how fast? Predicts, starts nothing.", "trireme plan");
  PlanOptions options;
  Typed typed;
  describe(flags, typed, options);
  if (!flags.parse(arguments)) return std::nullopt;
  if (flags.given("--model") && flags.given("--parameters"))
    refuse("--parameters stands in place of --model: give one");
  if (!flags.given("--parameters") && typed.vocabulary > 65536) {
    refuse("--vocabulary " + std::to_string(typed.vocabulary) +
           ": gpt has 65536 tokens at most; --parameters describes other models");
  }
  const int per_node = flags.given("--ranks-per-node") ? typed.ranks_per_node : typed.world;
  if (typed.world % per_node != 0) {
    refuse("--ranks-per-node " + std::to_string(per_node) + " does not divide --world " + std::to_string(typed.world));
  }
  PlanSetting& setting = options.setting;
  setting.model =
      flags.given("--parameters")
          ? model_of(typed.parameters, typed.layers, typed.heads, typed.channels, typed.context, typed.vocabulary)
          : gpt_size(typed.layers, typed.heads, typed.channels, typed.context, typed.vocabulary);
  setting.world = typed.world;
  setting.ranks_per_node = per_node;
  setting.memory_per_rank = static_cast<double>(parse_byte_size(typed.memory, "--memory-per-rank").value);
  if (setting.memory_per_rank == 0) refuse("--memory-per-rank must be above 0");
  setting.link = {typed.latency_us * 1e-6, typed.link * 1e9 / 8};
  setting.node_link = {typed.node_latency_us * 1e-6, typed.node_link * 1e9 / 8};
  setting.flops_per_rank = typed.flops;
  setting.batch_size = typed.batch_size;
  setting.recompute = typed.recompute;
  setting.dtype = typed.dtype == "f32" ? DType::f32 : DType::bf16;
  setting.widths = {.value = setting.dtype == DType::f32 ? 4.0 : 2.0,
                    .gradient = 4,
                    .state = state_bytes(typed.optimizer, typed.channels, setting.dtype)};
  options.optimizer = typed.optimizer;
  options.micro_batches = typed.micro_batches;
  options.rows = static_cast<std::size_t>(typed.rows);
  return options;
}

}  // namespace trireme::cli
