// SPDX-License-Identifier: Apache-2.0
#include "cli/train/tasks/model_config.hpp"

#include "cli/train/model.hpp"

#include <nlohmann/json.hpp>

#include <string_view>
#include <vector>

namespace trireme::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr int config_version = 1;

template <class Value>
Json list(std::span<const Value> values) {
  Json array = Json::array();
  for (const Value& each : values) array.push_back(each);
  return array;
}

Json relu() { return {{"name", "relu"}, {"formula", "max(x, 0)"}}; }

/// "[outputs, inputs]" and its likes, of a weight's shape and what is done with it.
Json tensors(std::string_view shape, std::string_view formula) { return {{"shape", shape}, {"formula", formula}}; }

Json dense_tensors() { return tensors("[outputs, inputs]", "y = x weight^T + bias"); }
Json convolution_tensors() {
  return tensors(
      "[outputs, kernel row, kernel column, inputs]",
      "y[i, j, o] = bias[o] + sum over u, v, c of weight[o, u, v, c] x[i stride + u - padding, j stride + v - "
      "padding, c], x = 0 outside; there is no bias where there is no such tensor");
}

Json convolution(std::size_t kernel, std::size_t stride, std::size_t padding) {
  return {{"kernel", kernel}, {"stride", stride}, {"padding", padding}};
}

Json cross_entropy() {
  return {{"loss", "cross_entropy"},
          {"formula", "the class is the first of the greatest outputs; the loss is log(sum(exp(y))) - y[class]"}};
}

Json mlp_architecture(const std::vector<std::size_t>& sizes, double dropout) {
  return {{"sizes", sizes},
          {"layers", "x = activation(x layerN.weight^T + layerN.bias) for N from 0; the last without activation"},
          {"activation", relu()},
          {"dropout", dropout}};
}

Json cnn_architecture(const models::CnnOptions& model) {
  std::vector<std::size_t> units = model.hidden;
  units.push_back(model.classes);
  return {{"layers",
           "for each of convolutions: pooling(activation(convN(x))); flattened as height, width, channels; x = "
           "activation(denseN(x)), the last without activation"},
          {"convolutions", model.convolutions},
          {"convolution", convolution(3, 1, 1)},
          {"pooling", {{"name", "max"}, {"size", 2}, {"stride", 2}, {"incomplete_windows", "left out"}}},
          {"dense", units},
          {"activation", relu()}};
}

Json resnet_architecture(const models::ResNetOptions& model) {
  return {
      {"layers",
       "activation(stem.norm(stem.conv(x))); for each of stages its blocks; the mean over pixels; head, dense"},
      {"block",
       "activation(norm1(conv1(activation(norm0(conv0(x))))) + shortcut(x)); shortcut is shortcut.norm(shortcut.conv(x)) "
       "where there are such tensors, else x itself"},
      {"stages", model.stages},
      {"blocks", model.blocks},
      {"classes", model.classes},
      {"convolution", convolution(3, 1, 1)},
      {"first_of_later_stages", {{"conv0", convolution(3, 2, 1)}, {"shortcut.conv", convolution(1, 2, 0)}}},
      {"norm",
       {{"name", "batch"},
        {"epsilon", model.epsilon},
        {"formula", "(x - running_mean)/sqrt(running_variance + epsilon) gain + shift, per channel"}}},
      {"activation", relu()}};
}

Json image_input(const data::LabelledImages& images, const data::Normalisation& normalisation) {
  return {{"kind", "image"},
          {"height", images.rows},
          {"width", images.columns},
          {"channels", 1},
          {"layout", "height, width, channels"},
          {"divide_by", 255},
          {"mean", normalisation.mean},
          {"deviation", normalisation.deviation},
          {"formula", "x = (pixel/divide_by - mean)/deviation"}};
}

std::string text_of(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

}  // namespace

std::string image_config(const TrainOptions& options, const data::LabelledImages& images,
                         const data::Normalisation& normalisation) {
  Json config{{"model", options.model}};
  if (options.model == "cnn") {
    config["architecture"] = cnn_architecture(cnn_options(options, images, 0));
  } else if (options.model == "resnet") {
    config["architecture"] = resnet_architecture(resnet_options(options, images, 0));
  } else {
    config["architecture"] = mlp_architecture(mlp_options(options, images, 0).sizes, options.dropout);
  }
  config["layout"] = {{"order", "row-major"}, {"dense", dense_tensors()}};
  if (options.model != "mlp") config["layout"]["convolution"] = convolution_tensors();
  config["input"] = image_input(images, normalisation);
  config["output"] = cross_entropy();
  for (std::size_t each = 0; each < images.classes; ++each) config["output"]["classes"].push_back(each);
  return text_of(config);
}

