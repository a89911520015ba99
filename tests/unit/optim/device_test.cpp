// SPDX-License-Identifier: Apache-2.0
#include "kernels/norm/step_scale.hpp"
#include "support/device_under_test.hpp"
#include "support/forwarding_runtime.hpp"
#include "trireme/base/error.hpp"
#include "trireme/optim/weight_average.hpp"
#include "unit/optim/rules.hpp"
#include "unit/optim/tensors.hpp"

#include <catch2/catch.hpp>

#include <cstring>
#include <map>
#include <string>
#include <vector>

using namespace trireme;

namespace {

using Runtime = std::shared_ptr<device::Runtime>;
using RawBytes = std::vector<std::byte>;

/// Element i of stream `stream`, of any type that is updated.
RawBytes elements(std::uint64_t stream, std::size_t count, DType dtype) {
  RawBytes bytes(count * size_of(dtype));
  for (std::size_t i = 0; i < count; ++i) {
    const double wide = testing::uniform(stream, i);
    const auto narrow = static_cast<float>(wide);
    const BFloat16 brain = to_bfloat16(narrow);
    const Float16 half = to_float16(narrow);
    std::byte* to = bytes.data() + i * size_of(dtype);
    switch (dtype) {
      case DType::f64: std::memcpy(to, &wide, 8); break;
      case DType::f32: std::memcpy(to, &narrow, 4); break;
      case DType::bf16: std::memcpy(to, &brain, 2); break;
      default: std::memcpy(to, &half, 2);
    }
  }
  return bytes;
}

/// A model's parameters on the host and, with the same values, on a device.
struct TwoModels {
  struct Tensor {
    std::string name;
    std::vector<std::int64_t> shape;
    std::size_t count;
    DType dtype, gradient_dtype;
    RawBytes value, gradient;
    device::Buffer device_value, device_gradient;
  };
  Runtime runtime;
  std::vector<Tensor> tensors;

  explicit TwoModels(const Runtime& used) : runtime(used) {
    add("layer.weight", {33, 65}, DType::f32, DType::f32);
    add("layer.bias", {33}, DType::f32, DType::f32);
    add("wide.weight", {5, 7}, DType::f64, DType::f64);
    add("half.weight", {64, 70}, DType::f16, DType::f16);
    add("brain.weight", {9, 1001}, DType::bf16, DType::f32);
    add("brain.bias", {4097}, DType::bf16, DType::bf16);
    add("empty", {0}, DType::f32, DType::f32);
  }
  void add(std::string name, std::vector<std::int64_t> shape, DType dtype, DType gradient) {
    std::size_t count = 1;
    for (const std::int64_t side : shape) count *= static_cast<std::size_t>(side);
    Tensor tensor{
        std::move(name), std::move(shape), count, dtype, gradient, elements(tensors.size(), count, dtype), {}, {}, {}};
    tensor.device_value = testing::on_device<std::byte>(runtime, tensor.value);
    tensor.device_gradient = device::Buffer(runtime, 0, count * size_of(gradient));
    tensors.push_back(std::move(tensor));
  }
  /// New gradients, the same for both, written in the order of `stream`.
  void set_gradients(std::uint64_t step, Stream stream) {
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      Tensor& each = tensors[i];
      each.gradient = elements(100 * step + i + 1000, each.count, each.gradient_dtype);
      runtime->copy(each.device_gradient.data(), each.gradient.data(), each.gradient.size(), stream);
    }
    runtime->synchronize(stream);
  }
  std::vector<Optimizer::TensorUpdate> on_host(const std::string& without = {}) {
    std::vector<Optimizer::TensorUpdate> updates;
    for (Tensor& each : tensors) {
      if (each.name == without) continue;
      updates.push_back({each.name, TensorView(each.value.data(), each.count, each.dtype),
                         ConstTensorView(each.gradient.data(), each.count, each.gradient_dtype), each.shape});
    }
    return updates;
  }
  std::vector<Optimizer::TensorUpdate> on_device(const std::string& without = {}) {
    std::vector<Optimizer::TensorUpdate> updates;
    for (Tensor& each : tensors) {
      if (each.name == without) continue;
      updates.push_back({each.name, each.device_value.view(each.dtype, each.count),
                         each.device_gradient.view(each.gradient_dtype, each.count), each.shape});
    }
    return updates;
  }
  std::vector<Parameter> parameters(bool device) {
    std::vector<Parameter> list;
    for (Tensor& each : tensors) {
      list.push_back({each.name,
                      each.shape,
                      device ? each.device_value.view(each.dtype, each.count)
                             : TensorView(each.value.data(), each.count, each.dtype),
                      {}});
    }
    return list;
  }
  bool equal(Stream stream) {
    for (Tensor& each : tensors) {
      if (testing::to_host<std::byte>(*runtime, each.device_value.data(), each.value.size(), stream) != each.value) {
        UNSCOPED_INFO(each.name << " differs");
        return false;
      }
    }
    return true;
  }
};

