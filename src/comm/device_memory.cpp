// SPDX-License-Identifier: Apache-2.0
#include "trireme/comm/device_memory.hpp"

#include "comm/group.hpp"
#include "comm/world_context.hpp"
#include "trireme/base/error.hpp"
#include "trireme/comm/communicator.hpp"
#include "trireme/comm/device_engine.hpp"
#include "trireme/device/owned.hpp"

#include <array>
#include <string>
#include <utility>
#include <vector>

namespace trireme {
namespace {

/// Memory that no engine has wishes about.
class PlainBlock final : public comm::DeviceBlock {
 public:
  PlainBlock(std::shared_ptr<device::Runtime> runtime, int device, std::size_t bytes)
      : buffer_(std::move(runtime), device, bytes) {}
  std::byte* data() const override { return buffer_.data(); }

 private:
  device::Buffer buffer_;
};

}  // namespace

std::byte* DeviceMemory::data() const { return block_ ? block_->data() : nullptr; }
std::string_view DeviceMemory::known_as() const { return block_ ? block_->known_as() : "plain"; }

void DeviceMemory::unregister() noexcept {
  if (!known_by_) return;
  known_by_->forget(block_);
  known_by_.reset();
}

void DeviceMemory::swap(DeviceMemory& other) noexcept {
  std::swap(known_by_, other.known_by_);
  std::swap(block_, other.block_);
  std::swap(bytes_, other.bytes_);
  std::swap(device_, other.device_);
}

DeviceMemory Communicator::device_memory(Bytes size) const {
  const auto device = group_->device();
  if (!device) fail(ErrorCode::unsupported, "device_memory: this world has no device (TRIREME_DEVICE=cuda)");
  DeviceMemory memory;
  memory.device_ = *device;
  memory.bytes_ = size.value;
  if (size.value == 0) return memory;
  memory.block_ = group_->device_engine()->allocate(size.value);
  if (!memory.block_) memory.block_ = std::make_shared<PlainBlock>(device_runtime(), device->index, size.value);
  return memory;
}

void Communicator::register_memory(DeviceMemory& memory) {
  if (!group_->device() || !group_->device_engine()->knows_memory()) return;  // alike on all ranks
  constexpr std::size_t words = 2;
  const std::array<std::uint64_t, words> mine{memory.bytes_, group_->is_idle() ? 0u : 1u};
  std::vector<std::uint64_t> all(words * static_cast<std::size_t>(size()));
  all_gather(std::span<const std::uint64_t>(mine), std::span<std::uint64_t>(all), {.label = "register_memory"});
  for (std::size_t r = 0; r < static_cast<std::size_t>(size()); ++r) {
    if (all[words * r + 1] != 0) {  // found on every rank alike, as what follows
      fail(ErrorCode::invalid_argument,
           "register_memory: rank " + std::to_string(r) + " has operations of this communicator under way; wait first");
    }
    if (all[words * r] != all[0]) {
      fail(ErrorCode::mismatch, "register_memory: rank 0 passes " + std::to_string(all[0]) + " bytes, rank " +
                                    std::to_string(r) + " " + std::to_string(all[words * r]) +
                                    "; all must pass the same");
    }
  }
  memory.unregister();
  if (memory.bytes_ == 0) return;
  memory.known_by_ = group_;
  group_->know(memory.block_);
}

}  // namespace trireme
