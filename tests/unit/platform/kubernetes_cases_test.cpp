// SPDX-License-Identifier: Apache-2.0
#include "doctor_case.hpp"

#include <catch2/catch.hpp>

using trireme::testing::check;

namespace {

using Variables = std::map<std::string, std::string>;

Variables with(Variables variables, const Variables& more) {
  for (const auto& [name, value] : more) variables[name] = value;
  return variables;
}

const Variables pytorch_job{{"MASTER_ADDR", "ddp-master-0"},
                            {"PET_MASTER_ADDR", "ddp-master-0"},
                            {"MASTER_PORT", "23456"},
                            {"PET_MASTER_PORT", "23456"},
                            {"WORLD_SIZE", "16"},
                            {"RANK", "1"},
                            {"PET_NODE_RANK", "1"},
                            {"PET_NPROC_PER_NODE", "8"},
                            {"PET_NNODES", "2"},
                            {"PYTHONUNBUFFERED", "1"}};

const Variables train_job{{"PET_NNODES", "2"},
                          {"PET_NPROC_PER_NODE", "auto"},
                          {"PET_NODE_RANK", "1"},
                          {"PET_MASTER_ADDR", "tj-node-0-0.tj"},
                          {"PET_MASTER_PORT", "29500"}};

std::string second_of_two(const char* master, int port, int each) {
  return R"({"platform": "kubernetes", "launcher": "node_list", "level": "node", "node_rank": 1, "nnodes": 2, "rank": )" +
         std::to_string(each) + R"(, "world": )" + std::to_string(2 * each) + R"(, "local_world": )" +
         std::to_string(each) + R"(, "master": ")" + master + R"(", "port": )" + std::to_string(port) + "}";
}

}  // namespace

TEST_CASE("Kubernetes: PyTorchJob and TrainJob number hosts, whatever RANK and WORLD_SIZE say") {
  const std::string torch = second_of_two("ddp-master-0", 23456, 8);
  const std::string train = second_of_two("tj-node-0-0.tj", 29500, 8);
  const std::string one_each = second_of_two("tj-node-0-0.tj", 29500, 1);
  const std::string three_each = second_of_two("tj-node-0-0.tj", 29500, 3);
  check({
      {"17: PyTorchJob", pytorch_job, {}, torch.c_str()},
      {"with WORLD_SIZE of hosts", with(pytorch_job, {{"WORLD_SIZE", "2"}}), {}, torch.c_str()},
      {"19: TrainJob, one process per GPU", train_job, {}, train.c_str()},
      {"without a GPU", with(train_job, {{"TRIREME_GPU_COUNT", "0"}}), {}, one_each.c_str()},
      {"TRIREME_PROCS_PER_NODE first", with(pytorch_job, {{"TRIREME_PROCS_PER_NODE", "8"}}), {}, torch.c_str()},
      {"the job's number before the GPUs", with(train_job, {{"PET_NPROC_PER_NODE", "3"}}), {}, three_each.c_str()},
      {"elastic that leaves no choice", with(train_job, {{"PET_NNODES", "2:2"}}), {}, train.c_str()},
      {"a data set that the initialiser put there",
       with(train_job, {{"PET_NNODES", "1"}, {"PET_NODE_RANK", "0"}}),
       {{"workspace/dataset/", ""}},
       R"({"platform": "kubernetes", "launcher": "node_list", "level": "node", "world": 8, "local_world": 8,
           "master": "tj-node-0-0.tj", "port": 29500, "inputs": {"dataset": "ROOT/workspace/dataset"}})"},
      {"18: elastic", with(pytorch_job, {{"PET_NNODES", "1:4"}}), {}, "error: PET_NNODES=1:4: elastic"},
      {"elastic without an index",
       {{"PET_RDZV_ENDPOINT", "w-0:23456"}, {"PET_NNODES", "1:4"}, {"PET_NPROC_PER_NODE", "2"}},
       {},
       "error: PET_NNODES=1:4: elastic"},
      {"an index beyond", with(train_job, {{"PET_NODE_RANK", "2"}}), {}, "error: PET_NODE_RANK=2 | PET_NNODES=2"},
      {"an index alone", {{"PET_NODE_RANK", "0"}}, {}, "error: PET_NODE_RANK=0 | PET_NNODES"},
      {"hosts without an index",
       {{"PET_NNODES", "2"}, {"PET_MASTER_ADDR", "a"}},
       {},
       "error: PET_NNODES=2 | PET_NODE_RANK"},
      {"no master", {{"PET_NNODES", "2"}, {"PET_NODE_RANK", "0"}}, {}, "error: PET_NNODES=2 | PET_MASTER_ADDR"},
      {"no number", with(train_job, {{"PET_NPROC_PER_NODE", "all"}}), {}, "error: PET_NPROC_PER_NODE=all"},
      {"processes per processor",
       with(train_job, {{"PET_NPROC_PER_NODE", "cpu"}}),
       {},
       "error: PET_NPROC_PER_NODE=cpu"},
      {"no port", with(train_job, {{"PET_MASTER_PORT", "http"}}), {}, "error: PET_MASTER_PORT=http"},
  });
}

