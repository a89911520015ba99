// SPDX-License-Identifier: Apache-2.0
#include "trireme/base/error.hpp"
#include "trireme/platform/cluster_spec.hpp"

#include <catch2/catch.hpp>

#include <functional>
#include <vector>

using trireme::ErrorCode;
using trireme::platform::ClusterSpec;
using trireme::platform::detect;
using trireme::platform::Environment;

namespace {

/// Rank 5 of 8, two hosts with four ranks each.
Environment torchrun_set() {
  return Environment({{"RANK", "5"},
                      {"WORLD_SIZE", "8"},
                      {"LOCAL_RANK", "1"},
                      {"LOCAL_WORLD_SIZE", "4"},
                      {"MASTER_ADDR", "host-a"},
                      {"MASTER_PORT", "29500"}});
}

Environment with(Environment environment, const char* name, const char* value) {
  environment.set(name, value);
  return environment;
}

Environment without(Environment environment, const char* name) {
  environment.erase(name);
  return environment;
}

/// Rank 5 of 8 as the mpirun of an MPI says it: the third of the four ranks of its host.
struct Mpirun {
  const char* launcher;
  const char* rank;
  const char* size;
  const char* local_rank;
  const char* local_size;
  Environment environment() const {
    return Environment({{rank, "5"}, {size, "8"}, {local_rank, "1"}, {local_size, "4"}});
  }
};
const Mpirun open_mpi{"openmpi", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK",
                      "OMPI_COMM_WORLD_LOCAL_SIZE"};
const Mpirun hydra{"hydra", "PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS"};

/// The message of the failure, which must have `code`.
std::string failure(const Environment& environment, ErrorCode code = ErrorCode::invalid_argument) {
  try {
    detect(environment);
  } catch (const trireme::Exception& exception) {
    REQUIRE(exception.error().code == code);
    return exception.error().message;
  }
  FAIL("nothing was refused");
  return {};
}

using Catch::Matchers::Contains;

}  // namespace

TEST_CASE("a variable that is nearly one of ours is told, once, with the one that was meant") {
  const auto warned = [](const char* name) { return detect(with(torchrun_set(), name, "1")).warnings; };
  CHECK(warned("TRIREME_TIMEOUT") ==
        std::vector<std::string>{
            "TRIREME_TIMEOUT is no variable of Trireme's and nobody reads it; did you mean TRIREME_TIMEOUT_S?"});
  CHECK(warned("TRIREME_TRANSPROT").at(0).ends_with("did you mean TRIREME_TRANSPORT?"));
  CHECK(warned("TRIREME_tcp_flows").at(0).ends_with("did you mean TRIREME_TCP_FLOWS?"));
  CHECK(warned("TRIREME_TIMEOUT_S").empty());
  CHECK(warned("TRIREME_HP_STEP").empty());     // the program's flags say what is none of theirs
  CHECK(warned("TRIREME_MY_SETTING").empty());  // near none
  CHECK(warned("XTRIREME_TIMEOUT").empty());
  CHECK(warned("TRIREME_").empty());
}

TEST_CASE("An empty environment is a world of one") {
  auto spec = detect(Environment());
  REQUIRE(spec.platform == "plain");
  REQUIRE(spec.launcher == "none");
  REQUIRE(spec.level == "single");
  REQUIRE(spec.rank == 0);
  REQUIRE(spec.world == 1);
  REQUIRE(spec.local_rank == 0);
  REQUIRE(spec.local_world == 1);
  REQUIRE(spec.node_rank == 0);
  REQUIRE(spec.nnodes == 1);
  REQUIRE_FALSE(spec.master.has_value());
  REQUIRE_FALSE(spec.port.has_value());
  REQUIRE_FALSE(spec.store_served);
  REQUIRE(spec.warnings.empty());
}

