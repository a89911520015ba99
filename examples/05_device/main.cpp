// SPDX-License-Identifier: Apache-2.0
// Parameters in device memory: the loop of 02_data_parallel with values, gradients, reductions and updates on a GPU, or, where
// there is none, on a device that threads play. The bits are those of host memory.
//   trireme run -n 2 -- ./05_device
#include <trireme/trireme.hpp>

#include <cstdint>
#include <cstdio>
#include <exception>
#include <memory>
#include <span>
#include <vector>

namespace {

constexpr std::size_t count = 1000;

/// Sample s asks for the weights that are all s mod 8: the mean of all samples is what is learnt.
float wanted(std::span<const std::uint32_t> samples) {
  float sum = 0.0f;
  for (const std::uint32_t s : samples) sum += static_cast<float>(s % 8);
  return sum / static_cast<float>(samples.size());
}

}  // namespace

int main() try {
  // [device]
  namespace device = trireme::device;
  const auto runtime = device::why_no_cuda().empty() ? device::cuda_runtime() : device::emulated_runtime();
  auto world = trireme::World::open({.device = "cuda", .device_runtime = runtime});
  const int own = world.device()->index;

  const device::Buffer values(runtime, own, count * sizeof(float)), gradients(runtime, own, count * sizeof(float));
  const device::OwnedStream stream(runtime,
                                   own);  // or a cudaStream_t of yours: trireme::Stream{*world.device(), pointer}
  const std::vector<trireme::Parameter> parameters{
      {"weight", {count}, values.view(trireme::DType::f32, count), gradients.view(trireme::DType::f32, count)}};
  runtime->fill(values.data(), std::byte{0}, values.size_bytes(), stream.get());

  trireme::DataParallel data_parallel(world.communicator(), parameters, {.logical_shards = 8, .stream = stream.get()});
  trireme::Sgd optimizer({.learning_rate = 0.5});
  optimizer.use_device(runtime, stream.get());
  // [device]

  trireme::DistributedSampler sampler({.count = 800, .global_batch = 100, .seed = 7});
  std::vector<float> here(count);
  const auto fetch = [&] {
    runtime->copy(here.data(), values.data(), values.size_bytes(), stream.get());
    stream.synchronize();
  };
  for (int epoch = 0; epoch < 3; ++epoch) {
    for (auto& step : data_parallel.steps(sampler)) {
      for (auto& shard : step.shards()) {
        // Your kernels write the gradient, on the same stream. Here it is made on the host: w - target.
        fetch();
        for (float& each : here) each -= wanted(shard.samples());
        runtime->copy(gradients.data(), here.data(), gradients.size_bytes(), stream.get());
        stream.synchronize();  // `here` is used again
        shard.ready(0);
      }
      if (step.reduce() == trireme::StepOutcome::ready) step.apply(optimizer);
    }
  }

  // Collectives take views of device memory, too: behind what the stream holds, and without the host in between.
  auto work = world.communicator().all_reduce_async(parameters[0].value, parameters[0].value, trireme::average,
                                                    {.stream = stream.get()});
  work.wait_on(stream.get());
  work.wait();
  fetch();
  if (world.rank() == 0)
    std::printf("weight[0] %.3f on %d ranks, %s\n", static_cast<double>(here[0]), world.size(),
                std::string(runtime->name()).c_str());
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
