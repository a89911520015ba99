// SPDX-License-Identifier: Apache-2.0
// Every model stops and goes on in another world with the same bits: dropout, running statistics, a tied embedding, rows of
// sparse features.
#include "interrupted.hpp"
#include "model_trainings.hpp"
#include "trireme/optim/adamw.hpp"

#include <catch2/catch.hpp>

using namespace trireme;
using namespace trireme::testing;

namespace {

std::unique_ptr<Optimizer> make_adamw() { return std::make_unique<AdamW>(AdamWOptions{.learning_rate = 0.01}); }

template <class Model, class Build>
void goes_on(const std::string& name, Build build, TrainingSettings settings = {}) {
  const MakeTraining make = training_of<Model>(make_adamw, settings, build);
  const std::string expected = undisturbed(make);
  for (const WorldChange change : world_changes) {
    CAPTURE(name, change.from, change.to);
    CHECK(ends_alike(make, expected, change));
  }
}

template <class Options>
auto classifier(std::unique_ptr<models::Classifier> (*make)(const Options&), const Options& options) {
  return [=](World& world) { return std::make_unique<ClassifierModel>(make(options), world); };
}

template <class Model, class Options>
std::unique_ptr<models::Classifier> made(const Options& options) {
  return std::make_unique<Model>(options);
}

}  // namespace

TEST_CASE("a perceptron with dropout goes on with the same bits") {
  goes_on<ClassifierModel>("mlp", classifier<models::MlpOptions>(made<models::Mlp<float>, models::MlpOptions>,
                                                                 {.sizes = {12, 10, 9, 4}, .seed = 3, .dropout = 0.3}));
}

TEST_CASE("a convolutional network goes on with the same bits") {
  goes_on<ClassifierModel>("cnn",
                           classifier<models::CnnOptions>(
                               made<models::Cnn<float>, models::CnnOptions>,
                               {.input = {8, 8, 1}, .convolutions = {3, 4}, .hidden = {6}, .classes = 3, .seed = 3}));
}

TEST_CASE("a residual network goes on with the same bits, running statistics too") {
  goes_on<ClassifierModel>(
      "resnet", classifier<models::ResNetOptions>(made<models::ResNet<float>, models::ResNetOptions>,
                                                  {.input = {8, 8, 1}, .stages = {4, 6}, .classes = 3, .seed = 3}));
}

TEST_CASE("a transformer with dropout goes on with the same bits") {
  const models::GptOptions options{
      .vocabulary = 13, .context = 6, .layers = 2, .heads = 2, .channels = 8, .seed = 3, .dropout = 0.2};
  goes_on<GptModel>("gpt", [=](World&) { return std::make_unique<GptModel>(options); });
}

TEST_CASE("models of tables go on with the same bits, dense and row-sparse") {
  using models::TabularLoss;
  const auto goes = [](const std::string& name, const models::TabularOptions& options) {
    TrainingSettings settings;
    if (options.sparse) settings.row_sparse = {"layer0.weight"};
    goes_on<TableModel>(
        name, [=](World&) { return std::make_unique<TableModel>(options); }, settings);
  };
  goes("linear", {.features = 9});
  goes("logistic", {.features = 9, .outputs = 3, .loss = TabularLoss::cross_entropy});
  goes("mlp",
       {.features = 9, .hidden = {7}, .outputs = 3, .loss = TabularLoss::cross_entropy, .seed = 2, .dropout = 0.2});
  goes("sparse linear", {.features = 40, .sparse = true});
  goes("sparse mlp",
       {.features = 40, .hidden = {7}, .outputs = 3, .loss = TabularLoss::cross_entropy, .sparse = true, .seed = 2});
}
