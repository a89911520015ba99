// SPDX-License-Identifier: Apache-2.0
// What does a checkpoint cost the training loop? Prints key=value lines: how long save() holds a loop up beside a memcpy of
// as many bytes, how long steps take while a file is written beside those while none is, and how long loading takes beside
// reading the files. Alone, or as one of several ranks under `trireme run`, each with its share of the state.
#include "trireme/checkpoint/folder.hpp"
#include "trireme/checkpoint/local_files.hpp"
#include "trireme/checkpoint/saver.hpp"
#include "trireme/models/mlp.hpp"
#include "trireme/optim/adamw.hpp"
#include "trireme/parallel/data_parallel.hpp"
#include "trireme/world/world.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

using namespace trireme;

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

/// A state of so many bytes, in as many tensors as a large model has.
class LargeState final : public checkpoint::Stateful {
 public:
  LargeState(std::size_t bytes, std::size_t tensors) : tensors_(tensors) {
    for (std::size_t t = 0; t < tensors; ++t) {
      tensors_[t].resize(bytes / tensors / sizeof(float));
      for (std::size_t i = 0; i < tensors_[t].size(); ++i) tensors_[t][i] = static_cast<float>(t + i % 1021);
    }
  }
  void save(checkpoint::StateWriter& writer) const override {
    for (std::size_t t = 0; t < tensors_.size(); ++t) {
      const auto count = static_cast<std::int64_t>(tensors_[t].size());
      writer.tensor(std::to_string(t), std::span(&count, 1), std::span<const float>(tensors_[t]));
    }
  }
  void restore(checkpoint::StateReader& reader) override {
    for (std::size_t t = 0; t < tensors_.size(); ++t) reader.into(std::to_string(t), std::span<float>(tensors_[t]));
  }
  void change() {
    for (auto& tensor : tensors_) tensor[0] += 1;
  }
  const std::vector<std::vector<float>>& tensors() const { return tensors_; }
  bool equals(const LargeState& other) const { return tensors_ == other.tensors_; }

 private:
  std::vector<std::vector<float>> tensors_;
};

/// Copies the same bytes tensor by tensor into memory that is warm.
double copy_seconds(const LargeState& state, std::vector<std::byte>& to, std::size_t share) {
  const auto begin = Clock::now();
  std::size_t at = 0;
  for (const auto& tensor : state.tensors()) {
    const std::size_t bytes = std::min(tensor.size() * sizeof(float), share - at);
    std::memcpy(to.data() + at, tensor.data(), bytes);
    at += bytes;
  }
  return seconds_since(begin);
}

/// Training steps of an MLP 784-512-512-10 with batches of 64 per rank.
class TrainingLoop {
 public:
  explicit TrainingLoop(World& world)
      : model_({.sizes = {784, 512, 512, 10}, .seed = 1}),
        data_parallel_(world.communicator(), model_.parameters(), {.gradients_as_bucket_views = true}),
        sampler_({.count = 64 * 1000 * static_cast<std::size_t>(world.size()),
                  .global_batch = 64 * static_cast<std::size_t>(world.size())}),
        features_(64 * 784),
        labels_(64) {
    model_.use_gradients(data_parallel_.parameters());
    std::mt19937 random(1);
    for (float& each : features_) each = static_cast<float>(random() % 256) / 255.0f;
    for (auto& each : labels_) each = static_cast<std::uint8_t>(random() % 10);
  }
  /// Steps until `done` says so, asked before each; what each of them took.
  template <class Done>
  std::vector<double> run(Done&& done) {
    std::vector<double> seconds;
    bool is_done = false;
    while (!is_done) {
      for (auto& step : data_parallel_.steps(sampler_)) {
        if ((is_done = done(seconds.size()))) break;
        const auto begin = Clock::now();
        for (auto& shard : step.shards())
          model_.forward_backward(std::span<const float>(features_), labels_, [&](std::size_t p) { shard.ready(p); });
        step.reduce();
        step.apply(optimizer_);
        seconds.push_back(seconds_since(begin));
      }
    }
    return seconds;
  }

 private:
  models::Mlp<float> model_;
  DataParallel data_parallel_;
  DistributedSampler sampler_;
  AdamW optimizer_{{.learning_rate = 1e-3}};
  std::vector<float> features_;
  std::vector<std::uint8_t> labels_;
};

}  // namespace

