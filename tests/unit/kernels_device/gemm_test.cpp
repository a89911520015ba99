// SPDX-License-Identifier: Apache-2.0
#include "kernels/gemm/gemm.hpp"

#include "kernels/gemm/gemm_device.hpp"
#include "trireme/base/error.hpp"
#include "trireme/base/half.hpp"
#include "trireme/device/gemm_engines.hpp"
#include "unit/kernels_device/twin.hpp"

#include <catch2/catch.hpp>

using namespace trireme;
using testing::numbers;
using testing::Twin;

namespace {

struct ProductCase {
  std::size_t m, n, k;
  bool a_transposed, b_transposed;
};

std::size_t padded(std::size_t columns) { return (columns + 7) / 4 * 4; }

}  // namespace

TEST_CASE("our own product of matrices has the host's bits on a device") {
  alignas(64) static std::byte workspace[kernels::gemm_workspace_bytes];
  const auto product = device::own_matrix_product();
  for (const auto& runtime : testing::runtimes_under_test()) {
    const device::OwnedStream stream(runtime, 0);
    for (const auto& [m, n, k, a_transposed, b_transposed] :
         {ProductCase{1, 1, 1, false, false}, ProductCase{3, 70, 5, false, true}, ProductCase{65, 66, 33, true, false},
          ProductCase{64, 10, 100, false, false}, ProductCase{5, 9, 1500, false, true},
          ProductCase{17, 4, 2050, true, true}, ProductCase{4, 4, 0, false, false},
          ProductCase{0, 4, 4, false, false}}) {
      INFO(runtime->name() << ": " << m << " x " << n << " x " << k);
      const std::size_t a_stride = padded(a_transposed ? m : k), b_stride = padded(b_transposed ? k : n);
      Twin<float> a(runtime, numbers<float>((a_transposed ? k : m) * a_stride, 1));
      Twin<float> b(runtime, numbers<float>((b_transposed ? n : k) * b_stride, 2));
      Twin<float> c(runtime, numbers<float>(m * padded(n), 3));
      kernels::gemm({.m = m,
                     .n = n,
                     .k = k,
                     .a = {a.host(), a_stride, a_transposed},
                     .b = {b.host(), b_stride, b_transposed},
                     .c = c.host(),
                     .c_stride = padded(n)},
                    workspace);
      device::GemmCall call{.m = m,
                            .n = n,
                            .k = k,
                            .a = {a.device(), a_stride, a_transposed},
                            .b = {b.device(), b_stride, b_transposed},
                            .c = c.device(),
                            .c_stride = padded(n)};
      product->run(call, stream.queue());
      CHECK(c.same(stream.get()));

      for (std::size_t i = 0; i < m; ++i) {
        for (std::size_t j = 0; j < n; ++j) {
          float& element = c.host()[i * padded(n) + j];
          element = 0.5f * element + -2.0f * element;
        }
      }
      call.alpha = 0.5f;
      call.beta = -2.0f;
      product->run(call, stream.queue());
      CHECK(c.same(stream.get()));
    }
  }
}

namespace {

template <class T>
void compare_twins(const std::shared_ptr<device::Runtime>& runtime, const ProductCase& shape, std::size_t offset) {
  alignas(64) static std::byte workspace[kernels::gemm_workspace_bytes];
  const auto& [m, n, k, a_transposed, b_transposed] = shape;
  CAPTURE(runtime->name(), name_of(dtype_of<T>), m, n, k, offset);
  const device::OwnedStream stream(runtime, 0);
  const std::size_t a_stride = (a_transposed ? m : k) + 1, b_stride = (b_transposed ? k : n) + 3, c_stride = n + 1;
  Twin<T> a(runtime, numbers<T>((a_transposed ? k : m) * a_stride, 1), offset);
  Twin<T> b(runtime, numbers<T>((b_transposed ? n : k) * b_stride, 2), offset);
  Twin<T> c(runtime, numbers<T>(m * c_stride, 3), offset);
  const auto call = [&](T* first, T* second, T* result) {
    return kernels::GemmCall{
        dtype_of<T>, m, n, k, {first, a_stride, a_transposed}, {second, b_stride, b_transposed}, result, c_stride};
  };
  kernels::gemm(call(a.host(), b.host(), c.host()), workspace);
  kernels::gemm(call(a.device(), b.device(), c.device()), stream.queue());
  CHECK(c.same(stream.get()));
}

}  // namespace

