// SPDX-License-Identifier: Apache-2.0
#include "cli/train/tasks/model_config.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <string>

namespace {

using namespace trireme;
using namespace trireme::cli;
using nlohmann::json;

data::LabelledImages small_images() {
  return {.name = "small", .rows = 8, .columns = 6, .classes = 3, .images{}, .labels{}};
}

TEST_CASE("The config of an image model tells its sizes and what is done to pixels, every bit of it") {
  const data::Normalisation normalisation{.mean = 0.1 + 0.2, .deviation = 1.0 / 3.0};
  for (const char* model : {"mlp", "cnn", "resnet"}) {
    TrainOptions options;
    options.model = model;
    options.hidden = {5, 4};
    const json config = json::parse(image_config(options, small_images(), normalisation));
    CHECK(config["model"] == model);
    CHECK(config["input"]["height"] == 8);
    CHECK(config["input"]["width"] == 6);
    CHECK(config["input"]["divide_by"] == 255);
    CHECK(config["input"]["mean"].get<double>() == 0.1 + 0.2);
    CHECK(config["input"]["deviation"].get<double>() == 1.0 / 3.0);
    CHECK(config["output"]["classes"] == json{0, 1, 2});
    CHECK(config["layout"].contains("convolution") == (std::string(model) != "mlp"));
    if (std::string(model) == "mlp") CHECK(config["architecture"]["sizes"] == json{48, 5, 4, 3});
    if (std::string(model) == "cnn") CHECK(config["architecture"]["dense"] == json{128, 3});
    if (std::string(model) == "resnet") CHECK(config["architecture"]["stages"] == json{16, 32, 64});
  }
}

TEST_CASE("The config of a table tells what is done to each feature, and the label of each class") {
  const std::array<double, 2> first{0.25, 1e300}, second{1.0 / 7.0, 2.0};
  const std::array<float, 3> labels{-1.0f, 2.0f, 5.0f};
  const std::array<std::string, 2> names{"width", "with \"quotes\" and \xff"};
  TrainOptions options;
  options.model = "logistic";
  models::TabularOptions model{.features = 2, .outputs = 3, .loss = models::TabularLoss::cross_entropy};
  const json dense = json::parse(table_config(
      options, {.model = model, .names = names, .mean = first, .inverse_deviation = second, .labels = labels}));
  CHECK(dense["input"]["mean"] == json{0.25, 1e300});
  CHECK(dense["input"]["inverse_deviation"][0].get<double>() == 1.0 / 7.0);
  CHECK(dense["input"]["names"][0] == "width");
  CHECK(dense["output"]["classes"] == json{-1, 2, 5});
  CHECK_FALSE(dense["layout"].contains("layer0"));

  model.sparse = true;
  const json sparse = json::parse(table_config(options, {.model = model, .factor = second, .labels = labels}));
  CHECK(sparse["input"]["factor"][0].get<double>() == 1.0 / 7.0);
  CHECK(sparse["layout"]["layer0"]["shape"] == "[inputs, outputs]");

  options.model = "linear";
  model = {.features = 2};
  const json linear = json::parse(table_config(options, {.model = model}));
  CHECK(linear["input"]["formula"] == "x = value");
  CHECK(linear["output"]["loss"] == "squared");
  CHECK(linear["architecture"]["sizes"] == json{2, 1});
}

TEST_CASE("The config of a language model tells its shape and what a token is") {
  TrainOptions options;
  options.data.dataset.kind = DatasetKind::text;
  const models::GptOptions model{.vocabulary = 256, .context = 16, .layers = 3, .heads = 2, .channels = 8};
  const json bytes = json::parse(text_config(options, model));
  CHECK(bytes["input"]["kind"] == "bytes");
  CHECK(bytes["architecture"]["blocks"] == 3);
  CHECK(bytes["architecture"]["heads"] == 2);
  CHECK(bytes["architecture"]["mlp"]["units"] == 32);
  CHECK(bytes["architecture"]["norm"]["epsilon"] == 1e-5);
  CHECK(bytes["architecture"]["tied_head"] == true);
  options.data.dataset.kind = DatasetKind::tokens;
  CHECK(json::parse(text_config(options, model))["input"]["kind"] == "tokens");
}

TEST_CASE("Before the config stands where the weights come from, a line for each key") {
  const std::string text = with_provenance(
      R"({"model": "mlp", "input": {"mean": [1, 2]}})",
      {.dtype = DType::bf16, .steps = 12, .best_step = 7, .dataset = "a \"set\"", .weights_xxh3 = "00ff00ff00ff00ff"});
  const json config = json::parse(text);
  CHECK(config["format"] == "trireme-model");
  CHECK(config["dtype"] == "bf16");
  CHECK(config["steps"] == 12);
  CHECK(config["best_step"] == 7);
  CHECK(config["dataset"] == "a \"set\"");
  CHECK(config["weights_xxh3"] == "00ff00ff00ff00ff");
  CHECK(config["model"] == "mlp");
  CHECK_FALSE(config["trireme_version"].get<std::string>().empty());
  CHECK(static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n')) == config.size() + 2);
  CHECK_FALSE(json::parse(with_provenance("{}", {})).contains("best_step"));
}

}  // namespace
