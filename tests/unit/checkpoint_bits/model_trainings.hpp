// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "support/exact_inputs.hpp"
#include "training.hpp"
#include "trireme/layout/interval.hpp"
#include "trireme/layout/reduction_tree.hpp"
#include "trireme/models/cnn.hpp"
#include "trireme/models/gpt.hpp"
#include "trireme/models/leaf_statistics.hpp"
#include "trireme/models/mlp.hpp"
#include "trireme/models/resnet.hpp"
#include "trireme/models/tabular.hpp"

namespace trireme::testing {

constexpr int model_leaves = 8;

/// The number of sample `sample`, from -1 to 1.
inline float model_input(std::uint32_t sample, std::size_t element) {
  return static_cast<float>(static_cast<double>(mix(sample * 0x10000u + element) >> 11) * 0x1p-52 - 1.0);
}

/// A classifier of made-up samples; running statistics settle at the end of a step.
class ClassifierModel {
 public:
  ClassifierModel(std::unique_ptr<models::Classifier> model, World& world)
      : model_(std::move(model)),
        block_(layout::leaf_blocks(model_leaves, world.size())[static_cast<std::size_t>(world.rank())]),
        statistics_(model_->statistics().size(), block_.count) {
    statistics_.begin();
  }

  const std::vector<Parameter>& parameters() const { return model_->parameters(); }
  std::vector<Parameter> buffers() const { return {model_->buffers().begin(), model_->buffers().end()}; }
  void pass(Shard& shard, const LeafPlace& place) {
    const auto samples = shard.samples();
    features_.clear();
    labels_.clear();
    for (const std::uint32_t sample : samples) {
      for (std::size_t i = 0; i < model_->inputs(); ++i) features_.push_back(model_input(sample, i));
      labels_.push_back(static_cast<std::uint8_t>(mix(sample) % model_->classes()));
    }
    model_->set_place({.step = place.step, .first_row = place.first_row});
    model_->forward_backward(std::span<const float>(features_), labels_, [&](std::size_t p) { shard.ready(p); });
    if (buffers().empty()) return;
    // Which of the own leaves this is, its first row tells.
    int leaf = 0;
    while (layout::piece({0, batch_}, model_leaves, static_cast<std::size_t>(block_.first + leaf)).begin !=
               place.first_row ||
           layout::piece({0, batch_}, model_leaves, static_cast<std::size_t>(block_.first + leaf)).size() == 0)
      ++leaf;
    statistics_.add(leaf, samples.size(), model_->statistics());
  }
  void begin_step(std::size_t batch) { batch_ = batch; }
  void end_step(Communicator& communicator, int leaves) {
    if (buffers().empty()) return;
    communicator.all_reduce(statistics_.sums(), sum, {.label = "buffers", .leaves = leaves});
    if (const auto means = statistics_.means(); !means.empty()) model_->settle_buffers(means);
    statistics_.begin();
  }

 private:
  std::unique_ptr<models::Classifier> model_;
  layout::LeafBlock block_;
  models::LeafStatistics statistics_;
  std::size_t batch_ = 0;
  std::vector<float> features_;
  std::vector<std::uint8_t> labels_;
};

/// A transformer on rows of made-up tokens.
class GptModel {
 public:
  explicit GptModel(const models::GptOptions& options) : model_(options) {}

  const std::vector<Parameter>& parameters() const { return model_.parameters(); }
  std::vector<Parameter> buffers() const { return {}; }
  void begin_step(std::size_t) {}
  void pass(Shard& shard, const LeafPlace& place) {
    const std::size_t context = model_.options().context;
    tokens_.clear();
    for (const std::uint32_t sample : shard.samples()) {
      for (std::size_t i = 0; i <= context; ++i)
        tokens_.push_back(static_cast<std::uint16_t>(mix(sample * 64 + i / 2) % model_.options().vocabulary));
    }
    model_.set_place({.step = place.step, .first_row = place.first_row});
    shard.weight(static_cast<double>(shard.samples().size() * context));
    model_.forward_backward(tokens_, shard.samples().size(), [&](std::size_t p) { shard.ready(p); });
  }
  void end_step(Communicator&, int) {}

 private:
  models::Gpt<float> model_;
  std::vector<std::uint16_t> tokens_;
};

/// A model of a table's rows, of sparse ones by their rows alone.
class TableModel {
 public:
  explicit TableModel(const models::TabularOptions& options) : model_(options) {}

  const std::vector<Parameter>& parameters() const { return model_.parameters(); }
  std::vector<Parameter> buffers() const { return {}; }
  void begin_step(std::size_t) {}
  void pass(Shard& shard, const LeafPlace& place) {
    const models::TabularOptions& options = model_.options();
    values_.clear();
    labels_.clear();
    indices_.clear();
    offsets_.assign(1, 0);
    for (const std::uint32_t sample : shard.samples()) {
      for (std::size_t i = 0; i < options.features; ++i) {
        if (options.sparse && mix(sample * 1000 + i) % 8 != 0) continue;
        values_.push_back(model_input(sample, i));
        indices_.push_back(static_cast<std::uint32_t>(i));
      }
      offsets_.push_back(values_.size());
      labels_.push_back(options.loss == models::TabularLoss::squared
                            ? model_input(sample, 99)
                            : static_cast<float>(mix(sample) % options.outputs));
    }
    model_.set_place({.step = place.step, .first_row = place.first_row});
    if (!options.sparse) {
      model_.forward_backward(data::DenseRows{options.features, values_, labels_, labels_.size()},
                              [&](std::size_t p) { shard.ready(p); });
      return;
    }
    model_.forward_backward(
        data::SparseRows{options.features, offsets_, indices_, values_, labels_},
        [&](std::size_t p) { p == 0 ? shard.ready_rows(0, model_.touched_rows()) : shard.ready(p); });
  }
  void end_step(Communicator&, int) {}

 private:
  models::Tabular<float> model_;
  std::vector<float> values_, labels_;
  std::vector<std::uint32_t> indices_;
  std::vector<std::uint64_t> offsets_;
};

}  // namespace trireme::testing
