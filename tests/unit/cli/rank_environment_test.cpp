// SPDX-License-Identifier: Apache-2.0
#include "cli/run/rank_environment.hpp"

#include "trireme/platform/cluster_spec.hpp"

#include <catch2/catch.hpp>

using trireme::cli::Job;
using trireme::cli::rank_environment;
using trireme::net::JobKey;
using trireme::platform::Environment;

namespace {

Job job_of(int world) {
  return {.world = world,
          .store = {"127.0.0.1", 4711},
          .master_port = 4712,
          .key = JobKey::derived("test"),
          .id = "job-1",
          .terminal = false};
}

}  // namespace

TEST_CASE("The description a rank reads is the one the launcher meant") {
  for (int rank = 0; rank < 3; ++rank) {
    auto spec = trireme::platform::detect(rank_environment({}, job_of(3), rank));
    REQUIRE(spec.launcher == "trireme");
    REQUIRE(spec.level == "process");
    REQUIRE(spec.rank == rank);
    REQUIRE(spec.world == 3);
    REQUIRE(spec.local_rank == rank);
    REQUIRE(spec.local_world == 3);
    REQUIRE(spec.node_rank == 0);
    REQUIRE(spec.nnodes == 1);
    REQUIRE(spec.master == "127.0.0.1");
    REQUIRE(spec.port == 4712);
    REQUIRE(spec.store_host == "127.0.0.1");
    REQUIRE(spec.store_port == 4711);
    REQUIRE(spec.store_served);
    REQUIRE(spec.job_id == "job-1");
  }
}

TEST_CASE("Ranks inherit the environment, with one thread unless the user says otherwise") {
  auto environment = rank_environment(Environment({{"HOME", "/root"}, {"OMP_NUM_THREADS", "7"}}), job_of(2), 1);
  REQUIRE(environment.find("HOME") == "/root");
  REQUIRE(environment.find("OMP_NUM_THREADS") == "7");
  REQUIRE(environment.find("OPENBLAS_NUM_THREADS") == "1");
}

TEST_CASE("Ranks hold the job's key") {
  Job job = job_of(2);
  auto environment = rank_environment(Environment({{"TRIREME_JOB_KEY_FILE", "/read/already"}}), job, 0);
  REQUIRE(JobKey::from_text(environment.find("TRIREME_JOB_KEY").value()).bytes() == job.key.bytes());
  REQUIRE_FALSE(environment.has("TRIREME_JOB_KEY_FILE"));
}

TEST_CASE("Marks of a launcher around ours do not reach the ranks") {
  Environment outer({{"RANK", "5"},
                     {"WORLD_SIZE", "9"},
                     {"TORCHELASTIC_RUN_ID", "none"},
                     {"ROLE_RANK", "5"},
                     {"GROUP_WORLD_SIZE", "4"}});
  auto environment = rank_environment(outer, job_of(2), 1);
  REQUIRE(environment.find("RANK") == "1");
  REQUIRE_FALSE(environment.has("TORCHELASTIC_RUN_ID"));
  REQUIRE_FALSE(environment.has("ROLE_RANK"));
  REQUIRE(trireme::platform::detect(environment).launcher == "trireme");
}

TEST_CASE("A store on every address is reached on loopback") {
  Job job = job_of(2);
  job.store.host = "0.0.0.0";
  REQUIRE(rank_environment({}, job, 0).find("MASTER_ADDR") == "127.0.0.1");
  REQUIRE(rank_environment({}, job, 0).find("TRIREME_STORE_ADDR") == "127.0.0.1:4711");
  job.store.host = "";  // both families, where there are two: IPv4 is always one of them
  REQUIRE(rank_environment({}, job, 0).find("TRIREME_STORE_ADDR") == "127.0.0.1:4711");
  REQUIRE(rank_environment({}, job, 0).find("MASTER_ADDR") == "127.0.0.1");
  job.store.host = "::";
  REQUIRE(rank_environment({}, job, 0).find("MASTER_ADDR") == "::1");
  const auto spec = trireme::platform::detect(rank_environment({}, job, 0));
  REQUIRE(spec.store_host == "::1");
  REQUIRE(spec.store_port == 4711);
}

