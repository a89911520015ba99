// SPDX-License-Identifier: Apache-2.0
// Data-parallel training of parameters in device memory: the host's bits.
#include "engines/device/engine.hpp"
#include "field.hpp"
#include "ranks.hpp"
#include "support/device_under_test.hpp"
#include "support/stride.hpp"
#include "trireme/optim/adamw.hpp"
#include "trireme/optim/sgd.hpp"
#include "trireme/parallel/data_parallel.hpp"

#include <catch2/catch.hpp>

#include <deque>
#include <memory>
#include <string>
#include <vector>

using namespace trireme;
using namespace trireme::literals;
using namespace trireme::testing;

namespace {

const std::vector<std::size_t> device_counts{300, 7, 0, 40, 1, 9000};
constexpr std::size_t device_samples = 37;

/// A Field of which values and gradients that train lie in device memory.
class DeviceField {
 public:
  DeviceField(std::shared_ptr<device::Runtime> runtime, int index, std::uint64_t seed)
      : runtime_(std::move(runtime)), host_(device_counts, seed), stream_(runtime_, index) {
    for (const Parameter& each : host_.parameters()) {
      memory_.emplace_back(runtime_, index, each.value.size_bytes());
      memory_.emplace_back(runtime_, index, each.value.size_bytes());
      parameters_.push_back({each.name, each.shape,
                             memory_[memory_.size() - 2].view(each.value.dtype, each.value.count),
                             memory_.back().view(each.value.dtype, each.value.count)});
      runtime_->copy(parameters_.back().value.data, each.value.data, each.value.size_bytes(), stream_.get());
    }
    stream_.synchronize();
  }
  const std::vector<Parameter>& parameters() const { return parameters_; }
  void use_gradients(const std::vector<Parameter>& parameters) {
    for (std::size_t p = 0; p < parameters_.size(); ++p) parameters_[p].gradient = parameters[p].gradient;
  }
  Stream stream() const { return stream_.get(); }

  template <class Ready>
  void backward(std::span<const std::uint32_t> samples, Ready ready) {
    bring_values();
    for (std::size_t p = parameters_.size(); p-- > 0;) {
      host_.backward(p, samples);
      auto& copy = in_flight_.emplace_back();  // backward goes on before the device has it
      copy.assign(host_.gradient(p).begin(), host_.gradient(p).end());
      runtime_->copy(parameters_[p].gradient.data, copy.data(), copy.size() * sizeof(float), stream());
      ready(p);
    }
  }
  std::string bytes() {
    bring_values();
    return host_.bytes();
  }

 private:
  void bring_values() {
    for (std::size_t p = 0; p < parameters_.size(); ++p) {
      const TensorView to = host_.parameters()[p].value;
      runtime_->copy(to.data, parameters_[p].value.data, to.size_bytes(), stream());
    }
    stream_.synchronize();
    in_flight_.clear();
  }
  std::shared_ptr<device::Runtime> runtime_;
  Field<float> host_;
  std::deque<std::vector<float>> in_flight_;
  std::deque<device::Buffer> memory_;
  std::vector<Parameter> parameters_;
  device::OwnedStream stream_;
};

struct DeviceWay {
  int ranks = 1;
  int leaves = 4;
  bool views = false;
  bool adamw = false;
  double clip_norm = 0.0;
  bool skip_nonfinite = false;
};

template <class Model>
std::string train_field(World& world, Model& model, DataParallelOptions options, const DeviceWay& way,
                        const std::shared_ptr<device::Runtime>& runtime) {
  options.bucket_bytes = 1_KiB;
  options.logical_shards = way.leaves;
  options.gradients_as_bucket_views = way.views;
  DataParallel data_parallel(world.communicator(), model.parameters(), options);
  if (way.views) model.use_gradients(data_parallel.parameters());
  Sgd sgd({.learning_rate = 0.05, .momentum = 0.9, .l2_penalty = 1e-3});
  AdamW adamw({.learning_rate = 0.01});
  Optimizer& optimizer = way.adamw ? static_cast<Optimizer&>(adamw) : sgd;
  if (runtime) optimizer.use_device(runtime, options.stream);
  DistributedSampler sampler({.count = device_samples, .global_batch = 10, .seed = 5});
  std::string norms;
  while (sampler.cursor().epoch < 2) {
    for (auto& step : data_parallel.steps(sampler)) {
      for (auto& shard : step.shards()) model.backward(shard.samples(), [&](std::size_t p) { shard.ready(p); });
      if (step.reduce() == StepOutcome::ready)
        step.apply(optimizer, {.clip_norm = way.clip_norm, .skip_nonfinite = way.skip_nonfinite});
      norms += std::to_string(step.gradient_norm()) + " ";
    }
  }
  return model.bytes() + norms;
}

std::string on_host(const DeviceWay& way) {
  std::string result;
  run_ranks(1, [&](World& world) {
    Field<float> model(device_counts, 1);
    result = train_field(world, model, {}, way, nullptr);
  });
  return result;
}

}  // namespace

