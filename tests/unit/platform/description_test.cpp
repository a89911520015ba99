// SPDX-License-Identifier: Apache-2.0
// What a description holds beyond what `trireme doctor --json` shows.
#include "doctor_case.hpp"
#include "trireme/base/error.hpp"
#include "trireme/platform/cluster_spec.hpp"
#include "trireme/platform/local_path.hpp"

#include <catch2/catch.hpp>

#include <filesystem>

using namespace trireme::platform;
using Catch::Matchers::Contains;
using trireme::testing::DoctorCase;
using trireme::testing::lay_out;
using trireme::testing::TemporaryFolder;

namespace {

/// A job's files, and what detect() makes of them.
class Job {
 public:
  Job(std::map<std::string, std::string> environment, std::map<std::string, std::string> files) {
    lay_out({.name = "", .environment = {}, .files = std::move(files), .expected = ""}, root());
    for (const auto& [name, value] : environment) environment_.set(name, value);
  }
  const std::string& root() const { return folder_.path(); }
  const Environment& environment() const { return environment_; }
  ClusterSpec detect() const { return trireme::platform::detect(environment_, {.root = root() + "/"}); }
  std::optional<std::string> awaited() const { return awaited_file(environment_, {.root = root()}); }

 private:
  TemporaryFolder folder_;
  Environment environment_;
};

const char* const resources = "opt/ml/input/config/resourceconfig.json";
const char* const one_host = R"({"current_host": "algo-1", "hosts": ["algo-1"], "network_interface_name": "eth7"})";

}  // namespace

