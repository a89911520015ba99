// SPDX-License-Identifier: Apache-2.0
#include "cli/failure_note.hpp"

#include "cli/run/run_job.hpp"
#include "support/temporary_folder.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

using namespace trireme::cli;
using trireme::platform::Environment;

namespace {

std::string contents(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

}  // namespace

TEST_CASE("A failure text is one paragraph of ASCII within its limit, the cause first") {
  const Redactor nothing{Environment{}};
  REQUIRE(failure_text("rank 2 died\n\tof\x01 it\n", nothing, 1024) == "rank 2 died of it");
  REQUIRE(failure_text("a caf\xc3\xa9 \xf0\x9f\x9a\xa2 \xff", nothing, 1024) == "a caf? ? ?");
  const std::string cut = failure_text("the cause " + std::string(5000, 'x'), nothing, 1024);
  REQUIRE(cut.size() == 1024);
  REQUIRE(cut.starts_with("the cause xxx"));
  REQUIRE(cut.ends_with("x..."));
  REQUIRE(failure_text("", nothing, 10).empty());
}

TEST_CASE("Secrets are in no failure text") {
  const Redactor redact(Environment{{"MLFLOW_TRACKING_TOKEN", "tok-12345"},
                                    {"AWS_SECRET_ACCESS_KEY", "abc/def+12345"},
                                    {"my_password", "hunter2"},
                                    {"TRIREME_JOB_KEY", "line one\nline two"},
                                    {"SHORT_KEY", "1"},
                                    {"HOME", "/root"}});
  REQUIRE(failure_text("sent tok-12345 and hunter2 from /root, 1 time", redact, 1024) ==
          "sent [secret] and [secret] from /root, 1 time");
  REQUIRE(failure_text("abc/def+12345tok-12345", redact, 1024) == "[secret][secret]");
  REQUIRE(failure_text("read line one\nline two", redact, 1024) == "read [secret]");
  REQUIRE(failure_text("read line one line two", redact, 1024) == "read [secret]");
  // A secret at the edge of what is kept does not show its beginning.
  REQUIRE(failure_text("123456 tok-12345", redact, 12) == "123456 [s...");
}

TEST_CASE("The first cause stays in the failure file; the termination message is written only where it is") {
  const trireme::testing::TemporaryFolder folder;
  const std::string file = folder.path() + "/output/failure", message = folder.path() + "/termination-log";
  leave_failure_note({file, message}, "the first cause", {});
  REQUIRE(contents(file) == "the first cause");
  REQUIRE_FALSE(std::filesystem::exists(message));
  std::ofstream(message).flush();
  leave_failure_note({file, message}, "a later one", {});
  REQUIRE(contents(file) == "the first cause");
  REQUIRE(contents(message) == "a later one");
  leave_failure_note({file, message}, "a third", {});
  REQUIRE(contents(message) == "a later one");
  const auto files = std::filesystem::directory_iterator(folder.path() + "/output");
  REQUIRE(std::distance(begin(files), end(files)) == 1);  // nothing half-written is left
}

TEST_CASE("Limits are those of the platforms") {
  const trireme::testing::TemporaryFolder folder;
  const std::string file = folder.path() + "/failure", message = folder.path() + "/termination-log";
  std::ofstream(message).flush();
  leave_failure_note({file, message}, std::string(9000, 'y'), {});
  REQUIRE(contents(file).size() == 1024);
  REQUIRE(contents(message).size() == 4096);
}

TEST_CASE("What a rank said last stands before how it ended, unless a signal ended it") {
  REQUIRE(cause_of({2, "trireme run: rank 0 ended with exit code 2", false, 0, "trireme train: unknown flag '--x'"}) ==
          "trireme train: unknown flag '--x' (rank 0 ended with exit code 2)");
  REQUIRE(cause_of({137, "trireme run: rank 2 was killed by signal 9 (Killed)", false, 2, "step 7"}) ==
          "rank 2 was killed by signal 9 (Killed). It said last: step 7");
  REQUIRE(cause_of({1, "trireme run: host algo-2 (node 1) is gone"}) == "host algo-2 (node 1) is gone");
}

TEST_CASE("Where nothing describes the cluster, the usual places are taken if they are there") {
  const trireme::testing::TemporaryFolder folder;
  Environment environment{{"TRIREME_ROOT", folder.path()}};
  REQUIRE_FALSE(usual_failure_places(environment).file);
  std::filesystem::create_directories(folder.path() + "/opt/ml/output");
  REQUIRE(usual_failure_places(environment).file == folder.path() + "/opt/ml/output/failure");
  REQUIRE_FALSE(usual_failure_places(environment).termination_message);
}
