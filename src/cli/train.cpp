// SPDX-License-Identifier: Apache-2.0
#include "cli/spokesman.hpp"
#include "cli/subcommand.hpp"
#include "cli/train/trainer.hpp"
#include "trireme/models/blas.hpp"

#include <cstdio>

#include <unistd.h>

namespace trireme::cli {
namespace {

/// May start the program anew with the same arguments, hence before anything else.
void settle_blas(const Invocation& invocation) {
  std::vector<std::string> words{"trireme", "train"};
  words.insert(words.end(), invocation.arguments.begin(), invocation.arguments.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  models::settle_blas_environment(argv.data());
}

int train_in_world(const Invocation& invocation, const Spokesman& spokesman) {
  const auto options = spokesman.ask([&] { return parse_train_options(invocation.arguments); });
  if (!options) return 0;
  const auto sets = spokesman.ask([&] { return data::load_fashion_mnist(options->data_dir); });

  JobSignals signals;  // before any thread: all of them inherit the mask
  World world = World::open();
  const ProgressMode mode = progress_mode(world.rank(), invocation.environment, ::isatty(STDERR_FILENO) == 1);
  const auto trainer = spokesman.ask([&] { return std::make_unique<Trainer>(world, *options, sets, mode); });
  if (world.rank() == 0) std::fprintf(stderr, "%s\n", start_line(trainer->start()).c_str());

  signals.attend(world.communicator());
  const TrainResult result = trainer->run(signals);
  if (world.rank() == 0) {
    std::printf("%s\n", result_line(result).c_str());
    std::fflush(stdout);
  }
  world.communicator().barrier({.label = "end"});  // rank 0, which may serve the others, leaves last
  world.close();
  return result.stop_signal == 0 ? 0 : 128 + result.stop_signal;
}

}  // namespace

int train(const Invocation& invocation) {
  settle_blas(invocation);
  try {
    return train_in_world(invocation, Spokesman(invocation.environment));
  } catch (const Spokesman::Silence& silence) {
    return silence.exit_code;
  }
}

}  // namespace trireme::cli
