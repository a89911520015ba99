// SPDX-License-Identifier: Apache-2.0
#include "multiprocess/launched.hpp"

#include <catch2/catch.hpp>

#include <filesystem>
#include <fstream>
#include <sstream>

using namespace trireme::testing;

namespace {

std::string contents(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  REQUIRE(file.good());
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

}  // namespace

TEST_CASE("Lines carry their rank, stdout and stderr stay apart, result lines of rank 0 are bare") {
  auto result =
      run_trireme({"run", "-n", "2", "--", "sh", "-c",
                   "echo hello; echo result: rank=$RANK; echo metric step=1; echo oops >&2; printf 'no end'"});
  REQUIRE(result.exit_code == 0);
  REQUIRE(sorted_lines(result.out) == std::vector<std::string>{"[0] hello", "[0] no end", "[1] hello",
                                                               "[1] metric step=1", "[1] no end", "[1] result: rank=1",
                                                               "metric step=1", "result: rank=0"});
  REQUIRE(sorted_lines(result.err) == std::vector<std::string>{"[0] oops", "[1] oops"});
}

TEST_CASE("Much output of several ranks arrives whole, line by line") {
  auto result = run_trireme({"run", "-n", "3", "--", "seq", "1", "20000"});
  REQUIRE(result.exit_code == 0);
  int next[3] = {1, 1, 1};
  std::istringstream stream(result.out);
  for (std::string line; std::getline(stream, line);) {
    int rank = line.size() > 1 ? line[1] - '0' : -1;
    bool known = rank >= 0 && rank < 3;
    REQUIRE(known);
    std::string expected = prefix_of(rank) + std::to_string(next[rank]++);
    if (line != expected) FAIL("got '" << line << "', expected '" << expected << "'");
  }
  for (int after : next) REQUIRE(after == 20001);
}

TEST_CASE("A very long line is passed in pieces") {
  auto result = run_trireme({"run", "-n", "1", "--", "sh", "-c", "head -c 200000 /dev/zero | tr '\\0' x; echo"});
  REQUIRE(result.exit_code == 0);
  std::size_t letters = 0;
  for (const std::string& line : sorted_lines(result.out)) {
    REQUIRE(line.size() <= 64 * 1024 + 4);
    REQUIRE(line.rfind("[0] ", 0) == 0);
    letters += line.size() - 4;
  }
  REQUIRE(letters == 200000);
}

TEST_CASE("--log-dir keeps each rank's streams as they were written") {
  TemporaryFolder folder;
  std::string logs = folder.path() + "/made/on/the/way";
  auto result = run_trireme(
      {"run", "-n", "2", "--log-dir", logs, "--", "sh", "-c", "echo out $RANK; echo err $RANK >&2; printf end"});
  REQUIRE(result.exit_code == 0);
  for (const char* rank : {"0", "1"}) {
    REQUIRE(contents(logs + "/rank-" + rank + ".out") == std::string("out ") + rank + "\nend");
    REQUIRE(contents(logs + "/rank-" + rank + ".err") == std::string("err ") + rank + "\n");
  }
  REQUIRE(result.out.find("[1] out 1\n") != std::string::npos);
}

TEST_CASE("Output of a rank that leaves a process behind in its group ends with the rank") {
  auto result = run_trireme({"run", "-n", "1", "--", "sh", "-c", "sleep 1000 & echo $!"});
  REQUIRE(result.exit_code == 0);
  REQUIRE(result.out.rfind("[0] ", 0) == 0);
  pid_t left = std::stoi(result.out.substr(4));
  REQUIRE(eventually([&] { return !is_alive(left); }, std::chrono::seconds(20)));
}
