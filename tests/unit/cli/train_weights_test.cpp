// SPDX-License-Identifier: Apache-2.0
// What is trained, what is kept of it, and what it is worth.
#include "cli/train/evaluator.hpp"
#include "cli/train/selection.hpp"
#include "cli/train/weights.hpp"
#include "kernels/cast/reference.hpp"
#include "support/device_under_test.hpp"
#include "support/failures.hpp"
#include "trireme/data/random.hpp"
#include "trireme/world/run_ranks.hpp"

#include <catch2/catch.hpp>

#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <mutex>
#include <set>

using namespace trireme;
using namespace trireme::cli;

namespace {

/// A model of two tensors in the test's own memory.
struct TwoTensors {
  std::vector<float> values{1.0f, -2.5f, 0.1f, 3.0f};
  std::vector<float> gradients{0.5f, 1e-6f, 0.25f, -1.0f};
  std::vector<Parameter> parameters{
      {"a", {2}, std::span<float>(values).first(2), std::span<float>(gradients).first(2)},
      {"b", {2, 1}, std::span<float>(values).last(2), std::span<float>(gradients).last(2)}};
};

double at(const TensorView& tensor, std::size_t index) {
  return kernels::reference::load(tensor.data, tensor.dtype, index);
}

/// Losses and hits that are functions of the sample, in whatever shares they are asked for.
class CountingTask final : public Task {
 public:
  explicit CountingTask(std::size_t size) : size_(size) {}
  const std::vector<Parameter>& parameters() const override { return none_; }
  void use_gradients(std::span<const Parameter>) override {}
  std::string model() const override { return "counting"; }
  std::string dataset() const override { return "numbers"; }
  std::string config() const override { return "{}"; }
  std::size_t samples() const override { return 1; }
  Measure measure() const override { return measure_; }
  void feed(data::DistributedSampler&, int, layout::LeafBlock) override {}
  void load(std::span<const std::uint32_t>) override {}
  double pass(const PassPlace&, PassListener&) override { return 0; }
  std::size_t size(Part) const override { return size_; }
  bool parts_are_one() const override { return true; }
  std::size_t block() const override { return 4; }
  void evaluate(Part, layout::Interval share, EvaluationSums& sums) override {
    for (std::size_t begin = share.begin; begin < share.end; begin += block()) {
      double loss = 0;
      for (std::size_t i = begin; i < std::min(begin + block(), share.end); ++i) {
        loss += 1.0 / (3.0 + static_cast<double>(i));
        sums.correct += i % 3 == 0 ? 1 : 0;
        ++sums.targets;
      }
      sums.block_losses.push_back(loss);
    }
  }

  Measure measure_ = Measure::accuracy;

 private:
  std::size_t size_;
  std::vector<Parameter> none_;
};

}  // namespace

TEST_CASE("With 16 bits the model computes with what its rounded parameters are widened to") {
  TwoTensors model;
  Weights weights(model.parameters, {}, Precision::bf16, std::nullopt);
  REQUIRE(weights.is_narrow());
  REQUIRE(weights.loss_scaler() == nullptr);
  const TensorView rounded = weights.parameters()[1].value;
  REQUIRE(rounded.dtype == DType::bf16);
  REQUIRE(model.values[2] != 0.1f);
  REQUIRE(std::abs(model.values[2] - 0.1f) < 0.1f / 256);
  REQUIRE(at(rounded, 0) == model.values[2]);

  kernels::reference::store(rounded.data, rounded.dtype, 0, 0.5);  // as an update would
  weights.updated(1);
  REQUIRE(model.values[2] == 0.5f);
}

