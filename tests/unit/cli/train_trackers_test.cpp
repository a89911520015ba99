// SPDX-License-Identifier: Apache-2.0
#include "cli/train/course.hpp"
#include "cli/train/measurements.hpp"
#include "cli/train/options.hpp"
#include "cli/train/tracked_run.hpp"
#include "cli/train/trackers.hpp"
#include "support/temporary_folder.hpp"
#include "trireme/base/error.hpp"
#include "unit/tracking/heard_log.hpp"

#include <catch2/catch.hpp>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>
#include <regex>
#include <sstream>

namespace {

using namespace trireme;
using namespace trireme::cli;
using namespace trireme::testing;
using platform::ClusterSpec;
using platform::Environment;

TrackerChoice chosen(const Environment& environment, const ClusterSpec& cluster = {},
                     const TrackingChoice& choice = {}) {
  return choose_trackers(cluster, environment, choice, "val_accuracy", {});
}

ClusterSpec trial(std::optional<std::string> metric = std::nullopt) {
  ClusterSpec cluster;
  cluster.tuning =
      ClusterSpec::Tuning{.trial_id = "3", .metric = std::move(metric), .metric_file = "/tmp/hypertune/output.metrics"};
  return cluster;
}

TrackingChoice flags(const std::vector<std::string>& arguments) { return parse_train_options(arguments)->tracking; }

std::string refused(const std::vector<std::string>& arguments) {
  try {
    static_cast<void>(parse_train_options(arguments));
  } catch (const Exception& refusal) {
    CHECK(refusal.error().code == ErrorCode::invalid_argument);
    return refusal.error().message;
  }
  return "";
}

/// What a tracker was told, as lines.
struct Lines final : tracking::Tracker {
  std::vector<std::string>& lines;
  explicit Lines(std::vector<std::string>& to) : lines(to) {}
  void parameters(const std::map<std::string, std::string>& values) noexcept override {
    for (const auto& [name, value] : values) lines.push_back("parameter " + name + "=" + value);
  }
  void tag(const std::string& name, const std::string& value) noexcept override {
    lines.push_back("tag " + name + "=" + value);
  }
  void log(const tracking::Measurement& measurement) noexcept override {
    std::string line = std::to_string(measurement.step);
    for (const auto& [name, value] : measurement.metrics) line += " " + name;
    lines.push_back(line);
    has_time_left = has_time_left || measurement.left;
  }
  void finish(tracking::Ending ending, std::chrono::milliseconds patience) noexcept override {
    CHECK(patience.count() > 0);
    lines.push_back("end " + std::to_string(static_cast<int>(ending)));
  }
  bool has_time_left = false;
};

}  // namespace

TEST_CASE("Katib's default pattern finds every number of a metric line under its name") {
  const Metric metric{.step = 1200,
                      .epoch = 3,
                      .step_loss = 1.25e-7,
                      .train_loss = 0.31,
                      .validation = Score{.loss = 1234567890.0, .accuracy = 0.9132, .perplexity = 7.5, .error = 2},
                      .samples_per_s = 1000};
  const std::string line = metric_line(metric);
  const std::regex pattern(R"(([\w|-]+)\s*=\s*([+-]?\d*(\.\d+)?([Ee][+-]?\d+)?))");
  std::map<std::string, double> found;
  for (std::sregex_iterator each(line.begin(), line.end(), pattern), end; each != end; ++each)
    found[(*each)[1]] = std::stod((*each)[2]);
  auto expected = measurements_of(metric);
  expected["step"] = 1200;
  REQUIRE(found.size() == expected.size());
  for (const auto& [name, value] : expected) {
    INFO(name);
    CHECK(found.at(name) == Approx(value).epsilon(1e-4));
  }
}

TEST_CASE("Trackers are told the numbers of a metric line, and no others") {
  CHECK(measurements_of(Metric{.step = 7, .epoch = 2, .step_loss = 0.5, .samples_per_s = 9}) ==
        std::map<std::string, double>{{"epoch", 2}, {"step_loss", 0.5}, {"samples_per_s", 9}});
  TrainResult result{.test = {.loss = 2, .error = 2}};
  CHECK(measurements_of(result) == std::map<std::string, double>{{"test_loss", 2}, {"test_rmse", 2}});
  result.test.loss = std::numeric_limits<double>::quiet_NaN();
  CHECK(measurements_of(result).empty());
}

