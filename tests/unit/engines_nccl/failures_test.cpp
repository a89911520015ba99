// SPDX-License-Identifier: Apache-2.0
// NCCL hangs, fails, says that something failed, or does not let go: what the ranks are told, and that all ends.
#include "support/failures.hpp"

#include "engines_nccl/nccl_world.hpp"

#include <catch2/catch.hpp>

#include <array>
#include <atomic>
#include <exception>
#include <functional>
#include <string>
#include <thread>
#include <vector>

using namespace trireme;
using namespace std::chrono_literals;
using testing::fresh_nccl;
using testing::has;
using testing::OnDevice;
using testing::over_nccl;
using testing::soon;

namespace {

Error error_in(const std::exception_ptr& thrown) {
  try {
    if (thrown) std::rethrow_exception(thrown);
  } catch (const Exception& exception) {
    return exception.error();
  } catch (const std::exception& exception) {
    Error other;
    other.message = exception.what();
    return other;
  }
  return {};
}

struct Failing {
  explicit Failing(const engines::nccl::EngineOptions& engine = {}) : fake(fresh_nccl()) {
    nccl = engines::nccl::load(FAKE_NCCL);
    options = over_nccl(3, engines::nccl::factory(nccl, engine));
  }
  /// What each of three ranks is told by a large all_reduce, before which `prepare` was called once.
  std::vector<Error> all_reduce(const std::function<void()>& prepare, std::chrono::milliseconds deadline,
                                ReductionOrder order = ReductionOrder::canonical) {
    const auto thrown = testing::run_ranks_collecting(
        3,
        [&](World& world) {
          auto communicator = world.communicator();
          const OnDevice here(world, options);
          auto& buffer = buffers[static_cast<std::size_t>(communicator.rank())];
          buffer = here.room_for(40000);
          communicator.barrier();
          if (communicator.rank() == 0) {
            fake.forget();
            prepare();
          }
          communicator.barrier();
          const auto view = buffer.view(DType::i32, 10000);
          communicator.all_reduce(view, view, sum,
                                  {.deadline = deadline, .order = order, .stream = here.stream(), .label = "bucket 3"});
        },
        options);
    std::vector<Error> errors;
    for (const auto& each : thrown) errors.push_back(error_in(each));
    return errors;
  }
  bool all_gone() {
    return soon([&] { return nccl->ending() == 0 && fake.communicators == 0; });
  }
  testing::FakeNccl& fake;
  std::shared_ptr<engines::nccl::Library> nccl;
  testing::RunRanksOptions options;
  std::array<device::Buffer, 3> buffers;  // an abort that does not return leaves the device in them
};

}  // namespace

TEST_CASE("a hang of NCCL ends at the operation's deadline, named, and everything is given back") {
  Failing failing;
  const auto errors = failing.all_reduce(
      [&] {
        failing.fake.hang_call = 0;
        failing.fake.hang_rank = 1;
      },
      300ms);
  for (const Error& error : errors) {
    CAPTURE(to_string(error));
    REQUIRE(error.code == ErrorCode::timeout);
    // Whoever is asked before it has said for whom it waits is blamed itself.
    const bool is_named =
        has(error.message, "ranks wait for each other though all have called: rank 0 in all_reduce #") ||
        has(error.message, "makes no progress in all_reduce #");
    REQUIRE(is_named);
    REQUIRE(error.label == "bucket 3");
  }
  REQUIRE(failing.fake.aborted == 6);  // two communicators on each rank
  REQUIRE(failing.all_gone());
}

TEST_CASE("a rank that does not call is the one that the others wait for") {
  Failing failing;
  const auto thrown = testing::run_ranks_collecting(
      3,
      [&](World& world) {
        auto communicator = world.communicator();
        const OnDevice here(world, failing.options);
        const auto buffer = here.room_for(40000);
        if (communicator.rank() == 1) {
          while (!world.failure()) {
            communicator.progress();
            std::this_thread::sleep_for(1ms);
          }
          throw Exception(*world.failure());
        }
        communicator.all_reduce(buffer.view(DType::f32, 10000), buffer.view(DType::f32, 10000), sum,
                                {.deadline = 300ms, .stream = here.stream()});
      },
      failing.options);
  for (const auto& each : thrown) {
    const Error error = error_in(each);
    CAPTURE(to_string(error));
    REQUIRE(error.code == ErrorCode::timeout);
    REQUIRE(error.peer_rank == 1);
  }
  REQUIRE(failing.all_gone());
}

