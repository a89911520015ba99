// SPDX-License-Identifier: Apache-2.0
#include "cli/train/json_log.hpp"

#include "cli/write_all.hpp"
#include "trireme/base/error.hpp"

#include <nlohmann/json.hpp>

#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <utility>

#include <fcntl.h>
#include <unistd.h>

namespace trireme::cli {
namespace {

using Json = nlohmann::ordered_json;
constexpr std::size_t longest_line = std::size_t{1} << 20;

bool starts_with(std::string_view text, std::string_view beginning) {
  return text.substr(0, beginning.size()) == beginning;
}

Json value_of(std::string_view text) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::string(text);
  if (!std::isfinite(number)) return nullptr;
  std::int64_t whole = 0;
  const auto integer = std::from_chars(text.data(), text.data() + text.size(), whole);
  return integer.ec == std::errc() && integer.ptr == end ? Json(whole) : Json(number);
}

/// key=value words; the hash stays a text, whatever its digits.
Json words_of(std::string_view line) {
  Json words = Json::object();
  while (!line.empty()) {
    const std::size_t space = line.find(' ');
    const std::string_view word = line.substr(0, space);
    line.remove_prefix(space == std::string_view::npos ? line.size() : space + 1);
    const std::size_t equals = word.find('=');
    if (equals == std::string_view::npos) continue;
    const std::string_view name = word.substr(0, equals), value = word.substr(equals + 1);
    words[std::string(name)] = name == "weights_xxh3" ? Json(std::string(value)) : value_of(value);
  }
  return words;
}

void copy_lines(int from, int to) {
  std::string text;
  char buffer[4096];
  for (;;) {
    const ssize_t got = ::read(from, buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    text.append(buffer, static_cast<std::size_t>(got));
    std::string lines;
    for (std::size_t end = text.find('\n'); end != std::string::npos; end = text.find('\n')) {
      lines += json_log_line(std::string_view(text).substr(0, end)) + '\n';
      text.erase(0, end + 1);
    }
    if (text.size() > longest_line) lines += json_log_line(std::exchange(text, {})) + '\n';
    static_cast<void>(write_all(to, lines));  // if nobody reads any more, so be it
  }
  if (!text.empty()) static_cast<void>(write_all(to, json_log_line(text) + '\n'));
  ::close(from);
}

}  // namespace

std::string json_log_line(std::string_view line) {
  if (!line.empty() && line.front() == '{' && Json::accept(line)) return std::string(line);
  const bool warns = line.find("warning") != std::string_view::npos;
  Json json{{"severity", warns ? "WARNING" : "INFO"}, {"message", std::string(line)}};
  if (starts_with(line, "metric ")) json["metric"] = words_of(line);
  if (starts_with(line, "result: ")) json["result"] = words_of(line);
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string json_error_line(std::string_view line) {
  const Json json{{"severity", "ERROR"}, {"message", std::string(line)}};
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

void JsonLog::begin(Stream& stream) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) fail_system("pipe2", errno);
  stream.original = ::fcntl(stream.descriptor, F_DUPFD_CLOEXEC, 3);
  if (stream.original < 0 || ::dup2(ends[1], stream.descriptor) < 0) {
    const int error = errno;
    ::close(ends[0]);
    ::close(ends[1]);
    fail_system("cannot redirect output", error);
  }
  ::close(ends[1]);
  stream.reader = std::thread([from = ends[0], to = stream.original] { copy_lines(from, to); });
}

/// The reader sees the end once nothing writes into its pipe any more.
void JsonLog::end(Stream& stream) {
  ::dup2(stream.original, stream.descriptor);
  stream.reader.join();
  ::close(stream.original);
}

JsonLog::JsonLog() {
  std::fflush(stdout);
  begin(out_);
  try {
    begin(err_);
  } catch (...) {
    end(out_);
    throw;
  }
}

JsonLog::~JsonLog() {
  std::fflush(stdout);
  std::fflush(stderr);
  end(out_);
  end(err_);
}

}  // namespace trireme::cli
