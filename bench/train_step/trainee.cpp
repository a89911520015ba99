// SPDX-License-Identifier: Apache-2.0
#include "bench/train_step/trainee.hpp"

#include "bench/train_step/image_trainee.hpp"
#include "bench/train_step/text_trainee.hpp"

namespace trireme::bench {

std::unique_ptr<Trainee> make_trainee(const TrainStepOptions& options) {
  if (options.model == BenchModel::gpt) return std::make_unique<TextTrainee>(options);
  return std::make_unique<ImageTrainee>(options);
}

}  // namespace trireme::bench
