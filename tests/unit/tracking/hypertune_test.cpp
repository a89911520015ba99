// SPDX-License-Identifier: Apache-2.0
#include "trireme/tracking/hypertune.hpp"

#include "support/temporary_folder.hpp"
#include "tracking/python_float.hpp"
#include "unit/tracking/heard_log.hpp"

#include <catch2/catch.hpp>

#include <filesystem>
#include <fstream>
#include <limits>
#include <sstream>

namespace {

using namespace trireme;
using namespace trireme::testing;
using namespace trireme::tracking;

std::string read(const std::string& file) {
  std::ostringstream text;
  text << std::ifstream(file).rdbuf();
  return text.str();
}

Measurement at(std::uint64_t step, double value) {
  return {.step = step,
          .time = std::chrono::system_clock::time_point(std::chrono::milliseconds(1767225600250)),
          .metrics = {{"val_accuracy", value}, {"other", 1}}};
}

}  // namespace

TEST_CASE("A number becomes the text that Python makes of it") {
  const auto [value, text] = GENERATE(table<double, std::string>({
      {0.9132, "0.9132"},
      {1.0, "1.0"},
      {0.0, "0.0"},
      {-0.0, "-0.0"},
      {-1.5, "-1.5"},
      {100.0, "100.0"},
      {0.1 + 0.2, "0.30000000000000004"},
      {1e15, "1000000000000000.0"},
      {1e16, "1e+16"},
      {1.5e16, "1.5e+16"},
      {123456789012345680.0, "1.2345678901234568e+17"},
      {9007199254740993.0, "9007199254740992.0"},
      {0.0001, "0.0001"},
      {0.00012345, "0.00012345"},
      {0.00001, "1e-05"},
      {-2.5e-7, "-2.5e-07"},
      {1.7976931348623157e308, "1.7976931348623157e+308"},
      {5e-324, "5e-324"},
      {1767225600.25, "1767225600.25"},
      {std::numeric_limits<double>::infinity(), "inf"},
      {-std::numeric_limits<double>::infinity(), "-inf"},
      {std::numeric_limits<double>::quiet_NaN(), "nan"},
  }));
  CHECK(python_float(value) == text);
}

TEST_CASE("A report to hyperparameter tuning is the line that cloudml-hypertune writes") {
  const TemporaryFolder folder;
  const std::string file = folder.path() + "/deep/er/output.metrics";
  const auto tracker =
      make_hypertune_tracker({.file = file, .tag = "val_accuracy", .trial = "3", .metric = "val_accuracy"});
  tracker->log(at(1200, 0.9132));
  CHECK(
      read(file) ==
      R"({"checkpoint_path": "", "global_step": "1200", "timestamp": 1767225600.25, "trial": "3", "val_accuracy": "0.9132"})"
      "\n");
  tracker->log(at(1300, 1));
  CHECK(
      read(file) ==
      R"({"checkpoint_path": "", "global_step": "1200", "timestamp": 1767225600.25, "trial": "3", "val_accuracy": "0.9132"})"
      "\n"
      R"({"checkpoint_path": "", "global_step": "1300", "timestamp": 1767225600.25, "trial": "3", "val_accuracy": "1.0"})"
      "\n");
  const auto files = std::distance(std::filesystem::directory_iterator(folder.path() + "/deep/er"), {});
  CHECK(files == 1);  // nothing is left beside it
}

TEST_CASE("Keys are sorted and written in ASCII, whatever the tag is") {
  const TemporaryFolder folder;
  const std::string file = folder.path() + "/m";
  make_hypertune_tracker({.file = file, .tag = "a \"b\"\xC3\xA4\x7F", .trial = "0", .metric = "val_accuracy"})
      ->log(at(0, 2));
  CHECK(read(file) ==
        "{\"a \\\"b\\\"\\u00e4\\u007f\": \"2.0\", \"checkpoint_path\": \"\", \"global_step\": \"0\", "
        "\"timestamp\": 1767225600.25, \"trial\": \"0\"}\n");
}

TEST_CASE("Only the last 100 reports are kept; other metrics and what is no number are no reports") {
  const TemporaryFolder folder;
  const std::string file = folder.path() + "/m";
  const auto tracker = make_hypertune_tracker({.file = file, .metric = "val_accuracy"});
  tracker->log({.step = 1, .metrics = {{"train_loss", 1}}});
  tracker->log(at(1, std::numeric_limits<double>::quiet_NaN()));
  tracker->log(at(1, std::numeric_limits<double>::infinity()));
  CHECK_FALSE(std::filesystem::exists(file));
  for (std::uint64_t step = 0; step < 130; ++step) tracker->log(at(step, 0.5));
  std::istringstream lines(read(file));
  std::string line;
  std::uint64_t step = 30;
  for (; std::getline(lines, line); ++step)
    CHECK(line.find("\"global_step\": \"" + std::to_string(step) + "\"") != std::string::npos);
  CHECK(step == 130);
}

TEST_CASE("A file that cannot be written is one warning, a trial without an objective another") {
  const TemporaryFolder folder;
  HeardLog heard;
  {
    const auto tracker = make_hypertune_tracker({.file = folder.path(), .metric = "val_accuracy"}, heard.log());
    tracker->log(at(1, 1));
    tracker->log(at(2, 1));
    tracker->finish(Ending::finished, std::chrono::milliseconds(0));
  }
  CHECK(heard.lines().size() == 1);
  const auto tracker = make_hypertune_tracker({.file = folder.path() + "/m", .metric = "none"}, heard.log());
  tracker->log(at(1, 1));
  tracker->finish(Ending::finished, std::chrono::milliseconds(0));
  REQUIRE(heard.lines().size() == 2);
  CHECK(heard.lines()[1] == "hyperparameter tuning: the metric 'none' was never measured: the trial has no objective");
}
