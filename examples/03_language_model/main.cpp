// SPDX-License-Identifier: Apache-2.0
// A small transformer learns to write like the files it is given, byte by byte, on any number of ranks.
//   trireme run -n 2 -- ./03_language_model 600 /usr/share/common-licenses/*
#include <trireme/data/evaluation_share.hpp>
#include <trireme/data/token_file.hpp>
#include <trireme/models/gpt.hpp>
#include <trireme/models/weights_hash.hpp>
#include <trireme/trireme.hpp>

#include <algorithm>
#include <array>
#include <cctype>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace {

using trireme::data::TokenFile;
using Model = trireme::models::Gpt<float>;

constexpr std::size_t context = 128;
constexpr std::size_t batch_rows = 32;
constexpr int leaves = 8;  // the same weights on 1 to 8 ranks

/// Window `sample` at the end of `rows`.
void append(std::vector<std::uint16_t>& rows, const TokenFile& text, std::uint64_t sample, bool held_out) {
  std::array<std::uint32_t, context + 1> window{};
  held_out ? text.held_out_window(sample, window) : text.training_window(sample, window);
  for (const std::uint32_t token : window) rows.push_back(static_cast<std::uint16_t>(token));
}

/// Nats per byte of the part held out, every window on one rank or another.
double held_out_loss(trireme::World& world, Model& model, const TokenFile& text) {
  const auto windows = static_cast<std::size_t>(text.held_out_windows());
  const auto share = trireme::data::evaluation_share(windows, world.rank(), world.size(), Model::evaluation_rows);
  std::vector<std::uint16_t> rows;
  for (std::size_t w = share.begin; w < share.end; ++w) append(rows, text, w, true);
  const auto found = model.evaluate(rows, share.size());
  std::array<double, 2> sums{found.loss_sum, static_cast<double>(found.tokens)};
  world.communicator().all_reduce(std::span<double>(sums));
  return sums[0] / sums[1];
}

void train(trireme::World& world, std::uint64_t steps, const std::vector<std::filesystem::path>& files) {
  const TokenFile text(files, {.context = context, .held_out = 0.1});
  Model model({.context = context, .layers = 4, .heads = 4, .channels = 192, .seed = 1});
  trireme::DataParallel data_parallel(world.communicator(), model.parameters(),
                                      {.logical_shards = leaves, .gradients_as_bucket_views = true});
  model.use_gradients(data_parallel.parameters());
  trireme::AdamW optimizer({.beta2 = 0.99, .weight_decay = 0.1});
  optimizer.add_group({.name = "no decay", .parameters = {"*.bias", "*norm*"}, .weight_decay = 0.0});
  const trireme::Schedule schedule{.kind = trireme::ScheduleKind::cosine,
                                   .warmup_steps = std::min<std::uint64_t>(20, steps / 2),
                                   .total_steps = steps,
                                   .final_factor = 0.05};
  trireme::DistributedSampler sampler(
      {.count = static_cast<std::size_t>(text.training_windows()), .global_batch = batch_rows, .seed = 1});
  const auto began = std::chrono::steady_clock::now();
  std::uint64_t done = 0;
  while (done < steps) {
    for (auto& step : data_parallel.steps(sampler)) {
      for (auto& shard : step.shards()) {
        std::vector<std::uint16_t> rows;
        for (const std::uint32_t sample : shard.samples()) append(rows, text, sample, false);
        model.forward_backward(rows, shard.samples().size(), [&](std::size_t p) { shard.ready(p); });
      }
      if (step.reduce() != trireme::StepOutcome::ready) return;
      optimizer.set_learning_rate(2e-3 * schedule.factor(++done));
      step.apply(optimizer, {.clip_norm = 1.0});
      if (done % 100 == 0 || done == steps) {
        const double loss = held_out_loss(world, model, text);
        const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - began;
        if (world.rank() == 0) {
          std::printf("step %llu: %.3f nats per byte held out, %.0f s\n", static_cast<unsigned long long>(done), loss,
                      passed.count());
          std::fflush(stdout);
        }
      }
      if (done == steps) break;
    }
  }
  if (world.rank() != 0) return;
  std::vector<std::uint16_t> prompt;
  for (const char each : std::string("This program ")) prompt.push_back(static_cast<unsigned char>(each));
  std::string written;
  for (const std::uint16_t token : model.generate(prompt, 300, 0.7, 1)) written += static_cast<char>(token);
  std::printf("This program %s\nweights_xxh3=%s\n", written.c_str(),
              trireme::models::weights_hash(model.parameters()).c_str());
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc < 3) {
    std::fprintf(stderr, "usage: 03_language_model STEPS FILE...\n");
    return 2;
  }
  char* end = nullptr;
  const std::uint64_t steps = std::strtoull(argv[1], &end, 10);
  if (std::isdigit(static_cast<unsigned char>(argv[1][0])) == 0 || *end != '\0' || steps == 0) {
    std::fprintf(stderr, "03_language_model: STEPS is '%s'; it must be a number above 0\n", argv[1]);
    return 2;
  }
  std::vector<std::filesystem::path> files;  // of links only what they lead to
  for (int i = 2; i < argc; ++i) {
    const auto status = std::filesystem::symlink_status(argv[i]);
    if (!std::filesystem::is_symlink(status)) files.emplace_back(argv[i]);
  }
  std::sort(files.begin(), files.end());
  auto world = trireme::World::open();
  train(world, steps, files);
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "03_language_model: %s\n", error.what());
  return 1;
}