/// A copy on the host of all that an optimizer keeps.
struct KeptState {
  Optimizer::SavedState saved;
  std::map<std::string, std::vector<double>> memory;
};

std::map<std::string, KeptState> state_of(const Optimizer& optimizer, device::Runtime& runtime, Stream stream) {
  std::map<std::string, KeptState> all;
  for (const auto& [parameter, state] : optimizer.states()) {
    KeptState& kept = all[parameter];
    kept.saved = optimizer.saved(parameter);
    for (auto& [name, tensor] : kept.saved.tensors) {
      auto& memory = kept.memory[name];
      memory.resize((tensor.size_bytes() + 7) / 8);
      runtime.copy(memory.data(), tensor.data, tensor.size_bytes(), stream);
      tensor = ConstTensorView(memory.data(), tensor.count, tensor.dtype);
    }
  }
  runtime.synchronize(stream);
  return all;
}

void require_equal_states(const Optimizer& a, const Optimizer& b, device::Runtime& runtime, Stream stream) {
  const auto ours = state_of(a, runtime, stream), theirs = state_of(b, runtime, stream);
  REQUIRE(ours.size() == theirs.size());
  for (const auto& [parameter, state] : ours) {
    INFO(parameter);
    const KeptState& other = theirs.at(parameter);
    CHECK(state.saved.steps == other.saved.steps);
    CHECK(state.saved.dtype == other.saved.dtype);
    for (const auto& [name, memory] : state.memory) {
      INFO(name);
      const auto& there = other.memory.at(name);
      REQUIRE(memory.size() == there.size());
      if (memory.empty()) continue;
      CHECK(std::memcmp(memory.data(), there.data(), memory.size() * sizeof(double)) == 0);
    }
  }
}

device::Buffer scale_on(const Runtime& runtime, double factor, bool skip) {
  const kernels::StepScale scale{factor, skip ? 1u : 0u};
  return testing::on_device<kernels::StepScale>(runtime, std::span(&scale, 1));
}

/// Refuses pinned memory, launches, or copies from the `copies`-th on.
class FailingRuntime final : public testing::ForwardingRuntime {
 public:
  using ForwardingRuntime::ForwardingRuntime;
  void* allocate_pinned(std::size_t bytes) override {
    if (!pinned) fail(ErrorCode::device, "allocate_pinned: out of memory");
    return ForwardingRuntime::allocate_pinned(bytes);
  }
  void launch(const device::Launch& launch, Stream stream) override {
    if (!launches) fail(ErrorCode::device, "launch: refused");
    ForwardingRuntime::launch(launch, stream);
  }
  void copy(void* to, const void* from, std::size_t bytes, Stream stream) override {
    if (copies-- <= 0) fail(ErrorCode::device, "copy: refused");
    ForwardingRuntime::copy(to, from, bytes, stream);
  }
  bool pinned = true, launches = true;
  int copies = 1 << 30;
};

void group_biases(Optimizer& optimizer) {
  optimizer.add_group({.name = "biases", .parameters = {"*.bias"}, .learning_rate_scale = 0.5, .weight_decay = 0.0});
}

}  // namespace

TEST_CASE("every optimizer trains device parameters with the host's bits, values, masters and state", "[device]") {
  for (const auto& runtime : testing::runtimes_under_test()) {
    const device::OwnedStream stream(runtime, 0);
    for (const auto& rule : testing::all_rules()) {
      INFO(runtime->name() << ", " << rule.name);
      TwoModels models(runtime);
      const auto host = rule.make(), ours = rule.make();
      group_biases(*host);
      group_biases(*ours);
      ours->use_device(runtime, stream.get());
      for (std::uint64_t step = 1; step <= 4; ++step) {
        models.set_gradients(step, stream.get());
        // One that a step does not use keeps its state and its own count of steps.
        const std::string without = step == 2 ? "layer.bias" : "";
        host->set_learning_rate(host->learning_rate() * 0.9);
        ours->set_learning_rate(ours->learning_rate() * 0.9);
        host->apply(models.on_host(without), 0.7, 0.8);
        ours->apply(models.on_device(without), 0.7, 0.8);
      }
      CHECK(models.equal(stream.get()));
      require_equal_states(*host, *ours, *runtime, stream.get());
      CHECK(ours->states().at("brain.bias").device == Device{DeviceKind::cuda, 0});
    }
  }
}

