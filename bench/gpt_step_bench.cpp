// SPDX-License-Identifier: Apache-2.0
// How long do forward and backward of a transformer take on one thread? Prints key=value, as gpt_step_torch.py does.
#include "trireme/data/philox.hpp"
#include "trireme/models/gpt.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <vector>

using namespace trireme;

int main(int argc, char** argv) {
  models::GptOptions options;
  std::size_t rows = 8;
  int steps = 10;
  CLI::App app("forward and backward of a Gpt on one thread");
  app.add_option("--layers", options.layers);
  app.add_option("--channels", options.channels);
  app.add_option("--heads", options.heads);
  app.add_option("--context", options.context);
  app.add_option("--vocabulary", options.vocabulary);
  app.add_option("--dropout", options.dropout);
  app.add_flag("--recompute", options.recompute);
  app.add_option("--rows", rows);
  app.add_option("--steps", steps);
  CLI11_PARSE(app, argc, argv);

  models::Gpt<float> model(options);
  data::PhiloxStream random(1);
  std::vector<std::uint16_t> tokens(rows * (options.context + 1));
  for (auto& token : tokens) {
    token = static_cast<std::uint16_t>(random.below(static_cast<std::uint32_t>(options.vocabulary)));
  }
  double loss = model.forward_backward(tokens, rows);  // makes the workspace
  std::vector<double> seconds, forward_seconds, processor_seconds;
  for (int step = 0; step < steps; ++step) {
    using Clock = std::chrono::steady_clock;
    const std::clock_t processor_begin = std::clock();
    const auto begin = Clock::now();
    auto middle = begin;
    loss = model.forward_backward(
        tokens, rows, [](std::size_t) {}, [&] { middle = Clock::now(); });
    seconds.push_back(std::chrono::duration<double>(Clock::now() - begin).count());
    processor_seconds.push_back(static_cast<double>(std::clock() - processor_begin) / CLOCKS_PER_SEC);
    forward_seconds.push_back(std::chrono::duration<double>(middle - begin).count());
  }
  std::sort(seconds.begin(), seconds.end());
  std::sort(forward_seconds.begin(), forward_seconds.end());
  std::sort(processor_seconds.begin(), processor_seconds.end());
  const double median = seconds[seconds.size() / 2];
  std::printf(
      "library=trireme loss=%.4f step_ms=%.1f processor_ms=%.1f fastest_ms=%.1f forward_ms=%.1f tokens_per_s=%.0f\n",
      loss, 1e3 * median, 1e3 * processor_seconds[seconds.size() / 2], 1e3 * seconds.front(),
      1e3 * forward_seconds[seconds.size() / 2], static_cast<double>(rows * options.context) / median);
}
