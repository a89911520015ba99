// SPDX-License-Identifier: Apache-2.0
#include "engines/nccl/library.hpp"

#include "engines_nccl/nccl_world.hpp"
#include "support/failures.hpp"

#include <catch2/catch.hpp>

using namespace trireme;
using testing::error_of;
using testing::fresh_nccl;
using testing::has;
namespace nccl = engines::nccl;

TEST_CASE("a missing NCCL is unsupported, in one line that says what to install and what to set") {
  const Error error = error_of([] { nccl::load("/nowhere/libnccl.so.2"); });
  REQUIRE(error.code == ErrorCode::unsupported);
  REQUIRE(has(error.message, "/nowhere/libnccl.so.2"));
  REQUIRE(has(error.message, "install NCCL"));
  REQUIRE(has(error.message, "TRIREME_NCCL_LIBRARY"));
  REQUIRE_FALSE(has(error.message, "\n"));
  REQUIRE(nccl::why_not("/nowhere/libnccl.so.2") == error.message);
  REQUIRE(nccl::version("/nowhere/libnccl.so.2") == 0);
}

TEST_CASE("a library that is no NCCL, or lacks something indispensable, is named") {
  REQUIRE(has(nccl::why_not("libc.so.6"), "is no NCCL"));
  REQUIRE(has(nccl::why_not(FAKE_NCCL_BROKEN), "lacks ncclCommSplit"));
}

TEST_CASE("a version that is too old, or of another major version, is refused naming both") {
  auto& fake = fresh_nccl();
  fake.version = 21705;
  REQUIRE(has(nccl::why_not(FAKE_NCCL), "is NCCL 2.17.5, but this program is written for NCCL 2.28.9"));
  fake.version = 2708;  // as versions counted before 2.9
  REQUIRE(has(nccl::why_not(FAKE_NCCL), "is NCCL 2.7.8"));
  fake.version = 30001;
  REQUIRE(has(nccl::why_not(FAKE_NCCL), "is NCCL 3.0.1, but"));
  fake.version = 22809;
  REQUIRE(nccl::why_not(FAKE_NCCL).empty());
  REQUIRE(nccl::version(FAKE_NCCL) == 22809);
  REQUIRE(nccl::load(FAKE_NCCL)->words() == "NCCL 2.28.9");
}

TEST_CASE("what an older NCCL has not got is listed") {
  const auto library = nccl::load(FAKE_NCCL_OLD);
  REQUIRE(has(library->missing(), "ncclAlltoAll"));
  REQUIRE(has(library->missing(), "ncclCommWindowRegister"));
  REQUIRE(library->calls().all_to_all == nullptr);
}
