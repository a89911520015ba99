// SPDX-License-Identifier: Apache-2.0
// Ranks that mpirun starts: the MPI engine behind the same calls, and our transports with MPI as the meeting point.
#include "multiprocess/idx_folder.hpp"
#include "multiprocess/launched.hpp"
#include "multiprocess/under_mpirun.hpp"
#include "support/failures.hpp"

#include <catch2/catch.hpp>

#include <chrono>
#include <csignal>
#include <thread>

#include <unistd.h>

using namespace trireme::testing;
using Catch::Matchers::Contains;

namespace {

std::string weights_of(const Result& result) {
  INFO("stdout: " << result.out << "\nstderr: " << result.err);
  REQUIRE(result.exit_code == 0);
  const std::string key = "weights_xxh3=";
  const auto at = result.out.find(key);
  REQUIRE(at != std::string::npos);
  return result.out.substr(at + key.size(), 16);
}

}  // namespace

TEST_CASE("every collective, dtype and operation gives over MPI the bits of the host engine") {
  if (!can_run()) return;
  const int ranks = GENERATE(1, 2, 3, 4);
  const auto result = run_mpi(ranks, {ENGINE_PROGRAM}, with_engine("mpi"));
  INFO("stdout: " << result.out << "\nstderr: " << result.err);
  CHECK(result.exit_code == 0);
  for (int rank = 0; rank < ranks; ++rank) {
    CHECK_THAT(result.out, Contains("engine mpi rank " + std::to_string(rank) + " of " + std::to_string(ranks) + ": "));
  }
}

TEST_CASE("ranks that mpirun started meet through MPI without a flag, also over our transports") {
  if (!can_run()) return;
  const auto result = run_mpi(3, {ENGINE_PROGRAM}, with_engine("auto", {{"TRIREME_TRANSPORT", "tcp"}}));
  INFO("stdout: " << result.out << "\nstderr: " << result.err);
  CHECK(result.exit_code == 0);
  CHECK(times(result.out, "engine host rank ") == 3);
  CHECK(result.err.find("no job key") == std::string::npos);  // rank 0's went to all
}

TEST_CASE("train under mpirun gives the weights of trireme run, on either engine") {
  if (!can_run()) return;
  const IdxFolder samples(90, 40);
  const Words job{TRIREME_PROGRAM,    "train", "--data-dir", samples.path(), "--hidden", "16,8",
                  "--batch-size",     "44",    "--steps",    "30",           "--seed",   "7",
                  "--logical-shards", "4"};
  Words launched{"run", "-n", "4", "--"};
  launched.insert(launched.end(), job.begin(), job.end());
  const std::string expected = weights_of(run_trireme(launched));
  CHECK(weights_of(run_mpi(4, job, with_engine("mpi"))) == expected);
  CHECK(weights_of(run_mpi(4, job, with_engine("host"))) == expected);
  CHECK(weights_of(run_mpi(3, job, with_engine("mpi"))) == expected);
  CHECK(weights_of(run_mpi(1, job, with_engine("mpi"))) == expected);
}

TEST_CASE("ranks that call different things are told so over MPI, with both calls") {
  if (!can_run()) return;
  const auto result = run_mpi(4, {FAULT_PROGRAM, "mismatch"}, with_engine("mpi"), {"--enable-recovery"});
  INFO("stdout: " << result.out << "\nstderr: " << result.err);
  CHECK(times(result.err, "mismatch: ") == 4);
  CHECK_THAT(result.err, Contains("rank 1 called all_reduce(count 100, f32") && Contains("'layer0.weight'") &&
                             Contains("called all_reduce(count 99, f32"));
}

TEST_CASE("a rank that is killed under MPI is named by all others, which then end") {
  if (!can_run()) return;
  Launched job(under_mpirun(4, {FAULT_PROGRAM, "loop"}, {"--enable-recovery"}), with_engine("mpi"), mpirun().value());
  const std::string mark = "rank 2 pid ";
  for (int rank = 0; rank < 4; ++rank) job.await_out("rank " + std::to_string(rank) + " pid ");
  job.await_out(" over ");
  const auto pid = std::stol(job.out().substr(job.out().find(mark) + mark.size()));
  REQUIRE(::kill(static_cast<pid_t>(pid), SIGKILL) == 0);
  const Result result = job.wait();
  INFO("stdout: " << result.out << "\nstderr: " << result.err);
  CHECK(times(result.err, "peer_lost: rank 2 (") == 3);
}

