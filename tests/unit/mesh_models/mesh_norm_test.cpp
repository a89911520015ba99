// SPDX-License-Identifier: Apache-2.0
// What is found of all gradients of a model is found of those of all its ranks, and what follows is the same on all.
#include "mesh_training.hpp"
#include "support/failures.hpp"
#include "trireme/optim/loss_scaler.hpp"

#include <catch2/catch.hpp>

#include <limits>
#include <mutex>

namespace trireme::models {

using namespace testing;
using trireme::testing::has;

TEST_CASE("A gradient that overflows on one rank of a model leaves the step out on all, at every stage of ZeRO") {
  const int stage = GENERATE(0, 1, 2);
  std::mutex mutex;
  std::string complaints;
  trireme::testing::run_ranks(8, [&](World& world) {
    const Mesh mesh(world.communicator(), {{"data", 2}, {"pipeline", 2}, {"tensor", 2}});
    const Training training;
    MeshGpt<double> model(mesh.axis("tensor"), mesh.axis("pipeline"), options_of(training, mesh));
    DataParallel data_parallel(mesh.axis("data"), model.parameters(), {.zero_stage = stage});
    const auto optimizer = training.rule();
    LossScaler scaler;
    const double before = scaler.scale();
    MeshGradientParts parts;
    if (stage != 0) parts = {[&](std::size_t p) { return data_parallel.owned(p); }, mesh.axis("data")};
    const auto tokens = samples::random_rows(training.gpt, 4);
    const auto first_value = [&] { return model.parameters().back().value.as<double>()[0]; };
    const double value = first_value();
    const auto expect = [&](bool holds, const char* what) {
      const std::lock_guard lock(mutex);
      if (!holds) complaints += "rank " + std::to_string(world.rank()) + ": " + what + "; ";
    };
    int number = 0;
    for (auto& step : data_parallel.steps()) {
      for (auto& shard : step.shards()) model.forward_backward(tokens, 4, [&](std::size_t p) { shard.ready(p); });
      step.reduce();
      if (number == 0 && mesh.coordinate("pipeline") == 1 && mesh.coordinate("tensor") == 1) {
        for (const TensorView& gradient : step.gradients())
          if (gradient.count != 0) gradient.as<double>()[0] = std::numeric_limits<double>::infinity();
      }
      const ApplyOutcome outcome =
          step.apply(*optimizer, {.clip_norm = 1.0, .loss_scaler = &scaler, .norm = [&](auto gradients) {
                                    return model.gradient_norm(gradients, parts);
                                  }});
      if (number++ == 0) {
        expect(outcome == ApplyOutcome::nonfinite, "the step was not left out");
        expect(scaler.scale() < before, "the scale stayed");
        expect(first_value() == value, "a value changed");
        continue;
      }
      expect(outcome == ApplyOutcome::applied, "the next step was left out");
      expect(first_value() != value, "no value changed");
      break;
    }
  });
  CHECK(complaints == "");
}

TEST_CASE(
    "What is found of all gradients is refused of a part of a model, on every rank, before anything has changed") {
  std::mutex mutex;
  std::vector<std::string> said;
  const auto train = [&](const std::vector<MeshAxis>& axes) {
    said.clear();
    trireme::testing::run_ranks(2, [&](World& world) {
      const Mesh mesh(world.communicator(), axes);
      const Training training;
      MeshGpt<double> model(mesh.axis("tensor"), mesh.axis("pipeline"), options_of(training, mesh));
      DataParallel data_parallel(mesh.axis("data"), model.parameters());
      const auto optimizer = training.rule();
      LossScaler scaler;
      const auto tokens = samples::random_rows(training.gpt, 4);
      for (auto& step : data_parallel.steps()) {
        for (auto& shard : step.shards()) model.forward_backward(tokens, 4, [&](std::size_t p) { shard.ready(p); });
        step.reduce();
        const std::vector<ApplyOptions> ways{{.clip_norm = 1.0}, {.loss_scaler = &scaler}, {.skip_nonfinite = true}};
        for (const ApplyOptions& how : ways) {
          const Error error = trireme::testing::error_of([&] { step.apply(*optimizer, how); });
          const std::lock_guard lock(mutex);
          said.push_back(error.code == ErrorCode::invalid_argument ? error.message : "");
          if (!error) break;
        }
        break;
      }
    });
  };
  for (const std::string axis : {"pipeline", "tensor"}) {
    const std::string other = axis == "pipeline" ? "tensor" : "pipeline";
    train({{"data", 1}, {other, 1}, {axis, 2}});
    REQUIRE(said.size() == 6);
    const auto names = [&](const char* what) {
      return std::count_if(said.begin(), said.end(), [&](const std::string& each) {
        return has(each, what) && has(each, "set ApplyOptions::norm");
      });
    };
    CHECK(names("clip_norm is of a whole model's gradients") == 2);
    CHECK(names("loss_scaler is of a whole model's gradients") == 2);
    CHECK(names("skip_nonfinite is of a whole model's gradients") == 2);
  }
  train({{"data", 2}, {"pipeline", 1}, {"tensor", 1}});
  CHECK(said == std::vector<std::string>{"", ""});
}

}  // namespace trireme::models