int main(int argc, char** argv) try {
  std::size_t mebibytes = 1024, tensors = 200, rounds = 7;
  std::string folder_path;
  CLI::App app("what a checkpoint costs the training loop");
  app.add_option("--mib", mebibytes, "of the state (default 1024)");
  app.add_option("--tensors", tensors, "that it is in (default 200)");
  app.add_option("--rounds", rounds, "default 7")->check(CLI::PositiveNumber);
  app.add_option("--dir", folder_path, "where to write; its contents are removed")->required();
  CLI11_PARSE(app, argc, argv);

  World world = World::open();
  const auto files = checkpoint::local_files();
  auto folder = checkpoint::Folder::open(world.communicator(), *files, {.path = folder_path});
  checkpoint::Saver saver(folder, {.keep_last = 1});
  LargeState large(mebibytes << 20, tensors);
  checkpoint::TrainingState state;
  state.add("large", large);
  TrainingLoop steps(world);
  const std::size_t share = (mebibytes << 20) / static_cast<std::size_t>(world.size());
  std::vector<std::byte> copy(share);
  copy_seconds(large, copy, share);

  saver.prepare(state);
  steps.run([](std::size_t done) { return done == 900; });  // memory is made ready meanwhile
  std::uint64_t number = 1;
  const auto cold = Clock::now();
  saver.save(number++, state);
  const double cold_seconds = seconds_since(cold);
  saver.finish();
  steps.run([](std::size_t done) { return done == 100; });

  std::vector<double> staged, copied, written, idle_steps, busy_steps, step_ratios;
  for (std::size_t round = 0; round < rounds; ++round) {
    const std::vector<double> idle = steps.run([](std::size_t done) { return done == 200; });
    large.change();
    copied.push_back(copy_seconds(large, copy, share));
    const auto begin = Clock::now();
    saver.save(number++, state);
    staged.push_back(seconds_since(begin));
    std::optional<checkpoint::SaveReport> report;
    std::vector<double> busy = steps.run([&](std::size_t) { return (report = saver.advance()).has_value(); });
    if (!report->is_complete) fail(ErrorCode::system, "the save failed: " + report->problem);
    written.push_back(report->seconds);
    idle_steps.push_back(median(idle));
    busy_steps.push_back(median(busy));
    step_ratios.push_back(busy_steps.back() / idle_steps.back());
  }

  LargeState loaded(mebibytes << 20, tensors);
  checkpoint::TrainingState target;
  target.add("large", loaded);
  const auto load_begin = Clock::now();
  if (!folder.resume(target) || !loaded.equals(large))
    fail(ErrorCode::corrupt, "what was loaded is not what was saved");
  const double load_seconds = seconds_since(load_begin);

  if (world.rank() == 0) {
    std::vector<double> stage_ratios;
    for (std::size_t i = 0; i < rounds; ++i) stage_ratios.push_back(staged[i] / copied[i]);
    std::printf("checkpoint ranks=%d state_mib=%zu share_mib=%zu rounds=%zu\n", world.size(), mebibytes, share >> 20,
                rounds);
    std::printf("staged_ms=%.1f memcpy_ms=%.1f ratio=%.3f ratio_least=%.3f ratio_most=%.3f first_save_ms=%.1f\n",
                1e3 * median(staged), 1e3 * median(copied), median(stage_ratios),
                *std::min_element(stage_ratios.begin(), stage_ratios.end()),
                *std::max_element(stage_ratios.begin(), stage_ratios.end()), 1e3 * cold_seconds);
    std::printf(
        "written_s=%.2f written_MBps=%.0f step_idle_ms=%.3f step_while_writing_ms=%.3f ratio=%.3f ratio_most=%.3f\n",
        median(written), static_cast<double>(mebibytes << 20) / 1e6 / median(written), 1e3 * median(idle_steps),
        1e3 * median(busy_steps), median(step_ratios), *std::max_element(step_ratios.begin(), step_ratios.end()));
    std::printf("load_s=%.2f load_MBps=%.0f\n", load_seconds,
                static_cast<double>(mebibytes << 20) / 1e6 / load_seconds);
  }
  world.communicator().barrier();
  if (world.rank() == 0) std::filesystem::remove_all(folder_path);
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "checkpoint_bench: %s\n", error.what());
  return 1;
}
