// SPDX-License-Identifier: Apache-2.0
#include "cli/train/host_copy.hpp"

#include <cstddef>

namespace trireme::cli {
namespace {

constexpr std::size_t alignment = 64;

std::size_t aligned(std::size_t bytes) { return (bytes + alignment - 1) / alignment * alignment; }

}  // namespace

HostCopy::HostCopy(std::span<const Parameter> parameters, const std::optional<TaskDevice>& device)
    : trained_(parameters.begin(), parameters.end()), host_(trained_), device_(device) {
  if (!device_) return;
  std::size_t bytes = 0;
  for (const Parameter& each : trained_) bytes += aligned(each.value.size_bytes());
  memory_ = device::PinnedBuffer(device_->runtime, bytes);
  std::byte* place = memory_.data();
  for (Parameter& each : host_) {
    each.value = {place, each.value.count, each.value.dtype};
    each.gradient = {};
    place += aligned(each.value.size_bytes());
  }
}

const std::vector<Parameter>& HostCopy::fetch() {
  if (!device_) return host_;
  for (std::size_t p = 0; p < host_.size(); ++p)
    device_->runtime->copy(host_[p].value.data, trained_[p].value.data, host_[p].value.size_bytes(), device_->stream);
  device_->runtime->synchronize(device_->stream);
  return host_;
}

void HostCopy::put() {
  if (!device_) return;
  for (std::size_t p = 0; p < host_.size(); ++p)
    device_->runtime->copy(trained_[p].value.data, host_[p].value.data, host_[p].value.size_bytes(), device_->stream);
  device_->runtime->synchronize(device_->stream);
}

}  // namespace trireme::cli
