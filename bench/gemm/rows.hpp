// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace trireme::bench {

/// Registers gemm/<shape>/<instruction set> for the products that the models make, and the same of another library.
/// `--benchmark_filter=gemm --benchmark_enable_random_interleaving --benchmark_repetitions=9` compares them on a machine that
/// others use too; OPENBLAS_CORETYPE=Haswell in the environment chooses OpenBLAS's kernels.
void register_gemm();

}  // namespace trireme::bench
