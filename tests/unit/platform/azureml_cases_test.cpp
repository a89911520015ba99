// SPDX-License-Identifier: Apache-2.0
#include "doctor_case.hpp"

#include <catch2/catch.hpp>

using trireme::testing::check;

namespace {

using Variables = std::map<std::string, std::string>;

Variables run(Variables more) {
  more.emplace("AZUREML_RUN_ID", "ddp_1");
  return more;
}

Variables mpirun(Variables more) {
  more.insert({{"OMPI_COMM_WORLD_RANK", "9"},
               {"OMPI_COMM_WORLD_SIZE", "16"},
               {"OMPI_COMM_WORLD_LOCAL_RANK", "1"},
               {"OMPI_COMM_WORLD_LOCAL_SIZE", "8"},
               {"OMPI_COMM_WORLD_NODE_RANK", "1"}});
  return run(more);
}

std::string described(const std::string& more) {
  return R"({"platform": "azureml", "model_dir": "./outputs", "output_dir": "./outputs",
      "tensorboard_dir": "./outputs/tblogs")" +
         more + "}";
}

const std::string ranks = R"(, "level": "process", "node_rank": 1, "nnodes": 2, "rank": 9, "world": 16,
      "local_rank": 1, "local_world": 8, "master": "10.0.0.4", "port": 6105)";

}  // namespace

TEST_CASE("Azure ML: the pytorch distribution starts every rank") {
  const Variables set{{"RANK", "9"},        {"LOCAL_RANK", "1"},         {"NODE_RANK", "1"},
                      {"WORLD_SIZE", "16"}, {"MASTER_ADDR", "10.0.0.4"}, {"MASTER_PORT", "6105"}};
  Variables counted = set, batch = set, beyond = set;
  counted.emplace("AZUREML_NODE_COUNT", "2");
  batch["MASTER_PORT"] = "6000";
  beyond.insert({{"NODE_RANK", "1"}, {"AZUREML_NODE_COUNT", "1"}});
  const std::string uncounted = described(R"(, "launcher": "torchrun", "level": "process", "node_rank": 1,
      "nnodes": null, "rank": 9, "world": 16, "local_rank": 1, "local_world": null, "master": "10.0.0.4", "port": 6105)");
  const std::string all = described(R"(, "launcher": "torchrun")" + ranks);
  check({
      {"14: as the platform sets it", run(set), {}, uncounted.c_str()},
      {"with the number of nodes", run(counted), {}, all.c_str()},
      {"the port of Batch is never taken", run(batch), {}, uncounted.c_str(), 1},
      {"a node beyond their number", run(beyond), {}, "error: NODE_RANK=1 | AZUREML_NODE_COUNT=1"},
  });
}

TEST_CASE("Azure ML: ranks of mpirun meet where Batch says") {
  const std::string all = described(R"(, "launcher": "openmpi")" + ranks);
  const std::string own_port = described(R"(, "launcher": "openmpi")" + ranks + R"(, "port": 7000)");
  const std::string nowhere = described(R"(, "launcher": "openmpi")" + ranks + R"(, "master": null, "port": null)");
  const std::string local = described(R"(, "launcher": "openmpi", "level": "process", "rank": 1, "world": 8,
      "local_rank": 1, "local_world": 8, "master": "127.0.0.1", "port": 6105)");
  const std::string intel = described(R"(, "launcher": "hydra", "level": "process", "node_rank": null, "nnodes": null,
      "rank": 9, "world": 16, "local_rank": 1, "local_world": null, "master": "10.0.0.4", "port": 6105)");
  check({
      {"the master node, without Batch's port", mpirun({{"AZ_BATCH_MASTER_NODE", "10.0.0.4:6000"}}), {}, all.c_str()},
      {"MASTER_ADDR first",
       mpirun({{"MASTER_ADDR", "10.0.0.4"}, {"AZ_BATCH_MASTER_NODE", "10.0.0.9:6000"}, {"MASTER_PORT", "7000"}}),
       {},
       own_port.c_str()},
      {"the master of the MPI", mpirun({{"AZ_BATCHAI_MPI_MASTER_NODE", "10.0.0.4"}}), {}, all.c_str()},
      {"the first host of the list", mpirun({{"AZ_BATCH_HOST_LIST", "10.0.0.4,10.0.0.5"}}), {}, all.c_str()},
      {"nothing known: through MPI", mpirun({}), {}, nowhere.c_str()},
      {"never port 6000",
       mpirun({{"AZ_BATCH_MASTER_NODE", "10.0.0.4:6000"}, {"MASTER_PORT", "6000"}}),
       {},
       all.c_str(),
       1},
      {"localhost is one node",
       run({{"OMPI_COMM_WORLD_RANK", "1"},
            {"OMPI_COMM_WORLD_SIZE", "8"},
            {"OMPI_COMM_WORLD_LOCAL_RANK", "1"},
            {"OMPI_COMM_WORLD_LOCAL_SIZE", "8"},
            {"AZ_BATCHAI_MPI_MASTER_NODE", "localhost"}}),
       {},
       local.c_str()},
      {"localhost of two nodes",
       mpirun({{"AZ_BATCHAI_MPI_MASTER_NODE", "localhost"}}),
       {},
       "error: AZ_BATCHAI_MPI_MASTER_NODE=localhost"},
      {"Intel MPI",
       run({{"PMI_RANK", "9"},
            {"PMI_SIZE", "16"},
            {"MPI_LOCALRANKID", "1"},
            {"AZ_BATCH_MASTER_NODE", "10.0.0.4:6000"}}),
       {},
       intel.c_str()},
  });
}