TEST_CASE("a rank that leaves while the others still want something of it is named") {
  if (!can_run()) return;
  const auto result =
      run_mpi(4, {FAULT_PROGRAM, "leave"}, with_engine("mpi", {{"TRIREME_TIMEOUT_S", "20"}}), {"--enable-recovery"});
  INFO("stdout: " << result.out << "\nstderr: " << result.err);
  CHECK(times(result.err, "rank 2 (") >= 3);
  CHECK(times(result.err, "has closed its world") + times(result.err, "has left the world") >= 3);
}

TEST_CASE("a late rank is waited for no longer than the deadline, and is named") {
  if (!can_run()) return;
  Launched job(under_mpirun(4, {FAULT_PROGRAM, "loop"}, {"--enable-recovery"}),
               with_engine("mpi", {{"TRIREME_TIMEOUT_S", "2"}}), mpirun().value());
  const std::string mark = "rank 1 pid ";
  for (int rank = 0; rank < 4; ++rank) job.await_out("rank " + std::to_string(rank) + " pid ");
  job.await_out(" over ");
  const auto pid = static_cast<pid_t>(std::stol(job.out().substr(job.out().find(mark) + mark.size())));
  REQUIRE(::kill(pid, SIGSTOP) == 0);
  std::this_thread::sleep_for(std::chrono::seconds(5));
  ::kill(pid, SIGKILL);
  const Result result = job.wait();
  INFO("stdout: " << result.out << "\nstderr: " << result.err);
  CHECK(times(result.err, "timeout: ") == 3);
  CHECK(times(result.err, "rank 1 (") >= 3);
}

TEST_CASE("without the module one line says what to install or set, with exit code 2") {
  const Variables alone{{"TRIREME_ENGINE", "mpi"}, {"TRIREME_MPI_MODULE", "/nowhere/libtrireme_mpi.so"}};
  const IdxFolder samples(30, 10);
  const Words job{"train", "--data-dir", samples.path()};
  const auto refused = run_trireme(job, alone);
  INFO(refused.err);
  CHECK(refused.exit_code == 2);
  CHECK(times(refused.err, "\n") == 1);
  CHECK_THAT(refused.err, Contains("TRIREME_ENGINE=mpi: no MPI module (/nowhere/libtrireme_mpi.so is not there)") &&
                              Contains("TRIREME_WITH_MPI=ON") && Contains("TRIREME_MPI_MODULE"));

  const Variables started{{"OMPI_COMM_WORLD_RANK", "0"},
                          {"OMPI_COMM_WORLD_SIZE", "2"},
                          {"OMPI_COMM_WORLD_LOCAL_RANK", "0"},
                          {"OMPI_COMM_WORLD_LOCAL_SIZE", "2"},
                          {"TRIREME_MPI_MODULE", "/nowhere"}};
  const auto stranded = run_trireme(job, started);
  INFO(stranded.err);
  CHECK(stranded.exit_code == 2);
  CHECK(times(stranded.err, "\n") == 1);
  CHECK_THAT(stranded.err, Contains("MASTER_ADDR and MASTER_PORT") && Contains("/nowhere is not there"));
}

TEST_CASE("the MPI engine without mpirun is refused, saying who must start the ranks") {
  if (!can_run()) return;
  const IdxFolder samples(30, 10);
  const auto result =
      run_trireme({"run", "-n", "2", "--", TRIREME_PROGRAM, "train", "--data-dir", samples.path()}, with_engine("mpi"));
  INFO(result.err);
  CHECK(result.exit_code == 2);
  CHECK_THAT(result.err, Contains("of 1, the launcher 'trireme'") && Contains("mpirun"));
}
