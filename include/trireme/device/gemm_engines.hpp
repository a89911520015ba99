// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/device/gemm.hpp"

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

namespace trireme::device {

/// Our own kernel, for any runtime: each thread has 4 x 4 elements of C. Plain, and far from what a GPU can do.
/// Order: that of kernels/gemm on the host, bit by bit: k in blocks of 1024, a block the chain fma(a, b, sum) from +0 in
///        ascending order, the blocks added in order; alpha and beta as separate operations, unless 1 and 0. So a row's bits
///        do not depend on the other rows.
std::unique_ptr<MatrixProduct> own_matrix_product();
/// Appends its kernels, for Runtime::load().
void own_gemm_kernels(std::vector<const KernelEntry*>& kernels);

struct CublasLtOptions {
  std::size_t workspace_bytes = std::size_t{32} << 20;
  std::string file{};  ///< of the library; empty: libcublasLt.so.13, then .12, where the loader looks
};

/// NVIDIA's cublasLt, loaded now. For each shape it is asked once which algorithm it holds for the fastest, and that is
/// kept; none is measured. Partial sums of a split k are f32 in the workspace, never added in place.
/// Errors: unsupported, saying what to install, where the library is missing or lacks a function; device.
std::unique_ptr<MatrixProduct> cublas_lt_matrix_product(std::shared_ptr<Runtime> runtime, int device,
                                                        const CublasLtOptions& options = {});

/// cublasLt on CUDA's devices where it is installed, otherwise our own.
std::unique_ptr<MatrixProduct> matrix_product(const std::shared_ptr<Runtime>& runtime, int device);

}  // namespace trireme::device
