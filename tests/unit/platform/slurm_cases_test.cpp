// SPDX-License-Identifier: Apache-2.0
#include "doctor_case.hpp"
#include "platform/slurm_list.hpp"
#include "trireme/base/error.hpp"

#include <catch2/catch.hpp>

using trireme::platform::expand_slurm_counts;
using trireme::platform::expand_slurm_hosts;
using trireme::testing::check;

namespace {

using Variables = std::map<std::string, std::string>;
using Hosts = std::vector<std::string>;

const Variables task{{"SLURM_JOB_ID", "4711"},
                     {"SLURM_STEP_ID", "0"},
                     {"SLURM_PROCID", "9"},
                     {"SLURM_STEP_NUM_TASKS", "16"},
                     {"SLURM_NTASKS", "16"},
                     {"SLURM_LOCALID", "1"},
                     {"SLURM_NODEID", "1"},
                     {"SLURM_STEP_NUM_NODES", "2"},
                     {"SLURM_STEP_TASKS_PER_NODE", "8(x2)"},
                     {"SLURM_STEP_NODELIST", "gpu[07-08]"},
                     {"SLURM_JOB_NODELIST", "gpu[05-08]"},
                     {"SLURM_LAUNCH_NODE_IPADDR", "10.1.0.2"}};

Variables with(const Variables& more, std::initializer_list<const char*> without = {}) {
  Variables result = task;
  for (const auto& [name, value] : more) result[name] = value;
  for (const char* name : without) result.erase(name);
  return result;
}

const std::string rank_nine = R"({"platform": "slurm", "launcher": "slurm", "level": "process", "node_rank": 1,
    "nnodes": 2, "rank": 9, "world": 16, "local_rank": 1, "local_world": 8, "master": "gpu07", "port": 32977)";

}  // namespace

TEST_CASE("Slurm: a task of a step knows its rank, and the step's first host is the master") {
  const std::string plain = rank_nine + "}", step_three = rank_nine + R"(, "port": 32980})",
                    own = rank_nine + R"(, "master": "boss", "port": 29500})",
                    no_job = rank_nine + R"(, "port": 20000})";
  check({
      {"21: zeros in front of hosts are kept", task, {}, plain.c_str()},
      {"places follow from counts where Slurm does not tell them",
       with({}, {"SLURM_LOCALID", "SLURM_NODEID"}),
       {},
       plain.c_str()},
      {"another step has another port", with({{"SLURM_STEP_ID", "3"}}), {}, step_three.c_str()},
      {"a meeting point of the user", with({{"MASTER_ADDR", "boss"}, {"MASTER_PORT", "29500"}}), {}, own.c_str()},
      {"no number of the job", with({}, {"SLURM_JOB_ID", "SLURM_STEP_ID"}), {}, no_job.c_str(), 1},
      {"unequal hosts",
       with({{"SLURM_STEP_NODELIST", "a[1-2],b"},
             {"SLURM_STEP_NUM_NODES", "3"},
             {"SLURM_STEP_TASKS_PER_NODE", "4,8,4"},
             {"SLURM_PROCID", "13"},
             {"SLURM_NODEID", "2"}}),
       {},
       R"({"platform": "slurm", "launcher": "slurm", "level": "process", "node_rank": 2, "nnodes": 3, "rank": 13,
           "world": 16, "local_rank": 1, "local_world": 4, "master": "a1", "port": 32977})"},
      {"one task",
       {{"SLURM_JOB_ID", "1"},
        {"SLURM_PROCID", "0"},
        {"SLURM_STEP_NUM_TASKS", "1"},
        {"SLURM_STEP_NODELIST", "n"},
        {"SLURM_LOCALID", "0"},
        {"SLURM_NODEID", "0"}},
       {},
       R"({"platform": "slurm", "launcher": "slurm", "level": "process", "master": "n", "port": 20007})"},
      {"22: a batch script is a world of one",
       {{"SLURM_JOB_ID", "4711"}, {"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "16"}, {"SLURM_JOB_NODELIST", "gpu[07-08]"}},
       {},
       R"({"platform": "slurm"})"},
      {"torchrun, one per host, started by srun",
       with({{"RANK", "9"},
             {"WORLD_SIZE", "16"},
             {"LOCAL_RANK", "1"},
             {"LOCAL_WORLD_SIZE", "8"},
             {"MASTER_ADDR", "gpu07"},
             {"MASTER_PORT", "29500"},
             {"SLURM_PROCID", "1"},
             {"SLURM_STEP_NUM_TASKS", "2"},
             {"SLURM_STEP_TASKS_PER_NODE", "1(x2)"},
             {"SLURM_LOCALID", "0"}}),
       {},
       R"({"platform": "slurm", "launcher": "torchrun", "level": "process", "node_rank": 1, "nnodes": 2, "rank": 9,
           "world": 16, "local_rank": 1, "local_world": 8, "master": "gpu07", "port": 29500})"},
      {"mpirun, whose helpers srun started",
       with({{"OMPI_COMM_WORLD_RANK", "9"},
             {"OMPI_COMM_WORLD_SIZE", "16"},
             {"OMPI_COMM_WORLD_LOCAL_RANK", "1"},
             {"OMPI_COMM_WORLD_LOCAL_SIZE", "8"},
             {"SLURM_PROCID", "0"},
             {"SLURM_STEP_NUM_TASKS", "1"},
             {"SLURM_STEP_TASKS_PER_NODE", "1"},
             {"SLURM_STEP_NODELIST", "gpu08"},
             {"SLURM_STEP_NUM_NODES", "1"},
             {"SLURM_NODEID", "0"},
             {"SLURM_LOCALID", "0"}}),
       {},
       R"({"platform": "slurm", "launcher": "openmpi", "level": "process", "node_rank": 1, "nnodes": 2, "rank": 9,
           "world": 16, "local_rank": 1, "local_world": 8})"},
      {"mpirun says otherwise",
       with({{"OMPI_COMM_WORLD_RANK", "2"},
             {"OMPI_COMM_WORLD_SIZE", "8"},
             {"OMPI_COMM_WORLD_LOCAL_RANK", "2"},
             {"OMPI_COMM_WORLD_LOCAL_SIZE", "8"}}),
       {},
       R"({"platform": "slurm", "launcher": "openmpi", "level": "process", "rank": 2, "world": 8, "local_rank": 2,
           "local_world": 8})",
       1},
  });
}

