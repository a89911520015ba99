// SPDX-License-Identifier: Apache-2.0
#include "doctor_case.hpp"

#include <catch2/catch.hpp>

using trireme::testing::check;

namespace {

/// CLUSTER_SPEC of a task in a job of 1 + 2 workers, a server and an evaluator.
std::string task(const std::string& type, int index, const std::string& more = "") {
  return R"({"cluster": {"workerpool0": ["p0-0:2222"], "workerpool1": ["p1-0:2222", "p1-1:2222"],
      "workerpool2": ["p2-0:2222"], "workerpool3": ["p3-0:2222"]}, "environment": "cloud", "open_ports": [3333],
      "task": {"type": ")" +
         type + R"(", "index": )" + std::to_string(index) + more + R"(}, "job": "{\"python_module\":\"\"}"})";
}

const char* const alone =
    R"({"cluster": {"workerpool0": ["p0-0:2222"]}, "task": {"type": "workerpool0", "index": 0}, "job": {"a": 1}})";

}  // namespace

TEST_CASE("Vertex AI: pools 0 and 1 are the workers, in the order of their lists") {
  check({
      {"10: a single replica, and a mounted bucket",
       {{"CLUSTER_SPEC", alone}, {"CLOUD_ML_JOB_ID", "81"}, {"AIP_CHECKPOINT_DIR", "gs://b/r/checkpoints/"}},
       {{"gcs/", ""}},
       R"({"platform": "vertex", "launcher": "node_list", "level": "node", "world": 8, "local_world": 8,
           "master": "p0-0", "port": 2222, "checkpoint_dir": "ROOT/gcs/b/r/checkpoints/"})"},
      {"the last of three",
       {{"CLUSTER_SPEC", task("workerpool1", 1)}},
       {},
       R"({"platform": "vertex", "launcher": "node_list", "level": "node", "node_rank": 2, "nnodes": 3, "rank": 16,
           "world": 24, "local_world": 8, "master": "p0-0", "port": 2222})"},
      {"the primary, a port of its own, everything else agreeing",
       {{"CLUSTER_SPEC", task("workerpool0", 0)},
        {"RANK", "0"},
        {"WORLD_SIZE", "3"},
        {"MASTER_ADDR", "p0-0"},
        {"MASTER_PORT", "3333"}},
       {},
       R"({"platform": "vertex", "launcher": "node_list", "level": "node", "node_rank": 0, "nnodes": 3, "rank": 0,
           "world": 24, "local_world": 8, "master": "p0-0", "port": 3333})"},
      {"RANK disagrees: CLUSTER_SPEC counts, and one warning",
       {{"CLUSTER_SPEC", task("workerpool1", 0)},
        {"RANK", "2"},
        {"WORLD_SIZE", "3"},
        {"MASTER_ADDR", "p0-0"},
        {"MASTER_PORT", "2222"}},
       {},
       R"({"platform": "vertex", "launcher": "node_list", "level": "node", "node_rank": 1, "nnodes": 3, "rank": 8,
           "world": 24, "local_world": 8, "master": "p0-0", "port": 2222})",
       1},
      {"TF_CONFIG beside it says the same",
       {{"CLUSTER_SPEC", task("workerpool1", 1)},
        {"TF_CONFIG", R"({"cluster": {"chief": ["p0-0:2222"], "worker": ["p1-0:2222", "p1-1:2222"]},
                          "task": {"type": "worker", "index": 1}})"}},
       {},
       R"({"platform": "vertex", "launcher": "node_list", "level": "node", "node_rank": 2, "nnodes": 3, "rank": 16,
           "world": 24, "local_world": 8, "master": "p0-0", "port": 2222})"},
      {"hosts only in RANK and WORLD_SIZE",
       {{"CLOUD_ML_JOB_ID", "81"},
        {"RANK", "1"},
        {"WORLD_SIZE", "2"},
        {"MASTER_ADDR", "p0-0"},
        {"MASTER_PORT", "2222"}},
       {},
       R"({"platform": "vertex", "launcher": "node_list", "level": "node", "node_rank": 1, "nnodes": 2, "rank": 8,
           "world": 16, "local_world": 8, "master": "p0-0", "port": 2222})"},
      {"nothing but the job's number", {{"CLOUD_ML_JOB_ID", "81"}}, {}, R"({"platform": "vertex"})"},
      {"one process alone",
       {{"CLUSTER_SPEC", alone}, {"TRIREME_GPU_COUNT", "0"}},
       {},
       R"({"platform": "vertex", "launcher": "node_list", "level": "node", "master": "p0-0", "port": 2222})"},
      {"a port only in MASTER_PORT",
       {{"CLUSTER_SPEC", R"({"cluster": {"workerpool0": ["[::1]"]}, "task": {"type": "workerpool0", "index": "0"}})"}},
       {},
       R"({"platform": "vertex", "launcher": "node_list", "level": "node", "world": 8, "local_world": 8,
           "master": "::1", "port": 29500})"},
  });
}

TEST_CASE("Vertex AI: pool 2 is of servers, pool 3 of evaluators") {
  check({
      {"a server",
       {{"CLUSTER_SPEC", task("workerpool2", 0)}},
       {},
       R"({"platform": "vertex", "launcher": "node_list", "level": "node", "rank": null, "world": null,
           "master": "p0-0", "port": 2222, "role": "server"})"},
      {"an evaluator",
       {{"CLUSTER_SPEC", task("workerpool3", 0)}},
       {},
       R"({"platform": "vertex", "launcher": "node_list", "level": "node", "rank": null, "world": null,
           "master": "p0-0", "port": 2222, "role": "evaluator"})"},
  });
}

