// SPDX-License-Identifier: Apache-2.0
#include "device/gemm/cublas_lt_api.hpp"
#include "support/device_under_test.hpp"
#include "trireme/base/error.hpp"
#include "trireme/device/gemm_engines.hpp"

#include <catch2/catch.hpp>

#include <cstddef>
#include <functional>
#include <string>
#include <type_traits>
#include <vector>

#include <dlfcn.h>

#if defined(TRIREME_HAS_CUBLAS_LT_HEADER)
#include <cublasLt.h>
#endif

using namespace trireme;

namespace {

const std::string fake_library = TRIREME_FAKE_CUBLAS_LT;

int& counter(const char* name) {
  static void* const handle = ::dlopen(fake_library.c_str(), RTLD_NOW | RTLD_LOCAL);
  return *static_cast<int*>(::dlsym(handle, name));
}

struct Operands {
  device::Buffer a, b, c;
  Operands(const std::shared_ptr<device::Runtime>& runtime, std::size_t count) {
    std::vector<float> values(count);
    for (std::size_t i = 0; i < count; ++i) values[i] = static_cast<float>(static_cast<int>(i * 7 % 11) - 5);
    a = testing::on_device<float>(runtime, values);
    b = testing::on_device<float>(runtime, values);
    c = testing::on_device<float>(runtime, values);
  }
};

std::string refusal_of(const std::function<void()>& act) {
  try {
    act();
  } catch (const trireme::Exception& refused) {
    return refused.error().message;
  }
  return {};
}

}  // namespace

TEST_CASE("cublasLt computes row-major products of every form, and is asked once per shape") {
  const auto runtime = device::emulated_runtime();
  const device::OwnedStream stream(runtime, 0);
  const auto own = device::own_matrix_product();
  const int open_before = counter("fake_open_objects");
  {
    const auto product = device::cublas_lt_matrix_product(runtime, 0, {.workspace_bytes = 4096, .file = fake_library});
    CHECK(product->name() == "cublasLt");
    for (const bool a_transposed : {false, true}) {
      for (const bool b_transposed : {false, true}) {
        INFO(a_transposed << ", " << b_transposed);
        const Operands theirs(runtime, 400), ours(runtime, 400);
        const auto call = [&](const Operands& on) {
          return device::GemmCall{.m = 5,
                                  .n = 7,
                                  .k = 6,
                                  .a = {on.a.data(), a_transposed ? 8u : 9u, a_transposed},
                                  .b = {on.b.data(), b_transposed ? 10u : 12u, b_transposed},
                                  .c = reinterpret_cast<float*>(on.c.data()),
                                  .c_stride = 11,
                                  .alpha = 2.0f,
                                  .beta = -1.0f};
        };
        const int asked = counter("fake_heuristic_calls");
        product->run(call(theirs), stream.queue());  // the fake computes at once
        CHECK(counter("fake_heuristic_calls") == asked + 1);
        own->run(call(ours), stream.queue());
        CHECK(testing::to_host<float>(*runtime, theirs.c.data(), 400, stream.get()) ==
              testing::to_host<float>(*runtime, ours.c.data(), 400, stream.get()));
        product->run(call(theirs), stream.queue());
        CHECK(counter("fake_heuristic_calls") == asked + 1);
      }
    }
  }
  CHECK(counter("fake_open_objects") == open_before);
}

TEST_CASE("a product without terms asks cublasLt nothing") {
  const auto runtime = device::emulated_runtime();
  const device::OwnedStream stream(runtime, 0);
  const auto product = device::cublas_lt_matrix_product(runtime, 0, {.workspace_bytes = 64, .file = fake_library});
  const Operands on(runtime, 16);
  const int asked = counter("fake_heuristic_calls");
  product->run({.m = 4, .n = 4, .k = 0, .c = reinterpret_cast<float*>(on.c.data()), .c_stride = 4}, stream.queue());
  CHECK(testing::to_host<float>(*runtime, on.c.data(), 16, stream.get()) == std::vector<float>(16));
  CHECK(counter("fake_heuristic_calls") == asked);
}

