// SPDX-License-Identifier: Apache-2.0
// What is used of cublasLt, as libcublasLt.so.12 and .13 have it: its headers are not needed to build. A test compares it with
// them where they are installed.
#pragma once

#include <cstddef>
#include <cstdint>

namespace trireme::device::cublas_lt {

using Handle = struct Context*;
using MatmulDesc = struct MatmulDescOpaque*;
using MatrixLayout = struct MatrixLayoutOpaque*;
using Preference = struct PreferenceOpaque*;
using StreamHandle = struct CUstream_st*;

struct Algorithm {
  std::uint64_t data[8];
};

struct HeuristicResult {
  Algorithm algorithm;
  std::size_t workspace_bytes;
  int state;
  float waves;
  int reserved[4];
};

constexpr int success = 0;                           // CUBLAS_STATUS_SUCCESS
constexpr int compute_f32 = 68;                      // CUBLAS_COMPUTE_32F
constexpr int cuda_r_32f = 0;                        // CUDA_R_32F
constexpr int cuda_r_16f = 2;                        // CUDA_R_16F
constexpr int cuda_r_16bf = 14;                      // CUDA_R_16BF
constexpr std::int32_t op_n = 0;                     // CUBLAS_OP_N
constexpr std::int32_t op_t = 1;                     // CUBLAS_OP_T
constexpr int desc_transa = 3;                       // CUBLASLT_MATMUL_DESC_TRANSA
constexpr int desc_transb = 4;                       // CUBLASLT_MATMUL_DESC_TRANSB
constexpr int pref_workspace = 1;                    // CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES
constexpr int pref_reduction = 3;                    // CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK
constexpr int pref_alignment_a = 5;                  // CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, then B, C, D
constexpr std::uint32_t reduction_compute_type = 2;  // CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE

/// The functions, as the library names them.
struct Functions {
  int (*create)(Handle*);
  int (*destroy)(Handle);
  std::size_t (*version)();
  const char* (*status_string)(int);
  int (*desc_create)(MatmulDesc*, int compute_type, int scale_type);
  int (*desc_destroy)(MatmulDesc);
  int (*desc_set)(MatmulDesc, int attribute, const void* value, std::size_t bytes);
  int (*layout_create)(MatrixLayout*, int type, std::uint64_t rows, std::uint64_t columns, std::int64_t stride);
  int (*layout_destroy)(MatrixLayout);
  int (*preference_create)(Preference*);
  int (*preference_destroy)(Preference);
  int (*preference_set)(Preference, int attribute, const void* value, std::size_t bytes);
  int (*heuristic)(Handle, MatmulDesc, MatrixLayout, MatrixLayout, MatrixLayout, MatrixLayout, Preference, int wanted,
                   HeuristicResult* results, int* found);
  int (*matmul)(Handle, MatmulDesc, const void* alpha, const void* a, MatrixLayout, const void* b, MatrixLayout,
                const void* beta, const void* c, MatrixLayout, void* d, MatrixLayout, const Algorithm*, void* workspace,
                std::size_t workspace_bytes, StreamHandle);
};

}  // namespace trireme::device::cublas_lt
