// SPDX-License-Identifier: Apache-2.0
#include "trireme/models/device_mlp.hpp"

#include "kernels/dense/dense_device.hpp"
#include "kernels/float_environment.hpp"
#include "kernels/fold/fold_device.hpp"
#include "kernels/norm/norm.hpp"
#include "models/dropout.hpp"
#include "models/dropout_device.hpp"
#include "models/gradient_views.hpp"
#include "models/labelled_rows.hpp"
#include "trireme/base/error.hpp"
#include "trireme/device/gemm_engines.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>
#include <utility>

namespace trireme::models {
namespace {

constexpr std::size_t most_rows = std::numeric_limits<int>::max();
constexpr std::size_t parameter_alignment = 256;  // bytes
constexpr std::size_t feature_alignment = 16;

std::size_t padded(std::size_t bytes) {
  return (bytes + parameter_alignment - 1) / parameter_alignment * parameter_alignment;
}

float* floats(const device::Buffer& buffer) { return reinterpret_cast<float*>(buffer.data()); }

device::Factor plain(const float* data, std::size_t stride) { return {data, stride, false}; }
device::Factor transposed(const float* data, std::size_t stride) { return {data, stride, true}; }

}  // namespace

/// Until it ends, the features of a slot are needed by what is given to the stream; also where a listener throws.
class DeviceMlp::Use {
 public:
  Use(Slot& slot, Stream stream) : slot_(slot), stream_(stream) {}
  Use(const Use&) = delete;
  Use& operator=(const Use&) = delete;
  ~Use() {
    try {
      slot_.used.record(stream_);
    } catch (...) {  // the device has failed: the next call will say so
    }
  }

