// SPDX-License-Identifier: Apache-2.0
#include "cli/run/program.hpp"

#include <sys/stat.h>
#include <unistd.h>

namespace trireme::cli {
namespace {

constexpr const char* default_path = "/usr/local/bin:/usr/bin:/bin";

enum class Found { nothing, unusable, program };

Found look_at(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return Found::nothing;
  if (S_ISDIR(status.st_mode) || ::access(path.c_str(), X_OK) != 0) return Found::unusable;
  return Found::program;
}

Program not_found(const std::string& name, bool on_path) {
  return {{}, 127, "program '" + name + (on_path ? "' not found on PATH" : "' not found")};
}

Program not_executable(const std::string& path) {
  return {{}, 126, "program '" + path + "' is not an executable file"};
}

std::string own_path() {
  char buffer[4096];
  ssize_t length = ::readlink("/proc/self/exe", buffer, sizeof buffer);
  bool whole = length > 0 && static_cast<std::size_t>(length) < sizeof buffer;
  std::string path = whole ? std::string(buffer, static_cast<std::size_t>(length)) : std::string();
  // Replaced while running, the file is gone but the link still leads to its contents.
  return look_at(path) == Found::program ? path : "/proc/self/exe";
}

}  // namespace

Program find_program(const std::string& name, const platform::Environment& environment) {
  if (name.find('/') != std::string::npos) {
    switch (look_at(name)) {
      case Found::nothing: return not_found(name, false);
      case Found::unusable: return not_executable(name);
      case Found::program: return {name, 0, {}};
    }
  }
  std::string unusable;
  std::string path = environment.find("PATH").value_or(default_path);
  for (std::size_t begin = 0; begin <= path.size();) {
    std::size_t end = path.find(':', begin);
    if (end == std::string::npos) end = path.size();
    std::string folder = path.substr(begin, end - begin);
    std::string candidate = (folder.empty() ? "." : folder) + "/" + name;  // an empty entry is the current folder
    Found found = look_at(candidate);
    if (found == Found::program) return {candidate, 0, {}};
    if (found == Found::unusable && unusable.empty()) unusable = candidate;
    begin = end + 1;
  }
  if (name == "trireme") return {own_path(), 0, {}};
  return unusable.empty() ? not_found(name, true) : not_executable(unusable);
}

}  // namespace trireme::cli