TEST_CASE("A torchrun-style set is read completely") {
  auto spec = detect(torchrun_set());
  REQUIRE(spec.launcher == "torchrun");
  REQUIRE(spec.level == "process");
  REQUIRE(spec.rank == 5);
  REQUIRE(spec.world == 8);
  REQUIRE(spec.local_rank == 1);
  REQUIRE(spec.local_world == 4);
  REQUIRE(spec.node_rank == 1);
  REQUIRE(spec.nnodes == 2);
  REQUIRE(spec.master == "host-a");
  REQUIRE(spec.port == 29500);
  REQUIRE(spec.store_port == 29500);
  REQUIRE_FALSE(spec.store_served);
  REQUIRE(spec.job_id == "host-a:29500");
}

TEST_CASE("Hosts are as given, derived where ranks are numbered host by host, unknown otherwise") {
  SECTION("given") {
    auto spec = detect(with(with(torchrun_set(), "GROUP_RANK", "2"), "GROUP_WORLD_SIZE", "3"));
    REQUIRE(spec.node_rank == 2);
    REQUIRE(spec.nnodes == 3);
  }
  SECTION("ranks dealt out in turn") {
    auto spec = detect(with(torchrun_set(), "LOCAL_RANK", "2"));
    REQUIRE_FALSE(spec.node_rank.has_value());
    REQUIRE(spec.nnodes == 2);
  }
  SECTION("uneven hosts") {
    auto spec = detect(with(torchrun_set(), "LOCAL_WORLD_SIZE", "3"));
    REQUIRE_FALSE(spec.node_rank.has_value());
    REQUIRE_FALSE(spec.nnodes.has_value());
  }
  SECTION("no LOCAL_WORLD_SIZE") {
    auto spec = detect(without(torchrun_set(), "LOCAL_WORLD_SIZE"));
    REQUIRE_FALSE(spec.local_world.has_value());
    REQUIRE_FALSE(spec.nnodes.has_value());
  }
}

TEST_CASE("A torchrun-style world of one needs no master") {
  auto spec = detect(Environment({{"RANK", "0"}, {"WORLD_SIZE", "1"}, {"LOCAL_RANK", "0"}}));
  REQUIRE(spec.launcher == "torchrun");
  REQUIRE(spec.level == "process");
  REQUIRE(spec.local_world == 1);
  REQUIRE(spec.nnodes == 1);
  REQUIRE_FALSE(spec.master.has_value());
}

TEST_CASE("A half-present set is refused, naming what is there and what is missing") {
  const std::vector<std::string> marks{"RANK", "WORLD_SIZE", "LOCAL_RANK"};
  for (unsigned given = 1; given < 7; ++given) {  // every proper, non-empty subset
    if (given == 3) continue;                     // RANK and WORLD_SIZE alone are of hosts
    Environment environment({{"MASTER_ADDR", "host-a"}, {"MASTER_PORT", "29500"}});
    for (unsigned i = 0; i < 3; ++i) {
      if (given & (1u << i)) environment.set(marks[i], "1");
    }
    auto message = failure(environment);
    bool names_missing = false;
    bool names_given = false;
    for (unsigned i = 0; i < 3; ++i) {
      bool is_given = (given & (1u << i)) != 0;
      if (is_given && message.find(marks[i] + "=1 is set") == 0) names_given = true;
      if (!is_given && message.find(" but " + marks[i] + " is not") != std::string::npos) names_missing = true;
    }
    CAPTURE(message);
    REQUIRE(names_given);
    REQUIRE(names_missing);
  }
}