 private:
  Slot& slot_;
  Stream stream_;
};

DeviceMlp::DeviceMlp(const MlpOptions& options, DeviceMlpPlace place)
    : sizes_(options.sizes),
      seed_(options.seed),
      dropout_(options.dropout),
      runtime_(std::move(place.runtime)),
      stream_(place.stream),
      product_(std::move(place.product)) {
  MlpOptions host_options = options;
  host_options.rows = 1;
  const Mlp<float> host(host_options);  // checks the options
  const int device = stream_.device.index;
  if (product_ == nullptr) product_ = device::matrix_product(runtime_, device);
  copies_ = device::OwnedStream(runtime_, device);
  std::vector<const device::KernelEntry*> kernels;
  kernels::dense_kernels(kernels);
  kernels::fold_kernels(kernels);
  dropout_kernels(kernels);
  device::own_gemm_kernels(kernels);
  runtime_->load(kernels);

  std::size_t total = 0;
  for (const Parameter& parameter : host.parameters()) total += padded(parameter.value.size_bytes());
  values_ = device::Buffer(runtime_, device, total);
  gradients_ = device::Buffer(runtime_, device, total);
  std::size_t offset = 0;
  for (const Parameter& parameter : host.parameters()) {
    const std::size_t count = parameter.value.count;
    parameters_.push_back({parameter.name, parameter.shape, values_.view(DType::f32, count, offset),
                           gradients_.view(DType::f32, count, offset)});
    runtime_->copy(parameters_.back().value.data, parameter.value.data, parameter.value.size_bytes(), stream_);
    offset += padded(parameter.value.size_bytes());
  }
  runtime_->synchronize(stream_);  // `host` goes
  for (Slot& slot : slots_) {
    slot.copied = device::OwnedEvent(runtime_, device);
    slot.used = device::OwnedEvent(runtime_, device);
    slot.found = device::OwnedEvent(runtime_, device);
  }
  make_room(std::max<std::size_t>(options.rows, 1));
  runtime_->synchronize(stream_);
}

DeviceMlp::~DeviceMlp() {
  try {
    copies_.synchronize();
    runtime_->synchronize(stream_);
  } catch (...) {  // the device has failed: nothing runs on it any more
  }
}

void DeviceMlp::use_gradients(std::span<const Parameter> parameters) {
  if (!adopt_gradients(parameters_, parameters)) return;
  runtime_->synchronize(stream_);  // what was given to it writes to the old ones
  gradients_ = {};
}

std::string DeviceMlp::description() const {
  std::string text = "mlp ";
  for (const std::size_t size : sizes_) text += (text.back() == ' ' ? "" : "-") + std::to_string(size);
  return text;
}

void DeviceMlp::make_room(std::size_t rows) {
  if (rows <= room_) return;
  copies_.synchronize();
  runtime_->synchronize(stream_);
  const int device = stream_.device.index;
  const auto buffer = [&](std::size_t bytes) { return device::Buffer(runtime_, device, bytes); };
  room_ = 0;  // until all of it is there
  activations_.clear();
  for (std::size_t l = 0; l < layers(); ++l) activations_.push_back(buffer(rows * sizes_[l + 1] * sizeof(float)));
  const std::size_t widest = *std::max_element(sizes_.begin() + 1, sizes_.end());
  for (device::Buffer& delta : deltas_) delta = buffer(rows * widest * sizeof(float));
  losses_ = buffer(rows * sizeof(double));
  hits_ = buffer(rows);
  for (Slot& slot : slots_) {
    const std::size_t features = rows * inputs() * sizeof(float);
    slot.pinned_features = device::PinnedBuffer(runtime_, features);
    slot.pinned_labels = device::PinnedBuffer(runtime_, rows);
    slot.features = buffer(features);
    slot.labels = buffer(rows);
    slot.losses = device::PinnedBuffer(runtime_, rows * sizeof(double));
    slot.hits = device::PinnedBuffer(runtime_, rows);
    slot.rows = 0;
  }
  room_ = rows;
}

void DeviceMlp::check(ConstTensorView features, std::span<const std::uint8_t> labels) const {
  check_rows(features, DType::f32, labels, inputs(), classes(), most_rows);
  if (features.device.kind == DeviceKind::cpu) return;
  if (features.device != stream_.device) {
    fail(ErrorCode::invalid_argument, "features of device " + std::to_string(features.device.index) +
                                          " for a model on device " + std::to_string(stream_.device.index));
  }
  if (reinterpret_cast<std::uintptr_t>(features.data) % feature_alignment != 0) {
    fail(ErrorCode::invalid_argument,
         "features on a device must be aligned to " + std::to_string(feature_alignment) + " bytes");
  }
}

DeviceMlp::Slot& DeviceMlp::next_slot(std::size_t rows) {
  make_room(rows);
  turn_ = 1 - turn_;
  slots_[turn_].rows = rows;
  return slots_[turn_];
}

/// The features, where the stream finds them.
const float* DeviceMlp::load(Slot& slot, ConstTensorView features, std::span<const std::uint8_t> labels) {
  runtime_->await(slot.copied.get());  // the pinned memory is free
  runtime_->wait(copies_.get(), slot.used.get());
  const bool copies_features = features.device.kind == DeviceKind::cpu;
  if (copies_features) {
    std::memcpy(slot.pinned_features.data(), features.data, features.size_bytes());
    runtime_->copy(slot.features.data(), slot.pinned_features.data(), features.size_bytes(), copies_.get());
  }
  std::memcpy(slot.pinned_labels.data(), labels.data(), labels.size());
  runtime_->copy(slot.labels.data(), slot.pinned_labels.data(), labels.size(), copies_.get());
  slot.copied.record(copies_.get());
  runtime_->wait(stream_, slot.copied.get());
  return copies_features ? floats(slot.features) : static_cast<const float*>(features.data);
}

void DeviceMlp::multiply(std::size_t m, std::size_t n, std::size_t k, device::Factor a, device::Factor b, float* c) {
  product_->run({.m = m, .n = n, .k = k, .a = a, .b = b, .c = c, .c_stride = n}, queue());
}

void DeviceMlp::forward(const float* features, std::size_t rows, const Dropout& dropout) {
  const float* input = features;
  for (std::size_t l = 0; l < layers(); ++l) {
    const std::size_t outputs = sizes_[l + 1];
    float* output = floats(activations_[l]);
    multiply(rows, outputs, sizes_[l], plain(input, sizes_[l]), transposed(value(2 * l), sizes_[l]), output);
    if (l + 1 < layers()) {
      kernels::add_bias_relu(output, value(2 * l + 1), rows, outputs, queue());
      apply(dropout, output, rows, outputs, static_cast<std::uint32_t>(l), queue());
    } else {
      kernels::add_bias(output, value(2 * l + 1), rows, outputs, queue());
    }
    input = output;
  }
}

/// Losses of the slot's rows, on their way to the host; the derivative by the logits unless null.
void DeviceMlp::measure(Slot& slot, float* gradient, bool wants_hits) {
  kernels::softmax_cross_entropy<float>({.logits = floats(activations_.back()),
                                         .labels = reinterpret_cast<const std::uint8_t*>(slot.labels.data()),
                                         .rows = slot.rows,
                                         .classes = classes(),
                                         .losses = reinterpret_cast<double*>(losses_.data()),
                                         .gradient = gradient,
                                         .hits = wants_hits ? reinterpret_cast<std::uint8_t*>(hits_.data()) : nullptr},
                                        queue());
  runtime_->copy(slot.losses.data(), losses_.data(), slot.rows * sizeof(double), stream_);
  if (wants_hits) runtime_->copy(slot.hits.data(), hits_.data(), slot.rows, stream_);
  slot.found.record(stream_);
}

void DeviceMlp::give(ConstTensorView features, std::span<const std::uint8_t> labels, const Listener& listener) {
  check(features, labels);
  kept_loss_.reset();
  const std::size_t rows = labels.size();
  Slot& slot = next_slot(rows);
  if (rows == 0) {
    slot.found.record(stream_);
    listener.forward_done();
    for (std::size_t p = parameters_.size(); p-- > 0;) {
      runtime_->fill(gradient(p), std::byte{0}, parameters_[p].gradient.size_bytes(), stream_);
      listener.ready(p);
    }
    return;
  }
  const float* x = load(slot, features, labels);
  const Use use(slot, stream_);
  const Dropout dropout(dropout_, seed_, place_);
  forward(x, rows, dropout);
  float* delta = floats(deltas_[0]);
  float* next_delta = floats(deltas_[1]);
  measure(slot, delta, false);
  listener.forward_done();
  for (std::size_t l = layers(); l-- > 0;) {
    const std::size_t outputs = sizes_[l + 1];
    const float* input = l == 0 ? x : floats(activations_[l - 1]);
    kernels::column_sum(gradient(2 * l + 1), delta, rows, outputs, queue());
    listener.ready(2 * l + 1);
    multiply(outputs, sizes_[l], rows, transposed(delta, outputs), plain(input, sizes_[l]), gradient(2 * l));
    listener.ready(2 * l);
    if (l == 0) break;  // nobody wants the derivative by the features
    multiply(rows, sizes_[l], outputs, plain(delta, outputs), plain(value(2 * l), sizes_[l]), next_delta);
    kernels::relu_backward(next_delta, next_delta, input, rows * sizes_[l], queue());
    amplify(dropout, next_delta, rows * sizes_[l], queue());
    std::swap(delta, next_delta);
  }
}

double DeviceMlp::run(ConstTensorView features, std::span<const std::uint8_t> labels, const Listener& listener) {
  give(features, labels, listener);
  return loss();
}

bool DeviceMlp::loss_is_known() const { return kept_loss_ || slots_[turn_].found.passed(); }

double DeviceMlp::loss() const {
  if (kept_loss_) return *kept_loss_;
  const Slot& slot = slots_[turn_];
  runtime_->await(slot.found.get());
  if (slot.rows == 0) return 0.0;
  const kernels::FloatEnvironment environment;
  return kernels::sum(reinterpret_cast<const double*>(slot.losses.data()), slot.rows) / static_cast<double>(slot.rows);
}

/// Waits for what the slot's call found; how many hits there were.
std::size_t DeviceMlp::collect(const Slot& slot, double* losses) const {
  runtime_->await(slot.found.get());
  std::memcpy(losses, slot.losses.data(), slot.rows * sizeof(double));
  std::size_t hits = 0;
  for (std::size_t r = 0; r < slot.rows; ++r) hits += std::to_integer<std::size_t>(slot.hits.data()[r]);
  return hits;
}

Evaluation DeviceMlp::evaluate_rows(ConstTensorView features, std::span<const std::uint8_t> labels,
                                    std::span<double> losses) {
  check_losses(losses, labels.size());
  check(features, labels);
  if (!kept_loss_) kept_loss_ = loss();  // an evaluation takes its place
  const kernels::FloatEnvironment environment;
  Evaluation result{.samples = labels.size()};
  kernels::TreeSum loss_sum;
  std::vector<double> own_losses(losses.empty() ? std::min(labels.size(), evaluation_rows) : 0);
  const auto add = [&](const Slot& slot, std::size_t begin) {
    double* to = losses.empty() ? own_losses.data() : losses.data() + begin;
    result.correct += collect(slot, to);
    loss_sum.add(kernels::block_sum(to, slot.rows));
  };
  make_room(std::min(labels.size(), evaluation_rows));
  const Slot* before = nullptr;  // whose results are on their way
  for (std::size_t begin = 0; begin < labels.size(); begin += evaluation_rows) {
    const auto block = labels.subspan(begin, std::min(evaluation_rows, labels.size() - begin));
    const ConstTensorView rows(static_cast<const float*>(features.data) + begin * inputs(), block.size() * inputs(),
                               DType::f32, features.device);
    Slot& slot = next_slot(block.size());
    const float* x = load(slot, rows, block);
    const Use use(slot, stream_);
    forward(x, block.size(), Dropout());
    measure(slot, nullptr, true);
    if (before != nullptr) add(*before, begin - evaluation_rows);
    before = &slot;
  }
  if (before != nullptr) add(*before, (labels.size() - 1) / evaluation_rows * evaluation_rows);
  result.loss_sum = loss_sum.result();
  return result;
}

}  // namespace trireme::models
