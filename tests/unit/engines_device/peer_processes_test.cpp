// SPDX-License-Identifier: Apache-2.0
#include "support/failures.hpp"
#include "support/require.hpp"
#include "support/reserved_port.hpp"
#include "unit/engines_device/peer_world.hpp"
#include "world/settings.hpp"
#include "world/world_builder.hpp"

#include <catch2/catch.hpp>

#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include <sys/wait.h>
#include <unistd.h>

namespace trireme {
namespace {

using testing::equal_bits;
using testing::OnDevice;
using testing::require;
using testing::rough;
using testing::small_slots;

/// A world of processes on this host, each with an emulated device of its own.
World open_process(int rank, int ranks, std::uint16_t port, const net::JobKey& key,
                   const std::shared_ptr<device::Runtime>& runtime) {
  Options options;
  options.log = Log();
  options.arena_reserve = Bytes{std::uint64_t{64} << 20};
  Settings settings = settle(options, platform::Environment());
  settings.key = key;
  settings.transport = "shm";
  settings.cluster.rank = rank;
  settings.cluster.world = ranks;
  settings.cluster.job_id = "peer_processes";
  settings.devices = testing::peer_world(runtime, small_slots).devices;
  const Deadline deadline = Deadline::after(std::chrono::seconds(30));
  const rendezvous::ServerAddress address{.address = {"127.0.0.1", port},
                                          .key = key,
                                          .job_id = settings.cluster.job_id,
                                          .epoch = 1,
                                          .rank = rank,
                                          .world_size = ranks,
                                          .serving_rank = 0,
                                          .log = settings.log};
  WorldBuilder::Meeting meeting;
  if (rank == 0) {
    meeting.server = rendezvous::Server::start({.bind = {"", port},
                                                .key = key,
                                                .job_id = settings.cluster.job_id,
                                                .epoch = 1,
                                                .world_size = ranks,
                                                .serving_rank = 0,
                                                .log = settings.log});
  }
  meeting.store = rendezvous::connect_store(address, deadline);
  meeting.open_control = [&](rendezvous::ControlListener& listener) {
    return rendezvous::connect_control(address, listener, deadline);
  };
  return WorldBuilder::build(std::move(settings), std::move(meeting));
}

/// Runs `body` in `ranks` processes; their exit codes, 0 where it returned.
std::vector<int> run_processes(int ranks,
                               const std::function<void(World&, const std::shared_ptr<device::Runtime>&)>& body) {
  const testing::ReservedPort port;
  const net::JobKey key = net::JobKey::random();
  std::vector<pid_t> children;
  for (int rank = 0; rank < ranks; ++rank) {
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      ::alarm(60);
      int code = 1;
      try {
        const auto runtime = device::emulated_runtime({.seed = static_cast<std::uint64_t>(rank + 1)});
        World world = open_process(rank, ranks, port.address.port, key, runtime);
        body(world, runtime);
        world.close();
        code = 0;
      } catch (const std::exception& exception) {
        std::fprintf(stderr, "rank %d: %s\n", rank, exception.what());
      }
      ::_exit(code);
    }
    children.push_back(child);
  }
  std::vector<int> codes;
  for (const pid_t child : children) {
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    codes.push_back(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
  }
  return codes;
}

/// Streams of one process may be ordered by what another process has said in between. The thread sanitizer, which sees one
/// process, takes that for a race now and then; of ranks that are threads it sees all (peer_test.cpp).
bool is_order_unseen() {
#if defined(__SANITIZE_THREAD__)
  WARN("skipped: the thread sanitizer does not see what another process orders");
  return true;
#else
  return false;
#endif
}

}  // namespace

TEST_CASE("Ranks that are processes reach each other's windows: the bits of host memory, captured too") {
  if (is_order_unseen()) return;
  const auto codes = run_processes(3, [](World& world, const std::shared_ptr<device::Runtime>& runtime) {
    auto communicator = world.communicator();
    const int rank = communicator.rank();
    const OnDevice here(runtime, rank);
    for (const std::size_t count : {1u, 1000u, 50000u}) {
      auto expected = rough<float>(rank, count);
      const auto buffer = here.copy_of(expected);
      communicator.all_reduce(std::span<float>(expected), sum);
      communicator.all_reduce(buffer.view(DType::f32, count), buffer.view(DType::f32, count), sum);
      require(equal_bits(here.back<float>(buffer, count), expected), "all_reduce");
      here.put(buffer, rough<float>(rank, count));
      communicator.broadcast(buffer.view(DType::f32, count), 1);
      require(equal_bits(here.back<float>(buffer, count), rough<float>(1, count)), "broadcast");
    }
    auto half = communicator.split(rank == 1 ? 1 : 0, rank);
    const auto buffer = here.copy_of(std::vector<float>(100, 1.0f));
    runtime->begin_capture(here.stream());
    half->all_reduce_async(buffer.view(DType::f32, 100), buffer.view(DType::f32, 100), sum, {.stream = here.stream()})
        .wait();
    void* graph = runtime->end_capture(here.stream());
    for (int replay = 0; replay < 3; ++replay) runtime->launch_graph(graph, here.stream());
    require(here.back<float>(buffer, 100) == std::vector<float>(100, rank == 1 ? 1.0f : 8.0f), "captured");
    runtime->destroy_graph(graph);
  });
  CHECK(codes == std::vector<int>(3, 0));
}

TEST_CASE("A process that ends is named by the others, whose kernels let go") {
  if (is_order_unseen()) return;
  const auto codes = run_processes(3, [](World& world, const std::shared_ptr<device::Runtime>& runtime) {
    auto communicator = world.communicator();
    const OnDevice here(runtime, communicator.rank());
    const auto buffer = here.copy_of(std::vector<float>(9000, 1.0f));
    const auto view = buffer.view(DType::f32, 9000);
    communicator.all_reduce(view, view, sum);
    if (communicator.rank() == 1) ::_exit(7);
    const Error error = testing::error_of([&] { communicator.all_reduce(view, view, sum); });
    require(error.code == ErrorCode::peer_lost && error.peer_rank == 1, "it ended with: " + error.message);
    require(here.back<float>(buffer, 9000) == std::vector<float>(9000, 3.0f), "a failed operation has written");
  });
  CHECK(codes == std::vector<int>{0, 7, 0});
}

}  // namespace trireme