TEST_CASE("On a device parameters of 16 bits, their gradients and averages are the host's") {
  const auto precision = GENERATE(Precision::bf16, Precision::f16);
  const AverageChoice average{.rule = {.kind = AverageKind::equal}};
  TwoTensors model;
  for (const auto& runtime : testing::runtimes_under_test()) {
    const device::OwnedStream stream(runtime, 0);
    const TaskDevice there{runtime, stream.get()};
    const auto values = testing::on_device<float>(runtime, model.values);
    const auto gradients = testing::on_device<float>(runtime, model.gradients);
    std::vector<Parameter> parameters;
    for (std::size_t p = 0; p < 2; ++p) {
      const Parameter& host = model.parameters[p];
      parameters.push_back(
          {host.name, host.shape, values.view(DType::f32, 2, 8 * p), gradients.view(DType::f32, 2, 8 * p)});
    }
    TwoTensors other;
    Weights on_host(other.parameters, {}, precision, average), on_device(parameters, {}, precision, average, there);
    const auto bytes = [&](const TensorView& tensor) {
      return testing::to_host<std::byte>(*runtime, tensor.data, tensor.size_bytes(), stream.get());
    };
    const auto same = [&](const TensorView& host, const TensorView& device) {
      const auto found = bytes(device);
      return device.device == values.device() && std::memcmp(found.data(), host.data, found.size()) == 0;
    };
    for (std::size_t p = 0; p < 2; ++p) {
      on_host.gradient_ready(p);
      on_device.gradient_ready(p);
      CHECK(same(on_host.parameters()[p].value, on_device.parameters()[p].value));
      CHECK(same(on_host.parameters()[p].gradient, on_device.parameters()[p].gradient));
      CHECK(same(other.parameters[p].value, parameters[p].value));  // widened again
    }
    on_host.updated(1);
    on_device.updated(1);
    for (const TensorView& first : {on_host.parameters()[0].value, on_device.parameters()[0].value})
      runtime->fill(first.data, std::byte{0x3c}, first.size_bytes(), stream.get());  // as an update would
    stream.synchronize();
    on_host.updated(2);
    on_device.updated(2);
    REQUIRE(on_host.show_average());
    REQUIRE(on_device.show_average());
    CHECK(same(other.parameters[0].value, parameters[0].value));
    on_host.hide_average();
    on_device.hide_average();
    CHECK(same(other.parameters[0].value, parameters[0].value));
  }
}

TEST_CASE("Gradients of f16 are multiplied by the loss scale before they are rounded") {
  TwoTensors model;
  Weights weights(model.parameters, {}, Precision::f16, std::nullopt);
  REQUIRE(weights.loss_scaler() != nullptr);
  const double scale = weights.loss_scaler()->scale();
  weights.gradient_ready(0);
  const TensorView rounded = weights.parameters()[0].gradient;
  REQUIRE(at(rounded, 0) == 0.5 * scale);
  // Without the scale 1e-6 would keep four bits at most.
  REQUIRE(at(rounded, 1) == Approx(1e-6 * scale).epsilon(1e-3));
}

TEST_CASE("Of a gradient that is zero but for some rows only these are rounded") {
  TwoTensors model;
  Weights weights(model.parameters, {}, Precision::bf16, std::nullopt);
  const TensorView rounded = weights.parameters()[1].gradient;
  kernels::reference::store(rounded.data, rounded.dtype, 0, 7.0);
  const std::array<std::uint32_t, 1> rows{1};
  weights.gradient_ready(1, rows);
  REQUIRE(at(rounded, 0) == 7.0);
  REQUIRE(at(rounded, 1) == -1.0);
}

TEST_CASE("An average stands in the weights' place while it is shown") {
  TwoTensors model;
  Weights weights(model.parameters, {}, Precision::f32,
                  AverageChoice{.rule = {.kind = AverageKind::equal}, .from_step = 2});
  REQUIRE_FALSE(weights.is_narrow());
  weights.updated(1);
  REQUIRE_FALSE(weights.show_average());  // that step does not count
  model.values[0] = 2;
  weights.updated(2);
  model.values[0] = 4;
  weights.updated(3);
  REQUIRE(weights.show_average());
  REQUIRE(model.values[0] == 3.0f);
  weights.hide_average();
  REQUIRE(model.values[0] == 4.0f);
}

