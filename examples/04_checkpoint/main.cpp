// SPDX-License-Identifier: Apache-2.0
// The training of 02_data_parallel with checkpoints: interrupted at any step, it goes on from the last one, on as many ranks as
// there are then, and ends with the same bits. With STEPS it interrupts itself, as SIGTERM would, and ends with exit code 143.
//   trireme run -n 2 -- ./04_checkpoint FOLDER 42
//   trireme run -n 3 -- ./04_checkpoint FOLDER
#include <trireme/trireme.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <optional>
#include <random>
#include <span>
#include <stdexcept>
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

volatile std::sig_atomic_t asked_to_stop = 0;

}  // namespace

int main(int argc, char** argv) try {
  if (argc < 2) {
    std::fprintf(stderr, "usage: 04_checkpoint FOLDER [STEPS]\n");
    return 2;
  }
  const std::uint64_t interrupt_at = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 0;
  std::signal(SIGTERM, [](int) { asked_to_stop = 1; });  // a platform that wants its machine back
  auto world = trireme::World::open();
  const auto samples = make_samples(3000);
  Model model;

  std::vector<trireme::Parameter> parameters{
      {"weight", {classes, inputs}, std::span(model.weight), std::span(model.weight_gradient)},
      {"bias", {classes}, std::span(model.bias), std::span(model.bias_gradient)}};
  trireme::DataParallel data_parallel(world.communicator(), parameters, {.logical_shards = 8});
  trireme::Sgd optimizer({.learning_rate = 0.5, .momentum = 0.9});
  trireme::DistributedSampler sampler({.count = samples.size(), .global_batch = 100, .seed = 7});
  std::uint64_t steps = 0;

  // [checkpoint]
  namespace checkpoint = trireme::checkpoint;
  checkpoint::ParameterState model_state(parameters);
  checkpoint::OptimizerState optimizer_state(optimizer, data_parallel.ownership());
  checkpoint::SamplerState sampler_state(sampler);  // which batch comes next
  checkpoint::CounterState counters{{"steps", steps}};
  const checkpoint::TrainingState state{
      {"model", model_state}, {"optimizer", optimizer_state}, {"sampler", sampler_state}, {"loop", counters}};
  const auto files = checkpoint::local_files();
  auto folder = checkpoint::Folder::open(world.communicator(), *files, {.path = argv[1]});
  const auto from = folder.resume(state);  // nothing, when there is no checkpoint yet
  checkpoint::Saver saver(folder, {}, from);
  // [checkpoint]
  if (from && world.rank() == 0) std::printf("goes on from step %llu\n", static_cast<unsigned long long>(steps));

  // A save that fails, of a full disk say, costs that checkpoint and nothing else; somebody should know.
  const auto tell = [&](const std::optional<checkpoint::SaveReport>& report) {
    if (report && !report->is_complete && world.rank() == 0)
      std::fprintf(stderr, "not saved: %s\n", report->problem.c_str());
  };
  bool stopped = false;
  while (!stopped && sampler.cursor().epoch < 3) {
    for (auto& step : data_parallel.steps(sampler)) {
      for (auto& shard : step.shards()) {
        model.backward(samples, shard.samples(), [&](std::size_t parameter) { shard.ready(parameter); });
      }
      if (steps == interrupt_at && interrupt_at != 0 && world.rank() == 0) std::raise(SIGTERM);
      if (asked_to_stop != 0) data_parallel.request_stop();  // asked on one rank, it is a stop on all, at this step
      stopped = step.reduce() == trireme::StepOutcome::stop;
      if (stopped) break;
      step.apply(optimizer);
      ++steps;
      if (steps % 20 == 0) {
        tell(saver.save(steps, state));  // copied when it returns; written while training goes on
      } else {
        tell(saver.advance());  // completes what is written; costs nothing when nothing is under way
      }
    }
  }
  tell(saver.save(steps, state));      // the last one, of a stop or of the end; no second time if it is there
  const auto report = saver.finish();  // what is under way is discarded otherwise
  if (report && !report->is_complete) throw std::runtime_error(report->problem);
  if (stopped) return 143;

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
