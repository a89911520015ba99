// SPDX-License-Identifier: Apache-2.0
#include "device/gemm/cublas_lt_library.hpp"

#include "trireme/base/error.hpp"

#include <string>
#include <vector>

#include <dlfcn.h>

namespace trireme::device::cublas_lt {
namespace {

/// The name of the first function that is missing; empty: none.
std::string find_functions(void* handle, Functions& f) {
  std::string missing;
  const auto find = [&](auto& function, const char* name) {
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(::dlsym(handle, name));
    if (function == nullptr && missing.empty()) missing = name;
  };
  find(f.create, "cublasLtCreate");
  find(f.destroy, "cublasLtDestroy");
  find(f.version, "cublasLtGetVersion");
  find(f.status_string, "cublasLtGetStatusString");
  find(f.desc_create, "cublasLtMatmulDescCreate");
  find(f.desc_destroy, "cublasLtMatmulDescDestroy");
  find(f.desc_set, "cublasLtMatmulDescSetAttribute");
  find(f.layout_create, "cublasLtMatrixLayoutCreate");
  find(f.layout_destroy, "cublasLtMatrixLayoutDestroy");
  find(f.preference_create, "cublasLtMatmulPreferenceCreate");
  find(f.preference_destroy, "cublasLtMatmulPreferenceDestroy");
  find(f.preference_set, "cublasLtMatmulPreferenceSetAttribute");
  find(f.heuristic, "cublasLtMatmulAlgoGetHeuristic");
  find(f.matmul, "cublasLtMatmul");
  return missing;
}

struct Attempt {
  Library loaded{};
  std::string failure{};
};

Attempt attempt(const std::string& file) {
  const std::vector<std::string> files = file.empty()
                                             ? std::vector<std::string>{"libcublasLt.so.13", "libcublasLt.so.12"}
                                             : std::vector<std::string>{file};
  Attempt made;
  for (const std::string& each : files) {
    void* handle = ::dlopen(each.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (handle == nullptr) {
      const char* said = ::dlerror();
      made.failure += (made.failure.empty() ? "" : "; ") + std::string(said == nullptr ? each.c_str() : said);
      continue;
    }
    made.loaded.handle = std::shared_ptr<void>(handle, [](void* opened) { ::dlclose(opened); });
    const std::string missing = find_functions(handle, made.loaded.functions);
    made.failure = missing.empty() ? "" : each + " has no " + missing;
    if (missing.empty()) return made;
    made.loaded = {};
  }
  return made;
}

}  // namespace

std::string why_not(const std::string& file) {
  const Attempt made = attempt(file);
  if (made.failure.empty()) return {};
  return "cublasLt cannot be loaded (" + made.failure +
         "): install cuBLAS of CUDA 12 or 13 (package libcublas), or put the folder of libcublasLt.so on LD_LIBRARY_PATH";
}

Library load_library(const std::string& file) {
  Attempt made = attempt(file);
  if (!made.failure.empty()) fail(ErrorCode::unsupported, why_not(file));
  return std::move(made.loaded);
}

}  // namespace trireme::device::cublas_lt
