// SPDX-License-Identifier: Apache-2.0
#include "kernels/fold/fold_device.hpp"
#include "parallel/fold_memory.hpp"
#include "trireme/device/runtime.hpp"

#include <utility>

namespace trireme::parallel {
namespace {

class DeviceFoldMemory final : public FoldMemory {
 public:
  DeviceFoldMemory(Communicator communicator, std::size_t bytes, std::span<std::byte> given, Stream stream, bool alike)
      : runtime_(communicator.device_runtime()),
        device_(*communicator.device()),
        own_(given.empty() ? communicator.device_memory(Bytes{bytes}) : DeviceMemory{}),
        data_(given.empty() ? own_.data() : given.data()),
        stream_(stream) {
    if (!given.empty()) return;
    if (alike) communicator.register_memory(own_);
    runtime_->fill(data_, std::byte{0}, bytes, stream_);  // between gradients, too
  }
  ~DeviceFoldMemory() override {
    try {
      runtime_->synchronize(stream_);  // what it was given may still write here
    } catch (...) {                    // the device has failed: nothing runs there any more
    }
  }

  std::byte* data() const override { return data_; }
  TensorView view(std::byte* place, std::size_t count, DType dtype) const override {
    return {place, count, dtype, device_};
  }

  void scale(std::byte* to, const TensorView& source, double weight) override {
    kernels::scale(to, source.data, source.dtype, weight, source.count, queue());
  }
  void scale_add(std::byte* to, const TensorView& source, double weight) override {
    kernels::scale_add(to, source.data, source.dtype, weight, source.count, queue());
  }
  void scale_divide(std::byte* to, const TensorView& source, double weight, double divisor) override {
    kernels::scale_divide(to, source.data, source.dtype, weight, divisor, source.count, queue());
  }
  void add(std::byte* left, const std::byte* right, DType dtype, std::size_t count) override {
    kernels::add(left, right, dtype, count, queue());
  }
  void fill_identity(std::byte* to, DType dtype, std::size_t count) override {
    kernels::fill_negative_zero(to, dtype, count, queue());
  }
  void fill_zero(std::byte* to, DType dtype, std::size_t count) override {
    runtime_->fill(to, std::byte{0}, count * size_of(dtype), stream_);
  }

 private:
  device::Queue queue() const { return {*runtime_, stream_}; }
  std::shared_ptr<device::Runtime> runtime_;
  Device device_;
  DeviceMemory own_;
  std::byte* data_;
  Stream stream_;
};

}  // namespace

std::unique_ptr<FoldMemory> device_fold_memory(Communicator communicator, std::size_t bytes, std::span<std::byte> given,
                                               Stream stream, bool alike) {
  return std::make_unique<DeviceFoldMemory>(std::move(communicator), bytes, given, stream, alike);
}

}  // namespace trireme::parallel