TEST_CASE("an error of an NCCL call names call, words, rank and device there, and its rank on the others") {
  for (const int call : {0, 4}) {  // in the exchange, in the gathering
    Failing failing;
    const auto errors = failing.all_reduce(
        [&] {
          failing.fake.error_call = call;
          failing.fake.error_rank = 1;
        },
        10s);
    for (const Error& error : errors) {
      CAPTURE(call, to_string(error));
      REQUIRE(error.code == ErrorCode::device);
      REQUIRE(error.peer_rank == 1);
      REQUIRE(has(error.message, "rank 1"));
      REQUIRE(has(error.message, call == 0 ? "ncclSend: unhandled cuda error (told to fail)" : "nccl"));
      REQUIRE(has(error.message, "(rank 1, device 1, "));
      REQUIRE(has(error.message, "'bucket 3'"));
    }
    REQUIRE(failing.all_gone());
  }
}

TEST_CASE("where one call of several fails, the caller gets its memory back when NCCL has let go of those before it") {
  Failing failing({.abort_patience = 60s});
  std::atomic<int> aborted_before{-1};
  std::thread letting_go([&] {
    static_cast<void>(soon([&] { return failing.nccl->ending() != 0; }));
    std::this_thread::sleep_for(300ms);  // in which whoever does not wait is told too soon
    failing.fake.abort_blocks = false;
  });
  const auto thrown = testing::run_ranks_collecting(
      3,
      [&](World& world) {
        auto communicator = world.communicator();
        const OnDevice here(world, failing.options);
        auto& buffer = failing.buffers[static_cast<std::size_t>(communicator.rank())];
        buffer = here.room_for(40000);
        communicator.barrier();
        if (communicator.rank() == 1) {
          failing.fake.forget();
          failing.fake.abort_blocks = true;
          failing.fake.error_call = 2;  // of a send and a receive with each of two ranks
          failing.fake.error_rank = 1;
        }
        communicator.barrier();
        const auto view = buffer.view(DType::i32, 10000);
        try {
          communicator.all_reduce(view, view, sum, {.stream = here.stream()});
        } catch (const Exception&) {
          if (communicator.rank() == 1) aborted_before = failing.fake.aborted.load();
          throw;
        }
      },
      failing.options);
  letting_go.join();
  REQUIRE(aborted_before >= 2);
  REQUIRE(failing.all_gone());
}

TEST_CASE("what NCCL finds later fails the operation that is under way, and blames the rank where it was found") {
  Failing failing;
  const auto errors = failing.all_reduce(
      [&] {
        failing.fake.hang_call = 0;
        failing.fake.hang_rank = 2;
        failing.fake.async_result = 3;
        failing.fake.async_rank = 2;
      },
      10s, ReductionOrder::fastest);
  for (const Error& error : errors) {
    CAPTURE(to_string(error));
    REQUIRE(error.code == ErrorCode::device);
    REQUIRE(error.peer_rank == 2);
    REQUIRE(has(error.message, "internal error (told to say so)"));
  }
  REQUIRE(failing.all_gone());
}

TEST_CASE("a rank that hears from NCCL of another's failure does not blame itself") {
  Failing failing({.last_words = 100ms});
  const auto errors = failing.all_reduce(
      [&] {
        failing.fake.hang_call = 0;
        failing.fake.hang_rank = 2;
        failing.fake.async_result = 6;  // remote error
        failing.fake.async_rank = 0;
      },
      10s);
  for (const Error& error : errors) {
    CAPTURE(to_string(error));
    REQUIRE(error.code == ErrorCode::device);
    REQUIRE(has(error.message, "another rank has failed"));
  }
  REQUIRE(failing.all_gone());
}

TEST_CASE("an ncclCommAbort that never returns holds nobody, and what it keeps goes when it does return") {
  Failing failing({.abort_patience = 20ms});
  const auto errors = failing.all_reduce(
      [&] {
        failing.fake.abort_blocks = true;
        failing.fake.hang_call = 0;
        failing.fake.hang_rank = 0;
      },
      100ms);
  for (const Error& error : errors) REQUIRE(error.code == ErrorCode::timeout);
  REQUIRE(failing.nccl->ending() == 3);
  REQUIRE(failing.fake.communicators == 6);
  failing.fake.abort_blocks = false;
  REQUIRE(failing.all_gone());
}