TEST_CASE("Slurm: half a set and contradictions are refused by variable") {
  check({
      {"no number of tasks", with({}, {"SLURM_STEP_NUM_TASKS"}), {}, "error: SLURM_PROCID=9 | SLURM_STEP_NUM_TASKS"},
      {"no rank", with({}, {"SLURM_PROCID"}), {}, "error: SLURM_STEP_NUM_TASKS=16 | SLURM_PROCID"},
      {"a rank beyond", with({{"SLURM_PROCID", "16"}}), {}, "error: SLURM_PROCID=16 | SLURM_STEP_NUM_TASKS=16"},
      {"no hosts",
       with({}, {"SLURM_STEP_NODELIST", "SLURM_JOB_NODELIST"}),
       {},
       "error: SLURM_STEP_NODELIST is not set"},
      {"a list that is none",
       with({{"SLURM_STEP_NODELIST", "gpu[07-"}}),
       {},
       "error: SLURM_STEP_NODELIST=gpu[07-: a bracket"},
      {"another number of hosts", with({{"SLURM_STEP_NUM_NODES", "3"}}), {}, "error: SLURM_STEP_NUM_NODES=3 | 2 hosts"},
      {"counts of other hosts",
       with({{"SLURM_STEP_TASKS_PER_NODE", "16"}}),
       {},
       "error: SLURM_STEP_TASKS_PER_NODE=16 | 1 hosts"},
      {"counts of another sum",
       with({{"SLURM_STEP_TASKS_PER_NODE", "8,7"}}),
       {},
       "error: SLURM_STEP_TASKS_PER_NODE=8,7 | 15"},
      {"a host beyond", with({{"SLURM_NODEID", "2"}}), {}, "error: SLURM_NODEID=2"},
      {"a place beyond", with({{"SLURM_LOCALID", "8"}}), {}, "error: SLURM_LOCALID=8"},
      {"a job that is no number", with({{"SLURM_JOB_ID", "4711_3"}}), {}, "error: SLURM_JOB_ID=4711_3"},
      {"no place, and none follows",
       with({}, {"SLURM_LOCALID", "SLURM_STEP_TASKS_PER_NODE"}),
       {},
       "error: SLURM_LOCALID is not set"},
  });
}

TEST_CASE("Slurm's lists of hosts and counts are expanded in full, or refused") {
  const auto hosts = [](const char* text) { return expand_slurm_hosts(text, "LIST"); };
  REQUIRE(hosts("gpu[07-08,11],login1") == Hosts{"gpu07", "gpu08", "gpu11", "login1"});
  REQUIRE(hosts("n1") == Hosts{"n1"});
  REQUIRE(hosts("n[8-11]") == Hosts{"n8", "n9", "n10", "n11"});
  REQUIRE(hosts("n[008-010]") == Hosts{"n008", "n009", "n010"});
  REQUIRE(hosts("r[1-2]n[01-02]-ib,x") == Hosts{"r1n01-ib", "r1n02-ib", "r2n01-ib", "r2n02-ib", "x"});
  REQUIRE(hosts("[1-2]") == Hosts{"1", "2"});
  REQUIRE(hosts("n[1-65536]").size() == 65536);
  REQUIRE(expand_slurm_counts("4,8(x3),2", "COUNTS") == std::vector<int>{4, 8, 8, 8, 2});
  REQUIRE(expand_slurm_counts("8(x2)", "COUNTS") == std::vector<int>{8, 8});
  const char* bad =
      GENERATE("", ",", "n[", "n]", "n[1", "n[]", "n[a]", "n[2-1]", "n[1-]", "n[1,]", "n[[1]]", "n,,m", "a b",
               "n[0-65536]", "n[1-1000]m[1-1000]", "n[99999999999999999999]", "n[-1]", "[1]n[1-999999999]");
  REQUIRE_THROWS_AS(hosts(bad), trireme::Exception);
  const char* bad_counts = GENERATE("", "x", "8(x", "8(x0)", "8(x)", "8(x99999)", "-1", "1,", "8(x2)(x2)", "(x2)");
  REQUIRE_THROWS_AS(expand_slurm_counts(bad_counts, "COUNTS"), trireme::Exception);
}
