// SPDX-License-Identifier: Apache-2.0
#include "trireme/base/log.hpp"

#include <catch2/catch.hpp>

#include <string>
#include <utility>
#include <vector>

using namespace trireme;

TEST_CASE("a log passes on what reaches its threshold") {
  std::vector<std::pair<LogLevel, std::string>> lines;
  const Log log(LogLevel::warning, [&](LogLevel level, std::string_view line) { lines.emplace_back(level, line); });
  log(LogLevel::debug, "a");
  log(LogLevel::info, "b");
  log(LogLevel::warning, "c");
  log(LogLevel::error, "d");
  REQUIRE(lines == std::vector<std::pair<LogLevel, std::string>>{{LogLevel::warning, "c"}, {LogLevel::error, "d"}});
  REQUIRE(!log.enabled(LogLevel::info));
  REQUIRE(log.enabled(LogLevel::error));
}

TEST_CASE("copies of a log write to the same place, and a default one is silent") {
  int lines = 0;
  const Log log(LogLevel::debug, [&](LogLevel, std::string_view) { ++lines; });
  const Log copy = log;  // NOLINT(performance-unnecessary-copy-initialization): the copy is what is tested
  copy(LogLevel::debug, "x");
  REQUIRE(lines == 1);
  const Log silent;
  REQUIRE(!silent.enabled(LogLevel::error));
  silent(LogLevel::error, "nobody hears this");
}

TEST_CASE("a log that is off passes nothing on") {
  int lines = 0;
  const Log log(LogLevel::off, [&](LogLevel, std::string_view) { ++lines; });
  log(LogLevel::error, "x");
  REQUIRE(lines == 0);
}

TEST_CASE("log levels parse by their names only") {
  for (const LogLevel level : {LogLevel::debug, LogLevel::info, LogLevel::warning, LogLevel::error, LogLevel::off}) {
    LogLevel parsed = level == LogLevel::debug ? LogLevel::off : LogLevel::debug;
    REQUIRE(parse_log_level(name_of(level), parsed));
    REQUIRE(parsed == level);
  }
  LogLevel level = LogLevel::info;
  for (const char* text : {"", "warn", "DEBUG", "trace", "error "}) REQUIRE(!parse_log_level(text, level));
  REQUIRE(level == LogLevel::info);
}