TEST_CASE("training on devices gives the host's weights, on any number of ranks, streams and devices", "[device]") {
  const DeviceWay plain = GENERATE(DeviceWay{}, DeviceWay{.views = true, .adamw = true, .clip_norm = 0.5},
                                   DeviceWay{.leaves = 8, .adamw = true, .clip_norm = 0.5, .skip_nonfinite = true});
  const std::string expected = on_host(plain);
  for (const auto& runtime : runtimes_under_test()) {
    for (const int ranks : thinned({1, 2, 3, 4}, {1, 3})) {
      INFO(runtime->name() << ", " << ranks << " ranks");
      std::vector<std::string> results(static_cast<std::size_t>(ranks));
      run_ranks(ranks,
                [&](World& world) {
                  const int index = world.communicator().device()->index;
                  DeviceField model(runtime, index, static_cast<std::uint64_t>(1 + world.rank()));
                  results[static_cast<std::size_t>(world.rank())] =
                      train_field(world, model, {.stream = model.stream()}, plain, runtime);
                },
                {.devices = {.runtime = runtime, .make_engine = engines::device::factory()}});
      for (const std::string& each : results) REQUIRE((each == expected));
    }
  }
}

TEST_CASE("device parameters without a stream, or row-sparse, are refused", "[device]") {
  const auto runtime = device::emulated_runtime();
  const auto refusal = [&](DataParallelOptions options, bool with_stream) {
    const auto thrown =
        run_ranks_collecting(1,
                             [&](World& world) {
                               DeviceField model(runtime, 0, 1);
                               if (with_stream) options.stream = model.stream();
                               DataParallel(world.communicator(), model.parameters(), options);
                             },
                             {.devices = {.runtime = runtime, .make_engine = engines::device::factory()}});
    return error_of(thrown[0]).message;
  };
  CHECK_THAT(refusal({}, false), Catch::Contains("DataParallelOptions::stream"));
  CHECK_THAT(refusal({.row_sparse = {"parameter0"}}, true), Catch::Contains("no row-sparse gradients"));
}

TEST_CASE("what a device still does with a step's norm is waited for when the data-parallel goes before its optimizer",
          "[device]") {
  const auto runtime = device::emulated_runtime({.delay = std::chrono::microseconds(300)});
  run_ranks(1,
            [&](World& world) {
              DeviceField model(runtime, 0, 1);
              Sgd optimizer({.learning_rate = 0.1});
              optimizer.use_device(runtime, model.stream());
              {
                DataParallel data_parallel(world.communicator(), model.parameters(), {.stream = model.stream()});
                DistributedSampler sampler({.count = 10, .global_batch = 10, .seed = 5});
                for (auto& step : data_parallel.steps(sampler)) {
                  for (auto& shard : step.shards())
                    model.backward(shard.samples(), [&](std::size_t p) { shard.ready(p); });
                  if (step.reduce() == StepOutcome::ready) step.apply(optimizer, {.clip_norm = 0.1});
                }
              }
              if (model.bytes().empty()) throw std::logic_error("no weights");
            },
            {.devices = {.runtime = runtime, .make_engine = engines::device::factory()}});
}

TEST_CASE("an optimizer on another stream than its gradients is refused", "[device]") {
  const auto runtime = device::emulated_runtime();
  const auto thrown = run_ranks_collecting(
      1,
      [&](World& world) {
        DeviceField model(runtime, 0, 1);
        const device::OwnedStream other(runtime, 0);
        Sgd optimizer({.learning_rate = 0.1});
        optimizer.use_device(runtime, other.get());
        DataParallel data_parallel(world.communicator(), model.parameters(), {.stream = model.stream()});
        DistributedSampler sampler({.count = 10, .global_batch = 10, .seed = 5});
        for (auto& step : data_parallel.steps(sampler)) {
          for (auto& shard : step.shards()) model.backward(shard.samples(), [&](std::size_t p) { shard.ready(p); });
          if (step.reduce() == StepOutcome::ready) step.apply(optimizer);
        }
      },
      {.devices = {.runtime = runtime, .make_engine = engines::device::factory()}});
  CHECK_THAT(error_of(thrown[0]).message, Catch::Contains("another stream"));
}
