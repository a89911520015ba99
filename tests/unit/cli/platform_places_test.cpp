// SPDX-License-Identifier: Apache-2.0
#include "cli/train/options.hpp"
#include "support/temporary_folder.hpp"
#include "trireme/base/error.hpp"

#include <catch2/catch.hpp>

#include <filesystem>
#include <fstream>

using namespace trireme;
using namespace trireme::cli;
using Catch::Matchers::Contains;
using platform::ClusterSpec;
using Mode = platform::InputChannel::Mode;
using Words = std::vector<std::string>;

namespace {

ClusterSpec a_platform() {
  ClusterSpec cluster;
  cluster.platform = "sagemaker";
  cluster.model_dir = "/opt/ml/model";
  cluster.checkpoint_dir = "/opt/ml/checkpoints";
  cluster.restart_count = 3;
  return cluster;
}

std::string refused_places(const Words& words, const ClusterSpec& cluster, const std::string& root = {}) {
  try {
    parse_train_options(words, cluster, root);
  } catch (const Exception& exception) {
    CHECK(exception.error().code == ErrorCode::invalid_argument);
    return exception.error().message;
  }
  return "accepted";
}

}  // namespace

TEST_CASE("Without flags the folders of checkpoints and of the model are the platform's, and that is said") {
  const auto options = parse_train_options({"--checkpoint-every", "5"}, a_platform());
  REQUIRE(options);
  CHECK(options->checkpoints.folder == std::string("/opt/ml/checkpoints"));
  CHECK(options->checkpoints.restart_count == 3);
  CHECK(options->model_dir == std::string("/opt/ml/model"));
  CHECK_FALSE(options->data_dir);
  CHECK(options->from_platform == "from sagemaker: --checkpoint-dir /opt/ml/checkpoints, --model-dir /opt/ml/model");
}

TEST_CASE("A folder that is typed stands above the platform's; a platform without folders names none") {
  const auto typed = parse_train_options({"--checkpoint-dir", "c", "--model-dir", "m"}, a_platform());
  CHECK(typed->checkpoints.folder == std::string("c"));
  CHECK(typed->model_dir == std::string("m"));
  CHECK(typed->from_platform.empty());
  const auto none = parse_train_options({}, ClusterSpec());
  CHECK_FALSE(none->checkpoints.folder);
  CHECK_FALSE(none->model_dir);
  CHECK(none->from_platform.empty());
}

TEST_CASE("Trials of a tuning job do not share folders") {
  ClusterSpec cluster = a_platform();
  cluster.tuning = ClusterSpec::Tuning{.trial_id = "7", .metric = {}, .metric_file = {}};
  auto options = parse_train_options({}, cluster);
  CHECK(options->checkpoints.folder == std::string("/opt/ml/checkpoints/7"));
  CHECK(options->model_dir == std::string("/opt/ml/model"));  // each trial is a job of its own there
  cluster.platform = "vertex";
  cluster.checkpoint_dir = "/gcs/b/7/checkpoints/";  // the platform has put it in
  cluster.model_dir = "/gcs/b/model";
  options = parse_train_options({}, cluster);
  CHECK(options->checkpoints.folder == std::string("/gcs/b/7/checkpoints/"));
  CHECK(options->model_dir == std::string("/gcs/b/model/7"));
  CHECK(parse_train_options({"--model-dir", "m"}, cluster)->model_dir == std::string("m"));
}

TEST_CASE("Images come from the channel train or training, or from the only one") {
  ClusterSpec cluster;
  cluster.inputs["images"].path = "/in/images";
  CHECK(parse_train_options({}, cluster)->data_dir == std::string("/in/images"));
  cluster.inputs["validation"].path = "/in/validation";
  CHECK(refused_places({}, cluster) ==
        "--data-dir: this job has the channels images, validation: say which holds the images");
  CHECK(parse_train_options({"--data-dir", "images"}, cluster)->data_dir == "/in/images");
  cluster.inputs["training"].path = "/in/training";
  CHECK(parse_train_options({}, cluster)->data_dir == std::string("/in/training"));
  cluster.inputs["train"].path = "/in/train";
  const auto options = parse_train_options({}, cluster);
  CHECK(options->data_dir == std::string("/in/train"));
  CHECK(options->from_platform == "from plain: --data-dir /in/train");
  CHECK(parse_train_options({"--data-dir", "validation"}, cluster)->data_dir == std::string("/in/validation"));
  CHECK(parse_train_options({"--data-dir", "channel:validation/a"}, cluster)->data_dir ==
        std::string("/in/validation/a"));
  CHECK(parse_train_options({"--data-dir", "elsewhere"}, cluster)->data_dir == std::string("elsewhere"));
  CHECK_FALSE(parse_train_options({"--dataset", "synthetic:blobs"}, cluster)->data_dir);
}