TEST_CASE("a step whose scale says skip on the device changes nothing and counts nothing", "[device]") {
  for (const auto& runtime : testing::runtimes_under_test()) {
    const device::OwnedStream stream(runtime, 0);
    const auto go = scale_on(runtime, 0.37, false), skip = scale_on(runtime, 0.37, true);
    for (const auto& rule : testing::all_rules()) {
      INFO(runtime->name() << ", " << rule.name);
      TwoModels models(runtime);
      const auto host = rule.make(), ours = rule.make();
      ours->use_device(runtime, stream.get());
      models.set_gradients(1, stream.get());
      ours->apply(models.on_device(), DeviceStepScale{skip.data()}, 0.8);
      CHECK(models.equal(stream.get()));
      CHECK(ours->states().empty());  // as if there had been no step
      for (std::uint64_t step = 1; step <= 3; ++step) {
        models.set_gradients(step, stream.get());
        ours->apply(models.on_device(), DeviceStepScale{skip.data()});
        CHECK(models.equal(stream.get()));
        host->apply(models.on_host(), 0.37, 0.8);
        ours->apply(models.on_device(), DeviceStepScale{go.data()}, 0.8);
        ours->apply(models.on_device(), DeviceStepScale{skip.data()});
      }
      CHECK(models.equal(stream.get()));
      require_equal_states(*host, *ours, *runtime, stream.get());
    }
  }
}

TEST_CASE("state saved from a device goes on on the host, and the other way, with the same bits", "[device]") {
  for (const auto& runtime : testing::runtimes_under_test()) {
    const device::OwnedStream stream(runtime, 0), other_stream(runtime, 0);
    for (const auto& rule : testing::all_rules()) {
      INFO(runtime->name() << ", " << rule.name);
      TwoModels models(runtime);
      const auto host = rule.make(), ours = rule.make();
      ours->use_device(runtime, stream.get());
      for (std::uint64_t step = 1; step <= 2; ++step) {
        models.set_gradients(step, stream.get());
        host->apply(models.on_host());
        ours->apply(models.on_device());
      }
      // By way of copies on the host, as checkpoints go.
      const auto from_device = state_of(*ours, *runtime, stream.get()),
                 from_host = state_of(*host, *runtime, stream.get());
      const auto host_again = rule.make(), device_again = rule.make(), filled = rule.make(), straight = rule.make();
      device_again->use_device(runtime, other_stream.get());
      filled->use_device(runtime, other_stream.get());
      straight->use_device(runtime, other_stream.get());
      runtime->synchronize(stream.get());
      for (const auto& [name, kept] : from_device) host_again->restore(name, kept.saved);
      for (const auto& [name, kept] : from_host) {
        device_again->restore(name, kept.saved);
        for (const auto& [tensor, room] : filled->make_room(name, kept.saved)) {
          CHECK(room.device.kind == DeviceKind::cuda);
          runtime->copy(room.data, kept.memory.at(tensor).data(), room.size_bytes(), other_stream.get());
        }
        straight->restore(name, ours->saved(name));
      }
      other_stream.synchronize();
      require_equal_states(*device_again, *host, *runtime, other_stream.get());
      require_equal_states(*filled, *host, *runtime, other_stream.get());
      models.set_gradients(3, other_stream.get());
      host_again->apply(models.on_host());
      device_again->apply(models.on_device());
      CHECK(models.equal(other_stream.get()));
      // A state in device memory comes to a parameter on the host.
      std::vector<RawBytes> before;
      for (const auto& each : models.tensors) before.push_back(each.value);
      host->apply(models.on_host());
      for (std::size_t i = 0; i < before.size(); ++i) models.tensors[i].value.swap(before[i]);
      straight->apply(models.on_host());
      CHECK(straight->states().at("layer.weight").device == Device{});
      for (std::size_t i = 0; i < before.size(); ++i) CHECK(before[i] == models.tensors[i].value);
      require_equal_states(*host, *straight, *runtime, other_stream.get());
    }
  }
}

