// SPDX-License-Identifier: Apache-2.0
#include "gemm/other_gemm.hpp"

#include <cblas.h>

#include <cctype>

namespace trireme::bench {
namespace {

CBLAS_TRANSPOSE form_of(const kernels::GemmFactor& factor) { return factor.transposed ? CblasTrans : CblasNoTrans; }

void multiply(const kernels::GemmCall& call) {
  const auto extent = [](std::size_t count) { return static_cast<blasint>(count); };
  cblas_sgemm(CblasRowMajor, form_of(call.a), form_of(call.b), extent(call.m), extent(call.n), extent(call.k), 1.0f,
              static_cast<const float*>(call.a.data), extent(call.a.stride), static_cast<const float*>(call.b.data),
              extent(call.b.stride), 0.0f, static_cast<float*>(call.c), extent(call.c_stride));
}

}  // namespace

OtherGemm other_gemm() {
  openblas_set_num_threads(1);
  return multiply;
}

std::string other_gemm_name() {
  std::string name = std::string("openblas_") + openblas_get_corename();
  for (char& letter : name) letter = static_cast<char>(std::tolower(static_cast<unsigned char>(letter)));
  return name;
}

}  // namespace trireme::bench
