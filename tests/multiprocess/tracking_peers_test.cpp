// SPDX-License-Identifier: Apache-2.0
#include "multiprocess/train_job.hpp"
#include "support/reserved_port.hpp"
#include "trireme/base/error.hpp"
#include "trireme/http/client.hpp"
#include "trireme/tracking/hypertune.hpp"
#include "trireme/tracking/mlflow.hpp"
#include "trireme/tracking/tensorboard.hpp"

#include <catch2/catch.hpp>

#include <charconv>
#include <cmath>
#include <fstream>
#include <limits>
#include <optional>
#include <sstream>
#include <thread>

namespace {

using namespace trireme;
using namespace trireme::testing;
using namespace trireme::tracking;
using Words = std::vector<std::string>;

const std::map<std::string, std::string> packages{{"PYTHONPATH", PEERS_PYTHON}, {"MLFLOW_DISABLE_TELEMETRY", "true"}};

/// What a script of ours, which uses other people's packages, prints; nothing where they are missing.
std::optional<std::string> script(const Words& arguments) {
  Words words{PEERS_FOLDER "/read_tracked.py"};
  words.insert(words.end(), arguments.begin(), arguments.end());
  const auto result = Launched(words, packages, "/usr/bin/python3").wait();
  INFO(result.err);
  if (result.exit_code == 77 || result.exit_code == 127) {
    WARN("scripts/bootstrap --peers installs what is missing: " << result.err << "; skipped");
    return std::nullopt;
  }
  REQUIRE(result.exit_code == 0);
  return result.out;
}

std::string read(const std::string& file) {
  std::ostringstream text;
  text << std::ifstream(file, std::ios::binary).rdbuf();
  return text.str();
}

bool has_line(const std::string& text, const std::string& line) {
  return ("\n" + text).find("\n" + line + "\n") != std::string::npos;
}

std::string digits(double value) {
  char text[32];
  return {text, std::to_chars(text, text + sizeof text, value).ptr};
}

using Moment = std::chrono::system_clock::time_point;

/// `mlflow server`, with a database in a folder of its own.
class Server {
 public:
  Server()
      : process_({"-m", "mlflow", "server", "--host", "127.0.0.1", "--port", std::to_string(port_.address.port),
                  "--workers", "1", "--backend-store-uri", "sqlite:///" + folder_.path() + "/db",
                  "--default-artifact-root", folder_.path() + "/artifacts"},
                 packages, "/usr/bin/python3") {
    const auto client = http::make_client();
    REQUIRE(eventually(
        [&] {
          try {
            return client->send({.url = url() + "/health", .through_proxy = false}).status == 200;
          } catch (const Exception&) {
            return false;
          }
        },
        std::chrono::seconds(150)));
  }
  ~Server() { process_.signal(15); }
  std::string url() const { return "http://" + port_.address.to_string(); }

 private:
  TemporaryFolder folder_;
  ReservedPort port_;
  Launched process_;
};

}  // namespace