TEST_CASE("A data set may be a channel by name, or a file in one") {
  ClusterSpec cluster;
  cluster.inputs["train"].path = "/in/train";
  cluster.inputs["eval"] = {.path = "/in/eval", .mode = Mode::fast_file};
  const auto options =
      parse_train_options({"--dataset", "csv:train", "--test-dataset", "csv:channel:eval/part.csv"}, cluster);
  CHECK(options->data.dataset.path == "/in/train");
  CHECK(options->data.test->path == "/in/eval/part.csv");
  CHECK_FALSE(options->data.needs_world());
  CHECK(parse_train_options({"--dataset", "csv:other.csv"}, cluster)->data.dataset.path == "other.csv");
  CHECK(refused_places({"--dataset", "text:channel:tarin"}, cluster) ==
        "--dataset: there is no input channel:tarin; this platform's channels: eval, train");
}

TEST_CASE("What exists under a channel's name is meant before the channel") {
  const testing::TemporaryFolder folder;
  const auto before = std::filesystem::current_path();
  std::filesystem::current_path(folder.path());
  std::ofstream("train") << "1,2\n";
  ClusterSpec cluster;
  cluster.inputs["train"].path = "/in/train";
  const auto file = parse_train_options({"--dataset", "csv:train"}, cluster);
  const auto channel = parse_train_options({"--dataset", "csv:channel:train"}, cluster);
  std::filesystem::current_path(before);
  CHECK(file->data.dataset.path == "train");
  CHECK(channel->data.dataset.path == "/in/train");
}

TEST_CASE("A pipe, or a part of a whole, is to be brought; images cannot be") {
  ClusterSpec cluster;
  cluster.inputs["train"] = {.path = "/in/train", .mode = Mode::pipe};
  cluster.inputs["eval"] = {.path = "/in/eval", .sharded = true};
  const auto options = parse_train_options({"--dataset", "libsvm:train", "--test-dataset", "libsvm:eval"}, cluster);
  CHECK(options->data.needs_world());
  CHECK(options->data.channels.size() == 2);
  CHECK(options->data.dataset.channel == "train");
  CHECK(options->data.test->channel == "eval");
  CHECK_THAT(refused_places({}, cluster),
             Contains("--data-dir: images cannot be read from channel train, which is a pipe"));
  CHECK_THAT(refused_places({"--data-dir", "eval"}, cluster), Contains("which is sharded"));
  CHECK_THAT(refused_places({"--dataset", "csv:eval/one.csv"}, cluster),
             Contains("--dataset: no single file can be taken of channel eval, which is sharded"));
}

TEST_CASE("gs:// is the mount of its bucket, where there is one; other URIs ask for a local path") {
  const testing::TemporaryFolder root;
  CHECK_THAT(
      refused_places({"--model-dir", "gs://b/m"}, {}, root.path()),
      Contains("--model-dir: gs://b/m: Cloud Storage is not mounted at " + root.path() + "/gcs; mount it there"));
  std::filesystem::create_directories(root.path() + "/gcs");
  const auto options = parse_train_options({"--dataset", "csv:gs://b/t.csv", "--model-dir", "gs://b/m",
                                            "--checkpoint-dir=gs://b/c", "--trace", "gs://b/t.json"},
                                           {}, root.path());
  CHECK(options->data.dataset.path == root.path() + "/gcs/b/t.csv");
  CHECK(options->model_dir == root.path() + "/gcs/b/m");
  CHECK(options->checkpoints.folder == root.path() + "/gcs/b/c");
  CHECK(options->trace == root.path() + "/gcs/b/t.json");
  CHECK_THAT(refused_places({"--data-dir", "s3://b/d"}, {}), Contains("--data-dir: s3://b/d: expected a local path"));
}
