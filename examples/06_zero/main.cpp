// SPDX-License-Identifier: Apache-2.0
// A chain of layers of which no rank holds all: values, gradients and optimizer state are shared out (ZeRO stage 3), and a
// layer is whole only while it is used. The weights' hash is the same on 1 to 8 ranks, and at every stage.
//   trireme run -n 4 -- ./06_zero
#include <trireme/models/weights_hash.hpp>
#include <trireme/trireme.hpp>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <span>
#include <string>
#include <vector>

namespace {

constexpr std::size_t width = 192, layers = 8;

/// A number in [-1, 1), a function of what it is of.
float noise(std::uint64_t of) {
  of = (of ^ (of >> 30)) * 0xbf58476d1ce4e5b9u;
  of = (of ^ (of >> 27)) * 0x94d049bb133111ebu;
  return static_cast<float>(static_cast<std::int64_t>(of ^ (of >> 31))) * 0x1p-63f;
}

/// x_{l+1} = x_l + relu(W_l x_l); the loss is half the squared distance from a fixed rotation of the input's elements.
class Chain {
 public:
  std::vector<trireme::Parameter> parameters() const {
    std::vector<trireme::Parameter> list;
    for (std::size_t l = 0; l < layers; ++l) {
      const trireme::TensorView nowhere(nullptr, width * width, trireme::DType::f32);
      list.push_back({"layer" + std::to_string(l), {width, width}, nowhere, nowhere});
    }
    return list;
  }

  /// The mean loss over the samples; every layer is asked for when it is needed, once forward and once backward.
  double pass(std::span<const std::uint32_t> samples, trireme::ParameterAccess& access, trireme::Shard& shard) {
    const std::size_t rows = samples.size();
    x_.assign(layers + 1, std::vector<float>(rows * width));
    inside_.assign(layers, std::vector<float>(rows * width));
    for (std::size_t i = 0; i < rows * width; ++i) x_[0][i] = noise(samples[i / width] * width + i % width);
    for (std::size_t l = 0; l < layers; ++l) {
      access.acquire(l);  // gathered from the ranks; the next layer is on its way already
      forward(access.value(l).as<float>().data(), rows, l);
      access.release(l);
    }
    std::vector<float> delta(rows * width);
    double loss = 0;
    for (std::size_t i = 0; i < rows * width; ++i) {
      const float target = x_[0][i / width * width + (i + 1) % width];
      delta[i] = (x_[layers][i] - target) / static_cast<float>(rows);
      loss += 0.5 * delta[i] * delta[i] * static_cast<double>(rows);
    }
    for (std::size_t l = layers; l-- > 0;) {
      access.acquire(l);
      backward(access.value(l).as<float>().data(), access.gradient(l).as<float>().data(), rows, l, delta);
      access.release(l);
      shard.ready(l);  // reduce-scattered to those who own its parts
    }
    return loss;
  }

 private:
  void forward(const float* w, std::size_t rows, std::size_t l) {
    for (std::size_t r = 0; r < rows; ++r) {
      for (std::size_t o = 0; o < width; ++o) {
        float sum = 0;
        for (std::size_t i = 0; i < width; ++i) sum += w[o * width + i] * x_[l][r * width + i];
        inside_[l][r * width + o] = sum;
        x_[l + 1][r * width + o] = x_[l][r * width + o] + std::max(sum, 0.0f);
      }
    }
  }
  void backward(const float* w, float* dw, std::size_t rows, std::size_t l, std::vector<float>& delta) {
    std::fill_n(dw, width * width, 0.0f);
    std::vector<float> below = delta;
    for (std::size_t r = 0; r < rows; ++r) {
      for (std::size_t o = 0; o < width; ++o) {
        if (inside_[l][r * width + o] <= 0) continue;
        const float d = delta[r * width + o];
        for (std::size_t i = 0; i < width; ++i) {
          dw[o * width + i] += d * x_[l][r * width + i];
          below[r * width + i] += d * w[o * width + i];
        }
      }
    }
    delta.swap(below);
  }
  std::vector<std::vector<float>> x_, inside_;
};

void train(trireme::World& world) {
  Chain model;
  std::vector<std::vector<std::string>> units;
  for (std::size_t l = 0; l < layers; ++l) units.push_back({"layer" + std::to_string(l)});
  trireme::DataParallel data_parallel(world.communicator(), model.parameters(),
                                      {.logical_shards = 8,
                                       .zero_stage = 3,
                                       .units = units,  // what comes and goes together
                                       .initial = [](std::size_t layer, std::size_t first, trireme::TensorView part) {
                                         for (std::size_t e = 0; e < part.count; ++e)
                                           part.as<float>()[e] = 0.1f * noise(layer * width * width + first + e);
                                       }});
  trireme::AdamW optimizer({.learning_rate = 3e-3});
  trireme::DistributedSampler sampler({.count = 512, .global_batch = 64, .seed = 1});
  double loss = 0;
  for (int epoch = 0; epoch < 2; ++epoch) {
    for (auto& step : data_parallel.steps(sampler)) {
      loss = 0;
      for (auto& shard : step.shards()) {
        const auto weight = static_cast<double>(shard.samples().size());
        loss += model.pass(shard.samples(), data_parallel.access(), shard) * weight;
      }
      if (step.reduce() != trireme::StepOutcome::ready) return;
      step.apply(optimizer, {.clip_norm = 1.0});
    }
  }
  world.communicator().all_reduce(std::span<double>(&loss, 1));
  // Whole values, a layer at a time, for a hash of all.
  std::vector<float> all;
  for (std::size_t l = 0; l < layers; ++l) {
    data_parallel.access().acquire(l);
    const auto layer = data_parallel.access().value(l).as<float>();
    all.insert(all.end(), layer.begin(), layer.end());
    data_parallel.access().release(l);
  }
  const std::vector<trireme::Parameter> whole{
      {"all", {static_cast<std::int64_t>(all.size())}, std::span<float>(all), std::span<float>(all)}};
  if (world.rank() != 0) return;
  std::printf("loss %.4f, values on this rank %llu of %zu bytes, weights_xxh3=%s\n", loss / 64,
              static_cast<unsigned long long>(data_parallel.value_memory().value), all.size() * sizeof(float),
              trireme::models::weights_hash(whole).c_str());
}

}  // namespace

int main() {
  try {
    auto world = trireme::World::open();
    train(world);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "06_zero: %s\n", error.what());
    return 1;
  }
}
