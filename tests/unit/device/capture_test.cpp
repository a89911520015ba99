// SPDX-License-Identifier: Apache-2.0
#include "kernels/fold/fold_device.hpp"
#include "support/device_under_test.hpp"
#include "trireme/base/error.hpp"

#include <catch2/catch.hpp>

#include <functional>
#include <vector>

using namespace trireme;

namespace {

ErrorCode code_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Exception& exception) {
    return exception.error().code;
  }
  return ErrorCode::none;
}

}  // namespace

TEST_CASE("a graph of copies, fills and kernels gives what the stream would have, each time it is launched") {
  for (const auto& runtime : testing::runtimes_under_test()) {
    INFO(runtime->name());
    const device::OwnedStream stream(runtime, 0);
    constexpr std::size_t count = 300;
    std::vector<float> ones(count, 1.0f);
    const auto source = testing::on_device<float>(runtime, ones);
    const device::Buffer sum(runtime, 0, count * sizeof(float)), copy(runtime, 0, count * sizeof(float));
    runtime->fill(sum.data(), std::byte{0}, sum.size_bytes(), stream.get());
    stream.synchronize();
    runtime->begin_capture(stream.get());
    CHECK(runtime->capturing(stream.get()));
    kernels::scale_add(sum.data(), source.data(), DType::f32, 2.0, count, stream.queue());
    runtime->copy(copy.data(), sum.data(), sum.size_bytes(), stream.get());
    void* graph = runtime->end_capture(stream.get());
    CHECK_FALSE(runtime->capturing(stream.get()));
    for (int round = 1; round <= 3; ++round) {
      runtime->launch_graph(graph, stream.get());
      const auto told = testing::to_host<float>(*runtime, copy.data(), count, stream.get());
      CHECK(told.front() == 2.0f * static_cast<float>(round));
      CHECK(told.back() == 2.0f * static_cast<float>(round));
    }
    runtime->launch_graph(graph, stream.get());
    runtime->destroy_graph(graph);  // it runs to its end
    CHECK(testing::to_host<float>(*runtime, copy.data(), count, stream.get()).back() == 8.0f);
  }
}

TEST_CASE("a stream that is captured is not waited for, nor captured twice, and works again afterwards") {
  for (const auto& runtime : testing::runtimes_under_test()) {
    INFO(runtime->name());
    const device::OwnedStream stream(runtime, 0);
    CHECK(code_of([&] { runtime->end_capture(stream.get()); }) == ErrorCode::invalid_argument);
    for (const bool twice : {false, true}) {
      runtime->begin_capture(stream.get());
      const ErrorCode refused =
          twice ? code_of([&] { runtime->begin_capture(stream.get()); }) : code_of([&] { stream.synchronize(); });
      CHECK(refused == ErrorCode::device);
      try {
        runtime->destroy_graph(runtime->end_capture(stream.get()));
      } catch (const Exception& exception) {
        CHECK(exception.error().code == ErrorCode::device);  // the refusal broke it
      }
      CHECK_FALSE(runtime->capturing(stream.get()));
    }
    const device::Buffer buffer(runtime, 0, 64);
    runtime->fill(buffer.data(), std::byte{3}, 64, stream.get());
    CHECK(testing::to_host<std::byte>(*runtime, buffer.data(), 64, stream.get()).back() == std::byte{3});
  }
}
