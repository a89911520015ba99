// SPDX-License-Identifier: Apache-2.0
// The real NCCL on a GPU, in a world of one: every operation.
#include "engines/nccl/factory.hpp"
#include "engines/nccl/library.hpp"
#include "trireme/device/cuda.hpp"
#include "trireme/device/owned.hpp"
#include "trireme/world/run_ranks.hpp"

#include <catch2/catch.hpp>

#include <numeric>
#include <vector>

using namespace trireme;

TEST_CASE("every operation over the real NCCL in a world of one") {
  if (const auto reason = device::why_no_cuda(); !reason.empty()) {
    WARN("skipped: " << reason);
    return;
  }
  if (const auto reason = engines::nccl::why_not(""); !reason.empty()) {
    WARN("skipped: " << reason);
    return;
  }
  testing::RunRanksOptions options;
  options.devices.runtime = device::cuda_runtime();
  options.devices.make_engine = engines::nccl::factory(engines::nccl::load(""));
  testing::run_ranks(
      1,
      [&](World& world) {
        auto communicator = world.communicator();
        const auto& runtime = options.devices.runtime;
        const device::OwnedStream stream(runtime, 0);
        const std::size_t count = 100'000;
        std::vector<float> values(count), found(count);
        std::iota(values.begin(), values.end(), -3.0f);
        const device::Buffer in(runtime, 0, count * sizeof(float)), out(runtime, 0, count * sizeof(float));
        const auto a = in.view(DType::f32, count), b = out.view(DType::f32, count);
        const auto check = [&](const char* what, float factor) {
          runtime->copy(found.data(), out.data(), count * sizeof(float), stream.get());
          stream.synchronize();
          bool equal = true;
          for (std::size_t i = 0; i < count; ++i) equal = equal && found[i] == values[i] * factor;
          INFO(what);
          REQUIRE(equal);
          runtime->fill(out.data(), std::byte{0}, count * sizeof(float), stream.get());
        };
        runtime->copy(in.data(), values.data(), count * sizeof(float), stream.get());
        const std::vector<std::size_t> counts{count};
        for (const auto order : {ReductionOrder::canonical, ReductionOrder::fastest}) {
          const CallOptions options_of_call{.order = order, .stream = stream.get()};
          communicator.all_reduce(a, b, sum, options_of_call);
          check("all_reduce", 1.0f);
          communicator.all_reduce(a, b, average_over(2.0), options_of_call);
          check("average", 0.5f);
          communicator.all_reduce(a, b, premultiplied_sum(4.0), options_of_call);
          check("premultiplied_sum", 4.0f);
          communicator.reduce_scatter(a, b, maximum, options_of_call);
          check("reduce_scatter", 1.0f);
          communicator.reduce(a, b, 0, product, options_of_call);
          check("reduce", 1.0f);
        }
        const CallOptions on_stream{.stream = stream.get()};
        communicator.all_gather(a, b, on_stream);
        check("all_gather", 1.0f);
        communicator.all_gather(a, b, counts, on_stream);
        check("all_gather of counts", 1.0f);
        communicator.gather(a, b, 0, on_stream);
        check("gather", 1.0f);
        communicator.scatter(a, b, 0, on_stream);
        check("scatter", 1.0f);
        communicator.all_to_all(a, b, on_stream);
        check("all_to_all", 1.0f);
        runtime->copy(out.data(), in.data(), count * sizeof(float), stream.get());
        communicator.broadcast(b, 0, on_stream);
        check("broadcast", 1.0f);
        for (const DType dtype : {DType::f64, DType::f16, DType::bf16, DType::i64, DType::u8}) {
          const auto part = in.view(dtype, 1000);
          auto work = communicator.all_reduce_async(part, part, sum,
                                                    {.order = ReductionOrder::fastest, .stream = stream.get()});
          work.wait_on(stream.get());
          work.wait();
        }
      },
      options);
}
