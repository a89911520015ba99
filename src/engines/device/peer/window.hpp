// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "engines/device/peer/round.hpp"
#include "trireme/device/owned.hpp"

#include <array>
#include <memory>
#include <vector>

namespace trireme::engines::device::peer {

/// Device memory of one rank that all others reach: posts and slots. Shared by the ranks of a process, so that it is there
/// as long as any of them may read it.
struct Window {
  Window(const std::shared_ptr<trireme::device::Runtime>& runtime, int device, const WindowLayout& layout_)
      : layout(layout_), memory(runtime, device, layout_.bytes()) {}
  WindowLayout layout;
  trireme::device::Buffer memory;
};

/// The window of a rank of another process, as it is mapped here.
class ImportedWindow {
 public:
  ImportedWindow(std::shared_ptr<trireme::device::Runtime> runtime, int device,
                 const trireme::device::SharedAllocation& allocation)
      : runtime_(std::move(runtime)), device_(device), data_(runtime_->import(device, allocation)) {}
  ImportedWindow(ImportedWindow&& other) noexcept
      : runtime_(std::move(other.runtime_)), device_(other.device_), data_(std::exchange(other.data_, nullptr)) {}
  ImportedWindow& operator=(ImportedWindow&&) = delete;
  ~ImportedWindow() {
    if (data_ != nullptr) runtime_->forget(device_, data_);
  }
  std::byte* data() const { return static_cast<std::byte*>(data_); }

 private:
  std::shared_ptr<trireme::device::Runtime> runtime_;
  int device_;
  void* data_;
};

/// Windows of all members of a communicator, as this rank reaches them: one set for operations that the host follows, one
/// for those of captured graphs, whose meetings are counted apart.
struct Windows {
  static constexpr std::size_t channels = 2;
  std::array<std::shared_ptr<Window>, channels> own;
  std::array<std::vector<std::byte*>, channels> of_rank;
  std::vector<std::shared_ptr<Window>> of_this_process;
  std::vector<ImportedWindow> of_others;
};

}  // namespace trireme::engines::device::peer
