// SPDX-License-Identifier: Apache-2.0
// A mesh's bits under schedules and numbers of stages.
#include "mesh_training.hpp"
#include "support/stride.hpp"

#include <catch2/catch.hpp>

namespace trireme::models {

using namespace testing;

namespace {

/// The logical values behind training, which have to be the same in all copies.
std::vector<Values> logical(const Training& training, const std::vector<Values>& like) {
  std::string complaints;
  std::vector<Values> whole = assembled(train_mesh(training), like, complaints);
  REQUIRE(complaints == "");
  return whole;
}

bool same_tensors(const std::vector<Values>& a, const std::vector<Values>& b) {
  bool same = a.size() == b.size();
  for (std::size_t p = 0; same && p < a.size(); ++p) same = same_bits(a[p], b[p]);
  return same;
}

}  // namespace

TEST_CASE("All schedules and numbers of stages give the same bits with the same micro-batches") {
  Training training;
  training.steps = 3;
  training.gpt.layers = 6;
  training.micro_batches = 5;
  training.micro_batch_rows = 2;
  training.gpt.dropout = 0.1;
  const Trained dense = train_dense(training);
  for (const bool by_positions : {false, true}) {
    training.sequence_parallel = by_positions;
    training.schedule = "gpipe";
    training.chunks = 1;
    training.axes = {{"data", 1}, {"pipeline", 1}, {"tensor", 2}};
    const std::vector<Values> expected = logical(training, dense.values);
    for (const std::string& name : pipeline::schedule_names()) {
      for (const int stages : {2, 3}) {
        CAPTURE(by_positions, name, stages);
        training.axes = {{"data", 1}, {"pipeline", stages}, {"tensor", 2}};
        training.schedule = name;
        training.chunks = name == "interleaved" || name == "zb-v" ? 2 : 1;
        training.gpt.recompute = stages == 3;
        if (trireme::testing::is_thin && by_positions != (stages == 3)) continue;
        REQUIRE(same_tensors(logical(training, dense.values), expected));
      }
    }
    training.gpt.recompute = false;
  }
}

TEST_CASE("Without a tensor axis gradients are the dense model's by micro-batches, weighted and added, bit for bit") {
  Training training;
  training.rows = 7;
  training.micro_batches = 3;
  training.micro_batch_rows = 3;
  training.gpt.dropout = 0.1;
  const auto tokens = samples::random_rows(training.gpt, training.rows);
  const std::size_t width = training.gpt.context + 1;
  Gpt<double> dense(training.gpt);
  std::vector<Values> expected;
  for (std::size_t i = 0; i < 3; ++i) {
    const std::size_t begin = i * training.rows / 3, rows = (i + 1) * training.rows / 3 - begin;
    dense.set_place({.first_row = begin});
    dense.forward_backward(std::span(tokens).subspan(begin * width, rows * width), rows);
    for (std::size_t p = 0; p < dense.parameters().size(); ++p) {
      const auto gradient = dense.parameters()[p].gradient.as<double>();
      if (i == 0) expected.emplace_back(gradient.size(), -0.0);
      for (std::size_t e = 0; e < gradient.size(); ++e)
        expected[p][e] += gradient[e] * (static_cast<double>(rows) / static_cast<double>(training.rows));
    }
  }
  for (const std::string& name : pipeline::schedule_names()) {
    CAPTURE(name);
    training.schedule = name;
    training.chunks = name == "interleaved" || name == "zb-v" ? 2 : 1;
    std::vector<std::string> complaints(2);
    trireme::testing::run_ranks(2, [&](World& world) {
      const Mesh mesh(world.communicator(), {{"pipeline", 2}, {"tensor", 1}});
      MeshGpt<double> model(mesh.axis("tensor"), mesh.axis("pipeline"), options_of(training, mesh));
      model.forward_backward(tokens, training.rows);
      for (std::size_t p = 0; p < model.parameters().size(); ++p) {
        const std::size_t logical = model.placements()[p].parameter;
        const auto gradient = model.parameters()[p].gradient.as<double>();
        const Values own(gradient.begin(), gradient.end());
        bool same = same_bits(own, expected[logical]);
        if (logical == 0) {  // its two ends are added to each other last
          same = true;
          for (std::size_t e = 0; e < own.size(); ++e) same = same && std::abs(own[e] - expected[0][e]) < 1e-14;
        }
        if (!same) complaints[static_cast<std::size_t>(world.rank())] += model.parameters()[p].name + " differs; ";
      }
    });
    REQUIRE(complaints[0] + complaints[1] == "");
  }
}

TEST_CASE(
    "An evaluation finds the dense model's losses on every rank, and logical values are those of the dense start") {
  Training training;
  training.gpt.dropout = 0.5;  // not in an evaluation
  training.gpt.heads = 2;
  const auto tokens = samples::random_rows(training.gpt, 7);
  Gpt<double> dense(training.gpt);
  Values expected(7 * training.gpt.context);
  const TokenEvaluation found = dense.evaluate(tokens, 7, expected);
  training.micro_batch_rows = 2;
  for (const std::string name : {"1f1b", "interleaved", "zb-v"}) {
    for (const bool by_positions : {false, true}) {
      CAPTURE(name, by_positions);
      training.schedule = name;
      training.chunks = name == "1f1b" ? 1 : 2;
      training.sequence_parallel = by_positions;
      std::vector<std::string> complaints(6);
      trireme::testing::run_ranks(6, [&](World& world) {
        std::string& own = complaints[static_cast<std::size_t>(world.rank())];
        const Mesh mesh(world.communicator(), {{"pipeline", 2}, {"tensor", 3}});
        MeshGpt<double> model(mesh.axis("tensor"), mesh.axis("pipeline"), options_of(training, mesh));
        Values losses(expected.size());
        const TokenEvaluation evaluation = model.evaluate(tokens, 7, losses);
        for (std::size_t i = 0; i < losses.size(); ++i) {
          if (!(std::abs(losses[i] - expected[i]) < 1e-12)) own += "loss " + std::to_string(i) + " differs; ";
        }
        if (evaluation.tokens != found.tokens || !(std::abs(evaluation.loss_sum - found.loss_sum) < 1e-11))
          own += "the evaluation differs; ";
        if (model.evaluate(tokens, 7).loss_sum != evaluation.loss_sum) own += "it does not repeat itself; ";
        std::size_t seen = 0;
        model.for_each_logical([&](std::size_t p, std::span<const double> values) {
          const auto start = dense.parameters()[p].value.as<double>();
          if (!same_bits(Values(values.begin(), values.end()), Values(start.begin(), start.end())))
            own += dense.parameters()[p].name + " differs; ";
          seen += p + 1;
        });
        const std::size_t count = dense.parameters().size();
        if (seen != count * (count + 1) / 2) own += "not every parameter once; ";
      });
      for (const std::string& each : complaints) REQUIRE(each == "");
    }
  }
}

TEST_CASE("An array whose shares lie as a parameter's is gathered to the logical one, on every rank") {
  std::vector<std::string> complaints(6);
  trireme::testing::run_ranks(6, [&](World& world) {
    std::string& own = complaints[static_cast<std::size_t>(world.rank())];
    const Mesh mesh(world.communicator(), {{"tensor", 3}, {"pipeline", 2}});
    const Training training;
    MeshGpt<double> model(mesh.axis("tensor"), mesh.axis("pipeline"), options_of(training, mesh));
    const Gpt<double> dense(training.gpt);
    for (std::size_t p = 0; p < dense.parameters().size(); ++p) {
      Values share;  // of every element its place in the logical tensor
      for (const MeshPlacement& placement : model.placements()) {
        if (placement.parameter != p) continue;
        for (const layout::Interval& range : placement.ranges) {
          for (std::size_t e = range.begin; e < range.end; ++e) share.push_back(static_cast<double>(e));
        }
      }
      Values whole(dense.parameters()[p].value.count);
      model.gather_logical(p, share, whole);
      for (std::size_t e = 0; e < whole.size(); ++e) {
        if (whole[e] != static_cast<double>(e)) {
          own += dense.parameters()[p].name + " has another element; ";
          break;
        }
      }
    }
  });
  for (const std::string& each : complaints) REQUIRE(each == "");
  trireme::testing::run_ranks(1, [](World& world) {
    const Mesh mesh(world.communicator(), {{"pipeline", 1}, {"tensor", 1}});
    const MeshGpt<double> model(mesh.axis("tensor"), mesh.axis("pipeline"), options_of(Training{}, mesh));
    Values few(3), more(4);
    REQUIRE_THROWS_WITH(model.gather_logical(1, few, more),
                        Catch::Contains("3 elements for 'position_embedding.weight', and its share is 4"));
    REQUIRE_THROWS_WITH(model.gather_logical(1000, few, few), Catch::Contains("parameter 1000 of a model that has"));
  });
}

TEST_CASE("A step without rows has loss 0 and gradients 0, and announces every parameter once") {
  trireme::testing::run_ranks(4, [](World& world) {
    const Mesh mesh(world.communicator(), {{"pipeline", 2}, {"tensor", 2}});
    const Training training;
    MeshGpt<float> model(mesh.axis("tensor"), mesh.axis("pipeline"), options_of(training, mesh));
    const auto tokens = samples::random_rows(training.gpt, training.rows);
    for (const std::size_t rows : {training.rows, std::size_t{0}}) {
      std::vector<int> announced(model.parameters().size());
      const double loss = model.forward_backward(std::span(tokens).first(rows * (training.gpt.context + 1)), rows,
                                                 [&](std::size_t p) { ++announced[p]; });
      bool zero = true;
      for (const Parameter& each : model.parameters()) {
        for (const float g : each.gradient.as<float>()) zero = zero && g == 0.0f;
      }
      const bool once = std::all_of(announced.begin(), announced.end(), [](int n) { return n == 1; });
      if (zero != (rows == 0) || (loss == 0.0) != (rows == 0) || !once) throw std::runtime_error("not as promised");
    }
  });
}

}  // namespace trireme::models
