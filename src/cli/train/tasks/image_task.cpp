// SPDX-License-Identifier: Apache-2.0
#include "cli/train/tasks/image_task.hpp"

#include "cli/train/batch_norm_exchange.hpp"
#include "cli/train/buffer_settling.hpp"
#include "cli/train/content_hash.hpp"
#include "cli/train/device.hpp"
#include "cli/train/model.hpp"
#include "cli/train/normalisation.hpp"
#include "cli/train/shard_feed.hpp"
#include "cli/train/tasks/held_out.hpp"
#include "cli/train/tasks/model_config.hpp"
#include "trireme/data/labelled_images.hpp"

#include <algorithm>
#include <utility>

namespace trireme::cli {
namespace {

/// The last images of the training set may be held out.
struct Images {
  data::TrainAndTest sets;
  std::size_t held_out = 0;
  data::Normalisation normalisation{};  // of all sets, by the training set
  std::size_t training() const { return sets.train.size() - held_out; }
};

class ImageTask final : public Task {
 public:
  ImageTask(const TrainOptions& options, const Images& images, const TaskPlace& place)
      : options_(options),
        images_(images),
        communicator_(place.communicator),
        sync_batch_norm_(options.sync_batch_norm),
        model_(place.device ? make_device_classifier(options, images.sets.train, place.pass_rows, *place.device)
                            : make_model(options, images.sets.train, place.pass_rows)),
        loading_{.busy_threads = static_cast<unsigned>(place.local_ranks), .normalisation = images.normalisation},
        evaluated_(held_out().images, loading_) {
    if (images.held_out != 0) test_.emplace(images.sets.test, loading_);
  }

  const std::vector<Parameter>& parameters() const override { return model_->parameters(); }
  std::span<const Parameter> buffers() const override { return model_->buffers(); }
  void use_gradients(std::span<const Parameter> parameters) override { model_->use_gradients(parameters); }
  void use_access(ParameterAccess& access) override { model_->use_access(access); }
  std::string model() const override { return model_->description(); }
  std::string dataset() const override { return images_.sets.train.name; }
  std::string config() const override { return image_config(options_, images_.sets.train, images_.normalisation); }
  std::size_t samples() const override { return images_.training(); }
  Measure measure() const override { return Measure::accuracy; }

  void feed(data::DistributedSampler& sampler, int leaves, layout::LeafBlock own) override {
    sampler_ = &sampler;
    if (sync_batch_norm_) batch_norm_.emplace(communicator_, *model_);
    settling_.emplace(*model_, own.count);
    feed_.emplace(images_.sets.train, sampler, leaves, own, loading_);
  }

  void begin_step() override {
    feed_->begin_step();
    settling_->begin_step();
    if (batch_norm_) batch_norm_->begin_step(sampler_->batch());
  }

  /// The feed has looked ahead at the same samples.
  void load(std::span<const std::uint32_t>) override { batch_ = feed_->next(); }

  double pass(const PassPlace& place, PassListener& listener) override {
    model_->set_place({.step = place.step, .first_row = place.first_row});
    const double loss = model_->forward_backward(
        batch_.features, batch_.labels, [&](std::size_t parameter) { listener.ready(parameter); },
        [&] { listener.forward_done(); });
    settling_->add(place.leaf, batch_.rows);
    return loss;
  }

  void end_step(Communicator& communicator, const CallOptions& options) override {
    settling_->settle(communicator, options);
  }

  bool parts_are_one() const override { return images_.held_out == 0; }
  std::size_t size(Part part) const override {
    return part == Part::validation ? held_out().count : images_.sets.test.size();
  }
  std::size_t block() const override { return models::Classifier::evaluation_rows; }

  void evaluate(Part part, layout::Interval share, EvaluationSums& sums) override {
    const bool apart = part == Part::test && test_;
    data::BatchLoader& loader = apart ? *test_ : evaluated_;
    const std::size_t first = apart ? 0 : held_out().first;
    for (std::size_t begin = share.begin; begin < share.end; begin += block()) {
      loader.request(layout::Interval{first + begin, first + std::min(begin + block(), share.end)});
      const data::Batch batch = loader.next();
      const models::Evaluation found = model_->evaluate(batch.features, batch.labels);
      sums.targets += found.samples;
      sums.correct += found.correct;
      sums.block_losses.push_back(found.loss_sum);
    }
  }

 private:
  struct HeldOut {
    const data::LabelledImages& images;
    std::size_t first;
    std::size_t count;
  };
  HeldOut held_out() const {
    if (images_.held_out == 0) return {images_.sets.test, 0, images_.sets.test.size()};
    return {images_.sets.train, images_.training(), images_.held_out};
  }

  const TrainOptions& options_;
  const Images& images_;
  Communicator communicator_;
  bool sync_batch_norm_;
  std::unique_ptr<models::Classifier> model_;
  data::BatchLoaderOptions loading_;
  data::BatchLoader evaluated_;            // of the validation part
  std::optional<data::BatchLoader> test_;  // where that is another
  data::DistributedSampler* sampler_ = nullptr;
  std::optional<BatchNormExchange> batch_norm_;  // none: each leaf is normalised by itself
  std::optional<BufferSettling> settling_;
  std::optional<ShardFeed> feed_;
  data::Batch batch_{};
};

class ImageData final : public TrainingData {
 public:
  explicit ImageData(const TrainOptions& options) : options_(options) {
    images_.sets = data::load_fashion_mnist(options.data_dir);
    images_.held_out = held_out_of(images_.sets.train.size(), options.data.held_out.value_or(0.0));
    images_.normalisation = normalisation_of(images_.sets.train, images_.training());
  }
  std::size_t samples() const override { return images_.training(); }
  std::string content() const override {
    ContentHash hash;
    for (const data::LabelledImages* each : {&images_.sets.train, &images_.sets.test}) {
      hash.add(std::as_bytes(std::span(each->images)));
      hash.add(std::as_bytes(std::span(each->labels)));
    }
    return std::to_string(images_.sets.train.size()) + " images, " + std::to_string(images_.sets.test.size()) +
           " of a test set, " + hash.text();
  }
  std::vector<Parameter> shapes() const override {
    if (options_.model != "mlp") return {};
    return mlp_shapes(options_, images_.sets.train);
  }
  std::unique_ptr<Task> make_task(const TaskPlace& place) const override {
    return std::make_unique<ImageTask>(options_, images_, place);
  }

 private:
  const TrainOptions& options_;
  Images images_;
};

}  // namespace

std::unique_ptr<TrainingData> load_images(const TrainOptions& options) { return std::make_unique<ImageData>(options); }

}  // namespace trireme::cli
