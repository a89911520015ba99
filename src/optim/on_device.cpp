// SPDX-License-Identifier: Apache-2.0
#include "optim/on_device.hpp"

#include "kernels/update/update_device.hpp"
#include "trireme/base/error.hpp"

#include <cstring>
#include <utility>

namespace trireme::optim {

OnDevice::OnDevice(std::shared_ptr<device::Runtime> runtime, Stream stream)
    : runtime_(std::move(runtime)),
      stream_(stream),
      answer_(runtime_, sizeof(kernels::StepScale)),
      answered_(runtime_, stream.device.index) {
  std::vector<const device::KernelEntry*> kernels;
  kernels::update_kernels(kernels);
  kernels::trust_kernels(kernels);
  runtime_->load(kernels);
}

OnDevice::~OnDevice() { finish(); }

void OnDevice::finish() noexcept {
  try {
    synchronize();
  } catch (const Exception&) {
    // The device has failed: who uses it hears of it in the next call.
  }
}

double* OnDevice::sums(std::size_t count) {
  if (sums_.size_bytes() < count * sizeof(double)) {
    synchronize();
    sums_ = {};
    sums_ = device::Buffer(runtime_, stream_.device.index, count * sizeof(double));
  }
  return reinterpret_cast<double*>(sums_.data());
}

std::byte* OnDevice::staging(std::size_t bytes) {
  if (staging_.size_bytes() < bytes) {
    synchronize();
    staging_ = {};
    staging_ = device::PinnedBuffer(runtime_, bytes);
  }
  return staging_.data();
}

void OnDevice::clear() {
  entries.clear();
  fresh.clear();
  updates.clear();
  rates.clear();
  spans.clear();
}

void OnDevice::ask(const void* scale) {
  copy(answer_.data(), scale, sizeof(kernels::StepScale));
  answered_.record(stream_);
  asked_ = true;
}

kernels::StepScale OnDevice::verdict() {
  runtime_->await(answered_.get());
  asked_ = false;
  kernels::StepScale scale;
  std::memcpy(&scale, answer_.data(), sizeof scale);
  return scale;
}

}  // namespace trireme::optim
