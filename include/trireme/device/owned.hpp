// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/tensor_view.hpp"
#include "trireme/device/runtime.hpp"

#include <cstddef>
#include <memory>
#include <utility>

namespace trireme::device {

/// Device memory that is freed with its owner. Move only.
class Buffer {
 public:
  Buffer() = default;
  Buffer(std::shared_ptr<Runtime> runtime, int device, std::size_t bytes)
      : runtime_(std::move(runtime)), device_(device), bytes_(bytes), data_(runtime_->allocate(device, bytes)) {}
  Buffer(Buffer&& other) noexcept { swap(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    swap(other);
    return *this;
  }
  ~Buffer() {
    if (data_ != nullptr) runtime_->free(device_, data_);
  }

  std::byte* data() const { return static_cast<std::byte*>(data_); }
  std::size_t size_bytes() const { return bytes_; }
  Device device() const { return {DeviceKind::cuda, device_}; }
  /// `count` elements from byte `offset` on.
  TensorView view(DType dtype, std::size_t count, std::size_t offset = 0) const {
    return {data() + offset, count, dtype, device()};
  }

 private:
  void swap(Buffer& other) noexcept {
    std::swap(runtime_, other.runtime_);
    std::swap(device_, other.device_);
    std::swap(bytes_, other.bytes_);
    std::swap(data_, other.data_);
  }
  std::shared_ptr<Runtime> runtime_;
  int device_ = 0;
  std::size_t bytes_ = 0;
  void* data_ = nullptr;
};

/// Host memory that devices reach, freed with its owner. Move only.
class PinnedBuffer {
 public:
  PinnedBuffer() = default;
  PinnedBuffer(std::shared_ptr<Runtime> runtime, std::size_t bytes)
      : runtime_(std::move(runtime)), bytes_(bytes), data_(runtime_->allocate_pinned(bytes)) {}
  PinnedBuffer(PinnedBuffer&& other) noexcept { swap(other); }
  PinnedBuffer& operator=(PinnedBuffer&& other) noexcept {
    swap(other);
    return *this;
  }
  ~PinnedBuffer() {
    if (data_ != nullptr) runtime_->free_pinned(data_);
  }

  std::byte* data() const { return static_cast<std::byte*>(data_); }
  std::size_t size_bytes() const { return bytes_; }

 private:
  void swap(PinnedBuffer& other) noexcept {
    std::swap(runtime_, other.runtime_);
    std::swap(bytes_, other.bytes_);
    std::swap(data_, other.data_);
  }
  std::shared_ptr<Runtime> runtime_;
  std::size_t bytes_ = 0;
  void* data_ = nullptr;
};

/// A stream that ends with its owner. Move only.
class OwnedStream {
 public:
  OwnedStream() = default;
  OwnedStream(std::shared_ptr<Runtime> runtime, int device)
      : runtime_(std::move(runtime)), stream_(runtime_->make_stream(device)) {}
  OwnedStream(OwnedStream&& other) noexcept
      : runtime_(std::move(other.runtime_)), stream_(std::exchange(other.stream_, {})) {}
  OwnedStream& operator=(OwnedStream&& other) noexcept {
    std::swap(runtime_, other.runtime_);
    std::swap(stream_, other.stream_);
    return *this;
  }
  ~OwnedStream() {
    if (runtime_) runtime_->destroy(stream_);
  }

  Stream get() const { return stream_; }
  Queue queue() const { return {*runtime_, stream_}; }
  void synchronize() const { runtime_->synchronize(stream_); }

 private:
  std::shared_ptr<Runtime> runtime_;
  Stream stream_{};
};

/// An event that ends with its owner. Move only.
class OwnedEvent {
 public:
  OwnedEvent() = default;
  OwnedEvent(std::shared_ptr<Runtime> runtime, int device)
      : runtime_(std::move(runtime)), device_(device), event_(runtime_->make_event(device)) {}
  OwnedEvent(OwnedEvent&& other) noexcept
      : runtime_(std::move(other.runtime_)), device_(other.device_), event_(std::exchange(other.event_, nullptr)) {}
  OwnedEvent& operator=(OwnedEvent&& other) noexcept {
    std::swap(runtime_, other.runtime_);
    std::swap(device_, other.device_);
    std::swap(event_, other.event_);
    return *this;
  }
  ~OwnedEvent() {
    if (event_ != nullptr) runtime_->destroy_event(device_, event_);
  }

  void* get() const { return event_; }
  void record(Stream stream) { runtime_->record(event_, stream); }
  bool passed() const { return runtime_->passed(event_); }
  void hold(Stream stream) const { runtime_->wait(stream, event_); }

 private:
  std::shared_ptr<Runtime> runtime_;
  int device_ = 0;
  void* event_ = nullptr;
};

}  // namespace trireme::device
