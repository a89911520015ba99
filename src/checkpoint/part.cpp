// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/part.hpp"

#include "trireme/layout/flat_shards.hpp"
#include "trireme/layout/interval.hpp"

#include <algorithm>
#include <cstring>

namespace trireme::checkpoint {
namespace {

/// The element of a tensor, whose bytes begin at `begin` of all, at which byte `cut` of all cuts it.
std::size_t cut_element(std::size_t cut, std::size_t begin, const StateTensor& tensor) {
  if (cut <= begin) return 0;
  const std::size_t element = (cut - begin) / size_of(tensor.dtype);
  if (element >= tensor.data.count) return tensor.data.count;
  return element / layout::reduction_block * layout::reduction_block;
}

}  // namespace

PartPlan plan_part(std::span<const StateTensor> tensors, int rank, int ranks) {
  std::size_t all = 0;
  for (const StateTensor& each : tensors) all += each.first ? 0 : each.data.size_bytes();
  const layout::Interval share =
      layout::piece({0, all}, static_cast<std::size_t>(ranks), static_cast<std::size_t>(rank));
  PartPlan plan;
  std::size_t begin = 0;
  for (std::size_t t = 0; t < tensors.size(); ++t) {
    const StateTensor& tensor = tensors[t];
    if (tensor.first) {
      if (tensor.data.count != 0) plan.slices.push_back({t, *tensor.first, tensor.data.count});
      continue;
    }
    const std::size_t first = cut_element(share.begin, begin, tensor);
    const std::size_t last = cut_element(share.end, begin, tensor);
    if (last > first) plan.slices.push_back({t, first, last - first});
    begin += tensor.data.size_bytes();
  }
  const auto size = [&](const PartSlice& slice) { return size_of(tensors[slice.tensor].dtype); };
  std::stable_sort(plan.slices.begin(), plan.slices.end(),
                   [&](const PartSlice& a, const PartSlice& b) { return size(a) > size(b); });
  for (PartSlice& slice : plan.slices) {
    slice.begin = plan.data_bytes;
    plan.data_bytes += slice.count * size(slice);
  }
  return plan;
}

void copy_slices(std::span<const StateTensor> tensors, const PartPlan& plan, std::span<std::byte> to,
                 const DeviceAccess& devices) {
  bool waits = false;
  for (const PartSlice& slice : plan.slices) {
    const StateTensor& tensor = tensors[slice.tensor];
    const std::size_t size = size_of(tensor.dtype);
    const std::size_t skipped = slice.first - tensor.first.value_or(0);
    const std::byte* const from = static_cast<const std::byte*>(tensor.data.data) + skipped * size;
    if (tensor.data.device.kind == DeviceKind::cpu) {
      std::memcpy(to.data() + slice.begin, from, slice.count * size);
    } else {
      devices.runtime->copy(to.data() + slice.begin, from, slice.count * size, devices.stream);
      waits = true;
    }
  }
  if (waits) devices.runtime->synchronize(devices.stream);
}

std::vector<std::byte> part_header(std::span<const StateTensor> tensors, const PartPlan& plan,
                                   const Metadata& metadata) {
  std::vector<SafeTensor> named;
  named.reserve(plan.slices.size());
  for (const PartSlice& slice : plan.slices) {
    const StateTensor& tensor = tensors[slice.tensor];
    std::size_t count = 1;
    for (const std::int64_t extent : tensor.shape) count *= static_cast<std::size_t>(extent);
    SafeTensor one{.name = tensor.name,
                   .dtype = tensor.dtype,
                   .shape = tensor.shape,
                   .begin = slice.begin,
                   .end = slice.begin + slice.count * size_of(tensor.dtype)};
    if (slice.count != count) {
      one.name += "@" + std::to_string(slice.first);
      one.shape = {static_cast<std::int64_t>(slice.count)};
    }
    named.push_back(std::move(one));
  }
  return safetensors_header(named, metadata);
}

}  // namespace trireme::checkpoint
