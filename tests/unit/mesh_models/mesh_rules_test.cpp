// SPDX-License-Identifier: Apache-2.0
// Rules that look at whole tensors, on ranks that have shares of them: the dense model's result, or a refusal that says what to do.
#include "mesh_training.hpp"
#include "support/failures.hpp"
#include "support/stride.hpp"
#include "trireme/models/mlp.hpp"
#include "trireme/optim/adafactor.hpp"
#include "trireme/optim/lamb.hpp"
#include "trireme/optim/lars.hpp"
#include "trireme/optim/muon.hpp"

#include <catch2/catch.hpp>

#include <memory>
#include <mutex>

namespace trireme::models {

using namespace testing;
using trireme::testing::has;

namespace {

std::unique_ptr<Optimizer> lamb() {
  return std::make_unique<Lamb>(LambOptions{.learning_rate = 1e-2, .weight_decay = 0.1});
}
std::unique_ptr<Optimizer> lars() {
  return std::make_unique<Lars>(LarsOptions{.learning_rate = 1.0, .momentum = 0.9, .weight_decay = 0.1});
}

/// What the ranks of a mesh say to a step by the rule, each once; empty where one takes it, or has changed a value.
std::string refusal(Optimizer& (*make)(std::unique_ptr<Optimizer>&), const std::vector<MeshAxis>& axes, int stage) {
  std::mutex mutex;
  std::vector<std::string> said;
  trireme::testing::run_ranks(2, [&](World& world) {
    const Mesh mesh(world.communicator(), axes);
    Training training;
    MeshGpt<double> model(mesh.axis("tensor"), mesh.axis("pipeline"), options_of(training, mesh));
    DataParallel data_parallel(mesh.axis("data"), model.parameters(),
                               {.zero_stage = stage, .zero_whole_tensors = true});
    std::unique_ptr<Optimizer> owner;
    Optimizer& optimizer = make(owner);
    const auto tokens = samples::random_rows(training.gpt, 4, 1);
    for (auto& step : data_parallel.steps()) {
      for (auto& shard : step.shards()) model.forward_backward(tokens, 4, [&](std::size_t p) { shard.ready(p); });
      step.reduce();
      const auto values = model.parameters().back().value.as<double>();
      const Values before(values.begin(), values.end());
      const Error error = trireme::testing::error_of([&] { step.apply(optimizer); });
      const bool same = std::equal(before.begin(), before.end(), values.begin());
      const std::lock_guard lock(mutex);
      said.push_back(same && error.code == ErrorCode::unsupported ? error.message : "");
      break;
    }
  });
  return said.size() == 2 && said[0] == said[1] ? said[0] : "";
}

template <class Rule, class Options>
Optimizer& made(std::unique_ptr<Optimizer>& owner) {
  owner = std::make_unique<Rule>(Options{.learning_rate = 0.01});
  return *owner;
}

}  // namespace

TEST_CASE(
    "LAMB and LARS on shares of tensors give the dense model's values, at every stage of ZeRO and every axis order") {
  const bool with_lars = GENERATE(false, true);
  Training training;
  training.rule = with_lars ? lars : lamb;
  const Trained dense = train_dense(training);
  training.tensor_axis = true;
  const auto check = [&](const std::vector<MeshAxis>& axes, int stage) {
    training.axes = axes;
    training.zero_stage = stage;
    training.micro_batch_rows = 8;
    CAPTURE(with_lars, axes.front().name, axes.front().size, stage);
    CHECK(differences(train_mesh(training), dense, 1e-10) == "");
  };
  for (const int stage : trireme::testing::thinned({0, 1, 2}, {0, 2}))
    check({{"data", 2}, {"pipeline", 2}, {"tensor", 2}}, stage);
  check({{"tensor", 2}, {"data", 2}, {"pipeline", 2}}, 1);
  check({{"data", 1}, {"pipeline", 1}, {"tensor", 3}}, 0);  // 4 heads on 3 ranks, 11 words
  check({{"data", 1}, {"pipeline", 1}, {"tensor", 8}}, 0);  // some ranks have no head
}

TEST_CASE("rules that would take a share for the whole are refused by name on every rank before anything has changed") {
  const std::vector<MeshAxis> shares{{"data", 1}, {"pipeline", 1}, {"tensor", 2}};
  const std::vector<MeshAxis> whole{{"data", 2}, {"pipeline", 1}, {"tensor", 1}};
  for (const int stage : {0, 1}) {
    CAPTURE(stage);
    const std::string lamb_said = refusal(made<Lamb, LambOptions>, shares, stage);
    CHECK(has(lamb_said, "lamb: parameter 'token_embedding.weight' is this rank's share of a tensor"));
    CHECK(has(lamb_said, "set DataParallelOptions::tensor_axis"));
    CHECK(has(refusal(made<Lars, LarsOptions>, shares, stage), "set DataParallelOptions::tensor_axis"));
    CHECK(has(refusal(made<Adafactor, AdafactorOptions>, shares, stage),
              "adafactor: parameter 'token_embedding.weight'"));
    CHECK(has(refusal(made<Muon, MuonOptions>, shares, stage), "this rule sees whole tensors: use one that does not"));
    CHECK(refusal(made<Adafactor, AdafactorOptions>, whole, stage) == "");
  }
}

TEST_CASE("ZeRO 3 is refused by name for models that compute with values where they are") {
  std::mutex mutex;
  std::vector<Error> errors;
  const auto note = [&](const Error& error) {
    const std::lock_guard lock(mutex);
    errors.push_back(error);
  };
  trireme::testing::run_ranks(2, [&](World& world) {
    const Mesh mesh(world.communicator(), {{"data", 2}, {"pipeline", 1}, {"tensor", 1}});
    const Training training;
    MeshGpt<double> model(mesh.axis("tensor"), mesh.axis("pipeline"), options_of(training, mesh));
    note(trireme::testing::error_of([&] { DataParallel(mesh.axis("data"), model.parameters(), {.zero_stage = 3}); }));
    Mlp<float> mlp({.sizes = {4, 3}});
    note(trireme::testing::error_of([&] { DataParallel(world.communicator(), mlp.parameters(), {.zero_stage = 3}); }));
  });
  REQUIRE(errors.size() == 4);
  for (const Error& error : errors) {
    INFO(error.message);
    CHECK(error.code == ErrorCode::unsupported);
    CHECK(has(error.message, "zero_stage 3 shares its values out between uses"));
    CHECK(has(error.message, "take zero_stage 2"));
  }
}

}  // namespace trireme::models
