// SPDX-License-Identifier: Apache-2.0
#include "device/gemm/checked.hpp"
#include "device/gemm/product_body.hpp"
#include "trireme/device/gemm_engines.hpp"

namespace trireme::device {
namespace {

struct Here {};
template <class Input>
using Product = ProductBody<Input, float, Here>;

template <class Input>
void multiply(const GemmCall& call, Queue queue) {
  launch_product(queue, Product<Input>{call.m, call.n, call.k,
                                       elements<Input>(call.a.data, call.a.stride, call.a.transposed, false),
                                       elements<Input>(call.b.data, call.b.stride, call.b.transposed, true), call.c,
                                       call.c_stride, call.alpha, call.beta, 0});
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
  kernels.push_back(&entry_of<Product<float>>());
  kernels.push_back(&entry_of<Product<BFloat16>>());
  kernels.push_back(&entry_of<Product<Float16>>());
}

}  // namespace trireme::device
