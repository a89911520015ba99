// SPDX-License-Identifier: Apache-2.0
#include "cli/train/model_export.hpp"

#include "cli/train/metrics_file.hpp"
#include "cli/train/tasks/model_config.hpp"
#include "trireme/base/error.hpp"
#include "trireme/checkpoint/export.hpp"
#include "trireme/checkpoint/local_files.hpp"

#include <cstdint>
#include <cstdio>
#include <span>
#include <string>

namespace trireme::cli {

void check_model_dir(Communicator communicator, const TrainOptions& options) {
  if (!options.model_dir) return;
  std::string problem;
  if (communicator.rank() == 0) {
    try {
      checkpoint::check_export_folder(*checkpoint::local_files(), *options.model_dir);
    } catch (const Exception& refusal) {
      problem = refusal.error().message;
    }
  }
  const auto said = communicator.all_gather_bytes(std::as_bytes(std::span(problem)), {.label = "model folder"});
  if (said[0].empty()) return;
  fail(ErrorCode::invalid_argument,
       "--model-dir: " + std::string(reinterpret_cast<const char*>(said[0].data()), said[0].size()));
}

bool export_result(const TrainOptions& options, const Trainer& trainer, const TrainResult& result) {
  if (!options.model_dir) return true;
  const Task& task = trainer.task();
  const std::vector<Parameter>& parameters = trainer.result();
  try {
    const std::string config = with_provenance(task.config(), {.dtype = parameters.front().value.dtype,
                                                               .steps = result.steps,
                                                               .best_step = result.best_step,
                                                               .dataset = task.dataset(),
                                                               .weights_xxh3 = result.weights_xxh3});
    const auto files = checkpoint::local_files();
    const std::uint64_t bytes = checkpoint::export_model(
        *files, *options.model_dir, {.parameters = parameters, .buffers = task.buffers(), .config = config});
    write_metrics(*files, *options.model_dir, result);
    std::fprintf(stderr, "trireme train: wrote %s (%.1f MiB, %zu tensors), %s and %s in %s\n",
                 checkpoint::exported_weights, static_cast<double>(bytes) / (1 << 20),
                 parameters.size() + task.buffers().size(), checkpoint::exported_config, exported_metrics,
                 options.model_dir->c_str());
    return true;
  } catch (const Exception& failure) {
    std::fprintf(stderr, "trireme train: --model-dir: the model was not written: %s\n",
                 failure.error().message.c_str());
    return false;
  }
}

}  // namespace trireme::cli
