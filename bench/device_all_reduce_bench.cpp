// SPDX-License-Identifier: Apache-2.0
// What does an all_reduce of device memory among ranks of one process cost, in one shot and in two, and from which size on do two
// pay? Ranks are threads, rank r on device r modulo how many there are. Results are checked before anything is timed.
//   device_all_reduce_bench [ranks = as many as devices, 2 at least]
#include "engines/device/peer/peer_engine.hpp"
#include "trireme/base/error.hpp"
#include "trireme/comm/communicator.hpp"
#include "trireme/device/cuda.hpp"
#include "trireme/device/owned.hpp"
#include "trireme/world/run_ranks.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

using namespace trireme;

namespace {

constexpr std::size_t smallest = 1024, largest = std::size_t{256} << 20;
constexpr int in_a_row = 20, repeats = 7;

/// The median time of one of `in_a_row` operations behind each other, per size, as rank 0 sees it.
std::vector<double> microseconds(const std::shared_ptr<device::Runtime>& runtime, int ranks,
                                 std::uint64_t one_shot_bytes) {
  std::vector<double> result;
  testing::RunRanksOptions options;
  options.devices.runtime = runtime;
  options.devices.make_engine = [&](comm::DeviceRoom room) -> std::unique_ptr<comm::Engine> {
    auto engine = engines::device::make_peer_engine(std::move(room), {.one_shot_bytes = one_shot_bytes});
    if (!engine) fail(ErrorCode::unsupported, "the devices do not reach each other");
    return engine;
  };
  testing::run_ranks(
      ranks,
      [&](World& world) {
        auto communicator = world.communicator();
        const int index = communicator.rank() % runtime->devices();
        const device::OwnedStream stream(runtime, index);
        for (std::size_t bytes = smallest; bytes <= largest; bytes *= 4) {
          const std::size_t count = bytes / sizeof(float);
          const device::Buffer buffer(runtime, index, bytes);
          const std::vector<float> ones(count, 1.0f);
          runtime->copy(buffer.data(), ones.data(), bytes, stream.get());
          const auto view = buffer.view(DType::f32, count);
          communicator.all_reduce(view, view, sum, {.stream = stream.get()});
          std::vector<float> back(count);
          runtime->copy(back.data(), buffer.data(), bytes, stream.get());
          stream.synchronize();
          if (back != std::vector<float>(count, static_cast<float>(ranks)))
            fail(ErrorCode::corrupt, "a wrong sum of " + std::to_string(bytes) + " bytes");
          std::vector<double> times;
          for (int repeat = 0; repeat < repeats; ++repeat) {
            runtime->fill(buffer.data(), std::byte{0}, bytes, stream.get());
            stream.synchronize();
            communicator.barrier();
            const auto begin = std::chrono::steady_clock::now();
            std::vector<Work> works;
            for (int k = 0; k < in_a_row; ++k)
              works.push_back(communicator.all_reduce_async(view, view, sum, {.stream = stream.get()}));
            for (Work& work : works) work.wait();
            times.push_back(
                std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - begin).count() / in_a_row);
          }
          std::nth_element(times.begin(), times.begin() + repeats / 2, times.end());
          if (communicator.rank() == 0) result.push_back(times[repeats / 2]);
        }
      },
      options);
  return result;
}

}  // namespace

int main(int argc, char** argv) {
  // Ranks are threads with several streams each, and kernels wait for each other: see src/engines/device/peer/README.md.
  ::setenv("CUDA_DEVICE_MAX_CONNECTIONS", "32", 0);
  ::setenv("CUDA_MODULE_LOADING", "EAGER", 0);
  if (const std::string why = device::why_no_cuda(); !why.empty()) {
    std::printf("skipped: %s\n", why.c_str());
    return 0;
  }
  const auto runtime = device::cuda_runtime();
  if (runtime->devices() == 0) {
    std::printf("skipped: there is no GPU\n");
    return 0;
  }
  const int ranks = argc > 1 ? std::atoi(argv[1]) : std::max(runtime->devices(), 2);
  try {
    const auto one = microseconds(runtime, ranks, std::uint64_t{1} << 32);
    const auto two = microseconds(runtime, ranks, 0);
    std::printf("%d ranks on %d x %s, f32 sum\n%12s %12s %12s %14s\n", ranks, std::min(ranks, runtime->devices()),
                runtime->properties(0).name.c_str(), "bytes", "one shot us", "two shots us", "two: busbw GB/s");
    std::size_t bytes = smallest;
    for (std::size_t k = 0; k < one.size(); ++k, bytes *= 4) {
      const double bus = 2.0 * (ranks - 1) / ranks * static_cast<double>(bytes) / two[k] * 1e-3;
      std::printf("%12zu %12.1f %12.1f %14.1f\n", bytes, one[k], two[k], bus);
    }
  } catch (const Exception& exception) {
    std::fprintf(stderr, "device_all_reduce_bench: %s\n", exception.what());
    return 1;
  }
  return 0;
}
