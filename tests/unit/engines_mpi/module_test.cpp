// SPDX-License-Identifier: Apache-2.0
#include "engines/mpi/module.hpp"

#include "engines/mpi/session.hpp"
#include "engines_mpi/fake_access.hpp"
#include "support/failures.hpp"

#include <catch2/catch.hpp>

using namespace trireme;
using engines::mpi::load_module;
using engines::mpi::module_candidates;
using engines::mpi::Session;
using testing::error_of;
using testing::has;

TEST_CASE("a named module is looked for nowhere else, an unnamed one beside the program and where it is installed") {
  REQUIRE(module_candidates("/a/b.so") == std::vector<std::string>{"/a/b.so"});
  const auto places = module_candidates("");
  REQUIRE(places.size() == 2);
  REQUIRE(has(places[0], "/../lib/trireme/libtrireme_mpi.so"));
  REQUIRE(has(places[1], "/trireme/libtrireme_mpi.so"));
}

TEST_CASE("a module that is missing or none is refused by its file, with what to install or set") {
  for (const std::string path : {"/nowhere/module.so", "/proc/self/exe", "/dev/null"}) {
    const Error error = error_of([&] { load_module(path); });
    CAPTURE(path, error.message);
    REQUIRE(error.code == ErrorCode::unsupported);
    REQUIRE(has(error.message, path));
    REQUIRE(has(error.message, "TRIREME_WITH_MPI=ON"));
    REQUIRE(has(error.message, "TRIREME_MPI_MODULE"));
    REQUIRE_FALSE(engines::mpi::why_no_module(path).empty());
  }
}

TEST_CASE("a module of another version is refused") {
  auto& fake = testing::fresh_fake();
  REQUIRE(engines::mpi::why_no_module(FAKE_MODULE).empty());
  fake.version = TRIREME_MPI_TABLE_VERSION + 1;
  REQUIRE(has(error_of([] { load_module(FAKE_MODULE); }).message, "another version"));
}

TEST_CASE("an MPI for one thread only is refused, and one that was finalized") {
  auto& fake = testing::fresh_fake();
  REQUIRE(Session::open(FAKE_MODULE)->library() == "Fake MPI v1");
  fake.serialized = false;
  REQUIRE(has(error_of([] { Session::open(FAKE_MODULE); }).message, "MPI_THREAD_SERIALIZED"));
  fake.serialized = true;
  fake.finalized = 1;
  REQUIRE(has(error_of([] { Session::open(FAKE_MODULE); }).message, "was finalized in this process"));
}

TEST_CASE("MPI is finalized once, by close alone, and never after a failure") {
  auto& fake = testing::fresh_fake();
  { auto session = Session::open(FAKE_MODULE); }
  REQUIRE(fake.finalized == 0);
  auto failed = Session::open(FAKE_MODULE);
  failed->abandon();
  failed->close();
  REQUIRE(fake.finalized == 0);
  auto session = Session::open(FAKE_MODULE);
  session->close();
  session->close();
  REQUIRE(fake.finalized == 1);
  REQUIRE_FALSE(session->usable());
}
