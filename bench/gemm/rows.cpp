// SPDX-License-Identifier: Apache-2.0
#include "gemm/rows.hpp"

#include "gemm/other_gemm.hpp"
#include "kernels/gemm/gemm.hpp"

#include <benchmark/benchmark.h>

#include <cmath>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <vector>

namespace trireme::bench {
namespace {

enum class Form : unsigned char { plain_transposed, plain_plain, transposed_plain };  // forward, by x, by the weight

struct GemmRow {
  const char* name;
  Form form;
  std::size_t m, n, k;
  std::size_t a_stride = 0, b_stride = 0, c_stride = 0;  // 0: dense
};

// 784-512-512-10 at 64 rows; a transformer of 384 channels at 8 x 128 positions; convolutions of 28 x 28 and 14 x 14.
constexpr GemmRow rows[] = {
    {"mlp/forward_1", Form::plain_transposed, 64, 512, 784},
    {"mlp/weight_1", Form::transposed_plain, 512, 784, 64},
    {"mlp/input_1", Form::plain_plain, 64, 784, 512},
    {"mlp/forward_2", Form::plain_transposed, 64, 512, 512},
    {"mlp/weight_2", Form::transposed_plain, 512, 512, 64},
    {"mlp/input_2", Form::plain_plain, 64, 512, 512},
    {"mlp/forward_3", Form::plain_transposed, 64, 10, 512},
    {"mlp/weight_3", Form::transposed_plain, 10, 512, 64},
    {"mlp/input_3", Form::plain_plain, 64, 512, 10},
    {"mlp_8_rows/forward_1", Form::plain_transposed, 8, 512, 784},
    {"mlp_8_rows/weight_1", Form::transposed_plain, 512, 784, 8},
    {"mlp_8_rows/input_2", Form::plain_plain, 8, 512, 512},
    {"gpt/qkv", Form::plain_transposed, 1024, 1152, 384},
    {"gpt/projection", Form::plain_transposed, 1024, 384, 384},
    {"gpt/expand", Form::plain_transposed, 1024, 1536, 384},
    {"gpt/contract", Form::plain_transposed, 1024, 384, 1536},
    {"gpt/qkv_input", Form::plain_plain, 1024, 384, 1152},
    {"gpt/expand_input", Form::plain_plain, 1024, 384, 1536},
    {"gpt/contract_input", Form::plain_plain, 1024, 1536, 384},
    {"gpt/expand_weight", Form::transposed_plain, 1536, 384, 1024},
    {"gpt/contract_weight", Form::transposed_plain, 384, 1536, 1024},
    {"gpt/head", Form::plain_transposed, 1024, 256, 384},
    {"gpt/head_weight", Form::transposed_plain, 256, 384, 1024},
    {"gpt/attention_scores", Form::plain_transposed, 64, 128, 64, 1152, 1152, 128},
    {"gpt/attention_values", Form::plain_plain, 64, 64, 128, 128, 1152, 384},
    {"gpt/attention_back", Form::transposed_plain, 64, 64, 64, 128, 1152, 1152},
    {"cnn/forward_1", Form::plain_transposed, 6272, 32, 9},
    {"cnn/weight_1", Form::transposed_plain, 32, 9, 6272},
    {"cnn/forward_2", Form::plain_transposed, 784, 64, 288},
    {"cnn/weight_2", Form::transposed_plain, 64, 288, 784},
    {"cnn/input_2", Form::plain_plain, 784, 288, 64},
    {"cnn/dense_forward", Form::plain_transposed, 64, 128, 3136},
    {"cnn/dense_weight", Form::transposed_plain, 128, 3136, 64},
    {"cnn/dense_input", Form::plain_plain, 64, 3136, 128},
    {"cube/forward", Form::plain_transposed, 1024, 1024, 1024},
    {"cube/input", Form::plain_plain, 1024, 1024, 1024},
    {"cube/weight", Form::transposed_plain, 1024, 1024, 1024},
};

/// Memory at the alignment that models have.
template <class T>
class AlignedArray {
 public:
  explicit AlignedArray(std::size_t count) : space_(count + 64 / sizeof(T)) {
    void* first = space_.data();
    std::size_t room = space_.size() * sizeof(T);
    data_ = static_cast<T*>(std::align(64, count * sizeof(T), first, room));
  }
  T* data() const { return data_; }

