// SPDX-License-Identifier: Apache-2.0
#include "cli/train/steps_trace.hpp"

#include "trireme/base/error.hpp"
#include "trireme/telemetry/chrome_trace.hpp"

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <span>
#include <utility>

namespace trireme::cli {

std::string trace_path(const std::string& file, int rank, int world) {
  if (world == 1) return file;
  std::filesystem::path path(file);
  const std::string extension = path.extension().string();
  path.replace_extension();
  return path.string() + ".rank" + std::to_string(rank) + extension;
}

StepsTrace::StepsTrace(const std::optional<std::string>& file, int rank, int world, std::string host)
    : rank_(rank), host_(std::move(host)) {
  if (!file) return;
  path_ = trace_path(*file, rank, world);
  errno = 0;
  file_.open(path_, std::ios::binary | std::ios::trunc);
  // In the words of the flag: what all ranks say alike is shown once.
  if (!file_) {
    fail(ErrorCode::invalid_argument,
         "--trace: cannot write " + *file + ": " + std::strerror(errno == 0 ? EIO : errno));
  }
  recorder_.emplace();
}

void StepsTrace::agree_on_origin(Communicator communicator) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  std::array<std::int64_t, 1> origin{std::chrono::duration_cast<std::chrono::nanoseconds>(now).count()};
  communicator.broadcast(std::span<std::int64_t>(origin), 0, {.label = "origin of traces"});
  origin_unix_ns_ = origin[0];
}

StepsTrace::~StepsTrace() {
  if (!recorder_) return;
  try {
    const std::string said = write();
    std::fwrite(said.data(), 1, said.size(), stderr);
  } catch (...) {  // no memory for the text: the file is not whole, and training is not concerned
  }
}

/// Empty, or a line that says what went wrong or is missing.
std::string StepsTrace::write() {
  errno = 0;
  telemetry::write_chrome_trace(file_, *recorder_, {.rank = rank_, .host = host_, .origin_unix_ns = origin_unix_ns_});
  if (file_) file_.flush();
  const int reason = errno;  // of what failed last: behind it nothing is written
  file_.close();
  if (!file_) {
    return "trireme train: --trace: " + path_ +
           " could not be written completely: " + std::strerror(reason == 0 ? EIO : reason) + "\n";
  }
  if (recorder_->dropped() == 0) return {};
  return "trireme train: --trace: " + path_ + " has the first " + std::to_string(recorder_->capacity()) + " events; " +
         std::to_string(recorder_->dropped()) + " later ones are missing\n";
}

}  // namespace trireme::cli
