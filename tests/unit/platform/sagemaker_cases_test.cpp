// SPDX-License-Identifier: Apache-2.0
#include "doctor_case.hpp"

#include <catch2/catch.hpp>

using trireme::testing::check;
using trireme::testing::DoctorCase;

namespace {

const char* const resources = "opt/ml/input/config/resourceconfig.json";
const char* const hyperparameters = "opt/ml/input/config/hyperparameters.json";
const char* const channels = "opt/ml/input/config/inputdataconfig.json";
const char* const checkpoints = "opt/ml/input/config/checkpointconfig.json";

const char* const one_host = R"({"current_host": "algo-1", "hosts": ["algo-1"], "network_interface_name": "eth0"})";
const char* const two_hosts = R"({"current_host": "algo-2", "hosts": ["algo-1", "algo-2"]})";

/// What every job of SageMaker on one host says, and more.
std::string on_one_host(const std::string& more) {
  return R"({"platform": "sagemaker", "launcher": "node_list", "level": "node", "world": 8, "local_world": 8,
    "master": "algo-1", "port": 7777, "model_dir": "ROOT/opt/ml/model", "output_dir": "ROOT/opt/ml/output/data",
    "tensorboard_dir": "ROOT/opt/ml/output/tensorboard")" +
         more + "}";
}

/// Three hosts in two groups, as host `current` sees them.
std::string grouped(const std::string& current, const std::string& type_of_gpu, const std::string& type_of_cpu) {
  return R"({"current_host": ")" + current + R"(", "hosts": ["algo-1", "algo-2", "algo-3"], "instance_groups": [
    {"instance_group_name": "cpu", "instance_type": ")" +
         type_of_cpu + R"(", "hosts": ["algo-1"]},
    {"instance_group_name": "gpu", "instance_type": ")" +
         type_of_gpu + R"(", "hosts": ["algo-3", "algo-2"]}]})";
}

std::string on_three_hosts(const std::string& more) {
  return R"({"platform": "sagemaker", "launcher": "node_list", "level": "node", "master": "algo-1", "port": 7777,
    "model_dir": "ROOT/opt/ml/model", "output_dir": "ROOT/opt/ml/output/data",
    "tensorboard_dir": "ROOT/opt/ml/output/tensorboard", "local_world": 8)" +
         more + "}";
}

}  // namespace

