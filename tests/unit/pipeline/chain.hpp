// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/error.hpp"
#include "trireme/pipeline/runtime.hpp"

#include <cstddef>
#include <span>
#include <vector>

namespace trireme::testing {

/// A chain of layers y = h + h²/8, h = x W, in f64, with a loss |y - target|²/2 behind the last; widths differ.
/// Stage s of `stages` has 1 or 2 layers. `rows` samples are a micro-batch.
class Chain {
 public:
  Chain(int stages, std::size_t rows, std::size_t scale = 1) : rows_(rows) {
    for (int stage = 0; stage < stages; ++stage) {
      first_layer_.push_back(widths_.size());
      for (int layer = 0; layer < 1 + stage % 2; ++layer) widths_.push_back(scale * (2 + (widths_.size() * 3 + 1) % 4));
    }
    first_layer_.push_back(widths_.size());
    widths_.push_back(scale * 3);
  }
  std::size_t rows() const { return rows_; }
  std::size_t width(std::size_t layer) const { return widths_[layer]; }
  std::size_t first_layer(int stage) const { return first_layer_[static_cast<std::size_t>(stage)]; }
  std::size_t layers() const { return widths_.size() - 1; }
  int stages() const { return static_cast<int>(first_layer_.size()) - 1; }

  std::vector<pipeline::Boundary> boundaries() const {
    std::vector<pipeline::Boundary> result;
    for (int stage = 1; stage < stages(); ++stage) result.push_back({rows_ * width(first_layer(stage)), DType::f64});
    return result;
  }
  /// Numbers whose sums round: the order in which they are added shows.
  static double number(std::size_t seed) {
    return static_cast<double>((seed * 2654435761u + 12345u) % 1009u) / 1009.0 - 0.5;
  }
  std::vector<double> weights(std::size_t layer) const {
    return numbers(width(layer) * width(layer + 1), 7 * layer + 1);
  }
  std::vector<double> data(int micro_batch) const {
    return numbers(rows_ * width(0), 1000u + 31u * static_cast<std::size_t>(micro_batch));
  }
  std::vector<double> target(int micro_batch) const {
    return numbers(rows_ * width(layers()), 5000u + 17u * static_cast<std::size_t>(micro_batch));
  }

 private:
  static std::vector<double> numbers(std::size_t count, std::size_t seed) {
    std::vector<double> result(count);
    for (std::size_t i = 0; i < count; ++i) result[i] = number(seed * 4099u + i);
    return result;
  }
  std::size_t rows_;
  std::vector<std::size_t> widths_;
  std::vector<std::size_t> first_layer_;
};

/// One layer's arithmetic: the same for the pipeline and for the chain in one piece.
struct Layer {
  std::size_t rows, in, out;
  std::vector<double> weights;
  std::vector<double> gradient = std::vector<double>(weights.size(), 0.0);

  void forward(std::span<const double> x, std::span<double> h, std::span<double> y) const {
    for (std::size_t r = 0; r < rows; ++r) {
      for (std::size_t j = 0; j < out; ++j) {
        double sum = 0;
        for (std::size_t i = 0; i < in; ++i) sum += x[r * in + i] * weights[i * out + j];
        h[r * out + j] = sum;
        y[r * out + j] = sum + sum * sum / 8;
      }
    }
  }
  /// From dy to dh, in place.
  void backward_activation(std::span<const double> h, std::span<double> dy) const {
    for (std::size_t i = 0; i < h.size(); ++i) dy[i] *= 1 + h[i] / 4;
  }
  void backward_input(std::span<const double> dh, std::span<double> dx) const {
    for (std::size_t r = 0; r < rows; ++r) {
      for (std::size_t i = 0; i < in; ++i) {
        double sum = 0;
        for (std::size_t j = 0; j < out; ++j) sum += dh[r * out + j] * weights[i * out + j];
        dx[r * in + i] = sum;
      }
    }
  }
  /// Adds this micro-batch's gradient, made by itself first.
  void backward_weight(std::span<const double> x, std::span<const double> dh) {
    for (std::size_t i = 0; i < in; ++i) {
      for (std::size_t j = 0; j < out; ++j) {
        double sum = 0;
        for (std::size_t r = 0; r < rows; ++r) sum += x[r * in + i] * dh[r * out + j];
        gradient[i * out + j] += sum;
      }
    }
  }
};

/// A stage of the chain. Checks, as it runs, what the runtime promises of slots and of memory.
class ChainStage : public pipeline::Stage {
 public:
  ChainStage(const Chain& chain, int stage, int slots, bool splits = true)
      : chain_(chain), stage_(stage), splits_(splits) {
    for (std::size_t i = chain.first_layer(stage); i < chain.first_layer(stage + 1); ++i)
      layers_.push_back({chain.rows(), chain.width(i), chain.width(i + 1), chain.weights(i)});
    kept_.resize(static_cast<std::size_t>(slots));
  }

  std::vector<double> gradient() const {
    std::vector<double> all;
    for (const Layer& layer : layers_) all.insert(all.end(), layer.gradient.begin(), layer.gradient.end());
    return all;
  }

