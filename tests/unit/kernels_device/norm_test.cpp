// SPDX-License-Identifier: Apache-2.0
#include "kernels/norm/norm.hpp"

#include "kernels/norm/norm_device.hpp"
#include "parallel/gradient_norm.hpp"
#include "trireme/base/error.hpp"
#include "unit/kernels_device/device_array.hpp"

#include <catch2/catch.hpp>

#include <bit>
#include <cmath>
#include <limits>
#include <vector>

using namespace trireme;

namespace {

using kernels::samples::Array;

std::uint64_t bits_of(double value) { return std::isnan(value) ? 1 : std::bit_cast<std::uint64_t>(value); }

/// Tensors on the host and the same on a device.
struct BothLists {
  std::vector<Array> arrays;
  std::vector<testing::DeviceArray> device_arrays;
  std::vector<TensorView> host, device;

  void add(const std::shared_ptr<device::Runtime>& runtime, Stream stream, Array array, std::size_t shift) {
    device_arrays.emplace_back(runtime, array, stream, shift);
    arrays.push_back(std::move(array));
  }
  void view() {
    for (std::size_t k = 0; k < arrays.size(); ++k) {
      host.push_back({arrays[k].data(), arrays[k].count(), arrays[k].dtype()});
      device.push_back({device_arrays[k].data(), arrays[k].count(), arrays[k].dtype(), {DeviceKind::cuda, 0}});
    }
  }
};

kernels::StepNorm step_norm_of(device::Runtime& runtime, const BothLists& lists,
                               const kernels::StepNormOptions& options, std::shared_ptr<device::Runtime> shared,
                               const device::OwnedStream& stream) {
  const device::Buffer workspace(shared, 0, kernels::norm_workspace_bytes(lists.device));
  const device::Buffer result(shared, 0, sizeof(kernels::StepNorm));
  kernels::gradient_norm(lists.device, options, reinterpret_cast<kernels::StepNorm*>(result.data()), workspace.data(),
                         stream.queue());
  return testing::to_host<kernels::StepNorm>(runtime, result.data(), 1, stream.get())[0];
}

/// As a step on the host goes about it.
void require_step_of_host(const kernels::StepNorm& step, double global_norm, const kernels::StepNormOptions& options) {
  const double norm = global_norm * options.gradient_scale;
  double scale = options.gradient_scale;
  if (options.clip_norm > 0) scale *= parallel::clip_scale(norm, options.clip_norm);
  CHECK(bits_of(step.norm) == bits_of(norm));
  CHECK(bits_of(step.step.gradient_scale) == bits_of(scale));
  CHECK((step.finite != 0) == std::isfinite(norm));
  CHECK((step.step.skip != 0) == (options.skip_nonfinite && !std::isfinite(norm)));
}

}  // namespace

TEST_CASE("Sums of squares on a device have the host's bits for every type, count and start") {
  for (const auto& runtime : testing::runtimes_under_test()) {
    INFO(runtime->name());
    const device::OwnedStream stream(runtime, 0);
    BothLists lists;
    for (const DType dtype : {DType::f64, DType::f32, DType::f16, DType::bf16, DType::f8e4m3, DType::f8e5m2}) {
      for (const std::size_t count : {0u, 1u, 7u, 8u, 9u, 511u, 4095u, 4096u, 4097u, 20000u, 37 * 4096u + 13}) {
        for (const std::size_t shift : {0u, 1u})
          lists.add(runtime, stream.get(), kernels::samples::random(dtype, count, 21, 0), shift);
      }
    }
    lists.view();
    const device::Buffer workspace(runtime, 0, kernels::norm_workspace_bytes(lists.device));
    const device::Buffer sums(runtime, 0, lists.device.size() * sizeof(double));
    kernels::sums_of_squares(lists.device, reinterpret_cast<double*>(sums.data()), workspace.data(), stream.queue());
    const auto got = testing::to_host<double>(*runtime, sums.data(), lists.device.size(), stream.get());
    for (std::size_t k = 0; k < got.size(); ++k) {
      const TensorView& tensor = lists.host[k];
      CAPTURE(name_of(tensor.dtype), tensor.count, k);
      CHECK(bits_of(got[k]) == bits_of(kernels::sum_of_squares(tensor.data, tensor.dtype, tensor.count)));
    }
  }
}

TEST_CASE("Sums of squares on a device have the host's bits wherever a tensor begins between two vectors") {
  for (const auto& runtime : testing::runtimes_under_test()) {
    const device::OwnedStream stream(runtime, 0);
    BothLists lists;
    for (const DType dtype : {DType::f64, DType::f32, DType::f16, DType::bf16, DType::f8e4m3}) {
      for (std::size_t shift = 0; shift < 16; ++shift) {
        for (const std::size_t count : {3u, 6u, 14u, 4095u + 130u, 2 * 4096u + 77u})
          lists.add(runtime, stream.get(), kernels::samples::random(dtype, count, 23, 0), shift);
      }
    }
    lists.view();
    const device::Buffer workspace(runtime, 0, kernels::norm_workspace_bytes(lists.device));
    const device::Buffer sums(runtime, 0, lists.device.size() * sizeof(double));
    kernels::sums_of_squares(lists.device, reinterpret_cast<double*>(sums.data()), workspace.data(), stream.queue());
    const auto got = testing::to_host<double>(*runtime, sums.data(), lists.device.size(), stream.get());
    for (std::size_t k = 0; k < got.size(); ++k) {
      const TensorView& tensor = lists.host[k];
      CAPTURE(name_of(tensor.dtype), tensor.count, k);
      REQUIRE(bits_of(got[k]) == bits_of(kernels::sum_of_squares(tensor.data, tensor.dtype, tensor.count)));
    }
  }
}