TEST_CASE("SageMaker: hosts, folders and channels are as its files say") {
  const std::string plain = on_one_host("");
  const std::string with_train = on_one_host(
      R"(, "checkpoint_dir": "ROOT/opt/ml/checkpoints", "inputs": {"train": "ROOT/opt/ml/input/data/train"})");
  const std::string elsewhere = on_one_host(R"(, "checkpoint_dir": "ROOT/data/ckpt")");
  const std::string defaulted = on_one_host(R"(, "checkpoint_dir": "ROOT/opt/ml/checkpoints")");
  const std::string four = on_one_host(R"(, "world": 4, "local_world": 4)");
  const std::string other_port = on_one_host(R"(, "port": 9000)");
  const std::string three_channels = on_one_host(R"(, "inputs": {"a": "ROOT/opt/ml/input/data/a",
      "b-1": "ROOT/opt/ml/input/data/b-1", "c.x": "ROOT/opt/ml/input/data/c.x"})");
  const std::string hosts_as_text = R"({"current_host": "algo-10", "hosts": ["algo-1", "algo-10", "algo-11", "algo-12",
      "algo-2", "algo-3", "algo-4", "algo-5", "algo-6", "algo-7", "algo-8", "algo-9"]})";
  check({
      {"1: one host, a File channel, a folder of checkpoints",
       {},
       {{resources, one_host},
        {channels, R"({"train": {"TrainingInputMode": "File", "S3DistributionType": "FullyReplicated"}})"},
        {"opt/ml/checkpoints/", ""}},
       with_train.c_str()},
      {"2: twelve hosts in the order of text",
       {},
       {{resources, hosts_as_text}},
       R"({"platform": "sagemaker", "launcher": "node_list", "level": "node", "node_rank": 1, "nnodes": 12, "rank": 8,
           "world": 96, "local_world": 8, "master": "algo-1", "port": 7777, "model_dir": "ROOT/opt/ml/model",
           "output_dir": "ROOT/opt/ml/output/data", "tensorboard_dir": "ROOT/opt/ml/output/tensorboard"})"},
      {"the order of the list counts, whatever it is",
       {},
       {{resources, R"({"current_host": "b", "hosts": ["c", "b", "a"]})"}},
       R"({"platform": "sagemaker", "launcher": "node_list", "level": "node", "node_rank": 1, "nnodes": 3, "rank": 8,
           "world": 24, "local_world": 8, "master": "c", "port": 7777, "model_dir": "ROOT/opt/ml/model",
           "output_dir": "ROOT/opt/ml/output/data", "tensorboard_dir": "ROOT/opt/ml/output/tensorboard"})"},
      {"one host and its name in the environment",
       {{"TRAINING_JOB_NAME", "j"}},
       {{resources, one_host}},
       plain.c_str()},
      {"checkpoints where the configuration says",
       {},
       {{resources, one_host}, {checkpoints, R"({"LocalPath": "/data/ckpt"})"}},
       elsewhere.c_str()},
      {"checkpoints at their usual place", {}, {{resources, one_host}, {checkpoints, "{}"}}, defaulted.c_str()},
      {"processes as many as asked for", {{"TRIREME_PROCS_PER_NODE", "4"}}, {{resources, one_host}}, four.c_str()},
      {"a port of the user", {{"MASTER_PORT", "9000"}}, {{resources, one_host}}, other_port.c_str()},
      {"channels of all kinds, other files left alone",
       {},
       {{resources, one_host},
        {"opt/ml/input/config/init-config.json", "not JSON"},
        {channels, R"({"a": {}, "b-1": {"TrainingInputMode": "Pipe", "RecordWrapperType": "RecordIO"},
                       "c.x": {"TrainingInputMode": "FastFile", "S3DistributionType": "ShardedByS3Key", "New": 1}})"}},
       three_channels.c_str()},
      {"SAGEMAKER_BASE_DIR moves the tree",
       {{"SAGEMAKER_BASE_DIR", "/moved"}},
       {{"moved/input/config/resourceconfig.json", one_host},
        {"moved/input/config/checkpointconfig.json", R"({"LocalPath": "/opt/ml/checkpoints"})"}},
       R"({"platform": "sagemaker", "launcher": "node_list", "level": "node", "world": 8, "local_world": 8,
           "master": "algo-1", "port": 7777, "model_dir": "ROOT/moved/model", "output_dir": "ROOT/moved/output/data",
           "tensorboard_dir": "ROOT/moved/output/tensorboard", "checkpoint_dir": "ROOT/moved/checkpoints"})"},
      {"SAGEMAKER_BASE_DIR that has the root in it already",
       {{"SAGEMAKER_BASE_DIR", "ROOT/moved/"}},
       {{"moved/input/config/resourceconfig.json", one_host}},
       R"({"platform": "sagemaker", "launcher": "node_list", "level": "node", "world": 8, "local_world": 8,
           "master": "algo-1", "port": 7777, "model_dir": "ROOT/moved/model", "output_dir": "ROOT/moved/output/data",
           "tensorboard_dir": "ROOT/moved/output/tensorboard"})"},
  });
}

TEST_CASE("SageMaker: instance groups have roles, and may differ in what they have") {
  const std::string alike = on_three_hosts(R"(, "node_rank": 1, "nnodes": 3, "rank": 8, "world": 24)");
  const std::string unknown = on_three_hosts(R"(, "node_rank": 1, "nnodes": 3, "rank": null, "world": null)");
  const std::string told = on_three_hosts(R"(, "node_rank": 1, "nnodes": 3, "rank": 2, "world": 6, "local_world": 2)");
  const std::string workers =
      on_three_hosts(R"(, "node_rank": 1, "nnodes": 2, "rank": 8, "world": 16, "master": "algo-2")");
  const std::string evaluator = on_three_hosts(R"(, "node_rank": 0, "nnodes": 1, "rank": null, "world": null,
      "local_world": 1, "master": "algo-2", "role": "evaluator")");
  const std::string server = on_three_hosts(R"(, "node_rank": 0, "nnodes": 1, "rank": null, "world": null,
      "local_world": 1, "master": "algo-2", "role": "server")");
  check({
      {"groups of one type", {}, {{resources, grouped("algo-2", "ml.x", "ml.x")}}, alike.c_str()},
      {"groups of two types: ranks come out of the meeting",
       {},
       {{resources, grouped("algo-2", "ml.x", "ml.y")}},
       unknown.c_str()},
      {"groups of two types, processes as asked for",
       {{"TRIREME_PROCS_PER_NODE", "2"}},
       {{resources, grouped("algo-2", "ml.x", "ml.y")}},
       told.c_str()},
      {"a worker of the one group that trains, hosts in the order of all",
       {{"TRIREME_GROUP_ROLES", "gpu=worker,cpu=evaluator"}},
       {{resources, grouped("algo-3", "ml.x", "ml.y")}},
       workers.c_str()},
      {"the evaluator beside it",
       {{"TRIREME_GROUP_ROLES", "cpu=evaluator"}},
       {{resources, grouped("algo-1", "ml.x", "ml.y")}},
       evaluator.c_str()},
      {"a server beside it",
       {{"TRIREME_GROUP_ROLES", "cpu=server"}},
       {{resources, grouped("algo-1", "ml.x", "ml.y")}},
       server.c_str()},
      {"a group there is not",
       {{"TRIREME_GROUP_ROLES", "tpu=worker"}},
       {{resources, grouped("algo-1", "ml.x", "ml.y")}},
       "error: TRIREME_GROUP_ROLES=tpu=worker | instance group tpu"},
      {"a role there is not",
       {{"TRIREME_GROUP_ROLES", "cpu=boss"}},
       {{resources, grouped("algo-1", "ml.x", "ml.y")}},
       "error: TRIREME_GROUP_ROLES | boss | worker, server or evaluator"},
      {"no form at all",
       {{"TRIREME_GROUP_ROLES", "cpu"}},
       {{resources, grouped("algo-1", "ml.x", "ml.y")}},
       "error: TRIREME_GROUP_ROLES=cpu | group=role"},
      {"nobody left to train",
       {{"TRIREME_GROUP_ROLES", "cpu=evaluator,gpu=evaluator"}},
       {{resources, grouped("algo-1", "ml.x", "ml.y")}},
       "error: TRIREME_GROUP_ROLES | no instance group"},
  });
}

