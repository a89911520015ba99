// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/train/evaluator.hpp"

#include <cstdint>
#include <optional>
#include <string>

namespace trireme::cli {

/// What came of a training run.
struct TrainResult {
  std::string model{};
  int world = 1;
  std::uint64_t steps = 0;
  double train_loss = 0.0;     ///< mean over the last epoch, or what there was of it; NaN without a step
  Score test{};                ///< of the same weights as the hash: the last step's, unless others were asked for
  double samples_per_s = 0.0;  ///< of training alone, without the first steps
  std::string weights_xxh3{};
  std::uint64_t epochs = 0;  ///< complete ones
  double seconds = 0.0;      ///< from the first step to the end
  int logical_shards = 1;
  double ready_s = 0.0;  ///< from the start of the process to the first step, loading data apart; of rank 0
  std::uint64_t peak_memory_kib = 0;                ///< resident; of the rank that had most
  bool is_interrupted = false;                      ///< before its time, with a checkpoint to go on from
  bool is_unsaved = false;                          ///< it should have been, but the checkpoint could not be written
  std::optional<std::uint64_t> resumed_from{};      ///< step
  int stop_signal = 0;                              ///< what ended it early; 0: nothing did
  std::uint64_t best_step = 0;                      ///< whose weights were kept; 0: the last one's
  std::optional<std::uint64_t> stopped_early_at{};  ///< step behind which nothing had become better for long enough
  std::optional<std::uint64_t> skipped_steps{};     ///< whose gradients overflowed; of --precision f16
  /// The step whose loss, or behind which the loss on the test set, was no finite number: training ended there, and the
  /// rest of this says nothing unless there is a best step.
  std::optional<std::uint64_t> diverged_at{};
  std::string sync{};       ///< consistency, of parameter servers; empty: all_reduce
  bool overflowed = false;  ///< then it was no loss but gradients of f16
};

/// "result: model=mlp world=2 steps=… train_loss=… test_accuracy=… samples_per_s=… … weights_xxh3=…": these keys are a
/// contract, in this order (test_accuracy of classifiers alone); the line ends with the 16 digits of the last, others may
/// stand before it.
std::string result_line(const TrainResult& result);

/// Why a run that diverged has no result, or one of an earlier step.
std::string divergence_line(const TrainResult& result, double learning_rate);

/// One "metric …" line; what is not set is left out.
struct Metric {
  std::uint64_t step = 0;
  std::uint64_t epoch = 1;
  std::optional<double> step_loss{};   ///< mean over the steps since the last such line
  std::optional<double> train_loss{};  ///< mean over the epoch
  std::optional<Score> validation{};   ///< on the set held out, which for Fashion-MNIST is its test set
  double samples_per_s = 0.0;
};
std::string metric_line(const Metric& metric);

/// What came of scoring checkpoints beside training.
struct ScoreResult {
  std::string model{};
  std::uint64_t scored = 0;  ///< checkpoints
  std::uint64_t step = 0;    ///< of the last one
  Score score{};             ///< of the last one
  std::uint64_t best_step = 0;
  Score best{};
  double seconds = 0.0;
  std::string weights_xxh3{};  ///< of the last one, as it was scored
};
/// "result: role=evaluator model=mlp scored=4 step=… val_accuracy=… val_loss=… best_step=… best_val_loss=… … weights_xxh3=…".
std::string score_result_line(const ScoreResult& result);

/// Why training ended before its time.
std::string early_stop_line(std::uint64_t step, std::uint64_t best_step, std::uint64_t patience);

/// One stderr line that says what trains on what, before the first step.
struct Start {
  std::string model{};  ///< "mlp 784-512-512-10"
  std::size_t parameters = 0;
  std::string dataset{};
  std::size_t samples = 0;
  std::size_t batch = 0;
  int world = 1;
  std::string transport{};  ///< to the next rank; empty in a world of one
  std::string mesh{};       ///< "data=2,pipeline=2,tensor=2"; empty: every rank has the model
  int logical_shards = 1;
  std::string device{};  ///< "cuda:0 (NVIDIA H200)"; empty: the host
};
std::string start_line(const Start& start);

}  // namespace trireme::cli