TEST_CASE("Running statistics are averaged with the weights they belong to") {
  TwoTensors model;
  std::vector<float> running{1.0f};
  const std::vector<Parameter> buffers{{"running", {1}, std::span<float>(running), std::span<float>()}};
  Weights weights(model.parameters, buffers, Precision::f32, AverageChoice{.rule = {.kind = AverageKind::equal}});
  weights.updated(1);
  running[0] = 3.0f;
  weights.updated(2);
  REQUIRE(weights.show_average());
  REQUIRE(running[0] == 2.0f);
  weights.hide_average();
  REQUIRE(running[0] == 3.0f);
}

TEST_CASE("The best evaluation is the one of the least loss, and its values come back") {
  TwoTensors model;
  std::vector<float> running{9.0f};
  const std::vector<Parameter> buffers{{"running", {1}, std::span<float>(running), std::span<float>(running)}};
  Selection selection({.keep_best = true, .patience = 2});
  selection.note(10, {.loss = 0.5}, model.parameters, buffers);
  model.values[0] = 20;
  running[0] = 20;
  selection.note(20, {.loss = 0.25, .accuracy = 0.75}, model.parameters, buffers);
  model.values[0] = 30;
  running[0] = 30;
  selection.note(30, {.loss = 0.25}, model.parameters, buffers);  // equal is not better
  REQUIRE_FALSE(selection.is_exhausted());
  selection.note(40, {.loss = 0.5}, model.parameters, buffers);
  REQUIRE(selection.is_exhausted());
  REQUIRE(selection.best_step() == 20);
  REQUIRE(selection.best().accuracy == 0.75);
  selection.restore(model.parameters, buffers);
  REQUIRE(model.values[0] == 20.0f);
  REQUIRE(running[0] == 20.0f);
}

TEST_CASE("Patience of 0 never ends training") {
  Selection selection({.patience = 0});
  for (std::uint64_t step = 1; step < 100; ++step) selection.note(step, {.loss = static_cast<double>(step)}, {}, {});
  REQUIRE_FALSE(selection.is_exhausted());
}

TEST_CASE("An evaluation counts every sample once and has the same bits on any number of ranks") {
  const auto size = GENERATE(as<std::size_t>{}, 1, 4, 37, 64);
  std::set<std::uint64_t> losses;
  std::mutex mutex;
  for (const int ranks : {1, 2, 3, 5, 8}) {
    testing::run_ranks(ranks, [&](World& world) {
      CountingTask task(size);
      auto communicator = world.communicator();
      const Score score = evaluate(task, Part::test, communicator, {});
      const std::lock_guard lock(mutex);
      losses.insert(std::bit_cast<std::uint64_t>(score.loss));
      CHECK(score.accuracy == static_cast<double>((size + 2) / 3) / static_cast<double>(size));
      CHECK_FALSE(score.perplexity);
    });
  }
  CHECK(losses.size() == 1);
}

TEST_CASE("A loss is told as the task measures it") {
  testing::run_ranks(1, [&](World& world) {
    CountingTask task(9);
    auto communicator = world.communicator();
    task.measure_ = Measure::perplexity;
    Score score = evaluate(task, Part::validation, communicator, {});
    REQUIRE(score.perplexity == std::exp(score.loss));
    REQUIRE_FALSE(score.accuracy);
    task.measure_ = Measure::error;
    score = evaluate(task, Part::validation, communicator, {});
    REQUIRE(score.error == std::sqrt(2 * score.loss));
    CountingTask nothing(0);
    REQUIRE(std::isnan(evaluate(nothing, Part::test, communicator, {}).loss));
  });
}

TEST_CASE("Ranks with other samples to evaluate are named") {
  std::mutex mutex;
  testing::run_ranks(2, [&](World& world) {
    CountingTask task(world.rank() == 0 ? 8 : 9);
    auto communicator = world.communicator();
    const Error error = testing::error_of([&] { evaluate(task, Part::test, communicator, {}); });
    const std::lock_guard lock(mutex);
    CHECK(error.code == ErrorCode::mismatch);
    CHECK(error.message == "rank 1 evaluates 9 samples, rank 0 8: they have different data");
  });
}
