// SPDX-License-Identifier: Apache-2.0
// The conformance suites over the MPI engine: one program, as many processes of it as there are ranks. Open MPI is the MPI
// that CMake found and built the module with; MPICH is taken where mpirun.mpich and mpicc.mpich are there, by a module
// that is compiled with the latter and named in TRIREME_MPI_MODULE.
#include "multiprocess/under_mpirun.hpp"

#include <catch2/catch.hpp>

#include <iostream>
#include <sstream>

using namespace trireme::testing;
using Catch::Matchers::Contains;

namespace {

/// A rank that another keeps waiting gives up after 30 s.
Variables over_mpi(Variables more = {}) {
  more.insert({"TRIREME_TIMEOUT_S", "30"});
  return with_engine("mpi", std::move(more));
}

Words suites(const Words& arguments = {}) {
  Words words{CONFORMANCE_PROGRAM, "--abort", "--warn", "NoTests", "--use-colour", "no"};
  words.insert(words.end(), arguments.begin(), arguments.end());
  return words;
}

/// Every process ran the cases it was given, over MPI, and none failed. What was skipped is said.
void check_all_hold(const Result& result, int ranks) {
  INFO("stdout: " << result.out << "\nstderr: " << result.err);
  CHECK(result.exit_code == 0);
  CHECK(times(result.out, "engine mpi rank ") == static_cast<std::size_t>(ranks));
  CHECK(times(result.out, ", none failed\n") == static_cast<std::size_t>(ranks));
  std::istringstream lines(result.out);
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind("skipped: ", 0) == 0 || line.rfind("rank 0: ", 0) == 0) std::cout << line << '\n';
  }
}

}  // namespace

TEST_CASE("the conformance suites hold over the MPI engine") {
  if (!can_run()) return;
  const int ranks = GENERATE(4, 9);  // on 9 no case is left out for want of ranks
  check_all_hold(run_mpi(ranks, suites(), over_mpi()), ranks);
}

TEST_CASE("every canonical reduction over the MPI engine gives the bytes of one reference") {
  if (!can_run()) return;
  check_all_hold(run_mpi(9, suites({"[.bits]"}), over_mpi()), 9);
}

TEST_CASE("ten thousand random operations over the MPI engine give no wrong bit") {
  if (!can_run()) return;
  check_all_hold(run_mpi(3, suites({"[.full]"}), over_mpi()), 3);
}

TEST_CASE("the conformance suites hold over the MPI engine with MPICH") {
  const auto launcher = program_in_path({"mpirun.mpich"});
  if (!launcher || std::string(MPICH_MODULE).empty()) {
    WARN("no " << (launcher ? "mpicc.mpich when this was built" : "mpirun.mpich in PATH")
               << ": scripts/bootstrap --peers installs it; skipped");
    return;
  }
  const auto arguments = GENERATE(Words{}, Words{"[.bits]"});
  Words words{"-np", "4"};
  for (const auto& word : suites(arguments)) words.push_back(word);
  Launched job(words, over_mpi({{"TRIREME_MPI_MODULE", MPICH_MODULE}}), *launcher);
  const Result result = job.wait(longest_run);
  check_all_hold(result, 4);
  CHECK_THAT(result.out, Contains("MPICH Version"));
}

TEST_CASE("more than 2^31 elements are all reduced over the MPI engine", "[.large]") {
  if (!can_run()) return;
  check_all_hold(run_mpi(2, suites({"[.large]"}), over_mpi({{"TRIREME_TIMEOUT_S", "120"}})), 2);
}

TEST_CASE("what one process finds wrong or does alone fails the run, soon and under a name") {
  if (!can_run()) return;
  struct Failure {
    const char* first;   // what the first two processes run
    const char* others;  // and the other two
    const char* said;
    std::size_t by;  // at least so many processes
  };
  const auto failure =
      GENERATE(Failure{"[.fails]", "[.fails]", "\"wrong\" == \"\"", 4},
               Failure{"[.diverges]", "[.diverges]", "rank 1 (", 3}, Failure{"[.throws]", "[.throws]", "rank 1 (", 3},
               Failure{"[.one]", "[.other]", "is at another case than rank", 2});
  // mpirun ends the other processes with the first that fails; in recovery it leaves them the time to say why they
  // fail, too, but then it has no exit code for it.
  const bool recovers = GENERATE(false, true);
  Words flags;
  if (recovers) flags = {"--enable-recovery"};
  Words program = suites({failure.first});
  for (const auto& word : Words{":", "-np", "2"}) program.push_back(word);
  for (const auto& word : suites({failure.others})) program.push_back(word);
  const auto result = run_mpi(2, program, over_mpi(), flags);
  CAPTURE(failure.first, recovers);
  INFO("stdout: " << result.out << "\nstderr: " << result.err);
  CHECK(times(result.out, ", none failed\n") == 0);
  CHECK(result.elapsed < std::chrono::seconds(25));  // not by the timer
  if (recovers)
    CHECK(times(result.out + result.err, failure.said) >= failure.by);
  else
    CHECK(result.exit_code != 0);
}