TEST_CASE("SageMaker: hyperparameters are decoded once, as AWS's training toolkit does") {
  const std::string decoded = on_one_host(R"(, "hyperparameters": {"model": "resnet", "layers": [1, 2], "flag": true,
      "batch-size": 256, "lr": 0.1, "name": "plain text", "nothing": null, "map": {"a": [1, {"b": "c"}]},
      "twice": "\"x\"", "empty": "", "space": 5, "single": "'x'", "word": "True", "nan": "NaN", "zeros": "007",
      "number": 3, "e": 1e-3, "negative": -0.5, "long": 12345678901234567890, "path": "s3://b/k", "unicode": "ü",
      "mark": "\ufeff1"})");
  const std::string both = on_one_host(R"j(, "hyperparameters": {"batch-size": 1, "lr": 0.5, "warmup": 3,
      "momentum": 0.9, "api_key": "(hidden)", "max_tokens": "many"})j");
  check({
      {"8: every kind of value, reserved names dropped",
       {},
       {{resources, one_host},
        {hyperparameters, R"({"model": "\"resnet\"", "layers": "[1, 2]", "flag": "true", "batch-size": "256",
            "lr": "0.1", "name": "plain text", "nothing": "null", "map": "{\"a\": [1, {\"b\": \"c\"}]}",
            "twice": "\"\\\"x\\\"\"", "empty": "", "space": " 5 ", "single": "'x'", "word": "True", "nan": "NaN",
            "zeros": "007", "number": 3, "e": "1e-3", "negative": "-0.5", "long": "12345678901234567890",
            "path": "s3://b/k", "unicode": "\"\\u00fc\"", "mark": "\ufeff1", "sagemaker_program": "train.py",
            "sagemaker_region": "\"eu-west-1\"", "_tuning_objective_metric": "val:accuracy",
            "default_user_module_name": "x"})"}},
       decoded.c_str()},
      {"the environment adds what the file lacks, in order of rank",
       {{"TRIREME_HP_LR", "0.5"},
        {"TRIREME_HP_BATCH_SIZE", "2"},
        {"TRIREME_HP_API_KEY", "do not tell"},
        {"TRIREME_HP_MAX_TOKENS", "many"},
        {"SM_HPS", R"({"lr": 0.7, "warmup": 3, "sagemaker_program": "x"})"},
        {"SM_HP_WARMUP", "4"},
        {"SM_HP_MOMENTUM", "0.9"}},
       {{resources, one_host}, {hyperparameters, R"({"batch-size": "1"})"}},
       both.c_str()},
      {"two spellings of one name",
       {},
       {{resources, one_host}, {hyperparameters, R"({"batch-size": "1", "batch_size": "2"})"}},
       "error: ROOT/opt/ml/input/config/hyperparameters.json | batch-size and batch_size"},
      {"no object",
       {},
       {{resources, one_host}, {hyperparameters, "[1]"}},
       "error: hyperparameters.json: expected an object, found array"},
      {"a key twice",
       {},
       {{resources, one_host}, {hyperparameters, R"({"epochs": "1", "steps": {"epochs": 1}, "epochs": "2"})"}},
       "error: ROOT/opt/ml/input/config/hyperparameters.json: the key 'epochs' is given twice"},
      {"something twice that is no name",
       {},
       {{resources, one_host}, {hyperparameters, R"({"a b": "1", "a b": "2"})"}},
       "error: ROOT/opt/ml/input/config/hyperparameters.json: a key is given twice"},
      {"no JSON, and its text is not repeated",
       {},
       {{resources, one_host}, {hyperparameters, R"({"a": secret})"}},
       "error: ROOT/opt/ml/input/config/hyperparameters.json: not valid JSON, byte 7"},
  });
}