std::string text_config(const TrainOptions& options, const models::GptOptions& model) {
  const bool is_text = options.data.dataset.kind == DatasetKind::text;
  Json config{{"model", "gpt"}};
  config["architecture"] = {
      {"layers",
       "x = token_embedding[token] + position_embedding[position]; for each block x = x + attention(norm1(x)), x = x + "
       "mlp(norm2(x)); logits = final_norm(x) head^T"},
      {"vocabulary", model.vocabulary},
      {"context", model.context},
      {"blocks", model.layers},
      {"heads", model.heads},
      {"channels", model.channels},
      {"attention",
       {{"causal", true},
        {"qkv", "q of all heads, then k, then v, each a head after the other"},
        {"formula", "projection(softmax(q k^T/sqrt(channels/heads)) v)"}}},
      {"mlp", {{"units", 4 * model.channels}, {"formula", "contract(activation(expand(x)))"}}},
      {"norm",
       {{"name", "layer"},
        {"epsilon", 1e-5},
        {"formula", "(x - mean(x))/sqrt(variance(x) + epsilon) weight + bias; the variance divides by channels"}}},
      {"activation", {{"name", "gelu_tanh"}, {"formula", "x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))"}}},
      {"tied_head", true},
      {"head", "token_embedding.weight"},
      {"dropout", model.dropout}};
  config["layout"] = {{"order", "row-major"},
                      {"dense", dense_tensors()},
                      {"embedding", tensors("[tokens or positions, channels]", "row by number")}};
  config["input"] = {{"kind", is_text ? "bytes" : "tokens"},
                     {"formula", is_text ? "a token is a byte" : "tokens are numbers below vocabulary"}};
  config["output"] = {
      {"loss", "cross_entropy"},
      {"formula",
       "the loss of a position is log(sum(exp(logits))) - logits[next token], and that of a text the mean over windows of context "
       "tokens that follow one another, a last one that is not whole left out"}};
  return text_of(config);
}

std::string table_config(const TrainOptions& options, const TableConfig& table) {
  const models::TabularOptions& model = table.model;
  std::vector<std::size_t> sizes{model.features};
  sizes.insert(sizes.end(), model.hidden.begin(), model.hidden.end());
  sizes.push_back(model.outputs);
  Json config{{"model", options.model}, {"architecture", mlp_architecture(sizes, options.dropout)}};
  config["layout"] = {{"order", "row-major"}, {"dense", dense_tensors()}};
  if (model.sparse) config["layout"]["layer0"] = tensors("[inputs, outputs]", "y = x weight + bias");
  Json& input = config["input"] = {{"kind", "table"}, {"features", model.features}, {"sparse", model.sparse}};
  if (!table.names.empty()) input["names"] = list(table.names);
  if (!table.mean.empty()) {
    input["formula"] = "x = (value - mean) inverse_deviation, per feature";
    input["mean"] = list(table.mean);
    input["inverse_deviation"] = list(table.inverse_deviation);
  } else if (!table.factor.empty()) {
    input["formula"] = "x = value factor, per feature; features beyond those are left out";
    input["factor"] = list(table.factor);
  } else {
    input["formula"] = "x = value";
  }
  if (model.loss == models::TabularLoss::squared) {
    config["output"] = {{"loss", "squared"}, {"formula", "y is the prediction; the loss is (label - y)^2/2"}};
  } else {
    config["output"] = cross_entropy();
    config["output"]["classes"] = list(table.labels);
  }
  return text_of(config);
}

std::string with_provenance(const std::string& config, const Provenance& provenance) {
  Json all{{"format", "trireme-model"},
           {"format_version", config_version},
           {"trireme_version", TRIREME_VERSION},
           {"dtype", name_of(provenance.dtype)},
           {"arithmetic", "f32"},
           {"weights_xxh3", provenance.weights_xxh3},
           {"steps", provenance.steps}};
  if (provenance.best_step != 0) all["best_step"] = provenance.best_step;
  all["dataset"] = provenance.dataset;
  const Json own = Json::parse(config);
  for (const auto& [key, value] : own.items()) all[key] = value;
  std::string text = "{";
  for (const auto& [key, value] : all.items())
    text += (text.size() == 1 ? "\n  \"" : ",\n  \"") + key + "\": " + text_of(value);
  return text + "\n}\n";
}

}  // namespace trireme::cli
