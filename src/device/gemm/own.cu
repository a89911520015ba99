// SPDX-License-Identifier: Apache-2.0
#include "device/gemm/checked.hpp"
#include "device/kernel.hpp"
#include "trireme/base/half.hpp"
#include "trireme/device/gemm_engines.hpp"

#include <cmath>

namespace trireme::device {
namespace {

TRIREME_DEVICE float widen(float value) { return value; }
TRIREME_DEVICE float widen(BFloat16 value) { return to_float(value); }
TRIREME_DEVICE float widen(Float16 value) { return to_float(value); }

/// Elements of a factor, wherever they lie.
template <class Input>
struct Elements {
  const Input* data;
  std::size_t outer;  // from one row of A, or column of B, to the next
  std::size_t inner;  // from one k to the next
};

/// Sixteen by sixteen threads of 4 x 4 elements; a thread's columns are sixteen apart, so that neighbours read and write
/// neighbouring elements.
template <class Input>
struct ProductBody {
  static constexpr const char* name = "trireme_gemm";
  static constexpr unsigned side = 16;
  static constexpr unsigned each = 4;
  static constexpr unsigned tile = side * each;
  static constexpr unsigned threads = side * side;
  static constexpr unsigned phases = 1;
  static constexpr std::size_t k_block = 1024;
  struct Shared {};

  std::size_t m, n, k;
  Elements<Input> a, b;
  float* c;
  std::size_t c_stride;
  float alpha, beta;
  std::size_t across;  // tiles

  template <unsigned phase>
  TRIREME_DEVICE void run(Place place, Shared&) const {
    const std::size_t tiles = (m + tile - 1) / tile * across;
    for (std::size_t t = place.block; t < tiles; t += place.blocks) one_tile(t / across, t % across, place.thread);
  }

  TRIREME_DEVICE void one_tile(std::size_t down, std::size_t right, unsigned thread) const {
    std::size_t rows[each], columns[each];
    for (unsigned i = 0; i < each; ++i) {
      rows[i] = down * tile + thread / side + i * side;
      columns[i] = right * tile + thread % side + i * side;
    }
    if (rows[0] >= m || columns[0] >= n) return;
    // What lies behind the edge is computed from the last row and column, and not stored.
    const Input *from_a[each], *from_b[each];
    for (unsigned i = 0; i < each; ++i) {
      from_a[i] = a.data + (rows[i] < m ? rows[i] : m - 1) * a.outer;
      from_b[i] = b.data + (columns[i] < n ? columns[i] : n - 1) * b.outer;
    }
    float total[each][each] = {};
    for (std::size_t first = 0; first < k; first += k_block) {
      const std::size_t end = k - first < k_block ? k : first + k_block;
      float sum[each][each] = {};
      for (std::size_t l = first; l < end; ++l) {
        float left[each], top[each];
        for (unsigned i = 0; i < each; ++i) {
          left[i] = widen(from_a[i][l * a.inner]);
          top[i] = widen(from_b[i][l * b.inner]);
        }
        for (unsigned i = 0; i < each; ++i) {
          for (unsigned j = 0; j < each; ++j) sum[i][j] = std::fma(left[i], top[j], sum[i][j]);
        }
      }
      for (unsigned i = 0; i < each; ++i) {
        for (unsigned j = 0; j < each; ++j) total[i][j] = first == 0 ? sum[i][j] : total[i][j] + sum[i][j];
      }
    }
    for (unsigned i = 0; i < each; ++i) {
      for (unsigned j = 0; j < each; ++j) {
        if (rows[i] >= m || columns[j] >= n) continue;
        float* to = c + rows[i] * c_stride + columns[j];
        const float product = alpha == 1.0f ? total[i][j] : alpha * total[i][j];
        *to = beta == 0.0f ? product : product + beta * *to;
      }
    }
  }
};

template <class Input>
Elements<Input> elements(const Factor& factor, bool by_columns) {
  const auto* data = static_cast<const Input*>(factor.data);
  return factor.transposed != by_columns ? Elements<Input>{data, 1, factor.stride}
                                         : Elements<Input>{data, factor.stride, 1};
}

template <class Input>
void multiply(const GemmCall& call, Queue queue) {
  using Body = ProductBody<Input>;
  const std::size_t across = (call.n + Body::tile - 1) / Body::tile;
  launch(queue,
         Body{call.m, call.n, call.k, elements<Input>(call.a, false), elements<Input>(call.b, true), call.c,
              call.c_stride, call.alpha, call.beta, across},
         blocks_for((call.m + Body::tile - 1) / Body::tile * across, 1, 1));
}

class OwnProduct final : public MatrixProduct {
 public:
  std::string_view name() const noexcept override { return "own"; }
  void run(const GemmCall& call, Queue queue) override {
    check(call);
    if (call.m == 0 || call.n == 0) return;
    if (call.input == DType::f32) return multiply<float>(call, queue);
    call.input == DType::bf16 ? multiply<BFloat16>(call, queue) : multiply<Float16>(call, queue);
  }
};

}  // namespace

std::unique_ptr<MatrixProduct> own_matrix_product() { return std::make_unique<OwnProduct>(); }

void own_gemm_kernels(std::vector<const KernelEntry*>& kernels) {
  kernels.push_back(&entry_of<ProductBody<float>>());
  kernels.push_back(&entry_of<ProductBody<BFloat16>>());
  kernels.push_back(&entry_of<ProductBody<Float16>>());
}

}  // namespace trireme::device
