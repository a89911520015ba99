// SPDX-License-Identifier: Apache-2.0
// Settles its BLAS as every program does, then prints what came of it.
#include "trireme/models/blas.hpp"

#include <cstdio>
#include <cstdlib>

int main(int argc, char** argv) {
  trireme::models::settle_blas_environment(argv);
  for (int i = 1; i < argc; ++i) std::printf("argument %s\n", argv[i]);
  std::printf("%s\n", trireme::models::blas_description().c_str());
  for (const char* name : {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OPENBLAS_CORETYPE", "TRIREME_BLAS_SETTLED"}) {
    const char* value = std::getenv(name);
    std::printf("%s=%s\n", name, value != nullptr ? value : "(unset)");
  }
}
