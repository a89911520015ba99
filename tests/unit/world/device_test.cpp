// SPDX-License-Identifier: Apache-2.0
// Which device a rank gets, and what is refused.
#include "support/device_under_test.hpp"
#include "support/failures.hpp"
#include "trireme/world/world.hpp"
#include "world/settings.hpp"

#include <catch2/catch.hpp>

#include <string>
#include <vector>

using namespace trireme;
using platform::Environment;
using testing::error_of;
using testing::has;

namespace {

Options with_devices(int devices) {
  Options options;
  options.log = Log();
  options.device_runtime = device::emulated_runtime({.devices = devices});
  return options;
}

Environment of_local_rank(int local_rank, const char* device) {
  return {{"RANK", std::to_string(local_rank)},
          {"WORLD_SIZE", "8"},
          {"LOCAL_RANK", std::to_string(local_rank)},
          {"MASTER_ADDR", "::1"},
          {"MASTER_PORT", "29500"},
          {"TRIREME_JOB_KEY", "0123456789abcdef0123"},
          {"TRIREME_DEVICE", device}};
}

}  // namespace

TEST_CASE("a rank has no device unless it asks for one") {
  CHECK(settle(with_devices(2), {}).devices.runtime == nullptr);
  CHECK(settle(with_devices(2), {{"TRIREME_DEVICE", "cpu"}}).devices.runtime == nullptr);
  auto options = with_devices(2);
  options.device = "cpu";
  CHECK(settle(options, {{"TRIREME_DEVICE", "cuda"}}).devices.runtime == nullptr);
  auto world = World::open({.log = Log()});
  CHECK(!world.device());
  CHECK(world.device_runtime() == nullptr);
}

TEST_CASE("the ranks of a host take its devices in turn, or the one they name") {
  for (int rank = 0; rank < 8; ++rank)
    CHECK(settle(with_devices(3), of_local_rank(rank, "cuda")).devices.device.index == rank % 3);
  CHECK(settle(with_devices(3), of_local_rank(2, "cuda:1")).devices.device == Device{DeviceKind::cuda, 1});
}

TEST_CASE("a device that is none, and an engine that is none, are refused by the name of what asked for them") {
  for (const char* text : {"gpu", "cuda:", "cuda:x", "cuda:-1", "cuda:0 ", "CUDA", ""}) {
    const auto error = error_of([&] { settle(with_devices(2), {{"TRIREME_DEVICE", text}}); });
    CAPTURE(text, error.message);
    CHECK(error.code == ErrorCode::invalid_argument);
    CHECK(has(error.message, "TRIREME_DEVICE is '" + std::string(text) + "'"));
  }
  auto options = with_devices(2);
  options.device = "cuda:2";
  const auto beyond = error_of([&] { settle(options, {}); });
  CHECK(beyond.code == ErrorCode::invalid_argument);
  CHECK(has(beyond.message, "Options::device is 'cuda:2'"));
  CHECK(has(beyond.message, "2 GPUs, cuda:0 to cuda:1"));
  const auto engine = error_of([&] { settle(with_devices(2), {{"TRIREME_DEVICE_ENGINE", "gloo"}}); });
  CHECK(engine.code == ErrorCode::invalid_argument);
  CHECK(has(engine.message, "TRIREME_DEVICE_ENGINE is 'gloo'"));
}

TEST_CASE("asking for a GPU where there is no CUDA says what is missing") {
  const std::string why = device::why_no_cuda();
  if (why.empty()) return;  // there is one
  const auto error = error_of([] { settle({.log = Log()}, {{"TRIREME_DEVICE", "cuda"}}); });
  CHECK(error.code == ErrorCode::unsupported);
  CHECK(has(error.message, "TRIREME_DEVICE is 'cuda'"));
  CHECK(has(error.message, why));
}

TEST_CASE("a world of one with a device serves its memory") {
  auto options = with_devices(2);
  options.device = "cuda:1";
  auto world = World::open(options);
  REQUIRE(world.device() == Device{DeviceKind::cuda, 1});
  REQUIRE(world.device_runtime() == options.device_runtime);
  auto communicator = world.communicator();
  const auto runtime = world.device_runtime();
  const device::OwnedStream stream(runtime, 1);
  const std::vector<float> values{1.0f, 2.0f, 3.0f};
  const auto data = testing::on_device<float>(runtime, values, 1);
  const TensorView view = data.view(DType::f32, 3);
  communicator.all_reduce(view, view, premultiplied_sum(2.0), {.stream = stream.get()});
  CHECK(testing::to_host<float>(*runtime, data.data(), 3, stream.get()) == std::vector<float>{2.0f, 4.0f, 6.0f});
}

TEST_CASE("device memory in a world without devices is refused, and so is asking how") {
  auto world = World::open({.log = Log()});
  auto communicator = world.communicator();
  const auto runtime = device::emulated_runtime();
  const auto data = testing::on_device<float>(runtime, std::vector<float>{1.0f});
  const TensorView view = data.view(DType::f32, 1);
  CHECK(error_of([&] { communicator.all_reduce(view, view); }).code == ErrorCode::unsupported);
  const Stream stream{{DeviceKind::cuda, 0}, nullptr};
  CHECK(error_of([&] { communicator.explain(1, DType::f32, {.stream = stream}); }).code == ErrorCode::unsupported);
}
