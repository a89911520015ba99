// SPDX-License-Identifier: Apache-2.0
#include "device/gemm/checked.hpp"
#include "device/gemm/cublas_lt_library.hpp"
#include "trireme/base/error.hpp"
#include "trireme/device/gemm_engines.hpp"
#include "trireme/device/owned.hpp"

#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <utility>

namespace trireme::device {
namespace {

using namespace cublas_lt;

/// What of a call decides how it is computed. The library's matrices are column-major: it computes the transpose of C, as
/// the product of the transposes of B and A in this order.
struct Shape {
  DType input;
  std::size_t m, n, k, a_stride, b_stride, c_stride;
  bool a_transposed, b_transposed, reads_c;
  bool operator<(const Shape& other) const { return parts() < other.parts(); }
  std::tuple<DType, std::size_t, std::size_t, std::size_t, std::size_t, std::size_t, std::size_t, bool, bool, bool>
  parts() const {
    return {input, m, n, k, a_stride, b_stride, c_stride, a_transposed, b_transposed, reads_c};
  }
};

int type_of(DType dtype) { return dtype == DType::f32 ? cuda_r_32f : dtype == DType::bf16 ? cuda_r_16bf : cuda_r_16f; }

/// A descriptor of the library's, destroyed with its owner.
template <class T>
class Owned {
 public:
  Owned(T value, int (*destroy)(T)) : value_(value), destroy_(destroy) {}
  Owned(Owned&& other) noexcept : value_(std::exchange(other.value_, nullptr)), destroy_(other.destroy_) {}
  Owned& operator=(Owned&&) = delete;
  ~Owned() {
    if (value_ != nullptr) destroy_(value_);
  }
  T get() const { return value_; }

 private:
  T value_;
  int (*destroy_)(T);
};

/// How a shape is computed, for good.
struct Recipe {
  Owned<MatmulDesc> operation;
  Owned<MatrixLayout> first, second, result;  // as the library counts: B, A, C
  Algorithm algorithm;
};

class CublasLtProduct final : public MatrixProduct {
 public:
  CublasLtProduct(std::shared_ptr<Runtime> runtime, int device, const CublasLtOptions& options)
      : library_(load_library(options.file)), device_(device), workspace_(runtime, device, options.workspace_bytes) {
    runtime->make_current(device_);
    expect(library_.functions.create(&handle_), "cublasLtCreate");
  }
  ~CublasLtProduct() override {
    recipes_.clear();
    library_.functions.destroy(handle_);
  }

  std::string_view name() const noexcept override { return "cublasLt"; }

  void run(const GemmCall& call, Queue queue) override {
    check(call);
    if (call.m == 0 || call.n == 0) return;
    if (call.k == 0) return without_terms(call, queue);
    queue.runtime.make_current(device_);
    const Recipe& recipe = recipe_for({call.input, call.m, call.n, call.k, call.a.stride, call.b.stride, call.c_stride,
                                       call.a.transposed, call.b.transposed, call.beta != 0.0f});
    expect(library_.functions.matmul(handle_, recipe.operation.get(), &call.alpha, call.b.data, recipe.first.get(),
                                     call.a.data, recipe.second.get(), &call.beta, call.c, recipe.result.get(), call.c,
                                     recipe.result.get(), &recipe.algorithm, workspace_.data(), workspace_.size_bytes(),
                                     static_cast<StreamHandle>(queue.stream.pointer)),
           "cublasLtMatmul");
  }

 private:
  /// The library asks for matrices that have elements.
  static void without_terms(const GemmCall& call, Queue queue) { own_matrix_product()->run(call, queue); }

  void expect(int status, const char* call) const {
    if (status == success) return;
    const char* said = library_.functions.status_string(status);
    fail(ErrorCode::device, std::string(call) + " on device " + std::to_string(device_) + ": " +
                                (said == nullptr ? "status " + std::to_string(status) : said));
  }

  const Recipe& recipe_for(const Shape& shape) {
    if (const auto found = recipes_.find(shape); found != recipes_.end()) return found->second;
    return recipes_.emplace(shape, make_recipe(shape)).first->second;
  }