TEST_CASE("A contradiction is refused, naming the variable and its value") {
  auto set = torchrun_set();
  REQUIRE_THAT(failure(with(set, "RANK", "8")), Contains("RANK=8") && Contains("WORLD_SIZE=8"));
  REQUIRE_THAT(failure(with(set, "RANK", "-1")), Contains("RANK=-1"));
  REQUIRE_THAT(failure(with(set, "RANK", "")), Contains("RANK="));
  REQUIRE_THAT(failure(with(set, "RANK", "one")), Contains("RANK=one"));
  REQUIRE_THAT(failure(with(set, "WORLD_SIZE", "0")), Contains("WORLD_SIZE=0"));
  REQUIRE_THAT(failure(with(set, "WORLD_SIZE", "8.0")), Contains("WORLD_SIZE=8.0"));
  REQUIRE_THAT(failure(with(set, "LOCAL_RANK", "4")), Contains("LOCAL_RANK=4") && Contains("LOCAL_WORLD_SIZE=4"));
  REQUIRE_THAT(failure(with(without(set, "LOCAL_WORLD_SIZE"), "LOCAL_RANK", "8")),
               Contains("LOCAL_RANK=8") && Contains("WORLD_SIZE=8"));
  REQUIRE_THAT(failure(with(set, "LOCAL_WORLD_SIZE", "9")), Contains("LOCAL_WORLD_SIZE=9"));
  REQUIRE_THAT(failure(with(set, "LOCAL_WORLD_SIZE", "all")), Contains("LOCAL_WORLD_SIZE=all"));
  REQUIRE_THAT(failure(with(set, "GROUP_RANK", "2")), Contains("GROUP_RANK=2"));
  REQUIRE_THAT(failure(with(with(set, "GROUP_RANK", "3"), "GROUP_WORLD_SIZE", "3")),
               Contains("GROUP_RANK=3") && Contains("GROUP_WORLD_SIZE=3"));
}

TEST_CASE("Several ranks without a usable meeting point are refused") {
  auto set = torchrun_set();
  REQUIRE_THAT(failure(without(set, "MASTER_ADDR")), Contains("MASTER_ADDR") && Contains("WORLD_SIZE=8"));
  REQUIRE_THAT(failure(with(set, "MASTER_ADDR", "")), Contains("MASTER_ADDR"));
  REQUIRE_THAT(failure(without(set, "MASTER_PORT")), Contains("MASTER_PORT") && Contains("WORLD_SIZE=8"));
  std::string port = GENERATE("0", "-1", "65536", "http", "");
  REQUIRE_THAT(failure(with(set, "MASTER_PORT", port.c_str())), Contains("MASTER_PORT=" + port));
}

TEST_CASE("Children of trireme run know their launcher and that it serves the store") {
  auto set = with(torchrun_set(), "TRIREME_PROGRESS", "plain");
  SECTION("store served") {
    auto spec = detect(with(with(set, "TRIREME_STORE", "1"), "TRIREME_JOB_ID", "job-7"));
    REQUIRE(spec.launcher == "trireme");
    REQUIRE(spec.level == "process");
    REQUIRE(spec.store_served);
    REQUIRE(spec.store_port == 29500);
    REQUIRE(spec.job_id == "job-7");
  }
  SECTION("store at an address of its own") {
    auto own = with(with(set, "TRIREME_STORE", "1"), "TRIREME_STORE_ADDR", "[::1]:4711");
    auto spec = detect(own);
    REQUIRE(spec.master == "host-a");
    REQUIRE(spec.port == 29500);
    REQUIRE(spec.store_host == "::1");
    REQUIRE(spec.store_port == 4711);
    REQUIRE(detect(with(own, "TRIREME_STORE_ADDR", "host-c:4711")).store_host == "host-c");
    const char* bad = GENERATE("", "host-c", ":4711", "host-c:", "host-c:70000", "host-c:http");
    REQUIRE_THAT(failure(with(own, "TRIREME_STORE_ADDR", bad)), Contains(std::string("TRIREME_STORE_ADDR=") + bad));
  }
  SECTION("a bad mark of the store is refused") {
    REQUIRE_THAT(failure(with(set, "TRIREME_STORE", "yes")), Contains("TRIREME_STORE=yes"));
  }
  SECTION("half a set is refused all the same") {
    REQUIRE_THAT(failure(with(without(set, "RANK"), "TRIREME_STORE", "1")), Contains("RANK"));
  }
  SECTION("torchrun below our launcher decides for its own children") {
    auto spec = detect(with(with(set, "TRIREME_STORE", "1"), "TORCHELASTIC_RUN_ID", "none"));
    REQUIRE(spec.launcher == "torchrun");
    REQUIRE_FALSE(spec.store_served);
  }
}