TEST_CASE("The sum of an array on a device has the host's bits for every count and start") {
  for (const auto& runtime : testing::runtimes_under_test()) {
    const device::OwnedStream stream(runtime, 0);
    for (const std::size_t count : {0u, 1u, 7u, 9u, 4095u, 4096u, 4097u, 20000u, 37 * 4096u + 13}) {
      for (const std::size_t shift : {0u, 1u}) {
        const Array array = kernels::samples::random(DType::f64, count, 25, 0);
        const testing::DeviceArray on_device(runtime, array, stream.get(), shift);
        const device::Buffer workspace(runtime, 0, kernels::sum_workspace_bytes(count));
        const device::Buffer result(runtime, 0, sizeof(double));
        kernels::sum(static_cast<const double*>(on_device.data()), count, reinterpret_cast<double*>(result.data()),
                     workspace.data(), stream.queue());
        CAPTURE(runtime->name(), count, shift);
        CHECK(bits_of(testing::to_host<double>(*runtime, result.data(), 1, stream.get())[0]) ==
              bits_of(kernels::sum(static_cast<const double*>(array.data()), count)));
      }
    }
  }
}

TEST_CASE("The norm of a step, its clipping and whether it is finite are the host's, without the host") {
  for (const auto& runtime : testing::runtimes_under_test()) {
    INFO(runtime->name());
    const device::OwnedStream stream(runtime, 0);
    BothLists lists;
    for (unsigned k = 0; k < 70; ++k) {
      const DType dtype = k % 5 == 4 ? DType::bf16 : DType::f32;
      lists.add(runtime, stream.get(), kernels::samples::random(dtype, k * k * 3, k, 0), 0);
    }
    lists.view();
    const double norm = parallel::global_norm(lists.host);
    for (const kernels::StepNormOptions& options :
         {kernels::StepNormOptions{}, kernels::StepNormOptions{.clip_norm = 1.0},
          kernels::StepNormOptions{.clip_norm = norm}, kernels::StepNormOptions{.clip_norm = 2 * norm},
          kernels::StepNormOptions{.gradient_scale = 1.0 / 3, .clip_norm = 0.7, .skip_nonfinite = true}}) {
      CAPTURE(options.clip_norm);
      require_step_of_host(step_norm_of(*runtime, lists, options, runtime, stream), norm, options);
    }
    for (const double special : {std::nan(""), std::numeric_limits<double>::infinity()}) {
      BothLists broken;
      Array array = kernels::samples::random(DType::f32, 9000, 4, 0);
      array.set(8999, special);
      broken.add(runtime, stream.get(), std::move(array), 0);
      broken.view();
      for (const bool skips : {false, true}) {
        const kernels::StepNormOptions options{.clip_norm = 1.0, .skip_nonfinite = skips};
        require_step_of_host(step_norm_of(*runtime, broken, options, runtime, stream),
                             parallel::global_norm(broken.host), options);
      }
    }
    require_step_of_host(step_norm_of(*runtime, {}, {}, runtime, stream), 0.0, {});
  }
}

TEST_CASE("The tree over sums on a device is the balanced one for any number of them") {
  for (const auto& runtime : testing::runtimes_under_test()) {
    const device::OwnedStream stream(runtime, 0);
    for (const std::size_t count : {1u, 2u, 3u, 1023u, 1024u, 1025u, 2049u, 5001u}) {
      std::vector<double> sums(count);
      kernels::TreeSum tree;
      for (std::size_t k = 0; k < count; ++k)
        tree.add(sums[k] = std::ldexp(1.0 + 1.0 / (static_cast<double>(k) + 3.0), k % 7 == 0 ? 30 : -9));
      const auto device_sums = testing::on_device<double>(runtime, sums);
      const device::Buffer result(runtime, 0, sizeof(kernels::StepNorm));
      kernels::step_norm(reinterpret_cast<const double*>(device_sums.data()), count, {},
                         reinterpret_cast<kernels::StepNorm*>(result.data()), stream.queue());
      const auto step = testing::to_host<kernels::StepNorm>(*runtime, result.data(), 1, stream.get())[0];
      CAPTURE(count);
      CHECK(bits_of(step.norm) == bits_of(std::sqrt(tree.result())));
    }
  }
}

TEST_CASE("The norm of more tensors than one launch takes is the host's") {
  for (const auto& runtime : testing::runtimes_under_test()) {
    const device::OwnedStream stream(runtime, 0);
    Array all = kernels::samples::random(DType::f32, 40000, 9, 0);
    const testing::DeviceArray device_all(runtime, all, stream.get());
    BothLists lists;
    std::size_t begin = 0;
    for (std::size_t k = 0; k < 4200; ++k) {
      const std::size_t count = k % 9;
      lists.host.push_back({all.at(begin), count, DType::f32});
      lists.device.push_back(
          {static_cast<float*>(device_all.data()) + begin, count, DType::f32, {DeviceKind::cuda, 0}});
      begin += count;
    }
    const kernels::StepNormOptions options{.clip_norm = 0.5};
    require_step_of_host(step_norm_of(*runtime, lists, options, runtime, stream), parallel::global_norm(lists.host),
                         options);
  }
}

TEST_CASE("A norm on a device refuses types that are not floating") {
  const auto runtime = device::emulated_runtime();
  const device::OwnedStream stream(runtime, 0);
  const std::vector<TensorView> tensors{{nullptr, 1, DType::i32}};
  CHECK_THROWS_AS(kernels::sums_of_squares(tensors, nullptr, nullptr, stream.queue()), Exception);
}
