// SPDX-License-Identifier: Apache-2.0
#include "bench/stragglers/judge.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace trireme::bench {
namespace {

models::Evaluation evaluate(models::Mlp<float>& model, const data::LabelledImages& set, std::size_t samples,
                            const data::Normalisation& normalisation) {
  constexpr std::size_t rows = models::Classifier::evaluation_rows;
  data::BatchLoader loader(set, {.depth = 0, .threads = 0, .normalisation = normalisation});
  models::Evaluation all;
  for (std::size_t begin = 0; begin < samples; begin += rows) {
    loader.request(layout::Interval{begin, std::min(begin + rows, samples)});
    const data::Batch batch = loader.next();
    const models::Evaluation found = model.evaluate(batch.features, batch.labels);
    all.samples += found.samples;
    all.correct += found.correct;
    all.loss_sum += found.loss_sum;
  }
  return all;
}

}  // namespace

Values values_of(std::span<const Parameter> parameters) {
  Values values;
  for (const Parameter& parameter : parameters) {
    const auto* const data = static_cast<const float*>(parameter.value.data);
    values.insert(values.end(), data, data + parameter.value.count);
  }
  return values;
}

data::Normalisation normalisation_of(const data::LabelledImages& set) {
  std::uint64_t sum = 0, squares = 0;
  for (const std::uint8_t pixel : set.images) {
    sum += pixel;
    squares += std::uint64_t{pixel} * pixel;
  }
  const auto count = static_cast<double>(set.images.size());
  const double mean = static_cast<double>(sum) / count;
  const double deviation = std::sqrt(static_cast<double>(squares) / count - mean * mean);
  return {.mean = mean / 255, .deviation = deviation / 255};
}

Verdict judge(const Values& values, const models::MlpOptions& of, const data::TrainAndTest& sets) {
  models::Mlp<float> model(of);
  const float* from = values.data();
  for (const Parameter& parameter : model.parameters()) {
    std::copy_n(from, parameter.value.count, static_cast<float*>(parameter.value.data));
    from += parameter.value.count;
  }
  const auto normalisation = normalisation_of(sets.train);
  const auto train = evaluate(model, sets.train, std::min<std::size_t>(sets.train.size(), 10'000), normalisation);
  const auto test = evaluate(model, sets.test, sets.test.size(), normalisation);
  return {.train_loss = train.loss_sum / static_cast<double>(train.samples),
          .test_loss = test.loss_sum / static_cast<double>(test.samples),
          .test_accuracy = static_cast<double>(test.correct) / static_cast<double>(test.samples)};
}

}  // namespace trireme::bench
