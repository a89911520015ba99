// SPDX-License-Identifier: Apache-2.0
#include "doctor_case.hpp"

#include <catch2/catch.hpp>

using trireme::testing::check;

namespace {

using Variables = std::map<std::string, std::string>;

const Variables torch{
    {"RANK", "0"}, {"WORLD_SIZE", "4"}, {"LOCAL_RANK", "0"}, {"MASTER_ADDR", "host-a"}, {"MASTER_PORT", "29500"}};

Variables with(Variables variables, const Variables& more) {
  for (const auto& [name, value] : more) variables[name] = value;
  return variables;
}

const std::string first_of_four = R"({"launcher": "torchrun", "level": "process", "node_rank": null, "nnodes": null,
    "world": 4, "local_world": null, "master": "host-a", "port": 29500)";

const char* const resources = "opt/ml/input/config/resourceconfig.json";

}  // namespace

TEST_CASE("Launchers: the first complete set decides, and another one that says otherwise is told") {
  const std::string plain = first_of_four + "}";
  const std::string on_sagemaker = R"({"platform": "sagemaker", "launcher": "torchrun", "level": "process",
      "node_rank": 1, "nnodes": 2, "rank": 2, "world": 4, "local_world": 2, "master": "algo-1", "port": 29500,
      "model_dir": "ROOT/opt/ml/model", "output_dir": "ROOT/opt/ml/output/data",
      "tensorboard_dir": "ROOT/opt/ml/output/tensorboard"})";
  const Variables below_sagemaker{{"RANK", "2"},
                                  {"WORLD_SIZE", "4"},
                                  {"LOCAL_RANK", "0"},
                                  {"LOCAL_WORLD_SIZE", "2"},
                                  {"MASTER_ADDR", "algo-1"},
                                  {"MASTER_PORT", "29500"}};
  const std::string hosts = R"({"current_host": "algo-2", "hosts": ["algo-1", "algo-2"]})";
  check({
      {"24: torchrun's set before Open MPI's, which disagrees",
       with(torch, {{"OMPI_COMM_WORLD_RANK", "2"},
                    {"OMPI_COMM_WORLD_SIZE", "8"},
                    {"OMPI_COMM_WORLD_LOCAL_RANK", "2"},
                    {"OMPI_COMM_WORLD_LOCAL_SIZE", "8"}}),
       {},
       plain.c_str(),
       1},
      {"24: the same with its rank and size alone",
       with(torch, {{"OMPI_COMM_WORLD_RANK", "2"}, {"OMPI_COMM_WORLD_SIZE", "8"}}),
       {},
       plain.c_str(),
       1},
      {"24: without an address, which mpirun's ranks do not need",
       {{"RANK", "0"},
        {"WORLD_SIZE", "4"},
        {"LOCAL_RANK", "0"},
        {"OMPI_COMM_WORLD_RANK", "2"},
        {"OMPI_COMM_WORLD_SIZE", "8"}},
       {},
       R"({"launcher": "torchrun", "level": "process", "node_rank": null, "nnodes": null, "world": 4,
           "local_world": null})",
       1},
      {"RANK and WORLD_SIZE without LOCAL_RANK are of hosts",
       {{"RANK", "1"}, {"WORLD_SIZE", "2"}, {"MASTER_ADDR", "a"}, {"MASTER_PORT", "1"}},
       {},
       R"({"launcher": "node_list", "level": "node", "node_rank": 1, "nnodes": 2, "rank": 8, "world": 16,
           "local_world": 8, "master": "a", "port": 1})"},
      {"RANK and WORLD_SIZE that a script takes from srun's are no conflict",
       {{"RANK", "1"},
        {"WORLD_SIZE", "2"},
        {"SLURM_JOB_ID", "7"},
        {"SLURM_PROCID", "1"},
        {"SLURM_STEP_NUM_TASKS", "2"},
        {"SLURM_LOCALID", "1"},
        {"SLURM_NODEID", "0"},
        {"SLURM_STEP_NODELIST", "n1"},
        {"SLURM_STEP_TASKS_PER_NODE", "2"}},
       {},
       R"({"platform": "slurm", "launcher": "slurm", "level": "process", "rank": 1, "world": 2, "local_rank": 1,
           "local_world": 2, "master": "n1", "port": 20049})"},
      {"the same ranks twice are no conflict",
       with(torch, {{"PMI_RANK", "0"}, {"PMI_SIZE", "4"}, {"MPI_LOCALRANKID", "0"}}),
       {},
       plain.c_str()},
      {"torchrun on SageMaker's hosts", below_sagemaker, {{resources, hosts}}, on_sagemaker.c_str()},
      {"torchrun on other hosts than SageMaker's",
       below_sagemaker,
       {{resources, R"({"current_host": "algo-2", "hosts": ["algo-1", "algo-2", "algo-3"]})"}},
       on_sagemaker.c_str(),
       1},
      {"children of trireme run on SageMaker's hosts hear of no conflict",
       with(below_sagemaker, {{"TRIREME_PROGRESS", "plain"}}),
       {{resources, R"({"current_host": "algo-2", "hosts": ["algo-1", "algo-2", "algo-3"]})"}},
       R"({"platform": "sagemaker", "launcher": "trireme", "level": "process", "node_rank": 1, "nnodes": 2, "rank": 2,
           "world": 4, "local_world": 2, "master": "algo-1", "port": 29500, "model_dir": "ROOT/opt/ml/model",
           "output_dir": "ROOT/opt/ml/output/data", "tensorboard_dir": "ROOT/opt/ml/output/tensorboard"})"},
      {"Open MPI before Slurm and before lists of hosts",
       {{"OMPI_COMM_WORLD_RANK", "1"},
        {"OMPI_COMM_WORLD_SIZE", "2"},
        {"OMPI_COMM_WORLD_LOCAL_RANK", "0"},
        {"OMPI_COMM_WORLD_LOCAL_SIZE", "1"}},
       {{resources, hosts}},
       R"({"platform": "sagemaker", "launcher": "openmpi", "level": "process", "node_rank": 1, "nnodes": 2, "rank": 1,
           "world": 2, "local_world": 1, "model_dir": "ROOT/opt/ml/model", "output_dir": "ROOT/opt/ml/output/data",
           "tensorboard_dir": "ROOT/opt/ml/output/tensorboard"})"},
      {"two lists of hosts: PET before TF_CONFIG, with a warning",
       {{"PET_NODE_RANK", "1"},
        {"PET_NNODES", "2"},
        {"PET_NPROC_PER_NODE", "1"},
        {"PET_MASTER_ADDR", "a"},
        {"TF_CONFIG", R"({"cluster": {"worker": ["a", "b", "c"]}, "task": {"type": "worker", "index": 1}})"}},
       {},
       R"({"platform": "kubernetes", "launcher": "node_list", "level": "node", "node_rank": 1, "nnodes": 2, "rank": 1,
           "world": 2, "local_world": 1, "master": "a", "port": 29500})",
       1},
      {"26: an empty environment", {}, {}, "{}"},
  });
}

