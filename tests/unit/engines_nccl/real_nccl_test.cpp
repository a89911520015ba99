// SPDX-License-Identifier: Apache-2.0
// The real NCCL on a GPU, in a world of one: every operation. The same over the fake one, so that what is compared is known to
// compare.
#include "engines/nccl/factory.hpp"
#include "engines/nccl/library.hpp"
#include "engines_nccl/every_operation.hpp"
#include "support/device_under_test.hpp"
#include "trireme/device/cuda.hpp"
#include "trireme/world/run_ranks.hpp"

#include <catch2/catch.hpp>

#include <optional>
#include <string>
#include <vector>

using namespace trireme;
using testing::ByteVector;
using testing::elements;
using testing::OnDevice;
using testing::view;

namespace {

/// 300 tensors of 0 to 299 elements, as one.
void reduce_group(World& world, const testing::RunRanksOptions& options, ReductionOrder order,
                  testing::Findings& findings) {
  auto communicator = world.communicator();
  const OnDevice here(world, options);
  std::vector<ByteVector> host;
  std::vector<device::Buffer> device;
  std::vector<TensorView> on_host, on_device;
  for (std::size_t i = 0; i < 300; ++i) {
    host.push_back(elements(DType::f32, i, i));
    device.push_back(here.up(host.back()));
  }
  for (std::size_t i = 0; i < host.size(); ++i) {
    on_host.push_back(view(host[i], DType::f32));
    on_device.push_back(device[i].view(DType::f32, i));
  }
  communicator.all_reduce_group(on_host, average_over(4.0), {.order = order});
  communicator.all_reduce_group(on_device, average_over(4.0), {.order = order, .stream = here.stream()});
  communicator.broadcast_group(on_device, 0, {.stream = here.stream()});
  for (std::size_t i = 0; i < host.size(); ++i) findings.compare(host[i], here.down(device[i]));
}

/// On communicators split from others, in memory that is registered, with streams that wait for the end.
void reduce_in_registered_memory(World& world, const testing::RunRanksOptions& options, testing::Findings& findings) {
  auto part = world.communicator().split(0);
  auto again = part->split(0);
  const OnDevice here(world, options);
  DeviceMemory memory = again->device_memory(Bytes{40000});
  again->register_memory(memory);
  ByteVector input = elements(DType::f32, 10000, 7), output(input.size()), found(input.size());
  again->all_reduce(view(input, DType::f32), view(output, DType::f32), average_over(2.0));
  for (const auto order : {ReductionOrder::canonical, ReductionOrder::fastest}) {
    here.runtime().copy(memory.data(), input.data(), input.size(), here.stream());
    Work work = again->all_reduce_async(memory.view(DType::f32, 10000), memory.view(DType::f32, 10000),
                                        average_over(2.0), {.order = order, .stream = here.stream()});
    work.wait_on(here.stream());
    here.runtime().copy(found.data(), memory.data(), found.size(), here.stream());
    work.wait();
    here.runtime().synchronize(here.stream());
    findings.compare(output, found);
  }
  memory.unregister();
}

/// Everything in a world of one: what differs from the host's.
void compare_everything(const testing::RunRanksOptions& options) {
  testing::Findings findings;
  testing::run_ranks(
      1,
      [&](World& world) {
        for (const auto order : {ReductionOrder::canonical, ReductionOrder::fastest}) {
          testing::reduce_everything(world, options, order, findings);
          reduce_group(world, options, order, findings);
        }
        testing::move_everything(world, options, findings);
        reduce_in_registered_memory(world, options, findings);
      },
      options);
  CHECK(findings.compared > 900);
  CHECK(findings.differ == 0);
}

}  // namespace

TEST_CASE("every operation over a fake NCCL in a world of one, on an emulated device") {
  testing::fresh_nccl();
  compare_everything(testing::over_nccl(1));
}

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
  compare_everything(options);
}
