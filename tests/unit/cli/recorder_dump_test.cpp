// SPDX-License-Identifier: Apache-2.0
#include "cli/train/recorder_dump.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include <cstdlib>
#include <fstream>
#include <iterator>

#include <unistd.h>

using namespace trireme;
using namespace trireme::cli;

namespace {

/// As a communicator gives it: one operation per line.
std::string recorder(int communicator, int operations) {
  std::string text = R"({"rank": 3, "communicator": )" + std::to_string(communicator) + R"(, "operations": [)";
  for (int i = 0; i < operations; ++i) {
    text += (i == 0 ? "\n  " : ",\n  ") + (R"({"sequence": )" + std::to_string(i)) +
            R"(, "operation": "all_reduce", "label": "bucket 0", "outcome": "issued"})";
  }
  return text + (operations == 0 ? "]}" : "\n]}");
}

const std::vector<std::string> two{recorder(0, 0), recorder(7, 5)};

struct Folder {
  std::string path = "/tmp/trireme-recorder-XXXXXX";
  Folder() { REQUIRE(::mkdtemp(path.data()) != nullptr); }
  ~Folder() {
    ::unlink((path + "/flight-recorder-rank-3.json").c_str());
    ::rmdir(path.c_str());
  }
};

}  // namespace

TEST_CASE("The recorders of a rank are one line of JSON") {
  const std::string line = recorders_line(3, two);
  CHECK(line.find('\n') == line.size() - 1);
  const auto parsed = nlohmann::json::parse(line);
  CHECK(parsed["rank"] == 3);
  CHECK(parsed["recorders"].size() == 2);
  CHECK(parsed["recorders"][1]["operations"].size() == 5);
}

TEST_CASE("A failed world's recorders go whole into the named folder, and the message names the file") {
  const Folder folder;
  const std::string said = keep_recorders(3, two, folder.path);
  const std::string path = folder.path + "/flight-recorder-rank-3.json";
  CHECK(said.find(path) != std::string::npos);
  std::ifstream file(path);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  CHECK(text == recorders_line(3, two));
}

TEST_CASE("Without a folder the last operations of every communicator that had any are shown, one line each") {
  const std::string said = keep_recorders(3, two, std::nullopt);
  CHECK(said.find("rank 3 on communicator 7: {\"sequence\": 2,") != std::string::npos);
  CHECK(said.find("\"sequence\": 4, \"operation\": \"all_reduce\"") != std::string::npos);
  CHECK(said.find("\"sequence\": 1,") == std::string::npos);
  CHECK(said.find("communicator 0") == std::string::npos);
  CHECK(said.find('\n') == said.size() - 1);
  CHECK(said.find("}]") == std::string::npos);
}

TEST_CASE("A folder that cannot be written is named, and the summary takes its place") {
  const std::string said = keep_recorders(3, two, "/no/such/folder");
  CHECK(said.find("/no/such/folder/flight-recorder-rank-3.json") != std::string::npos);
  CHECK(said.find("communicator 7") != std::string::npos);
}

TEST_CASE("A world that never opened leaves nothing behind") {
  const Folder folder;
  CHECK(keep_recorders(3, {}, folder.path).empty());
}

TEST_CASE("Mistakes of the user are no failures of the world") {
  CHECK(is_failure_of_world({.code = ErrorCode::timeout, .message = ""}));
  CHECK(is_failure_of_world({.code = ErrorCode::peer_lost, .message = ""}));
  CHECK_FALSE(is_failure_of_world({.code = ErrorCode::invalid_argument, .message = ""}));
  CHECK(is_failure_of_world({.code = ErrorCode::system, .message = "", .operation = "all_reduce #3"}));
  CHECK_FALSE(is_failure_of_world({.code = ErrorCode::system, .message = "a file"}));
  CHECK_FALSE(is_failure_of_world({.code = ErrorCode::unsupported, .message = ""}));
}
