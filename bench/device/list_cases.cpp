// SPDX-License-Identifier: Apache-2.0
#include "bench/device/cases.hpp"
#include "bench/device/memory.hpp"
#include "bench/device/parameter_list.hpp"
#include "kernels/norm/norm.hpp"
#include "kernels/norm/norm_device.hpp"
#include "kernels/pack/pack_device.hpp"

#include <cmath>
#include <memory>
#include <string>

namespace trireme::bench {
namespace {

/// Every tensor begins at an edge of 256 bytes, as an allocator gives them.
struct Tensors {
  Tensors(const Ground& ground, DType dtype) : counts(ground.whole_list ? gpt2_parameters() : small_parameters()) {
    std::size_t next = 0;
    for (const std::size_t count : counts) {
      begins.push_back(next);
      next += (count + 255) / 256 * 256;
    }
    twin = std::make_unique<Twin>(ground, dtype, next, 7);
  }
  std::vector<std::size_t> counts, begins;
  std::unique_ptr<Twin> twin;
};

Case pack_case(const Ground& ground, DType tensor_dtype, DType buffer_dtype, bool packs) {
  struct State {
    Tensors tensors;
    Twin buffer;
    std::vector<kernels::PackedTensor> host, device;
  };
  Tensors tensors(ground, tensor_dtype);
  const std::size_t elements = sum_of(tensors.counts);
  const auto state =
      std::make_shared<State>(State{std::move(tensors), Twin(ground, buffer_dtype, elements, 8), {}, {}});
  std::size_t offset = 0;
  for (std::size_t k = 0; k < state->tensors.counts.size(); ++k) {
    const std::size_t begin = state->tensors.begins[k], count = state->tensors.counts[k];
    state->host.push_back({state->tensors.twin->host_at(begin), count, offset});
    state->device.push_back({state->tensors.twin->device_at(begin), count, offset});
    offset += count;
  }
  const auto call = [=](std::byte* buffer, const std::vector<kernels::PackedTensor>& list) {
    return kernels::PackCall{buffer, buffer_dtype, tensor_dtype, list, 0.125};
  };
  return {(packs ? "pack/" : "unpack/") + std::string(name_of(tensor_dtype)) + (packs ? "_to_" : "_from_") +
              std::string(name_of(buffer_dtype)),
          elements * (size_of(tensor_dtype) + size_of(buffer_dtype)),
          [=] {
            const auto on_device = call(state->buffer.device(), state->device);
            packs ? kernels::pack(on_device, ground.stream.queue()) : kernels::unpack(on_device, ground.stream.queue());
          },
          [=] {
            const auto on_host = call(state->buffer.host(), state->host);
            packs ? kernels::pack(on_host) : kernels::unpack(on_host);
            return packs ? state->buffer.same(ground) : state->tensors.twin->same(ground);
          }};
}

Case norm_case(const Ground& ground, DType dtype) {
  struct State {
    Tensors tensors;
    std::vector<TensorView> host, device;
    device::Buffer workspace, result;
  };
  const auto state = std::make_shared<State>(State{Tensors(ground, dtype), {}, {}, {}, {}});
  for (std::size_t k = 0; k < state->tensors.counts.size(); ++k) {
    const std::size_t begin = state->tensors.begins[k], count = state->tensors.counts[k];
    state->host.push_back({state->tensors.twin->host_at(begin), count, dtype});
    state->device.push_back({state->tensors.twin->device_at(begin), count, dtype, {DeviceKind::cuda, 0}});
  }
  state->workspace = device::Buffer(ground.runtime, 0, kernels::norm_workspace_bytes(state->device));
  state->result = device::Buffer(ground.runtime, 0, sizeof(kernels::StepNorm));
  return {"gradient_norm/" + std::string(name_of(dtype)), sum_of(state->tensors.counts) * size_of(dtype),
          [=] {
            kernels::gradient_norm(state->device, {.clip_norm = 1.0},
                                   reinterpret_cast<kernels::StepNorm*>(state->result.data()), state->workspace.data(),
                                   ground.stream.queue());
          },
          [=] {
            kernels::TreeSum total;
            for (const TensorView& each : state->host)
              total.add(kernels::sum_of_squares(each.data, each.dtype, each.count));
            kernels::StepNorm got;
            ground.runtime->copy(&got, state->result.data(), sizeof got, ground.stream.get());
            ground.stream.synchronize();
            const double norm = std::sqrt(total.result());
            return got.norm == norm && got.step.gradient_scale == (norm > 1.0 ? 1.0 / norm : 1.0);
          }};
}

}  // namespace

std::vector<CaseMaker> pack_cases() {
  std::vector<CaseMaker> cases;
  for (const DType buffer : {DType::f32, DType::bf16}) {
    for (const bool packs : {true, false})
      cases.push_back([=](const Ground& ground) { return pack_case(ground, DType::f32, buffer, packs); });
  }
  return cases;
}

std::vector<CaseMaker> norm_cases() {
  std::vector<CaseMaker> cases;
  for (const DType dtype : {DType::f32, DType::bf16})
    cases.push_back([=](const Ground& ground) { return norm_case(ground, dtype); });
  return cases;
}

}  // namespace trireme::bench