TEST_CASE("the twin of gemm has the host's bits, of f32 and f64, wherever elements begin and rows lie") {
  for (const auto& runtime : testing::runtimes_under_test()) {
    for (const ProductCase& shape : {ProductCase{1, 1, 1, false, false}, ProductCase{65, 66, 33, true, false},
                                     ProductCase{5, 9, 1500, false, true}, ProductCase{17, 4, 2050, true, true},
                                     ProductCase{4, 5, 0, false, false}, ProductCase{0, 4, 4, false, false}}) {
      for (const std::size_t offset : {0u, 1u}) {
        compare_twins<float>(runtime, shape, offset);
        compare_twins<double>(runtime, shape, offset);
      }
    }
  }
  const auto runtime = device::emulated_runtime();
  const device::OwnedStream stream(runtime, 0);
  CHECK_THROWS_AS(kernels::gemm({.dtype = DType::bf16}, stream.queue()), Exception);
}

TEST_CASE("16-bit factors are widened, and their products summed in f32") {
  alignas(64) static std::byte workspace[kernels::gemm_workspace_bytes];
  constexpr std::size_t m = 20, n = 12, k = 40;
  const auto product = device::own_matrix_product();
  for (const auto& runtime : testing::runtimes_under_test()) {
    const device::OwnedStream stream(runtime, 0);
    for (const DType dtype : {DType::bf16, DType::f16}) {
      std::vector<float> a = numbers<float>(m * k, 1), b = numbers<float>(k * n, 2);
      std::vector<std::uint16_t> narrow_a, narrow_b;
      const auto narrow = [&](std::vector<float>& values, std::vector<std::uint16_t>& to) {
        for (float& value : values) {
          to.push_back(dtype == DType::bf16 ? to_bfloat16(value).bits : to_float16(value).bits);
          value = dtype == DType::bf16 ? to_float(BFloat16{to.back()}) : to_float(Float16{to.back()});
        }
      };
      narrow(a, narrow_a);
      narrow(b, narrow_b);
      const auto device_a = testing::on_device<std::uint16_t>(runtime, narrow_a);
      const auto device_b = testing::on_device<std::uint16_t>(runtime, narrow_b);
      Twin<float> c(runtime, std::vector<float>(m * n));
      kernels::gemm({.m = m, .n = n, .k = k, .a = {a.data(), k}, .b = {b.data(), n}, .c = c.host(), .c_stride = n},
                    workspace);
      product->run({.input = dtype,
                    .m = m,
                    .n = n,
                    .k = k,
                    .a = {device_a.data(), k},
                    .b = {device_b.data(), n},
                    .c = c.device(),
                    .c_stride = n},
                   stream.queue());
      CHECK(c.same(stream.get()));
    }
  }
}

TEST_CASE("a product says which matrix does not lie as it should") {
  const auto runtime = device::emulated_runtime();
  const device::OwnedStream stream(runtime, 0);
  const device::Buffer memory(runtime, 0, 4096);
  auto* data = reinterpret_cast<float*>(memory.data());
  const auto product = device::own_matrix_product();
  device::GemmCall call{.m = 4, .n = 4, .k = 4, .a = {data, 4}, .b = {data + 64, 4}, .c = data + 128, .c_stride = 4};
  const auto refusal = [&] {
    try {
      product->run(call, stream.queue());
    } catch (const trireme::Exception& refused) {
      return refused.error().message;
    }
    return std::string();
  };
  CHECK(refusal().empty());
  stream.synchronize();  // before its memory goes
  call.a.data = data + 1;
  CHECK(refusal() == "gemm: A does not lie at a multiple of 16 bytes");
  call.a.data = data;
  call.b.stride = 3;
  CHECK(refusal() == "gemm: B has rows of 4 elements, 3 apart");
  call.b.stride = 4;
  call.input = DType::f64;
  CHECK(refusal() == "gemm: factors are f32, bf16 or f16 on devices, not f64");
}