TEST_CASE("Without anything that names a tracker there is none") {
  const auto none = chosen({});
  CHECK_FALSE(none.mlflow);
  CHECK_FALSE(none.tensorboard_dir);
  CHECK_FALSE(none.hypertune);
  CHECK_FALSE(none.kubeflow);
  CHECK_FALSE(chosen({{"MLFLOW_TRACKING_URI", ""}, {"KUBEFLOW_TRAINER_SERVER_URL", ""}}).mlflow);
}

TEST_CASE("Azure ML's variables name a run that is there, its token and where a new one is had") {
  const auto mlflow = *chosen({{"MLFLOW_TRACKING_URI", "azureml://h/mlflow/v1.0/subscriptions/s?x=y"},
                               {"MLFLOW_RUN_ID", "run"},
                               {"MLFLOW_EXPERIMENT_ID", "exp"},
                               {"MLFLOW_EXPERIMENT_NAME", "name"},
                               {"MLFLOW_TRACKING_TOKEN", "hush"},
                               {"AZUREML_RUN_TOKEN", "other"},
                               {"AZUREML_RUN_TOKEN_EXPIRY", "1767312000"}})
                           .mlflow;
  CHECK(mlflow.base_url == "https://h/mlflow/v1.0/subscriptions/s");
  CHECK(mlflow.run_id == "run");
  CHECK(mlflow.token == "hush");
  CHECK(mlflow.token_url == "https://h/history/v1.0/subscriptions/s/experimentids/exp/runs/run/token");
  CHECK(mlflow.token_expires == std::chrono::system_clock::time_point(std::chrono::seconds(1767312000)));

  const auto older = *chosen({{"MLFLOW_TRACKING_URI", "azureml://h/mlflow/v1.0/w"},
                              {"AZUREML_RUN_ID", "run"},
                              {"AZUREML_EXPERIMENT_ID", "exp"},
                              {"AZUREML_RUN_TOKEN", "hush"},
                              {"AZUREML_RUN_TOKEN_EXPIRY", "soon"}})
                          .mlflow;
  CHECK(older.run_id == "run");
  CHECK(older.token == "hush");
  CHECK_FALSE(older.token_url.empty());
  CHECK_FALSE(older.token_expires);
}

TEST_CASE(
    "A plain server gets a run of its own, with what MLflow's client is told; Azure ML's token stays away from it") {
  const auto mlflow = *chosen({{"MLFLOW_TRACKING_URI", "http://localhost:5000/"},
                               {"MLFLOW_EXPERIMENT_NAME", "e"},
                               {"MLFLOW_RUN_NAME", "r"},
                               {"MLFLOW_TRACKING_USERNAME", "u"},
                               {"MLFLOW_TRACKING_PASSWORD", "p"},
                               {"AZUREML_RUN_ID", "run"},
                               {"AZUREML_RUN_TOKEN", "hush"}})
                           .mlflow;
  CHECK(mlflow.base_url == "http://localhost:5000");
  CHECK(mlflow.run_id.empty());
  CHECK(mlflow.experiment_name == "e");
  CHECK(mlflow.run_name == "r");
  CHECK(mlflow.user == "u");
  CHECK(mlflow.password == "p");
  CHECK(mlflow.token.empty());
  CHECK(mlflow.token_url.empty());
}

TEST_CASE("A tracking URI that is no server's is one warning, not a failure") {
  HeardLog heard;
  const Environment environment{{"MLFLOW_TRACKING_URI", GENERATE("file:///mlruns", "arn:aws:sagemaker:x:1:y/z")}};
  CHECK_FALSE(choose_trackers({}, environment, {}, "val_loss", heard.log()).mlflow);
  REQUIRE(heard.lines().size() == 1);
  CHECK(heard.lines()[0].find("MLFLOW_TRACKING_URI: the tracking URI is ") == 0);
}

TEST_CASE("The platform's folder for TensorBoard is used unless a flag names another; --no-tracking turns all off") {
  ClusterSpec cluster = trial();
  cluster.tensorboard_dir = "/gcs/b/logs";
  CHECK(chosen({}, cluster).tensorboard_dir == "/gcs/b/logs");
  CHECK(chosen({}, cluster, flags({"--tensorboard-dir", "mine"})).tensorboard_dir == "mine");
  const auto none = chosen({{"MLFLOW_TRACKING_URI", "http://h"}, {"KUBEFLOW_TRAINER_SERVER_URL", "https://h"}}, cluster,
                           flags({"--no-tracking"}));
  CHECK_FALSE(none.mlflow);
  CHECK_FALSE(none.tensorboard_dir);
  CHECK_FALSE(none.hypertune);
  CHECK_FALSE(none.kubeflow);
  CHECK(refused({"--no-tracking", "--tensorboard-dir", "x"}) ==
        "--tensorboard-dir and --no-tracking exclude each other: give one");
  CHECK(refused({"--tensorboard-dir", ""}) == "--tensorboard-dir: the name of the folder is empty");
}