TEST_CASE("what cublasLt refuses is an error that names the call, and the shape") {
  const auto runtime = device::emulated_runtime();
  const device::OwnedStream stream(runtime, 0);
  const auto product = device::cublas_lt_matrix_product(runtime, 0, {.workspace_bytes = 64, .file = fake_library});
  const Operands on(runtime, 64);
  const device::GemmCall call{.m = 2,
                              .n = 4,
                              .k = 3,
                              .a = {on.a.data(), 4},
                              .b = {on.b.data(), 4},
                              .c = reinterpret_cast<float*>(on.c.data()),
                              .c_stride = 4};
  counter("fake_failing_status") = 14;
  CHECK(refusal_of([&] { product->run(call, stream.queue()); }) ==
        "cublasLtMatmul on device 0: an internal operation failed");
  counter("fake_failing_status") = 0;
  counter("fake_algorithms") = 0;
  device::GemmCall other = call;
  other.m = 3;
  CHECK(refusal_of([&] { product->run(other, stream.queue()); }) ==
        "cublasLt on device 0 has no algorithm for a product of 3 x 3 by 3 x 4 of f32");
  counter("fake_algorithms") = 1;
}

TEST_CASE("a cublasLt that is not there, or is something else, is refused with what to install") {
  const auto runtime = device::emulated_runtime();
  const std::string missing =
      refusal_of([&] { device::cublas_lt_matrix_product(runtime, 0, {.file = "/nowhere/libcublasLt.so"}); });
  CHECK_THAT(missing, Catch::Matchers::StartsWith("cublasLt cannot be loaded (/nowhere/libcublasLt.so"));
  CHECK_THAT(missing, Catch::Matchers::Contains("install cuBLAS"));
  const std::string other = refusal_of([&] { device::cublas_lt_matrix_product(runtime, 0, {.file = "libm.so.6"}); });
  CHECK_THAT(other, Catch::Matchers::Contains("libm.so.6 has no cublasLtCreate"));
  CHECK(device::matrix_product(runtime, 0)->name() == "own");
}

#if defined(TRIREME_HAS_CUBLAS_LT_HEADER)
namespace {
using namespace device::cublas_lt;
static_assert(sizeof(Algorithm) == sizeof(cublasLtMatmulAlgo_t));
static_assert(sizeof(HeuristicResult) == sizeof(cublasLtMatmulHeuristicResult_t));
static_assert(offsetof(HeuristicResult, workspace_bytes) == offsetof(cublasLtMatmulHeuristicResult_t, workspaceSize));
static_assert(offsetof(HeuristicResult, state) == offsetof(cublasLtMatmulHeuristicResult_t, state));
static_assert(success == CUBLAS_STATUS_SUCCESS && compute_f32 == CUBLAS_COMPUTE_32F);
static_assert(cuda_r_32f == CUDA_R_32F && cuda_r_16f == CUDA_R_16F && cuda_r_16bf == CUDA_R_16BF);
static_assert(op_n == CUBLAS_OP_N && op_t == CUBLAS_OP_T);
static_assert(desc_transa == CUBLASLT_MATMUL_DESC_TRANSA && desc_transb == CUBLASLT_MATMUL_DESC_TRANSB);
static_assert(pref_workspace == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES);
static_assert(pref_reduction == CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK);
static_assert(pref_alignment_a == CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES);
static_assert(pref_alignment_a + 3 == CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES);
static_assert(reduction_compute_type == CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE);
static_assert(sizeof(cublasComputeType_t) == sizeof(int) && sizeof(cublasStatus_t) == sizeof(int) &&
              sizeof(cudaDataType_t) == sizeof(int) && sizeof(cublasLtMatmulDescAttributes_t) == sizeof(int));
/// Each of ours takes what the library's takes, in this order.
static_assert(std::is_invocable_v<decltype(&::cublasLtMatmul), cublasLtHandle_t, cublasLtMatmulDesc_t, const void*,
                                  const void*, cublasLtMatrixLayout_t, const void*, cublasLtMatrixLayout_t, const void*,
                                  const void*, cublasLtMatrixLayout_t, void*, cublasLtMatrixLayout_t,
                                  const cublasLtMatmulAlgo_t*, void*, std::size_t, cudaStream_t>);
static_assert(
    std::is_invocable_v<decltype(&::cublasLtMatmulAlgoGetHeuristic), cublasLtHandle_t, cublasLtMatmulDesc_t,
                        cublasLtMatrixLayout_t, cublasLtMatrixLayout_t, cublasLtMatrixLayout_t, cublasLtMatrixLayout_t,
                        cublasLtMatmulPreference_t, int, cublasLtMatmulHeuristicResult_t*, int*>);
static_assert(std::is_invocable_v<decltype(&::cublasLtMatrixLayoutCreate), cublasLtMatrixLayout_t*, cudaDataType_t,
                                  std::uint64_t, std::uint64_t, std::int64_t>);
}  // namespace
#endif

TEST_CASE("our declarations of cublasLt are the header's") {
#if !defined(TRIREME_HAS_CUBLAS_LT_HEADER)
  WARN("skipped: there is no cublasLt.h to compare with");
#endif
  SUCCEED("compared by the compiler");
}
