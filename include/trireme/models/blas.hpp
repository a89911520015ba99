// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace trireme::models {

/// What multiplies matrices in this process: library, core type and number of threads.
struct BlasInfo {
  std::string library;  ///< "OpenBLAS 0.3.21", "Eigen 3.4.0"
  std::string core;     ///< the kernels in use, which decide the bits of a product: "Haswell"
  int threads = 1;
};

BlasInfo blas_info();

/// "OpenBLAS 0.3.21, core Haswell, 1 thread": part of a checkpoint's numerics record.
std::string blas_description();

/// Settles how many threads and which kernels the BLAS uses, so that results do not depend on the launcher or on the
/// model of CPU. A program calls it first in main(), before it opens anything; a library never does: it changes the
/// process's environment and may replace the process.
/// What is set, each only where the user has not: OMP_NUM_THREADS=1, OPENBLAS_NUM_THREADS=1, and on x86 with AVX2
/// OPENBLAS_CORETYPE: SkylakeX on Intel cores with AVX-512, Haswell elsewhere: the fastest kernels for the shapes of
/// training. Ranks on unlike CPUs compute unlike bits; set OPENBLAS_CORETYPE=Haswell for all of them then.
/// OpenBLAS chooses its kernels while it is being loaded, before main(): only when it has chosen others does the
/// program execute itself anew (with the same arguments, once: TRIREME_BLAS_SETTLED marks the second
/// start and is removed again). Where that fails the program goes on with the kernels it has; blas_info() tells.
/// `argv` is main()'s.
void settle_blas_environment(char** argv);

}  // namespace trireme::models