 private:
  std::vector<T> space_;
  T* data_;
};

AlignedArray<float> random_elements(std::size_t count, unsigned seed) {
  AlignedArray<float> array(count);
  std::mt19937 generator(seed);
  std::uniform_real_distribution<float> distribution(-1.0f, 1.0f);
  for (std::size_t i = 0; i < count; ++i) array.data()[i] = distribution(generator);
  return array;
}

/// The last row of the product, in f64.
bool is_right(const kernels::GemmCall& call) {
  const auto at = [](const kernels::GemmFactor& factor, std::size_t row, std::size_t column) {
    const auto* data = static_cast<const float*>(factor.data);
    return static_cast<double>(factor.transposed ? data[column * factor.stride + row]
                                                 : data[row * factor.stride + column]);
  };
  for (std::size_t j = 0; j < call.n; ++j) {
    double sum = 0.0;
    for (std::size_t k = 0; k < call.k; ++k) sum += at(call.a, call.m - 1, k) * at(call.b, k, j);
    const auto actual = static_cast<double>(static_cast<const float*>(call.c)[(call.m - 1) * call.c_stride + j]);
    if (!(std::abs(actual - sum) <= 1e-4 * std::sqrt(static_cast<double>(call.k)))) return false;
  }
  return true;
}

template <class Multiply>
void gemm_bench(benchmark::State& state, const GemmRow& row, Multiply multiply) {
  const bool a_transposed = row.form == Form::transposed_plain, b_transposed = row.form == Form::plain_transposed;
  kernels::GemmCall call{.m = row.m, .n = row.n, .k = row.k};
  call.a = {nullptr, row.a_stride != 0 ? row.a_stride : a_transposed ? row.m : row.k, a_transposed};
  call.b = {nullptr, row.b_stride != 0 ? row.b_stride : b_transposed ? row.k : row.n, b_transposed};
  call.c_stride = row.c_stride != 0 ? row.c_stride : row.n;
  const auto a = random_elements((a_transposed ? row.k : row.m) * call.a.stride, 1);
  const auto b = random_elements((b_transposed ? row.n : row.k) * call.b.stride, 2);
  const AlignedArray<float> c(row.m * call.c_stride);
  call.a.data = a.data();
  call.b.data = b.data();
  call.c = c.data();
  multiply(call);
  if (!is_right(call)) state.SkipWithError("differs from the product in f64");
  for (auto _ : state) {
    multiply(call);
    benchmark::ClobberMemory();
  }
  state.counters["FLOP/s"] = benchmark::Counter(2.0 * static_cast<double>(row.m * row.n * row.k),
                                                benchmark::Counter::kIsIterationInvariantRate);
}

}  // namespace

void register_gemm() {
  static const AlignedArray<std::byte> workspace(kernels::gemm_workspace_bytes);
  const OtherGemm other = other_gemm();
  for (const GemmRow& row : rows) {
    const std::string name = std::string("gemm/") + row.name + "/";
    for (const kernels::Isa isa : {kernels::Isa::avx2, kernels::Isa::avx512}) {
      if (isa > kernels::best_isa()) continue;
      const auto ours = [isa](const kernels::GemmCall& call) { kernels::gemm(call, workspace.data(), isa); };
      benchmark::RegisterBenchmark((name + std::string(name_of(isa))).c_str(),
                                   [row, ours](benchmark::State& state) { gemm_bench(state, row, ours); });
    }
    if (other == nullptr) continue;
    benchmark::RegisterBenchmark((name + other_gemm_name()).c_str(),
                                 [row, other](benchmark::State& state) { gemm_bench(state, row, other); });
  }
}

}  // namespace trireme::bench