TEST_CASE("A real MLflow server takes run, parameters, tags and metrics, and its client reads them back") {
  if (!script({"has", "mlflow"})) return;
  const Server server;

  SECTION("of a job") {
    const auto job = run_ranks(
        2, {"train", "--dataset", "synthetic:blobs", "--samples", "500", "--steps", "6", "--log-every", "2"},
        {{"MLFLOW_TRACKING_URI", server.url()}, {"MLFLOW_EXPERIMENT_NAME", "a job"}, {"MLFLOW_RUN_NAME", "x y"}});
    INFO(job.err);
    REQUIRE(job.exit_code == 0);
    CHECK(job.err.find("MLflow") == std::string::npos);  // no complaint
    const std::string found = *script({"mlflow", server.url(), "a job"});
    INFO(found);
    CHECK(has_line(found, "status FINISHED"));
    CHECK(has_line(found, "param optimizer sgd"));
    CHECK(has_line(found, "tag world 2"));
    CHECK(has_line(found, "tag mlflow.runName x y"));
    CHECK(has_line(found, "tag weights_xxh3 " + value(result_of(job), "weights_xxh3")));
    for (const char* step : {"2", "4", "6"})
      CHECK(found.find(std::string("metric step_loss ") + step + " ") != std::string::npos);
    CHECK(found.find("metric val_accuracy 6 ") != std::string::npos);
    CHECK(found.find("metric test_loss 6 ") != std::string::npos);
  }

  SECTION("of a job that was interrupted and goes on: one run for both") {
    const TemporaryFolder folder;
    const Words words{"train",       "--dataset", "synthetic:blobs",  "--samples",         "500", "--steps", "6",
                      "--log-every", "2",         "--checkpoint-dir", folder.path() + "/c"};
    const std::map<std::string, std::string> environment{{"MLFLOW_TRACKING_URI", server.url()},
                                                         {"MLFLOW_EXPERIMENT_NAME", "on and on"}};
    Words stopped = words;
    stopped.insert(stopped.end(), {"--stop-after", "4"});
    REQUIRE(run_trireme(stopped, environment).exit_code == 143);
    CHECK(has_line(*script({"mlflow", server.url(), "on and on"}), "status KILLED"));
    const auto job = run_ranks(2, words, environment);
    INFO(job.err);
    REQUIRE(job.exit_code == 0);
    CHECK(job.err.find("MLflow") == std::string::npos);
    const std::string found = *script({"mlflow", server.url(), "on and on"});
    INFO(found);
    CHECK(has_line(found, "status FINISHED"));
    for (const char* step : {"2", "4", "6"})
      CHECK(found.find(std::string("metric step_loss ") + step + " ") != std::string::npos);
  }

  SECTION("of values at the edges") {
    const auto tracker =
        make_mlflow_tracker({.base_url = server.url(), .experiment_name = "edges"}, http::make_client());
    std::map<std::string, std::string> parameters;
    for (int k = 0; k < 250; ++k) parameters["p" + std::to_string(k)] = std::string(700, 'v');
    tracker->parameters(parameters);
    tracker->parameters({{"p0", std::string(500, 'v')}});  // the same again
    tracker->parameters({{"p1", "another"}});              // refused: parameters stay as they are
    tracker->tag("t", std::string(9000, 't'));
    tracker->tag("t", "\xC3\xA4 newer");
    const Moment time(std::chrono::milliseconds(1767225600250));
    const double infinity = std::numeric_limits<double>::infinity();
    for (std::uint64_t step = 0; step < 3000; ++step)
      tracker->log({.step = step, .time = time, .metrics = {{"m", 0.1 * static_cast<double>(step)}}});
    tracker->log({.step = 7,
                  .time = time,
                  .metrics = {{"n/a", std::nan("")}, {"up", infinity}, {"down", -infinity}, {"a=b c", 1e-300}}});
    tracker->finish(Ending::failed, std::chrono::seconds(40));
    const std::string found = *script({"mlflow", server.url(), "edges"});
    CHECK(has_line(found, "status FAILED"));
    CHECK(has_line(found, "tag t \xC3\xA4 newer"));
    for (int k = 0; k < 250; ++k) CHECK(has_line(found, "param p" + std::to_string(k) + " " + std::string(500, 'v')));
    CHECK(has_line(found, "metric n/a 7 nan 1767225600250"));
    CHECK(found.find("metric up 7 1.79769") != std::string::npos);  // the largest there is, to that server
    CHECK(found.find("metric down 7 -1.79769") != std::string::npos);
    CHECK(has_line(found, "metric a_b c 7 1e-300 1767225600250"));
    for (int step = 0; step < 3000; step += 271)
      CHECK(found.find("\nmetric m " + std::to_string(step) + " ") != std::string::npos);
    std::size_t count = 0;
    for (auto at = found.find("\nmetric m "); at != std::string::npos; at = found.find("\nmetric m ", at + 1)) ++count;
    CHECK(count == 3000);
  }
}

TEST_CASE("TensorBoard's own reader reads the event files") {
  if (!script({"has", "tensorboard"})) return;
  const TemporaryFolder folder;
  const auto tracker = make_tensorboard_tracker({.folder = folder.path()});
  for (std::uint64_t step = 1; step <= 50; ++step)
    tracker->log({.step = step,
                  .time = Moment(std::chrono::milliseconds(1767225600250 + static_cast<std::int64_t>(step))),
                  .metrics = {{"train_loss", 1.0 / static_cast<double>(1 << (step % 20))}, {"val/accuracy", 0.5}}});
  const auto found = *script({"tensorboard", folder.path()});  // while it is being written
  INFO(found);
  CHECK(has_line(found, "scalar train_loss 3 0.125 1767225600.253"));
  CHECK(has_line(found, "scalar val/accuracy 50 0.5 1767225600.3"));
  std::size_t count = 0;
  for (const char c : found) count += c == '\n' ? 1 : 0;
  CHECK(count == 100);
}

TEST_CASE("A hyperparameter tuning file has the bytes that cloudml-hypertune writes") {
  if (!script({"has", "hypertune"})) return;
  const TemporaryFolder folder;
  const std::string ours = folder.path() + "/a/ours", theirs = folder.path() + "/b/theirs",
                    tag = "val \"acc\" \xC3\xA4";
  const auto tracker = make_hypertune_tracker({.file = ours, .tag = tag, .trial = "12", .metric = "x"});
  const std::vector<double> values{0.9132,  1,    0,      -0.0,  1e16, 123456789.125, 1e-5,   0.0001,
                                   1.0 / 3, 2e22, 5e-324, 1e300, 1e15, 0.1 + 0.2,     -7.5e-9};
  Words words{"hypertune", theirs, tag, "12"};
  for (std::uint64_t k = 0; k < 130; ++k) {
    const double number = values[k % values.size()] * static_cast<double>(1 + k / values.size());
    const auto microseconds = static_cast<std::int64_t>(1767225600250000 + k * k * 37777);
    tracker->log({.step = k, .time = Moment(std::chrono::microseconds(microseconds)), .metrics = {{"x", number}}});
    words.insert(words.end(), {std::to_string(k), digits(number), digits(static_cast<double>(microseconds) / 1e6)});
    if (k != 40 && k != 129) continue;  // fewer than 100 reports, and more
    REQUIRE(script(words));
    CHECK(read(ours) == read(theirs));
  }
}
