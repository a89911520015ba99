// SPDX-License-Identifier: Apache-2.0
#include "cli/run/rank_output.hpp"

#include "trireme/base/error.hpp"

#include <nlohmann/json.hpp>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include <fcntl.h>
#include <unistd.h>

namespace trireme::cli {

namespace {
constexpr std::size_t longest_last_line = 16384;  // more than is shown: a secret in it is whole when it is looked for

/// Of a rank that logs JSON (--log-format json), what it says in a line.
std::string message_of(std::string_view line) {
  const auto json = nlohmann::json::parse(line, nullptr, false);
  const bool has_message = json.is_object() && json.contains("message") && json["message"].is_string();
  return has_message ? json["message"].get<std::string>() + "\n" : std::string(line);
}

}  // namespace

RankOutput::RankOutput(int rank, Stream stream, Descriptor pipe, Descriptor log, const Console& console)
    : RankOutput(rank, "rank " + std::to_string(rank), stream, std::move(pipe), std::move(log),
                 LineSplitter(rank, console.terminal(stream))) {}

RankOutput::RankOutput(const std::string& label, Stream stream, Descriptor pipe, Descriptor log, const Console& console)
    : RankOutput(-1, label, stream, std::move(pipe), std::move(log), LineSplitter(label, console.terminal(stream))) {}

RankOutput::RankOutput(int rank, std::string who, Stream stream, Descriptor pipe, Descriptor log, LineSplitter lines)
    : rank_(rank),
      who_(std::move(who)),
      stream_(stream),
      pipe_(std::move(pipe)),
      log_(std::move(log)),
      lines_(std::move(lines)) {
  int flags = ::fcntl(pipe_.get(), F_GETFL);
  if (flags < 0 || ::fcntl(pipe_.get(), F_SETFL, flags | O_NONBLOCK) != 0) fail_system("fcntl O_NONBLOCK", errno);
}

void RankOutput::read(Console& console) {
  if (console.sink(stream_).reader_gone() && !log_.is_open()) {
    pipe_.close();  // the rank meets what it would meet without us: a pipe that nobody reads
    return;
  }
  char buffer[LineSplitter::longest];
  ssize_t count = ::read(pipe_.get(), buffer, sizeof buffer);
  if (count < 0 && (errno == EINTR || errno == EAGAIN)) return;
  if (count <= 0) {
    close(console);
    return;
  }
  std::string_view bytes(buffer, static_cast<std::size_t>(count));
  write_log(bytes, console);
  lines_.feed(bytes, [&](const LineSplitter::Piece& piece) { show(piece, console); });
}

void RankOutput::close(Console& console) {
  if (!open()) return;
  lines_.finish([&](const LineSplitter::Piece& piece) { show(piece, console); });
  pipe_.close();
  log_.close();
}

void RankOutput::show(const LineSplitter::Piece& piece, Console& console) {
  const std::string_view text = piece.text;
  const auto prefix = text.find("] ");
  const bool is_object = !text.empty() && text.front() == '{';  // no label before it
  const bool is_line = stream_ == Stream::err && !piece.progress && (is_object || prefix != std::string_view::npos);
  const std::string said = !is_line    ? std::string()
                           : is_object ? message_of(text)
                                       : std::string(text.substr(prefix + 2));
  if (said.size() > 1) last_line_ = said.substr(0, longest_last_line);
  while (!last_line_.empty() && last_line_.back() == '\n') last_line_.pop_back();
  if (is_line && console.repetitions().contains(who_, rank_, said)) return;
  console.show(stream_, piece);
}

void RankOutput::write_log(std::string_view bytes, Console& console) {
  while (log_.is_open() && !bytes.empty()) {
    ssize_t count = ::write(log_.get(), bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      std::string line = "trireme run: the log of " + who_ + " ends here: " + std::strerror(errno) + "\n";
      console.show(Stream::err, {false, line});
      log_.close();
      return;
    }
    bytes.remove_prefix(static_cast<std::size_t>(count));
  }
}

Descriptor open_rank_log(const std::string& directory, int rank, Stream stream) {
  return open_log(directory, "rank-" + std::to_string(rank), stream);
}

Descriptor open_log(const std::string& directory, const std::string& name, Stream stream) {
  std::string path = directory + "/" + name + (stream == Stream::out ? ".out" : ".err");
  Descriptor log(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
  if (!log.is_open()) {
    fail(ErrorCode::invalid_argument, "--log-dir: cannot write '" + path + "': " + std::strerror(errno));
  }
  return log;
}

void create_log_directory(const std::string& directory) {
  std::error_code problem;
  std::filesystem::create_directories(directory, problem);
  if (problem) {
    fail(ErrorCode::invalid_argument, "--log-dir: cannot create '" + directory + "': " + problem.message());
  }
}

}  // namespace trireme::cli
