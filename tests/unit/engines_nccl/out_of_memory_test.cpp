// SPDX-License-Identifier: Apache-2.0
// An operation for which there is no memory is refused, and leaves no trace: what comes after it is as before.
#include "engines_nccl/nccl_world.hpp"
#include "engines_nccl/refusing_heap.hpp"
#include "support/failures.hpp"

#include <catch2/catch.hpp>

#include <vector>

using namespace trireme;
using testing::fresh_nccl;
using testing::OnDevice;
using testing::over_nccl;

TEST_CASE("where the heap is exhausted at any moment of a call, that call fails and its communicator is as before") {
  constexpr int room = 64;     // operations that an engine has places for from the beginning
  constexpr int enough = 100;  // heap calls: more than a call makes
  auto& fake = fresh_nccl();
  const auto options = over_nccl(1);
  int refused = 0, wrong = 0;
  testing::run_ranks(
      1,
      [&](World& world) {
        auto communicator = world.communicator();
        const OnDevice here(world, options);
        DeviceMemory memory = communicator.device_memory(Bytes{4000});
        communicator.register_memory(memory);
        const TensorView view = memory.view(DType::f32, 1000);
        const CallOptions on_stream{.stream = here.stream()};
        for (int k = 0; k < 2; ++k) communicator.all_reduce(view, view, sum, on_stream);
        fake.late = 100'000;  // NCCL takes nothing for a while: operations wait in the engine
        std::vector<Work> works;
        for (int k = 0; k < room; ++k) works.push_back(communicator.all_reduce_async(view, view, sum, on_stream));
        works.reserve(works.size() + 1);
        for (int call = 1; call < enough; ++call) {
          testing::refuse_heap_call(call);
          try {
            works.push_back(communicator.all_reduce_async(view, view, sum, on_stream));
            testing::refuse_heap_call(0);
            break;
          } catch (const Exception& exception) {
            testing::refuse_heap_call(0);
            wrong += exception.error().code != ErrorCode::system;
          } catch (const std::bad_alloc&) {
            testing::refuse_heap_call(0);
          }
          ++refused;
        }
        fake.late = 0;
        for (Work& work : works) work.wait();
        wrong += works.size() != room + 1;
        memory.unregister();  // done at once where nothing is under way
        wrong += memory.known_as() != "plain";
      },
      options);
  CHECK(refused > 0);
  CHECK(wrong == 0);
  CHECK(fake.aborted == 0);
  CHECK(fake.deregistrations == 1);
  CHECK(testing::soon([&] { return fake.communicators == 0; }));
}