TEST_CASE("The limit of joining is handed down only when it was given") {
  Job job = job_of(2);
  REQUIRE_FALSE(rank_environment({}, job, 0).has("TRIREME_JOIN_TIMEOUT_S"));
  REQUIRE(rank_environment({{"TRIREME_JOIN_TIMEOUT_S", "7"}}, job, 0).find("TRIREME_JOIN_TIMEOUT_S") == "7");
  job.join_timeout = std::chrono::milliseconds(90025);
  REQUIRE(rank_environment({{"TRIREME_JOIN_TIMEOUT_S", "7"}}, job, 0).find("TRIREME_JOIN_TIMEOUT_S") == "90.025");
}

TEST_CASE("Ranks learn whether the launcher shows their progress on a terminal") {
  Job job = job_of(1);
  REQUIRE(rank_environment({}, job, 0).find("TRIREME_PROGRESS") == "plain");
  job.terminal = true;
  REQUIRE(rank_environment({}, job, 0).find("TRIREME_PROGRESS") == "tty");
}

TEST_CASE("Ranks of several hosts are numbered through, and know their host") {
  Job job = job_of(4);
  job.first_rank = 1;
  job.local_world = 2;
  job.node = 1;
  job.nnodes = 3;
  job.store.host = "algo-1";
  job.interface = "eth0";
  job.host_id = "algo-2";
  const auto environment = rank_environment({}, job, 1);
  const auto spec = trireme::platform::detect(environment);
  REQUIRE(spec.rank == 2);
  REQUIRE(spec.world == 4);
  REQUIRE(spec.local_rank == 1);
  REQUIRE(spec.local_world == 2);
  REQUIRE(spec.node_rank == 1);
  REQUIRE(spec.nnodes == 3);
  REQUIRE(spec.master == "algo-1");
  REQUIRE(environment.find("NCCL_SOCKET_IFNAME") == "eth0");
  REQUIRE(environment.find("NCCL_HOSTID") == "algo-2");
  REQUIRE(rank_environment({{"NCCL_SOCKET_IFNAME", "ib0"}}, job, 1).find("NCCL_SOCKET_IFNAME") == "ib0");
  job.interface.reset();
  REQUIRE_FALSE(rank_environment({}, job, 0).has("NCCL_SOCKET_IFNAME"));
}

TEST_CASE("An evaluator has a role and no rank") {
  const auto environment = trireme::cli::evaluator_environment({{"RANK", "3"}, {"HOME", "/root"}}, job_of(2));
  REQUIRE(environment.find("TRIREME_ROLE") == "evaluator");
  REQUIRE(environment.find("HOME") == "/root");
  for (const char* name : {"RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "TRIREME_STORE_ADDR", "TRIREME_JOB_KEY"})
    REQUIRE_FALSE(environment.has(name));
}

TEST_CASE("A server has a role, a number, and the way to the job's store") {
  Job job = job_of(2);
  job.servers = 3;
  const auto environment =
      trireme::cli::server_environment({{"RANK", "3"}, {"WORLD_SIZE", "4"}, {"TRIREME_SERVERS", "9"}}, job, 2);
  for (const char* name : {"RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR"}) REQUIRE_FALSE(environment.has(name));
  REQUIRE(JobKey::from_text(environment.find("TRIREME_JOB_KEY").value()).bytes() == job.key.bytes());
  const auto spec = trireme::platform::detect(environment);
  REQUIRE(spec.role == trireme::platform::Role::server);
  REQUIRE(spec.server_index == 2);
  REQUIRE(spec.servers == 3);
  REQUIRE(spec.store_host == "127.0.0.1");
  REQUIRE(spec.store_port == 4711);
  REQUIRE(spec.job_id == "job-1");
  const auto rank = trireme::platform::detect(rank_environment({}, job, 0));
  REQUIRE(rank.servers == 3);  // ranks know how many there are
  REQUIRE_FALSE(rank.server_index);
  REQUIRE(trireme::platform::detect(rank_environment({{"TRIREME_SERVERS", "9"}}, job_of(2), 0)).servers == 0);
}
