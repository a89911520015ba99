// SPDX-License-Identifier: Apache-2.0
// Predictions of `trireme plan`, each derived by hand for a model of 592 parameters, and its words.
#include "cli/plan/memory.hpp"
#include "cli/plan/options.hpp"
#include "cli/plan/report.hpp"
#include "cli/plan/search.hpp"
#include "cli/subcommand.hpp"
#include "trireme/base/error.hpp"
#include "trireme/models/gpt.hpp"
#include "trireme/optim/adam.hpp"
#include "trireme/pipeline/generate.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include <string>
#include <vector>

using namespace trireme;
using namespace trireme::cli;
using Catch::Matchers::Contains;

namespace {

/// Blocks of 220 weights that tensor ranks share and 24 that they do not; table 64, positions 32, final norm 8. A flop takes a
/// nanosecond, as does a byte on any link.
PlanSetting small_setting(int world, int batch) {
  return {.model = gpt_size(2, 2, 4, 8, 16),
          .world = world,
          .ranks_per_node = world,
          .memory_per_rank = 1e9,
          .link = {0, 1e9},
          .node_link = {0, 1e9},
          .flops_per_rank = 1e9,
          .batch_size = batch,
          .widths = {4, 4, 8}};
}

double nanoseconds_of(double seconds) { return seconds * 1e9; }

std::vector<std::string> flags_with(const std::vector<std::string>& more) {
  std::vector<std::string> all{"--layers",  "2", "--heads",      "2",  "--channels",       "4",
                               "--context", "8", "--vocabulary", "16", "--flops-per-rank", "1e9"};
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

std::string refusal_of(const std::vector<std::string>& more) {
  try {
    (void)parse_plan_options(flags_with(more));
  } catch (const Exception& refused) {
    REQUIRE(refused.error().code == ErrorCode::invalid_argument);
    return refused.error().message;
  }
  return "";
}

}  // namespace

TEST_CASE("the planner's gpt has the parameters of models::Gpt, and any other model those it is told") {
  const models::Gpt<float> gpt(
      {.vocabulary = 16, .context = 8, .layers = 2, .heads = 2, .channels = 4, .memory_elsewhere = true});
  std::size_t count = 0;
  for (const Parameter& parameter : gpt.parameters()) count += parameter.value.count;
  const ModelSize size = gpt_size(2, 2, 4, 8, 16);
  REQUIRE(count == 592);  // 2 (220 + 24) + 64 + 32 + 8
  REQUIRE(size.parameters() == 592);
  REQUIRE(size.shared_weights == 220);
  const ModelSize other = model_of(1000, 2, 2, 4, 8, 16);
  REQUIRE(other.parameters() == 1000);
  REQUIRE(other.shared_weights == (1000.0 - 104) / 2 - 24);
}

TEST_CASE("one rank: memory and time by hand") {
  const PlanPrediction whole = predict(small_setting(1, 2), {});
  REQUIRE(whole.values == 592 * 4);
  REQUIRE(whole.gradients == 592 * 4);  // one leaf: in place
  REQUIRE(whole.optimizer_state == 592 * 8);
  REQUIRE(whole.transient == 0);
  // 16 tokens. A layer keeps 4 (4C + 4 + 12C + heads T) = 4 * 84 a token; scratch 4 * 7C, the head 4 (C + V).
  REQUIRE(whole.activations == 16 * (2 * 4 * 84 + 4 * 28 + 4 * 20));
  // 6 flops for each of 2 * 220 + 64 weights, and 12 T C for each layer, a token.
  REQUIRE(nanoseconds_of(whole.step_s()) == Approx(16.0 * (6 * 504 + 12 * 8 * 4 * 2)));
  REQUIRE(whole.wire_data + whole.wire_pipeline + whole.wire_tensor == 0);
  REQUIRE(whole.bubble_share == 0);
  // Two leaves: two copies in the fold, one that backward writes; half of the tokens at a time.
  const PlanPrediction halves = predict(small_setting(1, 2), {.micro_batches = 2});
  REQUIRE(halves.gradients == 3 * 592 * 4);
  REQUIRE(halves.activations == whole.activations / 2);
  REQUIRE(halves.step_s() == Approx(whole.step_s()));
  // With recompute a layer's input is kept, one layer is there whole, and blocks' forward runs twice.
  PlanSetting again = small_setting(1, 2);
  again.recompute = true;
  const PlanPrediction recomputed = predict(again, {});
  REQUIRE(recomputed.activations == 16 * (2 * 4 * 4 + 4 * 84 + 4 * 28 + 4 * 20));
  REQUIRE(nanoseconds_of(recomputed.step_s() - whole.step_s()) == Approx(16.0 * (2 * 440 + 4 * 8 * 4 * 2)));
}

TEST_CASE("data ranks: each stage of ZeRO keeps and sends what its formula says") {
  const auto predicted = [](int stage) { return predict(small_setting(2, 4), {.data = 2, .zero_stage = stage}); };
  const PlanPrediction zero = predicted(0), one = predicted(1), two = predicted(2), three = predicted(3);
  REQUIRE(zero.values + zero.gradients + zero.optimizer_state == 592 * 16);
  REQUIRE(one.values + one.gradients + one.optimizer_state == 592 * (8 + 8.0 / 2));
  REQUIRE(two.values + two.gradients + two.optimizer_state == 592 * (4 + 12.0 / 2));
  REQUIRE(three.values + three.gradients + three.optimizer_state == 592 * 16.0 / 2);
  REQUIRE(one.transient == 0);
  REQUIRE(two.transient == (2 * 244 + 104) * 4);  // two layers' gradients, beside the outer ones, which stay open
  REQUIRE(three.transient == (2 * 244 + 104) * 4 + 2 * 244 * 4);
  // 2 Psi (P-1)/P and 3 Psi (P-1)/P, Psi = 4 * 592 bytes.
  REQUIRE(zero.wire_data == 4 * 592);
  REQUIRE(one.wire_data == 4 * 592);
  REQUIRE(two.wire_data == 4 * 592);
  REQUIRE(three.wire_data == 6 * 592);
  // Backward takes 16 (4 * 504 + 8 * 8 * 4 * 2) = 40448 ns and hides 2368 bytes; the values' 1184 bytes are not hidden.
  REQUIRE(zero.exposed_data_s == 0);
  REQUIRE(nanoseconds_of(one.exposed_data_s) == Approx(1184).margin(3));  // three messages of whole bytes
  REQUIRE(three.exposed_data_s == 0);
  PlanSetting slow = small_setting(2, 4);
  slow.node_link.bytes_per_s = 1e7;
  REQUIRE(nanoseconds_of(predict(slow, {.data = 2}).exposed_data_s) == Approx(236800 - 40448).margin(150));
  // Values of stage 3 come for every leaf.
  REQUIRE(predict(small_setting(2, 4), {.data = 2, .zero_stage = 3, .micro_batches = 2}).wire_data ==
          (4 + 2 * 2 * 4) * 592 / 2);
}

TEST_CASE("a pipeline: the simulated step, its bubble and messages by hand") {
  const PlanPrediction predicted =
      predict(small_setting(2, 2), {.pipeline = 2, .micro_batches = 2, .schedule = "1f1b"});
  // 8 tokens. F = 4544, B + W = 9088 at the first stage, 5568 and 11136 at the second; a message of 8 C floats takes 128.
  // Rank 1: F0 from 4672, B0 from 10240, F1 from 21376, B1 from 26944 to 38080. Rank 0: B0 from 21504, B1 from 38208 to 47296.
  REQUIRE(nanoseconds_of(predicted.makespan_s) == Approx(47296));
  REQUIRE(predicted.bubble == pipeline::Rational(47296 - 2 * (4544 + 9088)));
  REQUIRE(predicted.bubble_share == Approx(20032.0 / 47296));
  // Two messages, and the table's gradients of 256 bytes, summed between the stages that both have it.
  REQUIRE(predicted.wire_pipeline == 2 * 128 + 256);
  REQUIRE(nanoseconds_of(predicted.exposed_data_s) == Approx(256));
  // Rank 0: a layer, table and positions; one copy of the gradients, beside a term as large as table and positions together.
  REQUIRE(predicted.parameters == 244 + 64 + 32);
  REQUIRE(predicted.values == 4 * 340);
  REQUIRE(predicted.gradients == 4 * (340 + 96));
  // Of two micro-batches of 8 tokens the layer's 80 + C a token, and C of the embedding; once C, of a layer's derivatives 9C, and 4C
  // and two {T, T} of scratch; places of two outputs and two gradients.
  REQUIRE(predicted.activations == 8 * 4 * (2 * (80 + 4 + 4) + 4 + 9 * 4 + 4 * 4) + 2 * 4 * 64 + 4 * 8 * 4 * 4);
  // Split backward keeps a layer's derivatives for every live micro-batch; all logits of GPipe are live at once.
  const auto memory_of = [](const std::string& schedule, int rank) {
    const MeshChoice choice{.pipeline = 2, .micro_batches = 2, .schedule = schedule};
    const PlanSetting setting = small_setting(2, 2);
    return memory_of_shares(setting, choice, pipeline::make_schedule(schedule, {2, 2, 1})).at(rank);
  };
  REQUIRE(memory_of("zb-h1", 0).activations - memory_of("1f1b", 0).activations == 8 * 4 * 9 * 4);
  REQUIRE(memory_of("gpipe", 1).activations - memory_of("1f1b", 1).activations == 8 * 4 * (80 + 2 * 4 + 16));
}

TEST_CASE("tensor ranks share weights and sum activations") {
  const PlanPrediction predicted = predict(small_setting(2, 2), {.tensor = 2});
  REQUIRE(predicted.parameters == 2 * (110 + 24) + 32 + 32 + 8);
  // Four sums a layer, one behind the table and one before it, of 16 C floats: 2 (t-1)/t of 256 bytes each.
  REQUIRE(predicted.wire_tensor == (4 * 2 + 2) * 256);
  // Of 16 tokens two layers' 16 + 32, the inputs of both and of the final norm, the embedding, the head's input and half of
  // the logits; C, a layer's derivatives 2C + 7C/2, 7C/2 and two {T, T} of scratch.
  REQUIRE(predicted.activations == 16 * 4 * (2 * 48 + 3 * 4 + 4 + 4 + 8 + 4 + 22 + 14) + 2 * 4 * 64);
  REQUIRE(predicted.gradients == 4 * (340 + 64 + 32));  // table and positions as a term, the head's own table
  // Half the flops, and every byte waited for.
  REQUIRE(nanoseconds_of(predicted.step_s()) == Approx(16.0 * (6 * 504 + 12 * 8 * 4 * 2) / 2 + 2560));
  // 16-bit activations are half as wide.
  PlanSetting narrow = small_setting(2, 2);
  narrow.dtype = DType::bf16;
  REQUIRE(predict(narrow, {.tensor = 2}).wire_tensor == predicted.wire_tensor / 2);
}

TEST_CASE("axes inside a node use its links, others those between nodes") {
  PlanSetting setting = small_setting(4, 4);
  setting.ranks_per_node = 2;
  setting.link.bytes_per_s = 1e8;  // ten times slower
  const double data = nanoseconds_of(predict(setting, {.data = 2, .tensor = 2, .zero_stage = 1}).exposed_data_s);
  // 340 values of 4 bytes: half of them, at 10 ns a byte.
  REQUIRE(data == Approx(6800).margin(30));
  const PlanPrediction tensor = predict(setting, {.data = 2, .tensor = 2});
  REQUIRE(nanoseconds_of(tensor.makespan_s) == Approx(16.0 * (6 * 504 + 768) / 2 + 2560));
}

TEST_CASE("without pipeline and tensor ranks memory is what estimate_memory says of the model's own parameters") {
  const int ranks = 4, stage = GENERATE(0, 1, 2, 3), leaves = GENERATE(1, 4);
  const models::Gpt<float> gpt(
      {.vocabulary = 512, .context = 64, .layers = 4, .heads = 4, .channels = 128, .memory_elsewhere = true});
  PlanSetting setting = small_setting(ranks, 64);
  setting.model = gpt_size(4, 4, 128, 64, 512);
  const PlanPrediction predicted = predict(setting, {.data = ranks, .zero_stage = stage, .micro_batches = leaves});
  const Adam adam({});
  double kept = 0, transient = 0;
  for (int rank = 0; rank < ranks; ++rank) {
    const auto estimate = parallel::estimate_memory(
        gpt.parameters(),
        {.accumulate = leaves, .zero_stage = stage, .units = gpt.units(), .gradients_as_bucket_views = stage < 2}, adam,
        ranks, rank);
    kept += static_cast<double>(estimate.kept().value) / ranks;
    transient = static_cast<double>(estimate.most().value - estimate.kept().value);
  }
  CAPTURE(stage, leaves);
  REQUIRE(predicted.values + predicted.gradients + predicted.optimizer_state == Approx(kept).epsilon(0.002));
  REQUIRE(predicted.transient == Approx(transient).epsilon(0.002));
}

TEST_CASE("a search tries every mesh, schedule and stage, sorts by step, and counts what is left out") {
  const PlanSetting setting = small_setting(2, 2);
  const PlanSearch found = search_plans(setting, 1);
  // data=2: four stages; pipeline=2: gpipe, 1f1b, zb-h1, while two schedules want four stages of two layers; tensor=2: one.
  REQUIRE(found.plans.size() == 8);
  REQUIRE(found.left_out == std::map<std::string, std::size_t>{{"more stages of the pipeline than layers", 2}});
  for (std::size_t i = 1; i < found.plans.size(); ++i)
    REQUIRE(found.plans[i - 1].prediction.step_s() <= found.plans[i].prediction.step_s());
  REQUIRE(!found.closest);

  PlanSetting tight = setting;
  tight.memory_per_rank = 1000;
  const PlanSearch none = search_plans(tight, 1);
  REQUIRE(none.plans.empty());
  REQUIRE(none.left_out.at("more memory than --memory-per-rank") == 8);
  REQUIRE(none.closest);
  REQUIRE(search_plans(setting, 4).left_out.at("more micro-batches than samples of a step") > 0);
  REQUIRE(search_plans(small_setting(3, 12), 3).left_out.at("leaves of a rank that are no power of two") > 0);
  REQUIRE(search_plans(small_setting(4, 8), 1).left_out.at("more tensor ranks than heads of attention") == 1);
  // data=2 beside pipeline=2, by each schedule of two stages, and beside tensor=2.
  REQUIRE(search_plans(small_setting(4, 8), 1)
              .left_out.at("stage 3 of ZeRO, which shares out values, beside pipeline or tensor ranks") == 4);
}

TEST_CASE("trireme plan: exit codes, table and JSON") {
  const auto options = parse_plan_options(
      flags_with({"--world", "2", "--memory-per-rank", "1K", "--batch-size", "2", "--optimizer", "adam"}));
  REQUIRE(options);
  REQUIRE(options->setting.widths.state == 8);
  REQUIRE(options->setting.memory_per_rank == 1024);
  REQUIRE(options->setting.link.bytes_per_s == 10e9 / 8);
  const PlanSearch none = search_plans(options->setting, 0);
  REQUIRE_THAT(plan_text(*options, none), Contains("nothing fits. Closest is ") && Contains("more than there is"));
  const auto json = nlohmann::json::parse(plan_json(*options, none));
  REQUIRE(json["plans"].empty());
  REQUIRE(json["closest"]["memory"] == none.closest->prediction.memory());
  REQUIRE(json["left_out"].size() == none.left_out.size());

  PlanOptions wide = *options;
  wide.setting.memory_per_rank = 1e9;
  wide.rows = 3;
  const PlanSearch some = search_plans(wide.setting, 0);
  REQUIRE_THAT(plan_text(wide, some),
               Contains("and " + std::to_string(some.plans.size() - 3) + " slower ones: --rows 0 shows all"));
  const auto all = nlohmann::json::parse(plan_json(wide, some));
  REQUIRE(all["plans"].size() == some.plans.size());
  REQUIRE(all["closest"].is_null());
  REQUIRE(all["plans"][0]["mesh"] == mesh_text(some.plans[0].choice));
  REQUIRE(plan_mesh({flags_with({"--world", "2", "--memory-per-rank", "1K", "--batch-size", "2"}), {}}) == 1);
  REQUIRE(plan_mesh({flags_with({"--world", "2", "--memory-per-rank", "1G", "--batch-size", "2"}), {}}) == 0);
}

TEST_CASE("trireme plan refuses flags that make no sense, naming them") {
  const std::vector<std::string> good{"--world", "4", "--memory-per-rank", "1G", "--batch-size", "4"};
  const auto refused = [&](const std::vector<std::string>& more) {
    auto all = good;
    all.insert(all.end(), more.begin(), more.end());
    return refusal_of(all);
  };
  REQUIRE(refused({}) == "");
  REQUIRE_THAT(refusal_of({"--world", "4"}), Contains("is required"));
  REQUIRE_THAT(refused({"--heads", "3"}), Contains("--heads 3 does not divide --channels 4"));
  REQUIRE_THAT(refused({"--ranks-per-node", "3"}), Contains("--ranks-per-node 3 does not divide --world 4"));
  REQUIRE_THAT(refused({"--memory-per-rank", "16GB"}), Contains("--memory-per-rank"));
  REQUIRE_THAT(refused({"--memory-per-rank", "0"}), Contains("--memory-per-rank must be above 0"));
  REQUIRE_THAT(refused({"--parameters", "100"}), Contains("--parameters 100 leaves nothing for 2 layers"));
  REQUIRE_THAT(refused({"--model", "gpt", "--parameters", "1e6"}), Contains("in place of --model"));
  REQUIRE_THAT(refused({"--vocabulary", "70000"}), Contains("65536"));
  REQUIRE_THAT(refused({"--optimizer", "sgdd"}), Contains("--optimizer is 'sgdd'"));
  REQUIRE_THAT(refused({"--dtype", "f16"}), Contains("--dtype"));
  REQUIRE_THAT(refused({"--world", "0"}), Contains("--world"));
}

TEST_CASE("K is what rules declare, with masters of 16-bit values") {
  REQUIRE(state_bytes("adamw", 64, DType::f32) == 8);
  REQUIRE(state_bytes("adamw", 64, DType::bf16) == 12);
  REQUIRE(state_bytes("sgd", 64, DType::f32) == 4);
  REQUIRE(state_bytes("adafactor", 64, DType::f32) < 1);
}