TEST_CASE("Vertex AI: places are where the bucket is mounted") {
  check({
      {"all of them",
       {{"CLUSTER_SPEC", alone},
        {"AIP_MODEL_DIR", "gs://b/r/model/"},
        {"AIP_CHECKPOINT_DIR", "gs://b/r/checkpoints/"},
        {"AIP_TENSORBOARD_LOG_DIR", "gs://b/r/logs/"},
        {"AIP_TRAINING_DATA_URI", "gs://b/d/training-*"},
        {"AIP_VALIDATION_DATA_URI", "/local/validation"},
        {"AIP_TEST_DATA_URI", "bq://p.d.t"}},
       {{"gcs/", ""}},
       R"({"platform": "vertex", "launcher": "node_list", "level": "node", "world": 8, "local_world": 8,
           "master": "p0-0", "port": 2222, "model_dir": "ROOT/gcs/b/r/model/",
           "checkpoint_dir": "ROOT/gcs/b/r/checkpoints/", "tensorboard_dir": "ROOT/gcs/b/r/logs/",
           "inputs": {"training": "ROOT/gcs/b/d/training-*", "validation": "/local/validation"}})",
       1},
      {"nothing mounted",
       {{"CLUSTER_SPEC", alone}, {"AIP_MODEL_DIR", "gs://b/r/model/"}},
       {},
       "error: AIP_MODEL_DIR=gs://b/r/model/ | ROOT/gcs | local path"},
      {"another scheme",
       {{"CLUSTER_SPEC", alone}, {"AIP_MODEL_DIR", "s3://b/r/model/"}},
       {{"gcs/", ""}},
       "error: AIP_MODEL_DIR=s3://b/r/model/ | local path"},
      {"hyperparameters of the environment",
       {{"CLUSTER_SPEC", alone}, {"TRIREME_HP_LR", "0.1"}},
       {},
       R"({"platform": "vertex", "launcher": "node_list", "level": "node", "world": 8, "local_world": 8,
           "master": "p0-0", "port": 2222, "hyperparameters": {"lr": 0.1}})"},
  });
}

TEST_CASE("Vertex AI: a broken CLUSTER_SPEC is refused by key") {
  const auto spec = [](const char* text) { return std::map<std::string, std::string>{{"CLUSTER_SPEC", text}}; };
  check({
      {"no JSON", spec("{"), {}, "error: CLUSTER_SPEC: not valid JSON"},
      {"no object", spec("3"), {}, "error: CLUSTER_SPEC: expected an object, found number"},
      {"no cluster",
       spec(R"({"task": {"type": "workerpool0", "index": 0}})"),
       {},
       "error: CLUSTER_SPEC: cluster is missing"},
      {"two primary replicas",
       spec(R"({"cluster": {"workerpool0": ["a", "b"]}, "task": {"type": "workerpool0", "index": 1}})"),
       {},
       "error: CLUSTER_SPEC: cluster.workerpool0 has 2 hosts"},
      {"a host in two pools",
       spec(
           R"({"cluster": {"workerpool0": ["a:1"], "workerpool1": ["a:1"]}, "task": {"type": "workerpool1", "index": 0}})"),
       {},
       "error: CLUSTER_SPEC: cluster: a:1 is there twice"},
      {"no task", spec(R"({"cluster": {"workerpool0": ["a"]}})"), {}, "error: CLUSTER_SPEC: task is missing"},
      {"no pool 0",
       spec(R"({"cluster": {}, "task": {"type": "workerpool0", "index": 0}})"),
       {},
       "error: CLUSTER_SPEC: cluster.workerpool0"},
      {"an index beyond",
       spec(R"({"cluster": {"workerpool0": ["a"]}, "task": {"type": "workerpool0", "index": 1}})"),
       {},
       "error: CLUSTER_SPEC: task.index=1 | workerpool0"},
      {"a negative index",
       spec(R"({"cluster": {"workerpool0": ["a"]}, "task": {"type": "workerpool0", "index": -1}})"),
       {},
       "error: CLUSTER_SPEC: task.index=-1"},
      {"another pool",
       spec(R"({"cluster": {"workerpool0": ["a"]}, "task": {"type": "workerpool4", "index": 0}})"),
       {},
       "error: CLUSTER_SPEC: task.type=workerpool4"},
      {"no port",
       spec(R"({"cluster": {"workerpool0": ["a:70000"]}, "task": {"type": "workerpool0", "index": 0}})"),
       {},
       "error: CLUSTER_SPEC: cluster.workerpool0[0]=a:70000 | 65535"},
      {"a host twice",
       spec(R"({"cluster": {"workerpool0": ["a"], "workerpool1": ["b", "b"]},
                                "task": {"type": "workerpool1", "index": 0}})"),
       {},
       "error: CLUSTER_SPEC: cluster.workerpool1 | b is there twice"},
      {"a list that is none",
       spec(R"({"cluster": {"workerpool0": "a"}, "task": {"type": "workerpool0", "index": 0}})"),
       {},
       "error: CLUSTER_SPEC: cluster.workerpool0: expected a list, found string"},
  });
}
