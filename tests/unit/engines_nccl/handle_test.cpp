// SPDX-License-Identifier: Apache-2.0
// NCCL writes what it has made when the making ends, whatever has become of those who asked.
#include "engines/nccl/clique.hpp"
#include "engines_nccl/nccl_world.hpp"
#include "support/failures.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <array>
#include <new>
#include <thread>

using namespace trireme;
using namespace std::chrono_literals;
using engines::nccl::Clique;
using testing::code_of;
using testing::fresh_nccl;
using testing::OnDevice;
using testing::over_nccl;
using testing::soon;

namespace {

/// Memory of a communicator that is watched after it has gone.
class Grave {
 public:
  template <class... Arguments>
  Clique& make(Arguments&&... arguments) {
    return *new (memory_.data()) Clique(std::forward<Arguments>(arguments)...);
  }
  void end(Clique& clique) {
    clique.~Clique();
    memory_.fill(untouched);
  }
  bool quiet() const {
    return std::all_of(memory_.begin(), memory_.end(), [](std::byte each) { return each == untouched; });
  }

 private:
  static constexpr std::byte untouched{0x5a};
  alignas(Clique) std::array<std::byte, sizeof(Clique)> memory_{};
};

Clique::Waiting patience(std::chrono::milliseconds duration) {
  return {[] { return false; }, Deadline::after(duration)};
}

engines::nccl::api::UniqueId fresh_id(const engines::nccl::Library& library) {
  engines::nccl::api::UniqueId id{};
  REQUIRE(library.calls().get_unique_id(&id) == engines::nccl::api::success);
  return id;
}

}  // namespace

TEST_CASE("a communicator whose ranks do not come is written by NCCL after its maker has gone, and harms nothing") {
  auto& fake = fresh_nccl();
  const auto library = engines::nccl::load(FAKE_NCCL);
  const auto runtime = device::emulated_runtime({.devices = 1});
  fake.abort_blocks = true;
  Grave grave;
  auto& clique = grave.make(library, runtime, 0, 7);
  const Error late = testing::error_of([&] { clique.join(fresh_id(*library), 2, 0, patience(5ms)); });
  REQUIRE(late.code == ErrorCode::timeout);
  REQUIRE(testing::has(late.message, "ncclCommInitRankConfig: not all ranks came (rank 7, device 0, "));
  grave.end(clique);
  fake.abort_blocks = false;
  REQUIRE(soon([&] { return fake.communicators == 0 && library->ending() == 0; }));
  REQUIRE(grave.quiet());
}

TEST_CASE("what NCCL splits off a communicator after nobody wants it any more ends with that communicator") {
  auto& fake = fresh_nccl();
  const auto library = engines::nccl::load(FAKE_NCCL);
  const auto runtime = device::emulated_runtime({.devices = 1});
  Grave grave;
  {
    Clique parent(library, runtime, 0, 0);
    parent.join(fresh_id(*library), 1, 0, patience(10s));
    fake.splits_hang = true;
    auto& clique = grave.make(library, runtime, 0, 0);
    REQUIRE(code_of([&] { clique.join_all_of(parent, 0, patience(5ms)); }) == ErrorCode::timeout);
    grave.end(clique);
    REQUIRE(fake.communicators == 1);
  }
  REQUIRE(soon([&] { return fake.communicators == 0 && library->ending() == 0; }));
  REQUIRE(fake.aborted == 2);
  REQUIRE(grave.quiet());
}

TEST_CASE("a communicator that is ended while another is split off it ends the making, named") {
  auto& fake = fresh_nccl();
  const auto library = engines::nccl::load(FAKE_NCCL);
  const auto usual = engines::nccl::factory(library);
  std::thread watcher;
  const auto options = over_nccl(1, [&](comm::DeviceRoom room) {
    if (room.parent != nullptr) {
      fake.splits_hang = true;
      watcher = std::thread([&fake, parent = room.parent] {
        static_cast<void>(soon([&] { return fake.splits != 0; }));
        parent->abort();  // as when the world fails
      });
    }
    return usual(std::move(room));
  });
  Error error;
  testing::run_ranks(
      1,
      [&](World& world) {
        auto communicator = world.communicator();
        error = testing::error_of([&] { static_cast<void>(communicator.split(0)); });
        watcher.join();
      },
      options);
  CAPTURE(to_string(error));
  REQUIRE(error.code == ErrorCode::closed);
  REQUIRE(testing::has(error.message, "NCCL has been left"));
  REQUIRE(soon([&] { return fake.communicators == 0 && library->ending() == 0; }));
}

TEST_CASE("a communicator that NCCL still splits takes nothing else, and says so at once") {
  auto& fake = fresh_nccl();
  auto options = over_nccl(1);
  options.world.timeout = 100ms;
  ErrorCode of_split{}, of_call{};
  testing::run_ranks(
      1,
      [&](World& world) {
        const OnDevice here(world, options);
        auto communicator = world.communicator();
        const auto buffer = here.room_for(400);
        const auto view = buffer.view(DType::f32, 100);
        fake.splits_hang = true;
        of_split = code_of([&] { static_cast<void>(communicator.split(0)); });
        of_call = code_of([&] { communicator.all_reduce(view, view, sum, {.stream = here.stream()}); });
      },
      options);
  REQUIRE(of_split == ErrorCode::timeout);
  REQUIRE(of_call == ErrorCode::closed);
  REQUIRE(fake.misused == 0);
  REQUIRE(soon([&] { return fake.communicators == 0; }));
}