TEST_CASE(
    "A trial's objective is the model's own measure, the platform's or the flag's, under the name that is asked for") {
  const auto of = [](const ClusterSpec& cluster, const TrackingChoice& choice = {}) {
    const auto hypertune = *chosen({}, cluster, choice).hypertune;
    CHECK(hypertune.file == "/tmp/hypertune/output.metrics");
    CHECK(hypertune.trial == "3");
    return hypertune.metric + " as " + hypertune.tag;
  };
  CHECK(of(trial()) == "val_accuracy as val_accuracy");
  CHECK(of(trial("val_loss")) == "val_loss as val_loss");
  CHECK(of(trial("validation:accuracy")) == "val_accuracy as validation:accuracy");
  CHECK(of(trial(), flags({"--objective", "train_loss"})) == "train_loss as train_loss");
  CHECK(of(trial("loss"), flags({"--objective", "val_loss"})) == "val_loss as loss");
  CHECK(refused({"--objective", "accuracy"}) ==
        "--objective is 'accuracy'; this version has: val_accuracy, val_loss, val_perplexity, val_rmse, train_loss, "
        "step_loss, samples_per_s");
  ClusterSpec elsewhere = trial();
  elsewhere.tuning->metric_file.reset();  // read from stdout, or from MLflow
  CHECK_FALSE(chosen({}, elsewhere).hypertune);
}

TEST_CASE("A TrainJob that wants to hear of its progress says where") {
  const auto kubeflow = *chosen({{"KUBEFLOW_TRAINER_SERVER_URL", "https://h/status"},
                                 {"KUBEFLOW_TRAINER_SERVER_CA_CERT", "/ca"},
                                 {"KUBEFLOW_TRAINER_SERVER_TOKEN", "/token"}})
                             .kubeflow;
  CHECK(kubeflow.url == "https://h/status");
  CHECK(kubeflow.ca_file == "/ca");
  CHECK(kubeflow.token_file == "/token");
}

TEST_CASE("What was chosen is made and told; a folder that cannot be made is one warning") {
  const TemporaryFolder folder;
  std::ofstream(folder.path() + "/file") << "x";
  HeardLog heard;
  TrackerChoice choice;
  choice.hypertune = tracking::HypertuneSettings{.file = folder.path() + "/metrics", .tag = "t", .metric = "val_loss"};
  choice.tensorboard_dir = folder.path() + (GENERATE(false, true) ? "/logs" : "/file/logs");
  const bool can_be_made = choice.tensorboard_dir == folder.path() + "/logs";
  const auto trackers = make_trackers(choice, heard.log());
  trackers->log({.step = 1, .metrics = {{"val_loss", 0.5}}});
  trackers->finish(tracking::Ending::finished, std::chrono::seconds(20));
  CHECK(std::filesystem::exists(folder.path() + "/metrics"));
  CHECK(std::filesystem::exists(*choice.tensorboard_dir) == can_be_made);
  CHECK(heard.lines().size() == (can_be_made ? 0u : 1u));
}

TEST_CASE("The course of a job is told from its settings to its end") {
  std::vector<std::string> lines;
  TrainResult result{.steps = 40, .test = {.loss = 1, .accuracy = 0.5}, .weights_xxh3 = "0123456789abcdef"};
  std::vector<std::string> ends;
  SECTION("finished") { ends = {"40 test_accuracy test_loss", "tag weights_xxh3=0123456789abcdef", "end 0"}; }
  SECTION("interrupted") {
    result.is_interrupted = true;
    ends = {"end 2"};
  }
  SECTION("stopped by a signal") {
    result.stop_signal = 2;
    ends = {"end 2"};
  }
  {
    Course course;
    auto tracker = std::make_unique<Lines>(lines);
    const Lines& told = *tracker;
    course.begin(std::move(tracker), {{"--learning-rate", "0.1"}, {"the content of --dataset (it)", "x"}}, 0.25);
    course.note({.step = 10, .samples_per_s = 1}, 0.25);
    CHECK_FALSE(told.has_time_left);
    course.note({.step = 20, .step_loss = 1, .samples_per_s = 1}, 0.5);
    CHECK(told.has_time_left);
    course.finish(result);
    course.fail("too late");
  }
  std::vector<std::string> expected{"parameter learning_rate=0.1", "parameter the_content_of_dataset_it=x",
                                    "10 epoch samples_per_s", "20 epoch samples_per_s step_loss"};
  expected.insert(expected.end(), ends.begin(), ends.end());
  CHECK(lines == expected);
}

