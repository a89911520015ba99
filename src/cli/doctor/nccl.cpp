// SPDX-License-Identifier: Apache-2.0
#include "cli/doctor/nccl.hpp"

#include <dlfcn.h>

namespace trireme::cli {

NcclLibrary find_nccl(const std::string& library) {
  void* handle = ::dlopen(library.c_str(), RTLD_LAZY | RTLD_LOCAL);
  if (handle == nullptr) {
    const char* said = ::dlerror();
    return {0, said == nullptr ? library + " cannot be loaded" : said};
  }
  NcclLibrary found;
  using GetVersion = int (*)(int*);
  const auto get_version = reinterpret_cast<GetVersion>(::dlsym(handle, "ncclGetVersion"));
  if (get_version == nullptr || get_version(&found.version) != 0 || found.version <= 0)
    found = {0, library + " does not tell its version"};
  ::dlclose(handle);
  return found;
}

// Since 2.9 a minor version has two digits more.
std::string nccl_version(int version) {
  const int major = version >= 10000 ? version / 10000 : version / 1000;
  return std::to_string(major) + "." + std::to_string((version >= 10000 ? version % 10000 : version % 1000) / 100) +
         "." + std::to_string(version % 100);
}

}  // namespace trireme::cli
