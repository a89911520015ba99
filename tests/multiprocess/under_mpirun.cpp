// SPDX-License-Identifier: Apache-2.0
#include "multiprocess/under_mpirun.hpp"

#include <catch2/catch.hpp>

#include <cstdlib>
#include <filesystem>
#include <sstream>

#include <unistd.h>

namespace trireme::testing {

std::optional<std::string> program_in_path(std::initializer_list<const char*> names) {
  const char* path = std::getenv("PATH");
  for (const char* name : names) {
    std::istringstream folders(path != nullptr ? path : "");
    for (std::string folder; std::getline(folders, folder, ':');) {
      const std::string file = folder + "/" + name;
      if (::access(file.c_str(), X_OK) == 0) return file;
    }
  }
  return std::nullopt;
}

std::optional<std::string> mpirun() { return program_in_path({"mpirun.openmpi", "mpirun"}); }

bool can_run() {
  const bool has_module = std::filesystem::exists(std::filesystem::path(TRIREME_PROGRAM).parent_path() /
                                                  "../lib/trireme/libtrireme_mpi.so");
  if (mpirun() && has_module) return true;
  WARN((mpirun() ? "built without MPI" : "no mpirun in PATH") << ": scripts/bootstrap --peers installs it; skipped");
  return false;
}

Words under_mpirun(int ranks, const Words& program, const Words& flags) {
  Words words{"-np", std::to_string(ranks), "--allow-run-as-root", "--oversubscribe"};
  words.insert(words.end(), flags.begin(), flags.end());
  words.insert(words.end(), program.begin(), program.end());
  return words;
}

Variables with_engine(const std::string& engine, Variables more) {
  more["TRIREME_ENGINE"] = engine;
  more["ASAN_OPTIONS"] = "detect_leaks=0";  // MPI's own
  return more;
}

Result run_mpi(int ranks, const Words& program, const Variables& environment, const Words& flags) {
  return Launched(under_mpirun(ranks, program, flags), environment, mpirun().value()).wait(longest_run);
}

std::size_t times(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

}  // namespace trireme::testing