TEST_CASE("A job key or progress setting of the user makes no launcher") {
  REQUIRE(detect(with(torchrun_set(), "TRIREME_JOB_KEY", "0123456789abcdef")).launcher == "torchrun");
  REQUIRE(detect(Environment({{"TRIREME_PROGRESS", "tty"}, {"TRIREME_JOB_KEY", "0123456789abcdef"}})).launcher ==
          "none");
}

TEST_CASE("Where torchrun's agent holds the port all ranks take the same neighbour") {
  auto set = with(with(torchrun_set(), "TORCHELASTIC_USE_AGENT_STORE", "True"), "TORCHELASTIC_RUN_ID", "none");
  REQUIRE(detect(set).store_port == 29501);
  REQUIRE(detect(set).port == 29500);
  REQUIRE(detect(with(set, "MASTER_PORT", "65535")).store_port == 65534);
  REQUIRE(detect(with(set, "TORCHELASTIC_USE_AGENT_STORE", "False")).store_port == 29500);
}

TEST_CASE("A restarted torchrun job has another job id") {
  auto set = with(torchrun_set(), "TORCHELASTIC_RUN_ID", "none");
  auto first = detect(with(set, "TORCHELASTIC_RESTART_COUNT", "0")).job_id;
  auto second = detect(with(set, "TORCHELASTIC_RESTART_COUNT", "1")).job_id;
  REQUIRE(first != second);
  REQUIRE(first == detect(set).job_id);
}

TEST_CASE("A batch script of Slurm is a world of one, half of a task's set is refused") {
  const Environment script{{"SLURM_NTASKS", "16"}, {"SLURM_PROCID", "0"}, {"SLURM_JOB_ID", "4711"}};
  REQUIRE(detect(script).level == "single");
  REQUIRE(detect(script).platform == "slurm");
  REQUIRE(detect(without(script, "SLURM_PROCID")).level == "single");
  REQUIRE_THAT(failure(with(script, "SLURM_PROCID", "1")),
               Contains("SLURM_PROCID=1") && Contains("SLURM_STEP_NUM_TASKS"));
  REQUIRE_THAT(failure(Environment({{"SLURM_STEP_NUM_TASKS", "4"}})),
               Contains("SLURM_STEP_NUM_TASKS=4") && Contains("SLURM_PROCID"));
}

TEST_CASE("The ranks of an mpirun are read without a flag, and need no meeting point") {
  const Mpirun& mpirun = GENERATE(std::cref(open_mpi), std::cref(hydra)).get();
  const auto spec = detect(mpirun.environment());
  REQUIRE(spec.launcher == mpirun.launcher);
  REQUIRE(spec.level == "process");
  REQUIRE(spec.rank == 5);
  REQUIRE(spec.world == 8);
  REQUIRE(spec.local_rank == 1);
  REQUIRE(spec.local_world == 4);
  REQUIRE(spec.node_rank == 1);
  REQUIRE(spec.nnodes == 2);
  REQUIRE_FALSE(spec.master.has_value());
  REQUIRE_FALSE(spec.port.has_value());
  REQUIRE_FALSE(spec.store_served);
  REQUIRE(spec.warnings.empty());
  // Ranks dealt round the hosts: which host this is cannot be told from one rank.
  REQUIRE_FALSE(detect(with(mpirun.environment(), mpirun.local_rank, "2")).node_rank.has_value());
}

