// SPDX-License-Identifier: Apache-2.0
#include "device/gemm/product_body.hpp"
#include "kernels/gemm/gemm_device.hpp"
#include "trireme/base/error.hpp"

#include <string>

namespace trireme::kernels {
namespace {

struct Here {};
template <class T>
using Product = device::ProductBody<T, T, Here>;
static_assert(Product<float>::k_block == gemm_block);

template <class T>
void multiply(const GemmCall& call, device::Queue queue) {
  device::launch_product(queue, Product<T>{call.m, call.n, call.k,
                                           device::elements<T>(call.a.data, call.a.stride, call.a.transposed, false),
                                           device::elements<T>(call.b.data, call.b.stride, call.b.transposed, true),
                                           static_cast<T*>(call.c), call.c_stride, T{1}, T{0}, 0});
}

}  // namespace

void gemm(const GemmCall& call, device::Queue queue) {
  if (call.dtype == DType::f32) return multiply<float>(call, queue);
  if (call.dtype == DType::f64) return multiply<double>(call, queue);
  fail(ErrorCode::invalid_argument, "gemm on a device takes f32 or f64, not " + std::string(name_of(call.dtype)));
}

void gemm_kernels(std::vector<const device::KernelEntry*>& kernels) {
  kernels.push_back(&device::entry_of<Product<float>>());
  kernels.push_back(&device::entry_of<Product<double>>());
}

}  // namespace trireme::kernels
