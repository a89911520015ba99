// SPDX-License-Identifier: Apache-2.0
#include "trireme/models/blas.hpp"

#include "models/blas_library.hpp"

#include <cstdlib>

#include <unistd.h>

namespace trireme::models {
namespace {

/// Replaces the process by a new start of the same program; returns where that is not possible.
void execute_again(char** argv) {
  // Through its real path: executed as /proc/self/exe, the process would be named "exe".
  char path[4096];
  const ssize_t length = ::readlink("/proc/self/exe", path, sizeof path - 1);
  if (length > 0) {
    path[length] = '\0';
    ::execv(path, argv);
  }
  ::execv("/proc/self/exe", argv);
}

}  // namespace

std::string blas_description() {
  const BlasInfo info = blas_info();
  return info.library + ", core " + info.core + ", " + std::to_string(info.threads) +
         (info.threads == 1 ? " thread" : " threads");
}

void settle_blas_environment(char** argv) {
  constexpr const char* settled = "TRIREME_BLAS_SETTLED";
  constexpr int keep = 0;
  const bool second_start = std::getenv(settled) != nullptr;
  ::unsetenv(settled);

  ::setenv("OMP_NUM_THREADS", "1", keep);
  if (std::getenv("OPENBLAS_NUM_THREADS") == nullptr) {
    ::setenv("OPENBLAS_NUM_THREADS", "1", keep);
    use_one_blas_thread();  // the library read its environment before main()
  }
  const char* wanted = wanted_blas_core();
  if (wanted == nullptr || std::getenv("OPENBLAS_CORETYPE") != nullptr) return;
  ::setenv("OPENBLAS_CORETYPE", wanted, keep);
  if (second_start || blas_info().core == wanted) return;
  ::setenv(settled, "1", keep);
  execute_again(argv);
  ::unsetenv(settled);  // still here: no /proc, or not allowed
}

}  // namespace trireme::models
