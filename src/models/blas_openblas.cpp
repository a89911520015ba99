// SPDX-License-Identifier: Apache-2.0
#include "trireme/models/blas.hpp"

#include "models/blas_library.hpp"

#include <cblas.h>

namespace trireme::models {

BlasInfo blas_info() {
  // "OpenBLAS 0.3.21 NO_LAPACKE DYNAMIC_ARCH …": the first two words are the name.
  const std::string config = openblas_get_config();
  const std::size_t end = config.find(' ', config.find(' ') + 1);
  return {config.substr(0, end), openblas_get_corename(), openblas_get_num_threads()};
}

const char* wanted_blas_core() noexcept {
#if defined(__x86_64__)
  // Measured on shapes of training: the AVX-512 kernels are 1.6 times faster than the AVX2 ones on Intel server cores, and
  // slower on AMD's Zen 4, which issues 512-bit operations over two halves.
  if (__builtin_cpu_is("intel") && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl")) {
    return "SkylakeX";
  }
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return "Haswell";
#endif
  return nullptr;
}

void use_one_blas_thread() noexcept { openblas_set_num_threads(1); }

}  // namespace trireme::models
