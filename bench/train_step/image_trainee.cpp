// SPDX-License-Identifier: Apache-2.0
#include "bench/train_step/image_trainee.hpp"

#include "bench/train_step/training_data.hpp"
#include "trireme/models/cnn.hpp"
#include "trireme/models/mlp.hpp"

namespace trireme::bench {
namespace {

std::unique_ptr<models::Classifier> model_of(const TrainStepOptions& options, const data::LabelledImages& set) {
  if (options.model == BenchModel::cnn) {
    return std::make_unique<models::Cnn<float>>(models::CnnOptions{.input = {set.rows, set.columns, 1},
                                                                   .classes = set.classes,
                                                                   .seed = options.seed,
                                                                   .rows = options.batch_per_rank});
  }
  return std::make_unique<models::Mlp<float>>(models::MlpOptions{
      .sizes = {set.pixels(), 512, 512, set.classes}, .seed = options.seed, .rows = options.batch_per_rank});
}

}  // namespace

ImageTrainee::ImageTrainee(const TrainStepOptions& options)
    : set_(load_training_data(options)),
      model_(model_of(options, set_)),
      // One thread per process, as for the peers: samples are gathered by the thread that trains.
      loader_(set_, {.depth = 1, .threads = 0}) {}

void ImageTrainee::gather(std::span<const std::uint32_t> samples) {
  loader_.request(samples);
  batch_ = loader_.next();
}

double ImageTrainee::pass(const std::function<void(std::size_t parameter)>& ready) {
  return model_->forward_backward(batch_.features, batch_.labels, ready);
}

}  // namespace trireme::bench
