// SPDX-License-Identifier: Apache-2.0
#include "support/device_under_test.hpp"
#include "trireme/base/error.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace trireme;

namespace {

constexpr const char* importer = "the other process of a shared allocation";
constexpr const char* variable = "DEVICE_TEST_ALLOCATION";  // "emulated 00ff…"

std::string text_of(const device::SharedAllocation& allocation) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(&allocation);
  std::string text;
  for (std::size_t i = 0; i < sizeof allocation; ++i) {
    text += "0123456789abcdef"[bytes[i] >> 4];
    text += "0123456789abcdef"[bytes[i] & 15];
  }
  return text;
}

device::SharedAllocation allocation_of(const std::string& text) {
  std::vector<unsigned char> bytes(sizeof(device::SharedAllocation));
  for (std::size_t i = 0; i < bytes.size(); ++i)
    bytes[i] = static_cast<unsigned char>(std::stoi(text.substr(2 * i, 2), nullptr, 16));
  device::SharedAllocation allocation;
  std::memcpy(&allocation, bytes.data(), sizeof allocation);
  return allocation;
}

/// Starts this program anew, since CUDA outlives no fork, with one test to run; its exit status.
int run_importer(const std::string& told) {
  const std::string setting = std::string(variable) + "=" + told;
  std::vector<char*> environment{const_cast<char*>(setting.c_str())};
  for (char** each = ::environ; *each != nullptr; ++each) environment.push_back(*each);
  environment.push_back(nullptr);
  char* arguments[] = {const_cast<char*>("test_device"), const_cast<char*>(importer), nullptr};
  pid_t child = 0;
  REQUIRE(::posix_spawn(&child, "/proc/self/exe", nullptr, nullptr, arguments, environment.data()) == 0);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  return status;
}

}  // namespace

// Run by the next one in a process of its own.
TEST_CASE("the other process of a shared allocation", "[.]") {
  const char* given = std::getenv(variable);
  REQUIRE(given != nullptr);
  const std::string told = given;
  const auto space = told.find(' ');
  const auto runtime = told.substr(0, space) == "cuda" ? device::cuda_runtime() : device::emulated_runtime();
  const auto allocation = allocation_of(told.substr(space + 1));
  const device::OwnedStream stream(runtime, 0);
  auto* memory = static_cast<std::byte*>(runtime->import(0, allocation));
  CHECK(runtime->owner(memory) == Device{DeviceKind::cuda, 0});
  const auto bytes = testing::to_host<std::byte>(*runtime, memory, allocation.bytes, stream.get());
  CHECK(std::ranges::count(bytes, std::byte{7}) == static_cast<std::ptrdiff_t>(bytes.size()));
  runtime->fill(memory, std::byte{8}, allocation.bytes / 2, stream.get());
  stream.synchronize();
  runtime->forget(0, memory);
}

TEST_CASE("another process maps the memory that it is told of, and both see what either writes") {
  for (const auto& runtime : testing::runtimes_under_test()) {
    INFO(runtime->name());
    constexpr std::size_t count = 10000;
    const device::OwnedStream stream(runtime, 0);
    const device::Buffer buffer(runtime, 0, count);
    runtime->fill(buffer.data(), std::byte{7}, count, stream.get());
    stream.synchronize();
    const auto allocation = runtime->share(0, buffer.data(), count);
    CHECK(allocation.bytes == count);
    CHECK(run_importer(std::string(runtime->name()) + " " + text_of(allocation)) == 0);
    const auto bytes = testing::to_host<std::byte>(*runtime, buffer.data(), count, stream.get());
    CHECK(bytes.front() == std::byte{8});
    CHECK(bytes[count / 2] == std::byte{7});
  }
}

TEST_CASE("what is no allocation is neither shared nor mapped") {
  for (const auto& runtime : testing::runtimes_under_test()) {
    INFO(runtime->name());
    const device::Buffer buffer(runtime, 0, 1000);
    CHECK_THROWS_WITH(runtime->share(0, buffer.data() + 256, 100), Catch::Contains("beginning of an allocation"));
    CHECK_THROWS_WITH(runtime->share(0, nullptr, 100), Catch::Contains("beginning of an allocation"));
    CHECK_THROWS_WITH(runtime->import(0, {}), Catch::Contains("describe no allocation"));
  }
}
