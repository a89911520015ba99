// SPDX-License-Identifier: Apache-2.0
// A kernel that fails, as on a GPU: no call of CUDA succeeds any more in that process, so each case is a process of its own.
#include "kernels/fold/fold_device.hpp"
#include "support/failures.hpp"
#include "support/fake_cuda/control.hpp"
#include "unit/engines_device/device_rank.hpp"

#include <catch2/catch.hpp>

#include <chrono>
#include <csignal>
#include <string>
#include <thread>

#include <spawn.h>
#include <sys/wait.h>

using namespace trireme;
using testing::DeviceRank;
using testing::has;

namespace {

/// Whether the hidden case passes in a process of its own, which gets a minute.
bool passes_alone(const std::string& name) {
  std::string program = "/proc/self/exe", pattern = name;
  char* arguments[] = {program.data(), pattern.data(), nullptr};
  pid_t child = 0;
  REQUIRE(::posix_spawn(&child, program.c_str(), nullptr, nullptr, arguments, environ) == 0);
  int status = 0;
  const auto end = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  while (::waitpid(child, &status, WNOHANG) == 0) {
    if (std::chrono::steady_clock::now() > end) ::kill(child, SIGKILL);
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/// What two ranks are told whose devices are lost under way. `peer`: a kernel of the collective fails, the `kernels`-th from now. Else one of
/// rank 1's own does, in front of a collective by way of the host that was already given to the same stream.
std::vector<Error> errors_of_ranks(bool peer, int kernels) {
  std::vector<Error> errors;
  for (const auto& thrown : testing::run_ranks_collecting(
           2,
           [&](World& world) {
             auto communicator = world.communicator();
             const DeviceRank rank(world);
             const auto data = testing::on_device<float>(rank.runtime, std::vector<float>(5000, 1.0F), rank.index);
             const TensorView view = data.view(DType::f32, 5000);
             const CallOptions options{.deadline = std::chrono::seconds(30), .stream = rank.stream.get()};
             communicator.all_reduce(view, view, sum, options);
             rank.stream.synchronize();
             communicator.barrier();
             if (world.rank() == 1) {
               testing::fail_after_kernels(kernels);
               if (!peer)
                 kernels::scale(data.data(), data.data(), DType::f32, 2.0, 5000, {*rank.runtime, rank.stream.get()});
             }
             for (int k = 0; k < 100; ++k) communicator.all_reduce(view, view, sum, options);
             communicator.barrier();
           },
           testing::on_devices(device::cuda_runtime(), "mem", peer))) {
    errors.emplace_back();
    try {
      if (thrown) std::rethrow_exception(thrown);
    } catch (const Exception& exception) {
      errors.back() = exception.error();
    }
  }
  return errors;
}

}  // namespace

TEST_CASE("alone: a kernel that reads past the end ends the use of the device", "[.alone]") {
  const auto runtime = device::cuda_runtime();
  const device::OwnedStream stream(runtime, 0);
  const device::Buffer buffer(runtime, 0, 4 * 1000);
  const auto scale = [&](std::size_t count) {
    kernels::scale(buffer.data(), buffer.data(), DType::f32, 2.0, count, stream.queue());
  };
  scale(1000);
  CHECK_NOTHROW(stream.synchronize());
  scale(1001);
  try {
    stream.synchronize();
    FAIL("an access behind the end was not noticed");
  } catch (const Exception& exception) {
    CHECK(exception.error().code == ErrorCode::device);
    CHECK(has(exception.error().message, "cudaErrorIllegalAddress"));
    CHECK(has(exception.error().message, "an earlier kernel failed"));
  }
  CHECK_THROWS_AS(runtime->allocate(0, 16), Exception);
}

TEST_CASE("alone: ranks whose kernel fails are told of it by name", "[.alone]") {
  for (const Error& error : errors_of_ranks(true, 7)) {
    CAPTURE(error.message);
    CHECK(error.code == ErrorCode::device);
    CHECK(has(error.message, "cudaErrorIllegalAddress"));
  }
}

TEST_CASE("alone: so are ranks whose memory goes by the host, though host functions are called no more", "[.alone]") {
  for (const Error& error : errors_of_ranks(false, 0)) {
    CAPTURE(error.message);
    CHECK(error.code == ErrorCode::device);
    CHECK(has(error.message, "cudaErrorIllegalAddress"));
  }
}

TEST_CASE("a kernel that fails is an error of every later call", "[device]") {
  CHECK(passes_alone("alone: a kernel that reads*"));
}

TEST_CASE("a kernel that fails under a collective ends it on every rank with what failed", "[device]") {
  CHECK(passes_alone("alone: ranks whose kernel fails*"));
  CHECK(passes_alone("alone: so are ranks whose memory goes by the host*"));
}
