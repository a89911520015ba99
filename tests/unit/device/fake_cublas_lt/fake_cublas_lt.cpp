// SPDX-License-Identifier: Apache-2.0
// A cublasLt of a few lines that computes on host memory, at once: what loads it and calls it is tested without a GPU. It keeps
// the last call's descriptors' contents and fails on request; tests find its counters by name.
#include "device/gemm/cublas_lt_api.hpp"

#include <cstring>

using namespace trireme::device::cublas_lt;

namespace trireme::device::cublas_lt {

struct Context {};
struct MatmulDescOpaque {
  std::int32_t forms[2]{};
};
struct MatrixLayoutOpaque {
  int type;
  std::size_t rows, columns;
  std::int64_t stride;
};
struct PreferenceOpaque {
  std::uint64_t workspace = 0;
  std::uint32_t reduction = 7;
  std::uint32_t alignments[4] = {256, 256, 256, 256};
};

}  // namespace trireme::device::cublas_lt

#define SEEN __attribute__((visibility("default")))
#define EXPORTED extern "C" SEEN

extern "C" {
SEEN int fake_open_objects = 0;
SEEN int fake_heuristic_calls = 0;
SEEN int fake_failing_status = 0;  // of the next cublasLtMatmul
SEEN int fake_algorithms = 1;
SEEN PreferenceOpaque fake_preference{};
}

namespace {

template <class T, class... Fields>
int make(T** made, Fields... fields) {
  *made = new T{fields...};
  ++fake_open_objects;
  return 0;
}
template <class T>
int destroy(T* object) {
  delete object;
  --fake_open_objects;
  return 0;
}

}  // namespace

EXPORTED int cublasLtCreate(Handle* made) { return make(made); }
EXPORTED int cublasLtDestroy(Handle handle) { return destroy(handle); }
EXPORTED std::size_t cublasLtGetVersion() { return 130000; }
EXPORTED const char* cublasLtGetStatusString(int status) {
  return status == 14 ? "an internal operation failed" : "some status";
}
EXPORTED int cublasLtMatmulDescCreate(MatmulDesc* made, int compute_type, int scale_type) {
  return compute_type == compute_f32 && scale_type == cuda_r_32f ? make(made) : 7;
}
EXPORTED int cublasLtMatmulDescDestroy(MatmulDesc desc) { return destroy(desc); }
EXPORTED int cublasLtMatmulDescSetAttribute(MatmulDesc desc, int attribute, const void* value, std::size_t bytes) {
  if ((attribute != desc_transa && attribute != desc_transb) || bytes != 4) return 7;
  std::memcpy(&desc->forms[attribute - desc_transa], value, 4);
  return 0;
}
EXPORTED int cublasLtMatrixLayoutCreate(MatrixLayout* made, int type, std::uint64_t rows, std::uint64_t columns,
                                        std::int64_t stride) {
  return make(made, type, rows, columns, stride);
}
EXPORTED int cublasLtMatrixLayoutDestroy(MatrixLayout layout) { return destroy(layout); }
EXPORTED int cublasLtMatmulPreferenceCreate(Preference* made) { return make(made); }
EXPORTED int cublasLtMatmulPreferenceDestroy(Preference preference) { return destroy(preference); }
EXPORTED int cublasLtMatmulPreferenceSetAttribute(Preference preference, int attribute, const void* value,
                                                  std::size_t bytes) {
  if (attribute == pref_workspace && bytes == 8) return std::memcpy(&preference->workspace, value, 8), 0;
  if (attribute == pref_reduction && bytes == 4) return std::memcpy(&preference->reduction, value, 4), 0;
  if (attribute < pref_alignment_a || attribute > pref_alignment_a + 3 || bytes != 4) return 7;
  std::memcpy(&preference->alignments[attribute - pref_alignment_a], value, 4);
  return 0;
}
EXPORTED int cublasLtMatmulAlgoGetHeuristic(Handle, MatmulDesc, MatrixLayout, MatrixLayout, MatrixLayout, MatrixLayout,
                                            Preference preference, int wanted, HeuristicResult* results, int* found) {
  ++fake_heuristic_calls;
  fake_preference = *preference;
  *found = wanted < fake_algorithms ? wanted : fake_algorithms;
  if (*found > 0) results[0] = {{{77}}, 0, success, 1.0f, {}};
  return 0;
}
EXPORTED int cublasLtMatmul(Handle, MatmulDesc desc, const void* alpha, const void* a, MatrixLayout a_layout,
                            const void* b, MatrixLayout b_layout, const void* beta, const void*, MatrixLayout, void* d,
                            MatrixLayout d_layout, const Algorithm* algorithm, void*, std::size_t workspace_bytes,
                            StreamHandle) {
  if (fake_failing_status != 0) return fake_failing_status;
  if (algorithm->data[0] != 77 || workspace_bytes < fake_preference.workspace) return 7;
  const auto* x = static_cast<const float*>(a);
  const auto* y = static_cast<const float*>(b);
  auto* z = static_cast<float*>(d);
  const auto at = [](const float* data, MatrixLayout layout, std::int32_t form, std::size_t i, std::size_t j) {
    return form == op_t ? data[i * static_cast<std::size_t>(layout->stride) + j]
                        : data[j * static_cast<std::size_t>(layout->stride) + i];
  };
  const std::size_t k = desc->forms[0] == op_t ? a_layout->rows : a_layout->columns;
  if (k != (desc->forms[1] == op_t ? b_layout->columns : b_layout->rows)) return 7;
  for (std::size_t i = 0; i < d_layout->rows; ++i) {
    for (std::size_t j = 0; j < d_layout->columns; ++j) {
      float sum = 0;
      for (std::size_t l = 0; l < k; ++l)
        sum += at(x, a_layout, desc->forms[0], i, l) * at(y, b_layout, desc->forms[1], l, j);
      float& to = z[j * static_cast<std::size_t>(d_layout->stride) + i];
      const float factor = *static_cast<const float*>(beta);
      to = *static_cast<const float*>(alpha) * sum + (factor == 0.0f ? 0.0f : factor * to);
    }
  }
  return 0;
}
