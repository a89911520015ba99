// SPDX-License-Identifier: Apache-2.0
#include "cli/train/tasks/load.hpp"

#include "cli/train/tasks/image_task.hpp"
#include "cli/train/tasks/table_task.hpp"
#include "cli/train/tasks/text_task.hpp"

namespace trireme::cli {

std::unique_ptr<TrainingData> load_training_data(const TrainOptions& options) {
  switch (options.data.dataset.kind) {
    case DatasetKind::images: return load_images(options);
    case DatasetKind::text:
    case DatasetKind::tokens: return load_text(options);
    default: return load_table(options);
  }
}

}  // namespace trireme::cli
