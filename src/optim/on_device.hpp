// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/norm/step_scale.hpp"
#include "kernels/update/update.hpp"
#include "trireme/device/owned.hpp"
#include "trireme/optim/optimizer.hpp"

#include <cstddef>
#include <memory>
#include <vector>

namespace trireme::optim {

/// Where an optimizer's device work goes, what it works with there, and what a step's scale said.
class OnDevice {
 public:
  /// Loads the kernels.
  OnDevice(std::shared_ptr<device::Runtime> runtime, Stream stream);
  /// Waits for what was given, as nothing may be freed before.
  ~OnDevice();
  OnDevice(const OnDevice&) = delete;
  OnDevice& operator=(const OnDevice&) = delete;

  const std::shared_ptr<device::Runtime>& runtime() const { return runtime_; }
  Device device() const { return stream_.device; }
  Stream stream() const { return stream_; }
  device::Queue queue() const { return {*runtime_, stream_}; }
  void copy(void* to, const void* from, std::size_t bytes) {
    if (bytes != 0) runtime_->copy(to, from, bytes, stream_);
  }
  void synchronize() { runtime_->synchronize(stream_); }
  /// The same, where a failure has nobody to go to.
  void finish() noexcept;

  /// Memory of the device for doubles; grows, after waiting for its users.
  double* sums(std::size_t count);
  /// Host memory that the device reaches; the same.
  std::byte* staging(std::size_t bytes);

  /// Has `scale` fetched behind all that was given, for verdict().
  void ask(const void* scale);
  bool asked() const { return asked_; }
  /// Waits for what ask() fetched.
  kernels::StepScale verdict();
  void drop_question() { asked_ = false; }

  // Of the step that is being applied, or whose verdict is open.
  void clear();
  std::vector<Optimizer::States::value_type*> entries;
  std::vector<char> fresh;          ///< whether the entry was made for this step
  std::vector<SpanUpdate> updates;  ///< of the entries whose state lies here, too
  std::vector<OptimizerRates> rates;
  std::vector<kernels::UpdateSpan> spans;
  std::vector<char> done;

 private:
  std::shared_ptr<device::Runtime> runtime_;
  Stream stream_;
  device::Buffer sums_;
  device::PinnedBuffer staging_;
  device::PinnedBuffer answer_;
  device::OwnedEvent answered_;
  bool asked_ = false;
};

}  // namespace trireme::optim