  Owned<MatrixLayout> layout(int type, std::size_t rows, std::size_t columns, std::size_t stride) const {
    MatrixLayout made = nullptr;
    expect(library_.functions.layout_create(&made, type, rows, columns, static_cast<std::int64_t>(stride)),
           "cublasLtMatrixLayoutCreate");
    return {made, library_.functions.layout_destroy};
  }

  Owned<MatrixLayout> layout(int type, std::size_t rows, std::size_t columns, std::size_t stride,
                             bool transposed) const {
    return transposed ? layout(type, rows, columns, stride) : layout(type, columns, rows, stride);
  }

  Recipe make_recipe(const Shape& shape) const {
    const Functions& f = library_.functions;
    MatmulDesc made = nullptr;
    expect(f.desc_create(&made, compute_f32, cuda_r_32f), "cublasLtMatmulDescCreate");
    Owned<MatmulDesc> operation{made, f.desc_destroy};
    const std::int32_t first_form = shape.b_transposed ? op_t : op_n;
    const std::int32_t second_form = shape.a_transposed ? op_t : op_n;
    expect(f.desc_set(operation.get(), desc_transa, &first_form, sizeof first_form), "cublasLtMatmulDescSetAttribute");
    expect(f.desc_set(operation.get(), desc_transb, &second_form, sizeof second_form),
           "cublasLtMatmulDescSetAttribute");
    const int type = type_of(shape.input);
    Recipe recipe{std::move(operation),
                  layout(type, shape.k, shape.n, shape.b_stride, shape.b_transposed),
                  layout(type, shape.m, shape.k, shape.a_stride, shape.a_transposed),
                  layout(cuda_r_32f, shape.n, shape.m, shape.c_stride),
                  {}};
    recipe.algorithm = chosen(recipe, shape);
    return recipe;
  }

  Algorithm chosen(const Recipe& recipe, const Shape& shape) const {
    const Functions& f = library_.functions;
    Preference made = nullptr;
    expect(f.preference_create(&made), "cublasLtMatmulPreferenceCreate");
    const Owned<Preference> preference{made, f.preference_destroy};
    const auto prefer = [&](int attribute, auto value) {
      expect(f.preference_set(preference.get(), attribute, &value, sizeof value),
             "cublasLtMatmulPreferenceSetAttribute");
    };
    prefer(pref_workspace, static_cast<std::uint64_t>(workspace_.size_bytes()));
    prefer(pref_reduction, reduction_compute_type);
    // That of every call, so that addresses choose nothing.
    for (int matrix = 0; matrix < 4; ++matrix) prefer(pref_alignment_a + matrix, std::uint32_t{16});
    HeuristicResult best{};
    int found = 0;
    expect(f.heuristic(handle_, recipe.operation.get(), recipe.first.get(), recipe.second.get(), recipe.result.get(),
                       recipe.result.get(), preference.get(), 1, &best, &found),
           "cublasLtMatmulAlgoGetHeuristic");
    if (found < 1 || best.state != success) {
      fail(ErrorCode::unsupported, "cublasLt on device " + std::to_string(device_) +
                                       " has no algorithm for a product of " + std::to_string(shape.m) + " x " +
                                       std::to_string(shape.k) + " by " + std::to_string(shape.k) + " x " +
                                       std::to_string(shape.n) + " of " + std::string(name_of(shape.input)));
    }
    return best.algorithm;
  }

  Library library_;
  int device_;
  Buffer workspace_;
  Handle handle_ = nullptr;
  std::map<Shape, Recipe> recipes_;
};

}  // namespace

std::unique_ptr<MatrixProduct> cublas_lt_matrix_product(std::shared_ptr<Runtime> runtime, int device,
                                                        const CublasLtOptions& options) {
  return std::make_unique<CublasLtProduct>(std::move(runtime), device, options);
}

std::unique_ptr<MatrixProduct> matrix_product(const std::shared_ptr<Runtime>& runtime, int device) {
  if (runtime->name() == "cuda" && why_not({}).empty()) return cublas_lt_matrix_product(runtime, device);
  return own_matrix_product();
}

}  // namespace trireme::device