TEST_CASE("Azure ML: TF_CONFIG and lists of Batch are of hosts") {
  const char* const tensorflow =
      R"({"cluster": {"worker": ["10.0.0.4:2222", "10.0.0.5:2222"]}, "task": {"type": "worker", "index": 1}})";
  const std::string second = described(R"(, "launcher": "node_list", "level": "node", "node_rank": 1, "nnodes": 2,
      "rank": 8, "world": 16, "local_world": 8, "master": "10.0.0.4", "port": 6105)");
  const std::string alone = described("");
  check({
      {"tensorflow", run({{"TF_CONFIG", tensorflow}}), {}, second.c_str()},
      {"tensorflow, never port 6000", run({{"TF_CONFIG", tensorflow}, {"MASTER_PORT", "6000"}}), {}, second.c_str(), 1},
      {"no distribution, two nodes",
       run({{"AZUREML_NODE_COUNT", "2"},
            {"AZUREML_CR_NODE_RANK", "1"},
            {"AZ_BATCH_HOST_LIST", "10.0.0.4,10.0.0.5"},
            {"AZ_BATCH_MASTER_NODE", "10.0.0.4:6000"}}),
       {},
       second.c_str()},
      {"no distribution, two nodes in Batch's other list, and its port",
       run({{"AZUREML_NODE_COUNT", "2"},
            {"AZUREML_CR_NODE_RANK", "1"},
            {"AZ_BATCH_NODE_LIST", "10.0.0.4;10.0.0.5"},
            {"MASTER_PORT", "6000"}}),
       {},
       second.c_str(),
       1},
      {"no distribution, one node",
       run({{"AZUREML_NODE_COUNT", "1"}, {"AZUREML_CR_NODE_RANK", "0"}}),
       {},
       alone.c_str()},
      {"a node without its index",
       run({{"AZUREML_NODE_COUNT", "2"}, {"AZ_BATCH_HOST_LIST", "10.0.0.4,10.0.0.5"}}),
       {},
       "error: AZUREML_NODE_COUNT=2 | AZUREML_CR_NODE_RANK"},
      {"a list of another length",
       run({{"AZUREML_NODE_COUNT", "3"}, {"AZUREML_CR_NODE_RANK", "0"}, {"AZ_BATCH_HOST_LIST", "10.0.0.4,10.0.0.5"}}),
       {},
       "error: AZUREML_NODE_COUNT=3 | AZ_BATCH_HOST_LIST has 2"},
      {"a half set is no host's", run({{"RANK", "0"}, {"WORLD_SIZE", "2"}}), {}, "error: RANK=0 | LOCAL_RANK"},
  });
}

TEST_CASE("Azure ML: inputs and outputs are mounts, or below the working folder") {
  const char* const mount = "/mnt/cap/wd";
  check({
      {"mounts",
       run({{"AZUREML_CR_EXECUTION_WORKING_DIR_PATH", mount},
            {"AZURE_ML_INPUT_Train", "/mnt/in"},
            {"AZURE_ML_INPUT_epochs", "5"},
            {"AZUREML_DATAREFERENCE_old", "/mnt/old"},
            {"AZURE_ML_OUTPUT_ckpt", "/mnt/out/ckpt"},
            {"AZURE_ML_OUTPUT_model", "/mnt/out/model"},
            {"AZUREML_CR_COMPUTE_CONTEXT", R"({"run_attempt_count": 2})"}}),
       {},
       R"({"platform": "azureml", "model_dir": "ROOT/mnt/out/model", "checkpoint_dir": "ROOT/mnt/out/ckpt",
           "output_dir": "ROOT/mnt/cap/wd/outputs", "tensorboard_dir": "ROOT/mnt/cap/wd/outputs/tblogs",
           "inputs": {"Train": "ROOT/mnt/in", "old": "ROOT/mnt/old"}})"},
      {"a context that is none",
       run({{"AZUREML_CR_COMPUTE_CONTEXT", "nonsense"}}),
       {},
       R"({"platform": "azureml", "model_dir": "./outputs", "output_dir": "./outputs",
           "tensorboard_dir": "./outputs/tblogs"})",
       1},
  });
}