TEST_CASE("SageMaker: a description that is broken is refused, by file and key") {
  const std::string deep = std::string(100, '[') + std::string(100, ']');
  check({
      {"25: malformed",
       {},
       {{resources, R"({"current_host": "algo-1", "hosts": [)"}},
       "error: ROOT/opt/ml/input/config/resourceconfig.json: not valid JSON"},
      {"empty", {}, {{resources, ""}}, "error: resourceconfig.json: not valid JSON, it is empty"},
      {"nested without end", {}, {{resources, deep}}, "error: resourceconfig.json: JSON nested deeper"},
      {"25: current_host is none of hosts",
       {},
       {{resources, R"({"current_host": "algo-3", "hosts": ["algo-1", "algo-2"]})"}},
       "error: ROOT/opt/ml/input/config/resourceconfig.json: current_host=algo-3 | hosts"},
      {"no current_host",
       {},
       {{resources, R"({"hosts": ["algo-1"]})"}},
       "error: resourceconfig.json: current_host is missing"},
      {"no hosts", {}, {{resources, R"({"current_host": "algo-1"})"}}, "error: resourceconfig.json: hosts is missing"},
      {"hosts of nobody",
       {},
       {{resources, R"({"current_host": "algo-1", "hosts": []})"}},
       "error: resourceconfig.json: hosts is empty"},
      {"hosts is a text",
       {},
       {{resources, R"({"current_host": "a", "hosts": "a"})"}},
       "error: resourceconfig.json: hosts: expected a list, found string"},
      {"a host is a number",
       {},
       {{resources, R"({"current_host": "a", "hosts": ["a", 2]})"}},
       "error: resourceconfig.json: hosts[1]: expected a text, found number"},
      {"a host twice",
       {},
       {{resources, R"({"current_host": "a", "hosts": ["a", "b", "a"]})"}},
       "error: resourceconfig.json: hosts | a is there twice"},
      {"a group with a host of nowhere",
       {},
       {{resources, R"({"current_host": "a", "hosts": ["a"],
            "instance_groups": [{"instance_group_name": "g", "hosts": ["b"]}]})"}},
       "error: resourceconfig.json: instance_groups[0].hosts: b"},
      {"another group than the host's",
       {},
       {{resources, R"({"current_host": "a", "hosts": ["a"], "current_group_name": "h",
            "instance_groups": [{"instance_group_name": "g", "hosts": ["a"]}]})"}},
       "error: resourceconfig.json: current_group_name=h | instance group g"},
      {"a job without its file",
       {{"TRAINING_JOB_NAME", "ddp-demo"}},
       {},
       "error: ROOT/opt/ml/input/config/resourceconfig.json is not there | ddp-demo"},
      {"other files without it", {}, {{hyperparameters, "{}"}}, "error: resourceconfig.json is not there"},
      {"a mode there is not",
       {},
       {{resources, one_host}, {channels, R"({"train": {"TrainingInputMode": "Tape"}})"}},
       "error: inputdataconfig.json: train.TrainingInputMode=Tape | FastFile"},
      {"a channel outside of its folder",
       {},
       {{resources, one_host}, {channels, R"({"../x": {}})"}},
       "error: inputdataconfig.json | channel's name"},
      {"processes without number",
       {{"TRIREME_PROCS_PER_NODE", "some"}},
       {{resources, one_host}},
       "error: TRIREME_PROCS_PER_NODE=some"},
      {"no port", {{"MASTER_PORT", "0"}}, {{resources, two_hosts}}, "error: MASTER_PORT=0 | 65535"},
      {"a folder in the file's place",
       {},
       {{"opt/ml/input/config/resourceconfig.json/", ""}},
       "error: resourceconfig.json: expected an ordinary file"},
  });
}