TEST_CASE("A description of SageMaker tells all that its files do") {
  const Job job({{"TRAINING_JOB_NAME", "trial-7"}},
                {{resources, one_host},
                 {"sys/class/net/eth7", ""},
                 {"dev/termination-log", ""},
                 {"opt/ml/input/config/hyperparameters.json", R"({"_tuning_objective_metric": "val:accuracy"})"},
                 {"opt/ml/input/config/inputdataconfig.json",
                  R"({"a": {"TrainingInputMode": "Pipe", "RecordWrapperType": "RecordIO"},
                      "b": {"TrainingInputMode": "FastFile", "S3DistributionType": "ShardedByS3Key"}})"}});
  const auto spec = job.detect();
  REQUIRE(spec.node_name == "algo-1");
  REQUIRE(spec.hosts == std::vector<std::string>{"algo-1"});
  REQUIRE(spec.interface == "eth7");
  REQUIRE(spec.stop_grace == std::chrono::seconds(120));
  REQUIRE(spec.failure_file == job.root() + "/opt/ml/output/failure");
  REQUIRE(spec.termination_message == job.root() + "/dev/termination-log");
  REQUIRE(spec.tuning->metric == "val:accuracy");
  REQUIRE(spec.tuning->trial_id == "trial-7");
  REQUIRE(spec.inputs.at("a").mode == InputChannel::Mode::pipe);
  REQUIRE(spec.inputs.at("a").record_io);
  REQUIRE_FALSE(spec.inputs.at("a").sharded);
  REQUIRE(spec.inputs.at("b").mode == InputChannel::Mode::fast_file);
  REQUIRE(spec.inputs.at("b").sharded);
  REQUIRE_FALSE(spec.inputs.at("b").record_io);
  REQUIRE_THAT(spec.job_id, Contains("trial-7"));
}

TEST_CASE("An interface that is announced but not there is none") {
  REQUIRE_FALSE(Job({}, {{resources, one_host}}).detect().interface.has_value());
  REQUIRE_FALSE(Job({}, {{resources, R"({"current_host": "a", "hosts": ["a"], "network_interface_name": "../net"})"},
                         {"sys/class/net/", ""}})
                    .detect()
                    .interface.has_value());
  REQUIRE_FALSE(Job({}, {}).detect().termination_message.has_value());
}

TEST_CASE("A file that is still being written is awaited, one that is whole is not") {
  REQUIRE(Job({{"TRAINING_JOB_NAME", "j"}}, {}).awaited().has_value());
  REQUIRE_THAT(*Job({}, {{resources, R"({"current_host": "al)"}}).awaited(), Contains(resources));
  REQUIRE_FALSE(Job({}, {{resources, one_host}}).awaited().has_value());
  REQUIRE_FALSE(Job({}, {{resources, "{}"}}).awaited().has_value());  // whole, and wrong: detect() says how
  REQUIRE_FALSE(Job({}, {}).awaited().has_value());
}

TEST_CASE("Two attempts of a job never have the same job id, all hosts of one attempt do") {
  const auto id = [](std::map<std::string, std::string> environment) { return Job(environment, {}).detect().job_id; };
  const std::map<std::string, std::string> slurm{{"SLURM_JOB_ID", "7"},        {"SLURM_STEP_ID", "0"},
                                                 {"SLURM_PROCID", "0"},        {"SLURM_STEP_NUM_TASKS", "1"},
                                                 {"SLURM_STEP_NODELIST", "n"}, {"SLURM_RESTART_COUNT", "1"}};
  auto first = slurm, other_step = slurm;
  first.erase("SLURM_RESTART_COUNT");
  other_step["SLURM_STEP_ID"] = "1";
  REQUIRE(id(slurm) != id(first));
  REQUIRE(id(slurm) != id(other_step));
  REQUIRE(Job(slurm, {}).detect().restart_count == 1);

  const std::map<std::string, std::string> azure{{"AZUREML_RUN_ID", "r"},
                                                 {"AZUREML_CR_COMPUTE_CONTEXT", R"({"run_attempt_count": 3})"}};
  REQUIRE(Job(azure, {}).detect().restart_count == 2);
  REQUIRE(id(azure) != id({{"AZUREML_RUN_ID", "r"}}));

  const std::map<std::string, std::string> pet{
      {"PET_NODE_RANK", "0"}, {"PET_NNODES", "2"}, {"PET_MASTER_ADDR", "m"}, {"PET_MASTER_PORT", "1"}};
  auto second = pet, named = pet;
  second["PET_NODE_RANK"] = "1";
  named["PET_RDZV_ID"] = "ddp";
  REQUIRE(id(pet) == "m:1");
  REQUIRE(id(pet) == id(second));
  REQUIRE_THAT(id(named), Contains("ddp"));
  REQUIRE(id({{"CLOUD_ML_JOB_ID", "81"}}) != id({{"CLOUD_ML_JOB_ID", "81"}, {"CLOUD_ML_TRIAL_ID", "2"}}));
  REQUIRE(id({{"CLOUD_ML_JOB_ID", "81"}, {"TRIREME_JOB_ID", "mine"}}) == "mine");
}

TEST_CASE("A trial of Vertex AI has its number, its metric's name and its file") {
  const auto trial = Job({{"CLOUD_ML_JOB_ID", "81"},
                          {"CLOUD_ML_TRIAL_ID", "3"},
                          {"CLOUD_ML_HP_METRIC_TAG", "val_accuracy"},
                          {"CLOUD_ML_HP_METRIC_FILE", "/var/hypertune/output.metrics"}},
                         {});
  REQUIRE(trial.detect().tuning->trial_id == "3");
  REQUIRE(trial.detect().tuning->metric == "val_accuracy");
  REQUIRE(trial.detect().tuning->metric_file == trial.root() + "/var/hypertune/output.metrics");
  const Job defaulted({{"CLOUD_ML_JOB_ID", "81"}, {"CLOUD_ML_TRIAL_ID", "3"}}, {});
  REQUIRE(defaulted.detect().tuning->metric_file == defaulted.root() + "/tmp/hypertune/output.metrics");
  REQUIRE_FALSE(Job({{"CLOUD_ML_JOB_ID", "81"}}, {}).detect().tuning.has_value());
  const Job in_spec({{"CLUSTER_SPEC", R"({"cluster": {"workerpool0": ["a"]},
                                          "task": {"type": "workerpool0", "index": 0, "trial": "5"}})"}},
                    {});
  REQUIRE(in_spec.detect().tuning->trial_id == "5");
}

TEST_CASE("GPUs are those of the driver that the variables leave visible") {
  const auto local = [](std::map<std::string, std::string> environment) {
    environment.emplace("TRIREME_NNODES", "1");
    return Job(environment, {{"proc/driver/nvidia/gpus/0000:01:00.0/", ""},
                             {"proc/driver/nvidia/gpus/0000:02:00.0/", ""},
                             {"proc/driver/nvidia/gpus/0000:03:00.0/", ""}})
        .detect()
        .local_world;
  };
  REQUIRE(local({}) == 3);
  REQUIRE(local({{"CUDA_VISIBLE_DEVICES", "0,2"}}) == 2);
  REQUIRE(local({{"CUDA_VISIBLE_DEVICES", "0,-1,2"}}) == 1);
  REQUIRE(local({{"CUDA_VISIBLE_DEVICES", ""}}) == 1);
  REQUIRE(local({{"NVIDIA_VISIBLE_DEVICES", "all"}}) == 3);
  REQUIRE(local({{"NVIDIA_VISIBLE_DEVICES", "void"}}) == 1);
  REQUIRE(local({{"NVIDIA_VISIBLE_DEVICES", "4,5"}, {"CUDA_VISIBLE_DEVICES", "0,1,2,3"}}) == 2);
  REQUIRE(local({{"TRIREME_GPU_COUNT", "6"}, {"CUDA_VISIBLE_DEVICES", "0"}}) == 6);
  REQUIRE(local({{"TRIREME_GPU_COUNT", "0"}}) == 1);
}

TEST_CASE("A bucket's path is where it is mounted, anything else without a scheme is itself") {
  const TemporaryFolder folder;
  REQUIRE(local_path("/data/x/") == "/data/x/");
  REQUIRE(local_path("./x") == "./x");
  REQUIRE(local_path("file:///data") == "/data");
  REQUIRE_THROWS_WITH(local_path("gs://b/p", folder.path()), Contains("give a local path"));
  REQUIRE_THROWS_WITH(local_path("https://who:pass@store/c?sig=hidden", folder.path()),
                      Contains("https://store/c: expected") && !Contains("pass") && !Contains("hidden"));
  std::filesystem::create_directory(folder.path() + "/gcs");
  REQUIRE(local_path("gs://b/p/", folder.path() + "/") == folder.path() + "/gcs/b/p/");
  for (const char* bad : {"s3://b/p", "gs://", "gs:///p", "file://host/p", "://"})
    REQUIRE_THROWS_AS(local_path(bad, folder.path()), trireme::Exception);
}

TEST_CASE("A role may be given by name") {
  REQUIRE(Job({{"TRIREME_ROLE", "evaluator"}}, {}).detect().role == Role::evaluator);
  REQUIRE(Job({}, {}).detect().role == Role::worker);
}

TEST_CASE("A server knows its number, their count and the store of its job, whoever tells them") {
  const auto told = Job({{"TRIREME_ROLE", "server"},
                         {"TRIREME_SERVER_INDEX", "1"},
                         {"TRIREME_SERVERS", "3"},
                         {"TRIREME_STORE", "1"},
                         {"TRIREME_STORE_ADDR", "[fd00::7]:4711"}},
                        {})
                        .detect();
  REQUIRE(told.role == Role::server);
  REQUIRE(told.level == "process");
  REQUIRE(told.server_index == 1);
  REQUIRE(told.servers == 3);
  REQUIRE(told.store_served);
  REQUIRE(told.store_host == "fd00::7");
  REQUIRE(told.store_port == 4711);
  REQUIRE_FALSE(told.ranks_known);

  const std::string pools = R"({"cluster": {"workerpool0": ["w0:2222"], "workerpool1": ["w1:2222"],
      "workerpool2": ["s0:2222", "s1:2222"]}, "task": {"type": "POOL", "index": 1}})";
  const auto of_pool = [&](const std::string& pool) {
    std::string text = pools;
    text.replace(text.find("POOL"), 4, pool);
    return text;
  };
  const auto server = Job({{"CLUSTER_SPEC", of_pool("workerpool2")}}, {}).detect();
  REQUIRE(server.server_index == 1);
  REQUIRE(server.servers == 2);
  REQUIRE(server.hosts == std::vector<std::string>{"w0", "w1"});
  std::string worker_text = of_pool("workerpool1");
  worker_text.replace(worker_text.find("\"index\": 1"), 10, "\"index\": 0");
  const auto worker = Job({{"CLUSTER_SPEC", worker_text}}, {}).detect();
  REQUIRE(worker.nnodes == 2);  // servers are no part of the world
  REQUIRE(worker.servers == 2);
  REQUIRE_FALSE(worker.server_index);
}

TEST_CASE("A server whose number does not fit is refused by the variable") {
  const auto refusal = [](const std::map<std::string, std::string>& more) -> std::string {
    std::map<std::string, std::string> environment{{"TRIREME_ROLE", "server"}};
    environment.insert(more.begin(), more.end());
    try {
      Job(environment, {}).detect();
    } catch (const trireme::Exception& caught) {
      return caught.error().message;
    }
    return "";
  };
  REQUIRE_THAT(refusal({{"TRIREME_SERVER_INDEX", "2"}, {"TRIREME_SERVERS", "2"}}),
               Contains("TRIREME_SERVER_INDEX=2 must be below TRIREME_SERVERS=2"));
  REQUIRE_THAT(refusal({{"TRIREME_SERVERS", "2"}}), Contains("TRIREME_SERVER_INDEX"));
  REQUIRE_THAT(refusal({{"TRIREME_SERVER_INDEX", "x"}}), Contains("TRIREME_SERVER_INDEX=x"));
  REQUIRE_THAT(refusal({{"TRIREME_SERVERS", "-1"}}), Contains("TRIREME_SERVERS=-1"));
  REQUIRE(refusal({}).empty());  // the only one
}
