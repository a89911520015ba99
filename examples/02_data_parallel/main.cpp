// SPDX-License-Identifier: Apache-2.0
// Data-parallel training of a model written by hand: softmax regression on points around three centres. Nothing is
// hidden: the model is two arrays, its gradient two loops, and the training loop is the one of the README.
//   trireme run -n 2 -- ./02_data_parallel
#include <trireme/trireme.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <random>
#include <span>
#include <vector>

namespace {

constexpr std::size_t inputs = 2;
constexpr std::size_t classes = 3;

struct Sample {
  std::array<float, inputs> features;
  std::size_t label;
};

/// The same points on every rank: which of them a rank works on, the sampler decides.
std::vector<Sample> make_samples(std::size_t count) {
  constexpr std::array<std::array<float, inputs>, classes> centres{{{0.0f, 2.0f}, {-2.0f, -1.0f}, {2.0f, -1.0f}}};
  std::mt19937 random(1);
  std::normal_distribution<float> noise(0.0f, 0.8f);
  std::vector<Sample> samples(count);
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t label = i % classes;
    samples[i] = {{centres[label][0] + noise(random), centres[label][1] + noise(random)}, label};
  }
  return samples;
}

/// Probabilities softmax(W x + b).
struct Model {
  std::vector<float> weight = std::vector<float>(classes * inputs, 0.0f);
  std::vector<float> bias = std::vector<float>(classes, 0.0f);
  std::vector<float> weight_gradient = std::vector<float>(classes * inputs);
  std::vector<float> bias_gradient = std::vector<float>(classes);

  std::array<float, classes> probabilities(const Sample& sample) const {
    std::array<float, classes> p{};
    float sum = 0.0f;
    for (std::size_t c = 0; c < classes; ++c) {
      float score = bias[c];
      for (std::size_t i = 0; i < inputs; ++i) score += weight[c * inputs + i] * sample.features[i];
      sum += p[c] = std::exp(score);
    }
    for (float& each : p) each /= sum;
    return p;
  }

  /// Overwrites the gradients with those of the mean loss over the samples of one shard.
  template <class Ready>
  void backward(const std::vector<Sample>& samples, std::span<const std::uint32_t> shard, Ready ready) {
    std::fill(weight_gradient.begin(), weight_gradient.end(), 0.0f);
    std::fill(bias_gradient.begin(), bias_gradient.end(), 0.0f);
    const float share = 1.0f / static_cast<float>(shard.size());
    for (const std::uint32_t index : shard) {
      const auto p = probabilities(samples[index]);
      for (std::size_t c = 0; c < classes; ++c) {
        const float delta = share * (p[c] - (samples[index].label == c ? 1.0f : 0.0f));
        for (std::size_t i = 0; i < inputs; ++i) weight_gradient[c * inputs + i] += delta * samples[index].features[i];
        bias_gradient[c] += delta;
      }
    }
    ready(1);  // as soon as a gradient is complete, say so: its reduction may start while others are computed
    ready(0);
  }
};

}  // namespace

int main() try {
  auto world = trireme::World::open();
  const auto samples = make_samples(3000);
  Model model;

  // [step-loop]
  std::vector<trireme::Parameter> parameters{
      {"weight", {classes, inputs}, std::span(model.weight), std::span(model.weight_gradient)},
      {"bias", {classes}, std::span(model.bias), std::span(model.bias_gradient)}};
  trireme::DataParallel data_parallel(world.communicator(), parameters, {.logical_shards = 8});
  trireme::Sgd optimizer({.learning_rate = 0.5, .momentum = 0.9});
  trireme::DistributedSampler sampler({.count = samples.size(), .global_batch = 100, .seed = 7});

  for (int epoch = 0; epoch < 3; ++epoch) {
    for (auto& step : data_parallel.steps(sampler)) {
      for (auto& shard : step.shards()) {
        model.backward(samples, shard.samples(), [&](std::size_t parameter) { shard.ready(parameter); });
      }
      if (step.reduce() == trireme::StepOutcome::ready) step.apply(optimizer);
    }
  }
  // [step-loop]

  std::size_t correct = 0;
  for (const auto& sample : samples) {
    const auto p = model.probabilities(sample);
    correct += static_cast<std::size_t>(std::max_element(p.begin(), p.end()) - p.begin()) == sample.label;
  }
  if (world.rank() == 0) {
    std::printf("accuracy %.3f on %d ranks; weight[0] = %a\n",
                static_cast<double>(correct) / static_cast<double>(samples.size()), world.size(),
                static_cast<double>(model.weight[0]));
  }
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
