// SPDX-License-Identifier: Apache-2.0
#include "engines/mpi/module.hpp"

#include "trireme/base/error.hpp"

#include <climits>

#include <dlfcn.h>
#include <unistd.h>

namespace trireme::engines::mpi {
namespace {

constexpr const char* file_name = "libtrireme_mpi.so";

std::string folder_of_program() {
  char path[PATH_MAX];
  const ssize_t length = ::readlink("/proc/self/exe", path, sizeof path);
  if (length <= 0) return {};
  const std::string text(path, static_cast<std::size_t>(length));
  return text.substr(0, text.rfind('/'));
}

/// Null, and why in `reason`.
const trireme_mpi_table* try_module(const std::string& path, std::string& reason) {
  if (::access(path.c_str(), F_OK) != 0) {
    reason = path + " is not there";
    return nullptr;
  }
  // Global: the components that an MPI loads for itself look for its symbols among those of the whole process.
  void* handle = ::dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL | RTLD_NODELETE);
  if (handle == nullptr) {
    reason = ::dlerror();
    return nullptr;
  }
  void* symbol = ::dlsym(handle, TRIREME_MPI_TABLE_SYMBOL);
  if (symbol == nullptr) {
    reason = path + " is no MPI module of Trireme";
    return nullptr;
  }
  const auto* table = reinterpret_cast<const trireme_mpi_table* (*)()>(symbol)();
  if (table->version != TRIREME_MPI_TABLE_VERSION || table->size != sizeof(trireme_mpi_table)) {
    reason = path + " is of another version of Trireme";
    return nullptr;
  }
  return table;
}

const trireme_mpi_table* find_module(const std::string& named, std::string& reasons) {
  for (const std::string& path : module_candidates(named)) {
    std::string reason;
    if (const auto* table = try_module(path, reason)) return table;
    reasons += (reasons.empty() ? "" : "; ") + reason;
  }
  return nullptr;
}

}  // namespace

std::vector<std::string> module_candidates(const std::string& named) {
  if (!named.empty()) return {named};
  std::vector<std::string> paths;
  if (const std::string folder = folder_of_program(); !folder.empty())
    paths.push_back(folder + "/../lib/trireme/" + file_name);
  paths.push_back(std::string(TRIREME_MPI_MODULE_FOLDER) + "/" + file_name);
  return paths;
}

const trireme_mpi_table& load_module(const std::string& named) {
  std::string reasons;
  if (const auto* table = find_module(named, reasons)) return *table;
  fail(ErrorCode::unsupported,
       "no MPI module (" + reasons +
           "): install an MPI (Debian: libopenmpi-dev openmpi-bin), build Trireme with -DTRIREME_WITH_MPI=ON, or set "
           "TRIREME_MPI_MODULE to its " +
           file_name);
}

std::string why_no_module(const std::string& named) {
  std::string reasons;
  return find_module(named, reasons) != nullptr ? std::string() : reasons;
}

}  // namespace trireme::engines::mpi
