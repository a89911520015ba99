// SPDX-License-Identifier: Apache-2.0
// From the 2nd operation of a shape on: no heap call and no mutex in the engine, whatever MPI does.
#include "engines_mpi/fake_world.hpp"
#include "unit/comm/forbidden_calls.hpp"

#include <catch2/catch.hpp>

#include <functional>
#include <span>
#include <vector>

using namespace trireme;

TEST_CASE("from the 2nd operation of a shape on the MPI engine makes no heap call and takes no mutex") {
  testing::FakeWorld world;
  auto& communicator = *world.communicator;
  const std::size_t count = GENERATE(std::size_t{0}, std::size_t{100}, std::size_t{20000},
                                     engines::mpi::Lane::round_bytes / sizeof(float) + 1);
  const auto order = GENERATE(ReductionOrder::canonical, ReductionOrder::fastest);
  const CallOptions options{.order = order, .label = "a label of more than fifteen characters"};
  std::vector<float> input(count, 1.0f), output(count);
  const std::span<const float> in(input);
  const std::span<float> out(output);
  const std::vector<std::size_t> counts{count};
  const std::vector<std::function<void()>> calls{
      [&] { communicator.all_reduce(in, out, average, options); },
      [&] { communicator.reduce_scatter(in, out, maximum, options); },
      [&] { communicator.reduce_scatter(ConstTensorView(in), TensorView(out), counts, average, options); },
      [&] { communicator.reduce(in, out, 0, minimum, options); },
      [&] { communicator.all_gather(in, out, options); },
      [&] { communicator.all_gather(ConstTensorView(in), TensorView(out), counts, options); },
      [&] { communicator.gather(in, out, 0, options); },
      [&] { communicator.scatter(in, out, 0, options); },
      [&] { communicator.all_to_all(in, out, options); },
      [&] { communicator.all_to_all(ConstTensorView(in), counts, TensorView(out), counts, options); },
      [&] { communicator.broadcast(out, 0, options); },
      [&] { communicator.barrier(options); }};
  for (const auto& call : calls) {
    call();
    call();  // each of the two lanes has had its first
    testing::arm_forbidden_calls();
    for (int i = 0; i < 10; ++i) call();
    const auto made = testing::disarm_forbidden_calls();
    INFO("call " << &call - calls.data() << " of " << count << ", first from: " << testing::first_forbidden_call());
    REQUIRE(made.heap == 0);
    REQUIRE(made.mutex == 0);
  }
}
