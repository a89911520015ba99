// SPDX-License-Identifier: Apache-2.0
#include "bench/train_step/options.hpp"

#include "trireme/base/error.hpp"

#include <CLI/CLI.hpp>

#include <iostream>

namespace trireme::bench {

std::optional<TrainStepOptions> parse_train_step_options(int argc, char** argv) {
  TrainStepOptions options;
  CLI::App app("Times training steps with SGD and momentum, data in memory.", "train_step_bench");
  app.footer("Several ranks: trireme run -n 2 --bind core -- train_step_bench\n");
  std::string model = "mlp";
  app.add_option(
         "--model", model,
         "mlp (default): 784-512-512-10; cnn: 3 x 3 convolutions to 16 and 32 channels, 128 units; gpt: 6 layers, 384 "
         "channels, context 128")
      ->check(CLI::IsMember({"mlp", "cnn", "gpt"}));
  app.add_option("--data", options.data, "of mlp and cnn: auto (default), fashion-mnist or synthetic")
      ->check(CLI::IsMember({"auto", "fashion-mnist", "synthetic"}));
  app.add_option("--data-dir", options.data_dir, "folder of the Fashion-MNIST files (default: Debian's)");
  app.add_option("--batch-size-per-rank", options.batch_per_rank, "samples per rank and step (default 64; gpt: 8)")
      ->check(CLI::Range(1, 4096));
  app.add_option("--warm-up", options.warm_up, "untimed steps at the start (default and least 20)")
      ->check(CLI::Range(20, 1000000));
  app.add_option("--blocks", options.blocks, "timed blocks (default 10)")->check(CLI::Range(1, 100000));
  app.add_option("--steps-per-block", options.steps_per_block, "steps of a block (default 100; cnn: 20, gpt: 2)")
      ->check(CLI::Range(1, 1000000));
  app.add_option("--seed", options.seed, "of weights and order of samples (default 1)");
  app.add_option("--zero", options.zero_stage,
                 "stage of ZeRO: 1 has each rank update its part of the parameters alone (default 0; the same weights)")
      ->check(CLI::Range(0, 1));
  app.add_flag("--alone", options.alone, "the ranks do not communicate while they train: an upper bound");
  app.add_flag("--breakdown", options.breakdown, "prints where the time of a step goes, for every rank");
  app.add_option(
      "--write-start", options.write_start,
      "writes the weights as they start, f32 in order of declaration, and prints the loss of the first batch");
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    std::cout << app.help() << std::flush;
    return std::nullopt;
  } catch (const CLI::ParseError& error) {
    fail(ErrorCode::invalid_argument, error.what());
  }
  options.model = model == "gpt" ? BenchModel::gpt : model == "cnn" ? BenchModel::cnn : BenchModel::mlp;
  const bool text = options.model == BenchModel::gpt;
  if (options.batch_per_rank == 0) options.batch_per_rank = text ? 8 : 64;
  if (options.steps_per_block == 0) options.steps_per_block = text ? 2 : options.model == BenchModel::cnn ? 20 : 100;
  return options;
}

}  // namespace trireme::bench