  void forward(pipeline::MicroBatch micro_batch, ConstTensorView input, TensorView output) override {
    Kept& kept = kept_.at(static_cast<std::size_t>(micro_batch.slot));
    expect(!kept.live, "a slot is taken while it is in use");
    kept = {.live = true, .micro_batch = micro_batch.index};
    kept.x.push_back(is_first() ? chain_.data(micro_batch.index) : copy_of(input));
    for (const Layer& layer : layers_) {
      kept.h.emplace_back(layer.rows * layer.out);
      kept.x.emplace_back(layer.rows * layer.out);
      layer.forward(kept.x[kept.x.size() - 2], kept.h.back(), kept.x.back());
    }
    if (is_last()) {
      expect(output.count == 0, "the last stage has no output");
    } else {
      std::copy(kept.x.back().begin(), kept.x.back().end(), output.as<double>().begin());
    }
  }
  void backward(pipeline::MicroBatch micro_batch, ConstTensorView input, ConstTensorView output_gradient,
                TensorView input_gradient) override {
    input_half(micro_batch, input, output_gradient, input_gradient);
    weight_half(micro_batch, input);
  }
  bool splits_backward() const override { return splits_; }
  void backward_input(pipeline::MicroBatch micro_batch, ConstTensorView input, ConstTensorView output_gradient,
                      TensorView input_gradient) override {
    input_half(micro_batch, input, output_gradient, input_gradient);
  }
  void backward_weight(pipeline::MicroBatch micro_batch, ConstTensorView input,
                       ConstTensorView output_gradient) override {
    if (!is_last())
      expect(copy_of(output_gradient) == kept_.at(static_cast<std::size_t>(micro_batch.slot)).dy,
             "the output's gradient stays");
    weight_half(micro_batch, input);
  }

 private:
  struct Kept {
    bool live = false;
    int micro_batch = 0;
    std::vector<std::vector<double>> x{}, h{}, dh{};
    std::vector<double> dy{};
  };
  bool is_first() const { return stage_ == 0; }
  bool is_last() const { return stage_ + 1 == chain_.stages(); }
  static std::vector<double> copy_of(ConstTensorView view) {
    const auto* data = static_cast<const double*>(view.data);
    return {data, data + view.count};
  }
  static void expect(bool holds, const char* what) {
    if (!holds) fail(ErrorCode::corrupt, what);
  }
  Kept& kept(pipeline::MicroBatch micro_batch, ConstTensorView input) {
    Kept& result = kept_.at(static_cast<std::size_t>(micro_batch.slot));
    expect(result.live && result.micro_batch == micro_batch.index, "a slot holds another micro-batch");
    if (!is_first()) expect(copy_of(input) == result.x.front(), "the input stays");
    return result;
  }
  void input_half(pipeline::MicroBatch micro_batch, ConstTensorView input, ConstTensorView output_gradient,
                  TensorView input_gradient) {
    Kept& of = kept(micro_batch, input);
    std::vector<double> dy;
    if (is_last()) {
      dy = chain_.target(micro_batch.index);
      for (std::size_t i = 0; i < dy.size(); ++i) dy[i] = of.x.back()[i] - dy[i];
    } else {
      dy = of.dy = copy_of(output_gradient);
    }
    of.dh.resize(layers_.size());
    for (std::size_t i = layers_.size(); i-- > 0;) {
      layers_[i].backward_activation(of.h[i], dy);
      of.dh[i] = dy;
      dy.assign(layers_[i].rows * layers_[i].in, 0.0);
      if (i > 0 || !is_first()) layers_[i].backward_input(of.dh[i], dy);
    }
    if (!is_first()) std::copy(dy.begin(), dy.end(), input_gradient.as<double>().begin());
  }
  void weight_half(pipeline::MicroBatch micro_batch, ConstTensorView input) {
    Kept& of = kept(micro_batch, input);
    for (std::size_t i = 0; i < layers_.size(); ++i) layers_[i].backward_weight(of.x[i], of.dh[i]);
    of.live = false;
  }

  const Chain& chain_;
  int stage_;
  bool splits_;
  std::vector<Layer> layers_;
  std::vector<Kept> kept_;
};

/// The gradients of all layers after `steps` steps, in one piece: micro-batch by micro-batch.
inline std::vector<double> chain_gradient(const Chain& chain, int micro_batches, int steps = 1) {
  std::vector<Layer> layers;
  for (std::size_t i = 0; i < chain.layers(); ++i)
    layers.push_back({chain.rows(), chain.width(i), chain.width(i + 1), chain.weights(i)});
  for (int turn = 0; turn < steps * micro_batches; ++turn) {
    const int micro_batch = turn % micro_batches;
    std::vector<std::vector<double>> x{chain.data(micro_batch)}, h;
    for (const Layer& layer : layers) {
      h.emplace_back(layer.rows * layer.out);
      std::vector<double> y(layer.rows * layer.out);
      layer.forward(x.back(), h.back(), y);
      x.push_back(std::move(y));
    }
    std::vector<double> dy = chain.target(micro_batch);
    for (std::size_t i = 0; i < dy.size(); ++i) dy[i] = x.back()[i] - dy[i];
    for (std::size_t i = layers.size(); i-- > 0;) {
      layers[i].backward_activation(h[i], dy);
      layers[i].backward_weight(x[i], dy);
      std::vector<double> dx(layers[i].rows * layers[i].in);
      layers[i].backward_input(dy, dx);
      dy = std::move(dx);
    }
  }
  std::vector<double> all;
  for (const Layer& layer : layers) all.insert(all.end(), layer.gradient.begin(), layer.gradient.end());
  return all;
}

}  // namespace trireme::testing
