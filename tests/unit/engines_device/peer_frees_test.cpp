// SPDX-License-Identifier: Apache-2.0
#include "support/require.hpp"
#include "unit/engines_device/peer_world.hpp"

#include <catch2/catch.hpp>

#include <chrono>
#include <thread>

namespace trireme {

// Without the rule of Runtime::free both would wait until the deadline: the free for the kernel, the kernel for who frees.
TEST_CASE("A rank may free while another rank's kernel waits for it on the same device, captured or not") {
  const bool captured = GENERATE(false, true);
  const auto runtime = device::emulated_runtime({.seed = 5, .frees_wait = true});
  testing::run_ranks(
      2,
      [&](World& world) {
        auto communicator = world.communicator();
        const testing::OnDevice here(runtime, communicator.rank());
        const auto a = here.copy_of(std::vector<float>(9000, 1.0f));
        const CallOptions options{.deadline = std::chrono::seconds(20), .stream = here.stream()};
        const auto call = [&] {
          communicator.all_reduce_async(a.view(DType::f32, 9000), a.view(DType::f32, 9000), sum, options).wait();
        };
        void* graph = nullptr;
        if (captured) {
          runtime->begin_capture(here.stream());
          call();
          graph = runtime->end_capture(here.stream());
          communicator.barrier();
        }
        for (int round = 0; round < 3; ++round) {
          if (communicator.rank() == 1) {
            // Rank 0's kernel is there, or about to come: both are right.
            std::this_thread::sleep_for(std::chrono::milliseconds(20));
            const auto b = here.bytes(4096);
            const device::PinnedBuffer c(runtime, 4096);
          }
          if (captured) {
            runtime->launch_graph(graph, here.stream());
          } else {
            call();
          }
        }
        testing::require(here.back<float>(a, 9000) == std::vector<float>(9000, 8.0f), "three sums of two ranks");
        communicator.barrier();
        if (graph != nullptr) runtime->destroy_graph(graph);
      },
      testing::peer_world(runtime, testing::small_slots));
  { const device::Buffer last(runtime, 0, 16); }
  CHECK(runtime->frees_held() == 0);
}

}  // namespace trireme