TEST_CASE("Under mpirun a meeting point of the user is taken, and half of one is refused") {
  const Mpirun& mpirun = GENERATE(std::cref(open_mpi), std::cref(hydra)).get();
  const auto address = with(mpirun.environment(), "MASTER_ADDR", "host-a");
  const auto spec = detect(with(address, "MASTER_PORT", "29500"));
  REQUIRE(spec.launcher == mpirun.launcher);
  REQUIRE(spec.master == "host-a");
  REQUIRE(spec.store_host == "host-a");
  REQUIRE(spec.port == 29500);
  REQUIRE(spec.store_port == 29500);
  REQUIRE_THAT(failure(address), Contains("MASTER_ADDR is set but MASTER_PORT is not"));
  REQUIRE_THAT(failure(with(mpirun.environment(), "MASTER_PORT", "29500")),
               Contains("MASTER_PORT is set but MASTER_ADDR is not"));
  REQUIRE_THAT(failure(with(with(address, "MASTER_ADDR", ""), "MASTER_PORT", "1")), Contains("MASTER_ADDR is empty"));
}

TEST_CASE("Half of mpirun's set is refused, naming what is there and what is missing") {
  const Mpirun& mpirun = GENERATE(std::cref(open_mpi), std::cref(hydra)).get();
  for (const char* missing : {mpirun.rank, mpirun.size, mpirun.local_rank, mpirun.local_size}) {
    const char* given = missing == mpirun.rank ? mpirun.size : mpirun.rank;
    if (std::string(missing) == hydra.local_size) {  // not every Hydra says how many ranks a host has
      const auto spec = detect(without(mpirun.environment(), missing));
      REQUIRE(spec.rank == 5);
      REQUIRE_FALSE(spec.local_world.has_value());
      REQUIRE_FALSE(spec.nnodes.has_value());
      continue;
    }
    REQUIRE_THAT(failure(without(mpirun.environment(), missing)),
                 Contains(std::string(given) + "=") && Contains(std::string(missing) + " is not"));
    REQUIRE_THAT(failure(with(mpirun.environment(), missing, "x")), Contains(std::string(missing) + "=x"));
  }
  REQUIRE_THAT(failure(with(mpirun.environment(), mpirun.rank, "8")), Contains(std::string(mpirun.size) + "=8"));
  REQUIRE_THAT(failure(with(mpirun.environment(), mpirun.local_rank, "4")), Contains(mpirun.local_size));
  REQUIRE_THAT(failure(with(mpirun.environment(), mpirun.local_size, "9")), Contains("must not be above"));
}

TEST_CASE("RANK and its set decide over mpirun's, and a difference is told once") {
  const Mpirun& mpirun = GENERATE(std::cref(open_mpi), std::cref(hydra)).get();
  auto both = torchrun_set();
  const auto theirs = mpirun.environment();
  for (const auto& [name, value] : theirs.variables()) both.set(name, value);
  REQUIRE(detect(both).launcher == "torchrun");
  REQUIRE(detect(both).warnings.empty());
  const auto spec = detect(with(both, mpirun.rank, "2"));
  REQUIRE(spec.rank == 5);
  REQUIRE(spec.warnings.size() == 1);
  REQUIRE_THAT(spec.warnings[0], Contains("RANK=5") && Contains(std::string(mpirun.rank) + "=2"));
}

TEST_CASE("Every start of mpirun has a job id of its own, unless the user gives one") {
  const auto started = with(open_mpi.environment(), "PMIX_NAMESPACE", "1234");
  REQUIRE_THAT(detect(started).job_id, Contains("1234"));
  REQUIRE(detect(with(started, "TRIREME_JOB_ID", "mine")).job_id == "mine");
  REQUIRE(detect(hydra.environment()).job_id.empty());
}

TEST_CASE("A task of srun is none of Hydra's, a rank of Hydra's inside an allocation is") {
  const Environment task{{"PMI_RANK", "0"},
                         {"PMI_SIZE", "2"},
                         {"SLURM_PROCID", "0"},
                         {"SLURM_LOCALID", "0"},
                         {"SLURM_NODEID", "0"},
                         {"SLURM_STEP_NUM_TASKS", "2"},
                         {"SLURM_STEP_NODELIST", "n1"},
                         {"SLURM_JOB_ID", "1"}};
  REQUIRE(detect(task).launcher == "slurm");
  REQUIRE(detect(with(hydra.environment(), "SLURM_PROCID", "0")).launcher == "hydra");
}