TEST_CASE("a step that a device refuses has not been: nothing is counted, and no tensor has moved, on the host neither",
          "[device]") {
  const auto runtime = testing::runtimes_under_test().front();
  const device::OwnedStream stream(runtime, 0);
  for (const auto& rule : testing::all_rules()) {
    INFO(rule.name);
    const auto failing = std::make_shared<FailingRuntime>(runtime);
    TwoModels models(runtime);
    const auto host = rule.make(), ours = rule.make();
    ours->use_device(failing, stream.get());
    std::vector<float> beside(6, 1.0f), slope(6, 0.25f);
    const Optimizer::TensorUpdate on_host{
        "beside", TensorView(std::span<float>(beside)), ConstTensorView(TensorView(std::span<float>(slope))), {}};
    auto updates = models.on_device();
    updates.push_back(on_host);
    for (std::uint64_t step = 1; step <= 2; ++step) {
      models.set_gradients(step, stream.get());
      const auto kept = beside;
      failing->pinned = failing->launches = false;
      failing->copies = 0;
      CHECK_THROWS_AS(ours->apply(updates), Exception);
      failing->pinned = failing->launches = true;
      failing->copies = 1 << 30;
      CHECK(models.equal(stream.get()));
      CHECK(beside == kept);
      CHECK(ours->states().size() == (step == 1 ? 0 : updates.size()));
      for (const auto& [name, state] : ours->states()) CHECK(state.steps == step - 1);
      host->apply(models.on_host());
      ours->apply(updates);
      CHECK(models.equal(stream.get()));
      CHECK(beside != kept);
    }
  }
}

TEST_CASE("where a device fails between two tensors that go by way of the host, the rest is refused until forget()",
          "[device]") {
  const auto runtime = testing::runtimes_under_test().front();
  const device::OwnedStream stream(runtime, 0);
  const auto failing = std::make_shared<FailingRuntime>(runtime);
  TwoModels models(runtime);
  Adafactor ours({});
  ours.use_device(failing, stream.get());
  models.set_gradients(1, stream.get());
  ours.apply(models.on_device());
  failing->copies = 16;
  CHECK_THROWS_WITH(ours.apply(models.on_device()), Catch::Contains("copy: refused"));
  failing->copies = 1 << 30;
  CHECK_THROWS_WITH(ours.apply(models.on_device()), Catch::Contains("forget()"));
  ours.forget();
  ours.apply(models.on_device());
  for (const auto& [name, state] : ours.states()) CHECK(state.steps == 1);
}

TEST_CASE("an average does not move for a step that the device left out, and is the host's, which had none",
          "[device]") {
  for (const auto& runtime : testing::runtimes_under_test()) {
    const device::OwnedStream stream(runtime, 0);
    const auto go = scale_on(runtime, 1.0, false), skip = scale_on(runtime, 1.0, true);
    for (const AverageKind kind : {AverageKind::exponential, AverageKind::equal}) {
      TwoModels models(runtime);
      AdamW host({.learning_rate = 0.05}), ours({.learning_rate = 0.05});
      ours.use_device(runtime, stream.get());
      WeightAverage host_average({.kind = kind, .decay = 0.7, .warmup = true}),
          our_average({.kind = kind, .decay = 0.7, .warmup = true});
      CHECK_THROWS_WITH(our_average.update(models.parameters(true), DeviceStepScale{go.data()}),
                        Catch::Contains("without use_device()"));
      our_average.use_device(runtime, stream.get());
      CHECK_THROWS_WITH(our_average.update(models.parameters(true), DeviceStepScale{}), Catch::Contains("null"));
      for (const bool left_out : {true, false, true, true, false, false}) {
        const DeviceStepScale scale{left_out ? skip.data() : go.data()};
        models.set_gradients(1 + host_average.updates(), stream.get());
        ours.apply(models.on_device(), scale);
        CHECK(our_average.update(models.parameters(true), scale) == !left_out);
        if (left_out) continue;
        host.apply(models.on_host());
        host_average.update(models.parameters(false));
      }
      CHECK(our_average.updates() == 3);
      host_average.put(models.parameters(false));
      our_average.put(models.parameters(true));
      CHECK(models.equal(stream.get()));
      CHECK_THROWS_WITH(our_average.update(models.parameters(true), DeviceStepScale{go.data()}),
                        Catch::Contains("between put() and take_back()"));
    }
  }
}

