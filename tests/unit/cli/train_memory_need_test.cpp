// SPDX-License-Identifier: Apache-2.0
#include "cli/train/memory_need.hpp"
#include "cli/train/mesh_memory_need.hpp"
#include "support/temporary_folder.hpp"
#include "trireme/models/gpt.hpp"
#include "trireme/pipeline/generate.hpp"

#include <catch2/catch.hpp>

#include <filesystem>
#include <fstream>
#include <string>

using namespace trireme;
using Catch::Matchers::Contains;

namespace {

std::vector<Parameter> two_shapes() {
  return {{"a", {100, 3}, TensorView(nullptr, 300, DType::f32), TensorView(nullptr, 300, DType::f32)},
          {"b", {100}, TensorView(nullptr, 100, DType::f32), TensorView(nullptr, 100, DType::f32)}};
}

cli::TrainOptions gpt_options() {
  cli::TrainOptions options;
  options.model = "gpt";
  options.optimizer.name = "adamw";
  return options;
}

void write_file(const std::string& path, const std::string& text) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  std::ofstream(path) << text;
}

}  // namespace

TEST_CASE("What a stage shares out is divided by the ranks that share it") {
  cli::TrainOptions options = gpt_options();
  const auto totals = [&](int stage) { return cli::memory_need(two_shapes(), options, stage, 4).total(); };
  CHECK(cli::memory_need(two_shapes(), options, 0, 4).parameters == 400);
  CHECK(totals(0) == 400 * 16);
  CHECK(totals(1) == 400 * (4 + 4 + 2));
  CHECK(totals(2) == 400 * (4 + 1 + 2));
  CHECK(totals(3) == 400 * 4);
  options.shard_group = 2;
  CHECK(totals(3) == 400 * 8);
  options.offload = "anywhere";
  CHECK(totals(3) == 400 * 4);
  options = gpt_options();
  options.precision = cli::Precision::bf16;
  CHECK(totals(0) == 400 * (6 + 6 + 12));
}

TEST_CASE("What makes a model fit is told as far as it goes") {
  cli::TrainOptions options = gpt_options();
  CHECK_THAT(cli::memory_advice(two_shapes(), options, 4),
             Contains("--zero 3 (at least 1600 bytes on each of 4 ranks)") && Contains("--offload DIR"));
  CHECK_THAT(cli::memory_advice(two_shapes(), options, 1), Contains("start more ranks, with --zero 3"));
  options.zero = 3;
  options.offload = "anywhere";
  CHECK(cli::memory_advice(two_shapes(), options, 4) == "start more ranks");
}

TEST_CASE("A rank of a mesh needs what the planner says of its place on the pipeline axis") {
  cli::TrainOptions options = gpt_options();
  options.batch_size = 8;
  options.gpt = {.layers = 3, .heads = 2, .channels = 8, .context = 4};
  options.mesh = cli::ModelMesh{.axes = {{"data", 2}, {"pipeline", 2}, {"tensor", 2}},
                                .schedule = pipeline::one_forward_one_backward(2, 2)};
  const models::Gpt<float> gpt(
      {.vocabulary = 10, .context = 4, .layers = 3, .heads = 2, .channels = 8, .memory_elsewhere = true});
  const auto needs = [&](int stage) { return cli::mesh_memory_need(gpt.parameters(), options, stage, 2, 8); };
  const auto plain = needs(0);
  REQUIRE(plain.size() == 2);
  // A layer has 4 (8 * 8) * 3 + 7 * 8 weights of which half, and 6 * 8 whole; the table 5 rows of 8, positions 4, a norm 2.
  CHECK(plain[0].parameters == (12 * 64 + 56) / 2 + 48 + 40 + 32);
  CHECK(plain[1].parameters == 2 * ((12 * 64 + 56) / 2 + 48) + 40 + 16);
  for (const cli::MemoryNeed& need : plain) {
    CHECK(need.values == 4 * need.parameters);
    CHECK(need.gradients > 4 * need.parameters);
    CHECK(need.state == 8 * need.parameters);
    CHECK(need.activations > 0);
    CHECK(need.total() == need.values + need.gradients + need.state + need.activations);
  }
  CHECK(needs(1)[1].state == plain[1].state / 2);
  options.mesh->layers = {2, 1};
  CHECK(needs(0)[0].parameters == plain[0].parameters + (12 * 64 + 56) / 2 + 48);
  options.gpt.recompute = true;
  CHECK(needs(0)[0].activations < plain[1].activations);
  options.offload = "anywhere";
  CHECK(needs(0)[0].state == 0);
  CHECK_THAT(cli::words_of(plain[0], "adamw", "data=2,pipeline=2,tensor=2"),
             Contains("share of 532 parameters takes at least ") &&
                 Contains(" bytes on a rank of mesh data=2,pipeline=2,tensor=2 (values 2128, ") &&
                 Contains("activations and messages "));
  CHECK_THAT(cli::mesh_memory_advice(gpt.parameters(), options, 2, 8),
             Contains("give --mesh more pipeline or tensor ranks") && Contains("--zero 1 (at least ") &&
                 !Contains("--recompute") && !Contains("--offload"));
}

TEST_CASE("Replicas of a mesh that have unlike numbers of leaves need what the one with the most does") {
  cli::TrainOptions options = gpt_options();
  options.batch_size = 16;
  options.logical_shards = 8;
  options.gpt = {.layers = 2, .heads = 2, .channels = 8, .context = 4};
  options.mesh = cli::ModelMesh{.axes = {{"pipeline", 2}}, .schedule = pipeline::one_forward_one_backward(2, 2)};
  const models::Gpt<float> gpt(
      {.vocabulary = 10, .context = 4, .layers = 2, .heads = 2, .channels = 8, .memory_elsewhere = true});
  const auto gradients = [&](int replicas) {
    return cli::mesh_memory_need(gpt.parameters(), options, 0, replicas, 16).at(0).gradients;
  };
  CHECK(gradients(2) > gradients(4));   // 4, 4 and 2, 2, 2, 2 leaves
  CHECK(gradients(3) == gradients(2));  // 4, 2, 2
  CHECK(gradients(5) == gradients(4));  // 2, 2, 2, 1, 1
}

TEST_CASE("The limit of a control group is the least of its own and those above it") {
  const testing::TemporaryFolder folder;
  const std::string root = folder.path();
  CHECK(cli::memory_limits(root).control_group == cli::MemoryLimits::none);
  CHECK(cli::memory_limits(root).host == cli::MemoryLimits::none);
  write_file(root + "/proc/meminfo", "MemTotal:       1000 kB\nMemFree:  10 kB\nSwapTotal:        24 kB\n");
  write_file(root + "/proc/self/cgroup", "0::/job/step\n");
  write_file(root + "/sys/fs/cgroup/job/step/memory.max", "max\n");
  write_file(root + "/sys/fs/cgroup/job/memory.max", "123456\n");
  write_file(root + "/sys/fs/cgroup/memory.max", "9999999\n");
  const cli::MemoryLimits unified = cli::memory_limits(root);
  CHECK(unified.control_group == 123456);
  CHECK(unified.group == "/job/step");
  CHECK(unified.host == 1024 * 1024);
  write_file(root + "/proc/self/cgroup", "12:cpu:/x\n9:memory:/old\n0::/\n");
  write_file(root + "/sys/fs/cgroup/memory/old/memory.limit_in_bytes", "5000\n");
  CHECK(cli::memory_limits(root).control_group == 5000);
}