TEST_CASE("Launchers: half a set is refused, a contradiction too") {
  check({
      {"25: RANK alone", {{"RANK", "1"}}, {}, "error: RANK=1 | WORLD_SIZE"},
      {"WORLD_SIZE alone", {{"WORLD_SIZE", "2"}}, {}, "error: WORLD_SIZE=2 | RANK"},
      {"LOCAL_RANK alone", {{"LOCAL_RANK", "0"}}, {}, "error: LOCAL_RANK=0 | RANK"},
      {"hosts that cannot find each other",
       {{"RANK", "0"}, {"WORLD_SIZE", "2"}},
       {},
       "error: WORLD_SIZE=2 | MASTER_ADDR"},
      {"a host beyond", {{"RANK", "1"}, {"WORLD_SIZE", "1"}}, {}, "error: RANK=1 | WORLD_SIZE=1"},
      {"ranks that cannot find each other",
       {{"RANK", "0"}, {"WORLD_SIZE", "2"}, {"LOCAL_RANK", "0"}},
       {},
       "error: MASTER_ADDR | WORLD_SIZE=2"},
      {"half an address beside an mpirun",
       {{"RANK", "0"},
        {"WORLD_SIZE", "2"},
        {"LOCAL_RANK", "0"},
        {"MASTER_PORT", "1"},
        {"OMPI_COMM_WORLD_RANK", "0"},
        {"OMPI_COMM_WORLD_SIZE", "2"}},
       {},
       "error: MASTER_ADDR | WORLD_SIZE=2"},
      {"a rank beyond", with(torch, {{"RANK", "4"}}), {}, "error: RANK=4 | WORLD_SIZE=4"},
      {"half of Open MPI's",
       {{"OMPI_COMM_WORLD_RANK", "0"}},
       {},
       "error: OMPI_COMM_WORLD_RANK=0 | OMPI_COMM_WORLD_SIZE"},
      {"half of Hydra's", {{"PMI_SIZE", "2"}}, {}, "error: PMI_SIZE=2 | PMI_RANK"},
      {"a restart that is no number",
       with(torch, {{"TORCHELASTIC_RESTART_COUNT", "x"}}),
       {},
       "error: TORCHELASTIC_RESTART_COUNT=x"},
      {"a count of GPUs that is none", {{"TRIREME_GPU_COUNT", "many"}}, {}, "error: TRIREME_GPU_COUNT=many"},
      {"a role there is not", {{"TRIREME_ROLE", "boss"}}, {}, "error: TRIREME_ROLE=boss"},
  });
}