TEST_CASE("Kubernetes: older jobs, indexed Jobs, TFJobs and MPIJobs") {
  const std::string indexed = second_of_two("job-0.job", 29500, 8);
  const std::string older = second_of_two("m", 23456, 8);
  const Variables index{{"JOB_COMPLETION_INDEX", "1"}, {"TRIREME_NNODES", "2"}, {"MASTER_ADDR", "job-0.job"}};
  check({
      {"RANK and WORLD_SIZE in a pod are of hosts",
       {{"KUBERNETES_SERVICE_HOST", "10.0.0.1"},
        {"RANK", "1"},
        {"WORLD_SIZE", "2"},
        {"MASTER_ADDR", "m"},
        {"MASTER_PORT", "23456"}},
       {},
       older.c_str()},
      {"an indexed Job", index, {}, indexed.c_str()},
      {"an indexed Job with the library's own name for the first pod",
       {{"JOB_COMPLETION_INDEX", "1"}, {"TRIREME_NNODES", "2"}, {"TRIREME_MASTER", "job-0.job"}},
       {},
       indexed.c_str()},
      {"an indexed Job without the first pod's name",
       {{"JOB_COMPLETION_INDEX", "1"}, {"TRIREME_NNODES", "2"}},
       {},
       "error: TRIREME_NNODES=2 | MASTER_ADDR"},
      {"an index beyond", with(index, {{"JOB_COMPLETION_INDEX", "2"}}), {}, "error: JOB_COMPLETION_INDEX=2"},
      {"an index alone tells of no peers", {{"JOB_COMPLETION_INDEX", "3"}}, {}, R"({"platform": "kubernetes"})"},
      {"20: a rank of an MPIJob, which has not got the pod's variables",
       {{"OMPI_COMM_WORLD_RANK", "9"},
        {"OMPI_COMM_WORLD_SIZE", "16"},
        {"OMPI_COMM_WORLD_LOCAL_RANK", "1"},
        {"OMPI_COMM_WORLD_LOCAL_SIZE", "8"}},
       {{"etc/mpi/hostfile", "a slots=8\nb slots=8\n"}},
       R"({"platform": "kubernetes", "launcher": "openmpi", "level": "process", "node_rank": 1, "nnodes": 2, "rank": 9,
           "world": 16, "local_rank": 1, "local_world": 8})"},
      {"the launcher of an MPIJob", {{"K_MPI_JOB_ROLE", "launcher"}}, {}, R"({"platform": "kubernetes"})"},
      {"a pod", {{"KUBERNETES_SERVICE_HOST", "10.0.0.1"}}, {}, R"({"platform": "kubernetes"})"},
      {"a TFJob's evaluator, which is not in the cluster",
       {{"KUBERNETES_SERVICE_HOST", "10.0.0.1"},
        {"TF_CONFIG", R"({"cluster": {"chief": ["c:2222"], "worker": ["w:2222"], "ps": ["p:2222"]},
                          "task": {"type": "evaluator", "index": 0}})"}},
       {},
       R"({"platform": "kubernetes", "launcher": "node_list", "level": "node", "nnodes": null, "rank": null,
           "world": null, "master": "c", "port": 2222, "role": "evaluator"})"},
      {"its server",
       {{"TF_CONFIG", R"({"cluster": {"chief": ["c:2222"], "worker": ["w:2222"], "ps": ["p:2222"]},
                          "task": {"type": "ps", "index": 0}})"}},
       {},
       R"({"launcher": "node_list", "level": "node", "rank": null, "world": null, "master": "c", "port": 2222,
           "role": "server"})"},
      {"its worker, behind the master",
       {{"TF_CONFIG", R"({"cluster": {"master": ["c:2222"], "worker": ["w:2222"]},
                          "task": {"type": "worker", "index": 0}})"}},
       {},
       R"({"launcher": "node_list", "level": "node", "node_rank": 1, "nnodes": 2, "rank": 8, "world": 16,
           "local_world": 8, "master": "c", "port": 2222})"},
      {"the chief among the workers too",
       {{"TF_CONFIG", R"({"cluster": {"chief": ["c:1"], "worker": ["c:1"]}, "task": {"type": "chief", "index": 0}})"}},
       {},
       "error: TF_CONFIG: cluster: c:1 is there twice"},
      {"two hosts of PET_* that meet at PET_RDZV_ENDPOINT",
       {{"PET_NNODES", "2"}, {"PET_NODE_RANK", "1"}, {"PET_RDZV_ENDPOINT", "m:23456"}},
       {},
       older.c_str()},
      {"a task there is not",
       {{"TF_CONFIG", R"({"cluster": {"worker": ["w:2222"]}, "task": {"type": "chief", "index": 0}})"}},
       {},
       "error: TF_CONFIG: task.index=0 | chief"},
      {"a cluster without workers",
       {{"TF_CONFIG", R"({"cluster": {"ps": ["w:2222"]}, "task": {"type": "ps", "index": 0}})"}},
       {},
       "error: TF_CONFIG: cluster has no worker"},
      {"TF_CONFIG is empty", {{"TF_CONFIG", ""}}, {}, "error: TF_CONFIG: not valid JSON"},
  });
}