TEST_CASE("averages of device parameters have the host's bits, in 16 bits too", "[device]") {
  for (const auto& runtime : testing::runtimes_under_test()) {
    const device::OwnedStream stream(runtime, 0);
    for (const AverageKind kind : {AverageKind::exponential, AverageKind::equal}) {
      TwoModels models(runtime);
      AdamW host({.learning_rate = 0.05}), ours({.learning_rate = 0.05});
      ours.use_device(runtime, stream.get());
      WeightAverage host_average({.kind = kind, .decay = 0.7}), our_average({.kind = kind, .decay = 0.7});
      our_average.use_device(runtime, stream.get());
      for (std::uint64_t step = 1; step <= 3; ++step) {
        models.set_gradients(step, stream.get());
        host.apply(models.on_host());
        ours.apply(models.on_device());
        host_average.update(models.parameters(false));
        our_average.update(models.parameters(true));
      }
      host_average.put(models.parameters(false));
      our_average.put(models.parameters(true));
      CHECK(models.equal(stream.get()));
      host_average.take_back(models.parameters(false));
      our_average.take_back(models.parameters(true));
      CHECK(models.equal(stream.get()));
      // And from a checkpoint on the host.
      WeightAverage again({.kind = kind, .decay = 0.7});
      again.use_device(runtime, stream.get());
      std::vector<std::pair<std::string, ConstTensorView>> saved;
      for (const std::string& name : host_average.names()) saved.emplace_back(name, host_average.average(name));
      again.restore(host_average.updates(), saved);
      again.put(models.parameters(true));
      host_average.put(models.parameters(false));
      CHECK(models.equal(stream.get()));
      CHECK(again.average("half.weight").device == Device{DeviceKind::cuda, 0});
    }
  }
}

TEST_CASE("device memory is refused by name where nothing says how it is reached", "[device]") {
  const auto runtime = testing::runtimes_under_test(2).front();
  const device::OwnedStream stream(runtime, 0), other(runtime, 1);
  TwoModels models(runtime);
  models.set_gradients(1, stream.get());
  Adam adam({});
  CHECK_THROWS_WITH(adam.apply(models.on_device()), Catch::Contains("layer.weight") && Catch::Contains("use_device()"));
  CHECK(adam.states().empty());
  CHECK_THROWS_WITH(adam.use_device(runtime, {}), Catch::Contains("use_device()"));
  Adam elsewhere({});
  elsewhere.use_device(runtime, other.get());
  CHECK_THROWS_WITH(elsewhere.apply(models.on_device()), Catch::Contains("stream of device 1"));
  adam.use_device(runtime, stream.get());
  auto mixed = models.on_device();
  mixed.front().gradient = models.on_host().front().gradient;
  CHECK_THROWS_WITH(adam.apply(mixed), Catch::Contains("elsewhere than its gradient"));
  const auto scale = scale_on(runtime, 1.0, false);
  CHECK_THROWS_WITH(adam.apply(models.on_host(), DeviceStepScale{scale.data()}), Catch::Contains("lies on the host"));
  CHECK_THROWS_WITH(adam.apply(models.on_device(), DeviceStepScale{}), Catch::Contains("null"));
  adam.apply(models.on_device());
  CHECK_THROWS_WITH(adam.use_device(runtime, other.get()), Catch::Contains("lies on another device"));
  Adam host({});
  CHECK_THROWS_WITH(host.restore("layer.weight", adam.saved("layer.weight")), Catch::Contains("use_device()"));
  WeightAverage average;
  CHECK_THROWS_WITH(average.update(models.parameters(true)), Catch::Contains("use_device()"));
}

TEST_CASE("tensors on the host and on the device are updated in one step", "[device]") {
  for (const auto& runtime : testing::runtimes_under_test()) {
    const device::OwnedStream stream(runtime, 0);
    TwoModels models(runtime), others(runtime);
    AdamW host({}), ours({});
    ours.use_device(runtime, stream.get());
    models.set_gradients(1, stream.get());
    others.set_gradients(1, stream.get());
    auto updates = models.on_device();
    updates[0] = others.on_host()[0];
    ours.apply(updates);
    host.apply(models.on_host());
    CHECK(others.tensors[0].value == models.tensors[0].value);
    models.tensors.erase(models.tensors.begin());
    CHECK(models.equal(stream.get()));
  }
}