TEST_CASE("Launchers: the library's own override comes first") {
  const Variables set{{"TRIREME_NNODES", "2"}, {"TRIREME_NODE_RANK", "1"}, {"TRIREME_MASTER", "boss:7000"}};
  const auto without = [&](const char* name) {
    Variables left = set;
    left.erase(name);
    return left;
  };
  const char* const second = R"({"launcher": "node_list", "level": "node", "node_rank": 1, "nnodes": 2, "rank": 8,
      "world": 16, "local_world": 8, "master": "boss", "port": 7000})";
  check({
      {"all three", set, {}, second},
      {"before torchrun's set, with a warning", with(set, torch), {}, second, 1},
      {"one host",
       {{"TRIREME_NNODES", "1"}},
       {},
       R"({"launcher": "node_list", "level": "node", "world": 8, "local_world": 8})"},
      {"an address of version 6 and no port",
       with(set, {{"TRIREME_MASTER", "[fe80::1]"}, {"TRIREME_PROCS_PER_NODE", "1"}}),
       {},
       R"({"launcher": "node_list", "level": "node", "node_rank": 1, "nnodes": 2, "rank": 1, "world": 2,
           "local_world": 1, "master": "fe80::1", "port": 29500})"},
      {"no number of hosts", without("TRIREME_NNODES"), {}, "error: TRIREME_NODE_RANK | TRIREME_NNODES"},
      {"no index", without("TRIREME_NODE_RANK"), {}, "error: TRIREME_NNODES=2 | TRIREME_NODE_RANK"},
      {"no master", without("TRIREME_MASTER"), {}, "error: TRIREME_NNODES=2 | TRIREME_MASTER"},
      {"an index beyond", with(set, {{"TRIREME_NODE_RANK", "2"}}), {}, "error: TRIREME_NODE_RANK=2"},
      {"no host", with(set, {{"TRIREME_MASTER", ":7000"}}), {}, "error: TRIREME_MASTER=:7000"},
      {"no port", with(set, {{"TRIREME_MASTER", "boss:0"}}), {}, "error: TRIREME_MASTER=boss:0"},
      {"more ranks than can be counted",
       with(set, {{"TRIREME_NNODES", "2000000000"}, {"TRIREME_PROCS_PER_NODE", "8"}}),
       {},
       "error: TRIREME_NNODES=2000000000"},
  });
}