TEST_CASE("A failure is told with its cause; a course that never began says nothing") {
  std::vector<std::string> lines;
  Course course;
  course.fail("before the start");
  course.note({}, 0);
  course.finish({});
  course.begin(std::make_unique<Lines>(lines), {}, 0);
  course.fail("rank 2 is gone");
  CHECK(lines == std::vector<std::string>{"tag failure=rank 2 is gone", "end 1"});
}

TEST_CASE("The cause of a failure is told without secrets") {
  std::vector<std::string> lines;
  Course course(std::chrono::seconds(10), Redactor({{"MY_TOKEN", "hush-hush"}}));
  course.begin(std::make_unique<Lines>(lines), {}, 0);
  course.fail("no answer to hush-hush");
  CHECK(lines == std::vector<std::string>{"tag failure=no answer to [secret]", "end 1"});
}

TEST_CASE("A server's certificate is checked as MLflow's own client is told") {
  CHECK(chosen({{"MLFLOW_TRACKING_URI", "https://h"}}).mlflow->checks_certificate);
  CHECK(chosen({{"MLFLOW_TRACKING_URI", "https://h"}, {"MLFLOW_TRACKING_INSECURE_TLS", "false"}})
            .mlflow->checks_certificate);
  const auto insecure = GENERATE("1", "true", "True");
  CHECK_FALSE(chosen({{"MLFLOW_TRACKING_URI", "https://h"}, {"MLFLOW_TRACKING_INSECURE_TLS", insecure}})
                  .mlflow->checks_certificate);
  CHECK(chosen({{"MLFLOW_TRACKING_URI", "https://h"}, {"MLFLOW_TRACKING_SERVER_CERT_PATH", "/ca"}}).mlflow->ca_file ==
        "/ca");
}

TEST_CASE("A job that goes on from its checkpoints goes on with the run it had on the same server, and no other") {
  const TemporaryFolder folder;
  HeardLog heard;
  const auto followed = [&](const std::string& server, bool goes_on, const std::string& others_run = "") {
    tracking::MlflowSettings settings{.base_url = server, .run_id = others_run};
    follow_run(settings, folder.path(), goes_on, heard.log());
    return settings;
  };
  CHECK(followed("http://h", true).earlier_run_id.empty());
  followed("http://user:hush@h", false).on_own_run("first");
  std::ostringstream kept;
  kept << std::ifstream(folder.path() + "/" + tracked_run_file).rdbuf();
  CHECK(kept.str() == "http://h\nfirst\n");
  CHECK(followed("http://h", true).earlier_run_id == "first");
  CHECK(followed("http://user:other@h", true).earlier_run_id == "first");
  CHECK(followed("http://h", false).earlier_run_id.empty());
  CHECK(followed("http://elsewhere", true).earlier_run_id.empty());
  CHECK(followed("http://h", true, "theirs").earlier_run_id.empty());
  CHECK_FALSE(followed("http://h", true, "theirs").on_own_run);
  followed("http://h", true).on_own_run("second");
  CHECK(followed("http://h", true).earlier_run_id == "second");
  CHECK(heard.lines().empty());
  std::ofstream(folder.path() + "/" + tracked_run_file)
      << GENERATE("", "\n", "http://h", "http://h\n", "http://h\nfirst", "http://h\na\nb\n", "first\n");
  CHECK(followed("http://h", true).earlier_run_id.empty());
  CHECK(heard.lines().empty());
  std::ofstream(folder.path() + "/" + tracked_run_file) << std::string(5000, 'x');
  CHECK(followed("http://h", true).earlier_run_id.empty());
  CHECK(heard.lines().size() == 1);
}

TEST_CASE("What trackers are accessed with does not stay in the environment of the process") {
  char text[] = "hush";
  REQUIRE(::setenv("MLFLOW_TRACKING_TOKEN", text, 1) == 0);
  REQUIRE(::setenv("MLFLOW_TRACKING_URI", "http://h", 1) == 0);
  scrub_tracking_secrets();
  CHECK(::getenv("MLFLOW_TRACKING_TOKEN") == nullptr);
  CHECK(::getenv("MLFLOW_TRACKING_URI") != nullptr);
  REQUIRE(::setenv("MLFLOW_TRACKING_URI", "http://user:hush@h", 1) == 0);
  scrub_tracking_secrets();
  CHECK(::getenv("MLFLOW_TRACKING_URI") == nullptr);
  ::unsetenv("MLFLOW_TRACKING_URI");
}
