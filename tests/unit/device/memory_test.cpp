// SPDX-License-Identifier: Apache-2.0
#include "support/device_under_test.hpp"
#include "trireme/base/error.hpp"

#include <catch2/catch.hpp>

#include <csignal>
#include <cstdint>
#include <functional>
#include <string>

#include <sys/wait.h>
#include <unistd.h>

using namespace trireme;

namespace {

/// How a child process ends that does this, and what it writes to stderr.
struct Ending {
  int status = 0;
  std::string told{};
};

Ending ending_of(const std::function<void()>& deed) {
  int pipe[2];
  REQUIRE(::pipe(pipe) == 0);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::dup2(pipe[1], 2);
    ::signal(SIGSEGV, SIG_DFL);  // not as the test's own failure
    deed();
    ::_exit(0);
  }
  ::close(pipe[1]);
  Ending ending;
  char bytes[4096];
  for (ssize_t got = 0; (got = ::read(pipe[0], bytes, sizeof bytes)) > 0;)
    ending.told.append(bytes, static_cast<std::size_t>(got));
  ::close(pipe[0]);
  REQUIRE(::waitpid(child, &ending.status, 0) == child);
  return ending;
}

}  // namespace

TEST_CASE("device memory is aligned, apart, and none of it is null") {
  for (const auto& runtime : testing::runtimes_under_test()) {
    INFO(runtime->name());
    CHECK(runtime->allocate(0, 0) == nullptr);
    CHECK(runtime->allocate_pinned(0) == nullptr);
    const device::Buffer first(runtime, 0, 1), second(runtime, 0, 1000);
    CHECK(reinterpret_cast<std::uintptr_t>(first.data()) % 256 == 0);
    CHECK(reinterpret_cast<std::uintptr_t>(second.data()) % 256 == 0);
    CHECK(first.data() != second.data());
    CHECK_NOTHROW(runtime->free(0, nullptr));
    CHECK_NOTHROW(runtime->free_pinned(nullptr));
  }
}

TEST_CASE("memory that there is not is refused by its size, and the device works on") {
  for (const auto& runtime : testing::runtimes_under_test()) {
    INFO(runtime->name());
    const std::size_t too_much = std::size_t{1} << 50;
    try {
      runtime->free(0, runtime->allocate(0, too_much));
      FAIL("2^50 bytes were allocated");
    } catch (const Exception& exception) {
      CHECK(exception.error().code == ErrorCode::device);
      CHECK_THAT(exception.error().message, Catch::Contains("out of memory") && Catch::Contains("device 0") &&
                                                Catch::Contains(std::to_string(too_much)));
    }
    const device::OwnedStream stream(runtime, 0);
    const device::Buffer buffer(runtime, 0, 100);
    runtime->fill(buffer.data(), std::byte{9}, 100, stream.get());
    CHECK(testing::to_host<std::byte>(*runtime, buffer.data(), 100, stream.get()).back() == std::byte{9});
  }
}

TEST_CASE("what is freed on an emulated device can be allocated again") {
  const auto runtime = device::emulated_runtime({.devices = 2, .memory_bytes = 1 << 16});
  for (int round = 0; round < 10; ++round) {
    const device::Buffer all(runtime, 0, 1 << 16), others(runtime, 1, 1 << 16);
    CHECK_THROWS_WITH(runtime->allocate(0, 1),
                      Catch::Contains("out of memory on emulated device 0") && Catch::Contains("0 of 65536 are free"));
  }
}

TEST_CASE("a device that is none is refused by every call that names one") {
  for (const auto& runtime : testing::runtimes_under_test()) {
    const int none = runtime->devices();
    const std::string text = "device " + std::to_string(none);
    CHECK_THROWS_WITH(runtime->properties(none), Catch::Contains("properties") && Catch::Contains(text));
    CHECK_THROWS_WITH(runtime->reaches(0, none), Catch::Contains("reaches") && Catch::Contains(text));
    CHECK_THROWS_WITH(runtime->allocate(none, 1), Catch::Contains("allocate") && Catch::Contains(text));
    CHECK_THROWS_WITH(runtime->make_stream(none), Catch::Contains("make_stream") && Catch::Contains(text));
    CHECK_THROWS_WITH(runtime->make_event(none), Catch::Contains("make_event") && Catch::Contains(text));
    CHECK_THROWS_WITH(runtime->import(none, {}), Catch::Contains("import") && Catch::Contains(text));
  }
}

TEST_CASE("a device says what it is") {
  for (const auto& runtime : testing::runtimes_under_test()) {
    const auto properties = runtime->properties(0);
    CHECK_FALSE(properties.name.empty());
    CHECK_FALSE(properties.uuid.empty());
    CHECK(properties.memory_bytes > 0);
    CHECK(properties.multiprocessors > 0);
    CHECK(properties.major > 0);
  }
}

TEST_CASE("who writes far past the end of emulated device memory dies") {
  const auto runtime = device::emulated_runtime();
  const device::Buffer buffer(runtime, 0, 100);
  volatile std::byte* memory = buffer.data();
  CHECK(ending_of([&] { memory[99] = std::byte{1}; }).status == 0);
  CHECK(ending_of([&] { memory[4096] = std::byte{1}; }).status != 0);
}

#if defined(__SANITIZE_ADDRESS__)
TEST_CASE("under the address sanitizer so does who writes one byte past it") {
  const auto runtime = device::emulated_runtime();
  const device::Buffer buffer(runtime, 0, 100);
  volatile std::byte* memory = buffer.data();
  const Ending ending = ending_of([&] { memory[100] = std::byte{1}; });
  CHECK(ending.status != 0);
  CHECK_THAT(ending.told, Catch::Contains("use-after-poison"));
}
#endif
