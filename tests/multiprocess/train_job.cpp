// SPDX-License-Identifier: Apache-2.0
#include "multiprocess/train_job.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <sstream>

namespace trireme::testing {

Result run_ranks(int ranks, const std::vector<std::string>& job,
                 const std::map<std::string, std::string>& environment) {
  std::vector<std::string> words{"run", "-n", std::to_string(ranks), "--", TRIREME_PROGRAM};
  words.insert(words.end(), job.begin(), job.end());
  return run_trireme(words, environment);
}

std::string result_of(const Result& result) {
  INFO("stdout: " << result.out << "\nstderr: " << result.err);
  std::istringstream stream(result.out);
  std::string last;
  for (std::string line; std::getline(stream, line);) last = line;
  REQUIRE(last.rfind("result: ", 0) == 0);
  return last;
}

std::string value(const std::string& line, const std::string& key) {
  INFO(line);
  const auto at = line.find(" " + key + "=");
  REQUIRE(at != std::string::npos);
  const auto begin = at + key.size() + 2;
  return line.substr(begin, line.find(' ', begin) - begin);
}

std::string outcome_of(const Result& result) {
  INFO("stdout: " << result.out << "\nstderr: " << result.err);
  REQUIRE(result.exit_code == 0);
  const std::string line = result_of(result);
  REQUIRE(value(line, "weights_xxh3").size() == 16);
  std::istringstream words(line);
  std::string outcome;
  for (std::string word; words >> word;) {
    const std::string key = word.substr(0, word.find('='));
    const bool differs = key == "world" || key == "samples_per_s" || key == "seconds" || key == "logical_shards" ||
                         key == "ready_s" || key == "peak_memory_MiB" || key == "resumed_from";
    if (!differs) outcome += word + " ";
  }
  return outcome;
}

void require_refusal(const Result& result, const std::string& expected) {
  INFO("stdout: " << result.out << "\nstderr: " << result.err);
  CHECK(result.exit_code == 2);
  CHECK(result.out.empty());
  CHECK_THAT(result.err, Catch::Matchers::Contains(expected));
  CHECK(std::count(result.err.begin(), result.err.end(), '\n') == 1);
}

}  // namespace trireme::testing