TEST_CASE("calls that do not fit each other are a mismatch, before NCCL is waited for") {
  Failing failing;
  const auto thrown = testing::run_ranks_collecting(
      3,
      [&](World& world) {
        auto communicator = world.communicator();
        const OnDevice here(world, failing.options);
        const auto buffer = here.room_for(40000);
        const std::size_t count = communicator.rank() == 1 ? 9999 : 10000;
        communicator.all_reduce(buffer.view(DType::f32, count), buffer.view(DType::f32, count), sum,
                                {.deadline = 60s, .stream = here.stream()});
      },
      failing.options);
  for (const auto& each : thrown) {
    const Error error = error_in(each);
    CAPTURE(to_string(error));
    REQUIRE(error.code == ErrorCode::mismatch);
    REQUIRE(has(error.message, "count 9999"));
    REQUIRE(has(error.message, "count 10000"));
  }
  REQUIRE(failing.all_gone());
}

TEST_CASE("pairs of an uneven all_to_all that disagree are a mismatch, and NCCL is not called") {
  Failing failing;
  const auto thrown = testing::run_ranks_collecting(
      3,
      [&](World& world) {
        auto communicator = world.communicator();
        const OnDevice here(world, failing.options);
        const auto buffer = here.room_for(4000);
        const std::vector<std::size_t> to{10, communicator.rank() == 0 ? 11u : 10u, 10}, from{10, 10, 10};
        const std::size_t sent = communicator.rank() == 0 ? 31 : 30;
        communicator.all_to_all(buffer.view(DType::f32, sent), to, buffer.view(DType::f32, 30, 2000), from,
                                {.deadline = 60s, .stream = here.stream()});
      },
      failing.options);
  for (const auto& each : thrown) {
    const Error error = error_in(each);
    CAPTURE(to_string(error));
    REQUIRE(error.code == ErrorCode::mismatch);
    REQUIRE(has(error.message, "11 elements between the two"));
  }
  REQUIRE(failing.all_gone());
}

TEST_CASE("a stream that is being captured is refused, on all ranks alike, and nothing has happened") {
  Failing failing;
  std::atomic<int> refused{0}, wrong{0};
  testing::run_ranks(
      3,
      [&](World& world) {
        auto communicator = world.communicator();
        const OnDevice here(world, failing.options);
        const auto buffer = here.room_for(400);
        const auto view = buffer.view(DType::f32, 100);
        here.runtime().begin_capture(here.stream());
        refused += testing::code_of([&] { communicator.all_reduce(view, view, sum, {.stream = here.stream()}); }) ==
                   ErrorCode::unsupported;
        here.runtime().destroy_graph(here.runtime().end_capture(here.stream()));
        here.runtime().fill(buffer.data(), std::byte{0}, 400, here.stream());
        communicator.all_reduce(view, view, sum, {.stream = here.stream()});
        for (const std::byte each : here.down(buffer)) wrong += each != std::byte{0};
      },
      failing.options);
  REQUIRE(refused == 3);
  REQUIRE(wrong == 0);
}

TEST_CASE("a communicator may be split while operations of it are under way") {
  Failing failing;
  failing.fake.late = 2;
  std::atomic<int> wrong{0};
  testing::run_ranks(
      3,
      [&](World& world) {
        auto communicator = world.communicator();
        const OnDevice here(world, failing.options);
        const auto buffer = here.room_for(40000), other = here.room_for(40000);
        here.runtime().fill(buffer.data(), std::byte{1}, 40000, here.stream());
        here.runtime().fill(other.data(), std::byte{2}, 40000, here.stream());
        const auto view = buffer.view(DType::u8, 40000), other_view = other.view(DType::u8, 40000);
        auto work = communicator.all_reduce_async(view, view, sum, {.stream = here.stream()});
        auto twin = communicator.split(0);
        twin->all_reduce(other_view, other_view, sum, {.stream = here.stream()});
        work.wait();
        for (const std::byte each : here.down(buffer)) wrong += each != std::byte{3};
        for (const std::byte each : here.down(other)) wrong += each != std::byte{6};
      },
      failing.options);
  REQUIRE(wrong == 0);
  REQUIRE(failing.fake.misused == 0);
}
