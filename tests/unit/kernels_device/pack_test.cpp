// SPDX-License-Identifier: Apache-2.0
#include "kernels/pack/pack.hpp"

#include "kernels/pack/pack_device.hpp"
#include "trireme/base/error.hpp"
#include "unit/kernels_device/device_array.hpp"

#include <catch2/catch.hpp>

#include <vector>

using namespace trireme;

namespace {

using kernels::PackCall;
using kernels::PackedTensor;
using kernels::samples::Array;

/// Tensors that lie in one array with gaps between them, and their ranges in a buffer.
struct TensorList {
  std::vector<std::size_t> begin;
  std::vector<PackedTensor> tensors;  ///< `data` of nothing yet
  std::size_t elements = 0;
  std::size_t buffer_elements = 0;

  void add(std::size_t count, std::size_t gap) {
    begin.push_back(elements);
    tensors.push_back({nullptr, count, buffer_elements});
    elements += count + gap;
    buffer_elements += count + gap % 3;
  }
  std::vector<PackedTensor> at(void* memory, DType dtype) const {
    auto placed = tensors;
    for (std::size_t k = 0; k < placed.size(); ++k)
      placed[k].data = static_cast<std::byte*>(memory) + begin[k] * size_of(dtype);
    return placed;
  }
};

TensorList list_of(std::size_t count) {
  TensorList list;
  for (std::size_t k = 0; k < count; ++k) {
    const std::size_t sizes[] = {768, 1, 0, 64, 2304, 7, 33};
    list.add(k == 5 ? 40003 : sizes[k % 7] >> (k % 2), k % 4 == 0 ? 0 : k % 5);
  }
  return list;
}

void require_both_ways(const std::shared_ptr<device::Runtime>& runtime, const TensorList& list, DType tensor_dtype,
                       DType buffer_dtype, double scale) {
  const device::OwnedStream stream(runtime, 0);
  CAPTURE(name_of(tensor_dtype), name_of(buffer_dtype), scale, list.tensors.size());
  Array host_tensors = kernels::samples::random(tensor_dtype, list.elements, 71);
  Array host_buffer = kernels::samples::random(buffer_dtype, list.buffer_elements, 72);
  for (const auto rung : {kernels::Rung::plain, kernels::Rung::fast}) {
    const testing::DeviceArray tensors(runtime, host_tensors, stream.get());
    const testing::DeviceArray buffer(runtime, host_buffer, stream.get());
    const auto host_list = list.at(host_tensors.data(), tensor_dtype);
    const auto device_list = list.at(tensors.data(), tensor_dtype);
    const PackCall on_host{host_buffer.data(), buffer_dtype, tensor_dtype, host_list, scale};
    const PackCall on_device{buffer.data(), buffer_dtype, tensor_dtype, device_list, scale};
    kernels::pack(on_host);
    kernels::pack(on_device, stream.queue(), rung);
    CHECK(kernels::samples::same(host_buffer, buffer.back(stream.get())));
    kernels::unpack(on_host);
    kernels::unpack(on_device, stream.queue(), rung);
    CHECK(kernels::samples::same(host_tensors, tensors.back(stream.get())));
  }
}

}  // namespace

TEST_CASE("Packing tensors into a buffer on a device, and back, gives the host's bits") {
  const std::pair<DType, DType> types[] = {
      {DType::f32, DType::f32},    {DType::f32, DType::bf16},   {DType::f32, DType::f16}, {DType::f64, DType::f32},
      {DType::bf16, DType::bf16},  {DType::f16, DType::f16},    {DType::f64, DType::f64}, {DType::f64, DType::bf16},
      {DType::f8e4m3, DType::f32}, {DType::bf16, DType::f8e5m2}};
  const TensorList few = list_of(20);
  const TensorList many = list_of(150);
  for (const auto& runtime : testing::runtimes_under_test()) {
    INFO(runtime->name());
    for (const auto& [tensor, buffer] : types) {
      require_both_ways(runtime, few, tensor, buffer, 1.0);
      require_both_ways(runtime, many, tensor, buffer, 0.37);
    }
  }
}

TEST_CASE("Packing on a device gives the host's bits from every start to every start between two vectors") {
  const std::pair<DType, DType> types[] = {{DType::f32, DType::f32},   {DType::f32, DType::bf16},
                                           {DType::bf16, DType::f32},  {DType::f16, DType::f16},
                                           {DType::bf16, DType::bf16}, {DType::f64, DType::f32}};
  for (const auto& runtime : testing::runtimes_under_test()) {
    const device::OwnedStream stream(runtime, 0);
    for (const auto& [tensor, buffer] : types) {
      for (const std::size_t count : {5u, 1025u, 20011u}) {
        Array host_tensor = kernels::samples::random(tensor, count, 41);
        for (std::size_t tensor_shift = 0; tensor_shift < 8; ++tensor_shift) {
          for (std::size_t buffer_shift = 0; buffer_shift < 8; ++buffer_shift) {
            if (count > 2000 && (tensor_shift * 8 + buffer_shift) % 7 != 0) continue;  // less of the same
            CAPTURE(name_of(tensor), name_of(buffer), count, tensor_shift, buffer_shift);
            Array host_buffer(buffer, count);
            const testing::DeviceArray there(runtime, host_tensor, stream.get(), tensor_shift);
            const testing::DeviceArray packed(runtime, host_buffer, stream.get(), buffer_shift);
            const testing::DeviceArray unpacked(runtime, Array(tensor, count), stream.get(), tensor_shift);
            const PackedTensor from[] = {{there.data(), count, 0}}, back[] = {{unpacked.data(), count, 0}},
                               on_host[] = {{host_tensor.data(), count, 0}};
            kernels::pack({host_buffer.data(), buffer, tensor, on_host, 0.75});
            kernels::pack({packed.data(), buffer, tensor, from, 0.75}, stream.queue());
            REQUIRE(kernels::samples::same(host_buffer, packed.back(stream.get())));
            Array expected(tensor, count);
            const PackedTensor expected_list[] = {{expected.data(), count, 0}};
            kernels::unpack({host_buffer.data(), buffer, tensor, expected_list, 0.75});
            kernels::unpack({packed.data(), buffer, tensor, back, 0.75}, stream.queue());
            REQUIRE(kernels::samples::same(expected, unpacked.back(stream.get())));
          }
        }
      }
    }
  }
}

TEST_CASE("More tensors than one launch takes are packed, and none is no work") {
  TensorList list;
  for (std::size_t k = 0; k < 2100; ++k) list.add(k % 11, k % 3);
  for (const auto& runtime : testing::runtimes_under_test()) {
    require_both_ways(runtime, list, DType::f32, DType::bf16, 0.5);
    require_both_ways(runtime, TensorList{}, DType::f32, DType::f32, 1.0);
  }
}

TEST_CASE("Packing on a device refuses types that are not floating") {
  const auto runtime = device::emulated_runtime();
  const device::OwnedStream stream(runtime, 0);
  const std::vector<PackedTensor> tensors(1);
  CHECK_THROWS_AS(kernels::pack({nullptr, DType::f32, DType::i32, tensors}, stream.queue()), Exception);
  CHECK_THROWS_AS(kernels::unpack({nullptr, DType::boolean, DType::f32, tensors}, stream.queue()), Exception);
}
