// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/parameter.hpp"
#include "trireme/base/tensor_view.hpp"
#include "trireme/device/gemm.hpp"
#include "trireme/device/owned.hpp"
#include "trireme/models/classifier.hpp"
#include "trireme/models/mlp.hpp"
#include "trireme/models/sample_place.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace trireme::models {

class Dropout;

/// Where a DeviceMlp computes.
struct DeviceMlpPlace {
  std::shared_ptr<device::Runtime> runtime{};
  Stream stream{};                                   ///< of the device; it outlives the model
  std::unique_ptr<device::MatrixProduct> product{};  ///< null: device::matrix_product()
};

/// Mlp<float> on a device: the same parameters, names, shapes, initial values and masks; values and gradients are views of
/// device memory.
/// Shape:   features of f32 in host memory, or of the device, aligned to 16 bytes; labels in host memory. Features and labels of
///          the host may change once a call has returned: they were copied, by way of pinned memory.
/// Order:   all work is given to the stream. `ready(p)` is called as soon as what computes gradient p is in the stream, so what
///          is given to the stream from there on sees it. forward_backward() waits for the loss, hence for the forward pass, and
///          not for the backward pass; start() waits for nothing.
///          Bits: as Classifier says, for one kind of product, device and library; with device::own_matrix_product() those of
///          Mlp<float> on the host.
/// Cost:    nothing is allocated and the host never waits for the device in a call whose rows fit, but that
///          the second call in a row waits until the copy of features of the one before the last has left its memory.
/// Threads: one at a time per model.
class DeviceMlp final : public Classifier {
 public:
  /// Errors: those of Mlp; device.
  DeviceMlp(const MlpOptions& options, DeviceMlpPlace place);
  /// Waits for the stream.
  ~DeviceMlp() override;
  DeviceMlp(const DeviceMlp&) = delete;
  DeviceMlp& operator=(const DeviceMlp&) = delete;

  const std::vector<Parameter>& parameters() const override { return parameters_; }
  /// Errors: also where they are not memory of this device.
  void use_gradients(std::span<const Parameter> parameters) override;
  std::size_t inputs() const override { return sizes_.front(); }
  std::size_t classes() const override { return sizes_.back(); }
  std::string description() const override;
  void set_place(const SamplePlace& place) override { place_ = place; }

  Stream stream() const { return stream_; }
  /// "cublasLt" or "own": what multiplies.
  std::string_view product() const { return product_->name(); }

  /// forward_backward() that does not wait: the loss is asked for later, or never.
  /// Errors: as forward_backward().
  template <class Ready>
  void start(ConstTensorView features, std::span<const std::uint8_t> labels, Ready&& ready) {
    give(features, labels,
         {const_cast<void*>(static_cast<const void*>(std::addressof(ready))),
          [](void* callable, std::size_t p) { (*static_cast<std::remove_reference_t<Ready>*>(callable))(p); }, nullptr,
          [](void*) {}});
  }
  /// Whether loss() would not wait.
  bool loss_is_known() const;
  /// The mean cross-entropy of the latest start() or forward_backward(); waits for its forward pass.
  double loss() const;

 private:
  /// What belongs to a call, so that the next one can be prepared meanwhile.
  struct Slot {
    device::PinnedBuffer pinned_features, pinned_labels;
    device::Buffer features, labels;
    device::PinnedBuffer losses, hits;  // what the device found, for the host
    device::OwnedEvent copied;          // features and labels are on the device
    device::OwnedEvent used;            // ... and are needed no more
    device::OwnedEvent found;           // losses and hits are on the host
    std::size_t rows = 0;
  };
  class Use;

  double run(ConstTensorView features, std::span<const std::uint8_t> labels, const Listener& listener) override;
  Evaluation evaluate_rows(ConstTensorView features, std::span<const std::uint8_t> labels,
                           std::span<double> losses) override;
  void give(ConstTensorView features, std::span<const std::uint8_t> labels, const Listener& listener);
  void make_room(std::size_t rows);
  void check(ConstTensorView features, std::span<const std::uint8_t> labels) const;
  Slot& next_slot(std::size_t rows);
  const float* load(Slot& slot, ConstTensorView features, std::span<const std::uint8_t> labels);
  void forward(const float* features, std::size_t rows, const Dropout& dropout);
  void measure(Slot& slot, float* gradient, bool wants_hits);
  std::size_t collect(const Slot& slot, double* losses) const;
  void multiply(std::size_t m, std::size_t n, std::size_t k, device::Factor a, device::Factor b, float* c);

  device::Queue queue() const { return {*runtime_, stream_}; }
  std::size_t layers() const { return sizes_.size() - 1; }
  const float* value(std::size_t p) const { return static_cast<const float*>(parameters_[p].value.data); }
  float* gradient(std::size_t p) const { return static_cast<float*>(parameters_[p].gradient.data); }

  std::vector<std::size_t> sizes_;
  std::uint64_t seed_ = 0;
  double dropout_ = 0.0;
  SamplePlace place_;
  std::shared_ptr<device::Runtime> runtime_;
  Stream stream_;
  std::unique_ptr<device::MatrixProduct> product_;
  device::OwnedStream copies_;
  device::Buffer values_;
  device::Buffer gradients_;
  std::vector<Parameter> parameters_;
  std::size_t room_ = 0;                     // rows
  std::vector<device::Buffer> activations_;  // of every layer: rows x outputs, masked; the last are the logits
  std::array<device::Buffer, 2> deltas_;     // derivative of the loss by a layer's outputs, and of the layer below
  device::Buffer losses_;                    // of every row
  device::Buffer hits_;
  std::array<Slot, 2> slots_;
  std::size_t turn_ = 0;             // of the latest call
  std::optional<double> kept_loss_;  // of the latest start(), once evaluations have come behind it
};

}  // namespace trireme::models
