// SPDX-License-Identifier: Apache-2.0
#include "cli/train/tracked_run.hpp"

#include "cli/train/small_file.hpp"
#include "trireme/base/error.hpp"
#include "trireme/checkpoint/file_system.hpp"
#include "trireme/checkpoint/local_files.hpp"

#include <cstddef>
#include <string_view>

namespace trireme::cli {
namespace {

constexpr std::size_t most_bytes = 4096;

/// An address without what may be a user and a password.
std::string server_of(const std::string& base_url) {
  const auto host = base_url.find("://") + 3;
  const auto at = base_url.rfind('@');
  return at == std::string::npos ? base_url : base_url.substr(0, host) + base_url.substr(at + 1);
}

std::string kept_run(const std::string& folder, const std::string& server) {
  const auto files = checkpoint::local_files();
  const std::string path = folder + "/" + tracked_run_file;
  if (!files->size(path)) return "";
  const auto bytes = checkpoint::read_file(*files, path, most_bytes);
  const std::string_view note(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const std::string first = server + "\n";
  if (note.substr(0, first.size()) != first || note.back() != '\n') return "";
  const std::string run(note.substr(first.size(), note.size() - first.size() - 1));
  return run.find('\n') == std::string::npos ? run : "";
}

void keep_run(const std::string& folder, const std::string& server, const std::string& run) {
  replace_file(*checkpoint::local_files(), folder, tracked_run_file, server + "\n" + run + "\n");
}

}  // namespace

void follow_run(tracking::MlflowSettings& settings, const std::string& folder, bool goes_on, const Log& log) {
  if (!settings.run_id.empty()) return;
  const std::string server = server_of(settings.base_url);
  if (goes_on) {
    try {
      settings.earlier_run_id = kept_run(folder, server);
    } catch (const Exception& failure) {
      log(LogLevel::warning, "MLflow: " + failure.error().message + ": a new run is begun");
    }
  }
  settings.on_own_run = [folder, server, log](const std::string& run) {
    try {
      keep_run(folder, server, run);
    } catch (const Exception& failure) {
      log(LogLevel::warning, "MLflow: " + failure.error().message + ": a job that goes on will begin a new run");
    }
  };
}

}  // namespace trireme::cli
