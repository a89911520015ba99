// SPDX-License-Identifier: Apache-2.0
#include "gpt_samples.hpp"
#include "support/failures.hpp"
#include "trireme/base/error.hpp"
#include "trireme/models/gpt.hpp"

#include <catch2/catch.hpp>

#include <cmath>
#include <string>
#include <utility>
#include <vector>

namespace trireme::models {

using namespace samples;

TEST_CASE("a Gpt refuses options that make no model, in one line") {
  const auto message = [](GptOptions options) {
    const Error error = testing::error_of([&] { Gpt<float> model(options); });
    CHECK(error.code == ErrorCode::invalid_argument);
    CHECK(error.message.find('\n') == std::string::npos);
    return error.message;
  };
  GptOptions options = tiny;
  options.vocabulary = 1;
  CHECK(testing::has(message(options), "2 to 65536"));
  options.vocabulary = 70000;
  CHECK(testing::has(message(options), "70000"));
  options = tiny;
  options.heads = 3;
  CHECK(testing::has(message(options), "8 channels cannot be shared by 3 heads"));
  options.heads = 0;
  CHECK(testing::has(message(options), "heads"));
  options = tiny;
  options.context = 0;
  CHECK(testing::has(message(options), "context"));
  options = tiny;
  options.layers = 0;
  CHECK(testing::has(message(options), "layers"));
  options = tiny;
  options.channels = 0;
  CHECK(testing::has(message(options), "channels"));
  options = tiny;
  for (double bad : {-0.1, 1.0, std::nan("")}) {
    options.dropout = bad;
    CHECK(testing::has(message(options), "dropout"));
  }
}

TEST_CASE("a Gpt refuses rows, tokens, prompts and temperatures that do not fit, and works on") {
  Gpt<float> model(tiny);
  Tokens rows = random_rows(tiny, 2);
  const auto message = [](auto&& call) {
    const Error error = testing::error_of(call);
    CHECK(error.code == ErrorCode::invalid_argument);
    CHECK(error.message.find('\n') == std::string::npos);
    return error.message;
  };
  CHECK(testing::has(message([&] { model.forward_backward(rows, 3); }), "12 tokens are not 3 rows of 6"));
  CHECK(testing::has(message([&] { model.evaluate(rows, std::size_t(-1) / 6 + 3); }), "12 tokens"));
  std::vector<double> few(3);
  CHECK(testing::has(message([&] { model.evaluate(rows, 2, few); }), "room for 3 losses"));
  CHECK(testing::has(message([&] { model.logits({}); }), "context of 5"));
  CHECK(testing::has(message([&] { model.logits(std::span(rows).first(6)); }), "6 tokens"));
  CHECK(testing::has(message([&] { model.generate({}, 1, 1.0, 0); }), "prompt"));
  CHECK(testing::has(message([&] { model.generate(rows, 1, -1.0, 0); }), "temperature"));
  CHECK(testing::has(message([&] { model.generate(rows, 1, std::nan(""), 0); }), "temperature"));
  const double loss = model.forward_backward(rows, 2);
  rows[7] = 11;
  const std::string expected = "token 11 at 7 is not below the vocabulary of 11";
  CHECK(message([&] { model.forward_backward(rows, 2); }) == expected);
  CHECK(message([&] { model.evaluate(rows, 2); }) == expected);
  CHECK(message([&] { model.generate(rows, 1, 1.0, 0); }) == expected);
  rows = random_rows(tiny, 2);
  CHECK(model.forward_backward(rows, 2) == loss);
}

TEST_CASE("a Gpt writes its gradients where it is told, or says which one does not fit") {
  Gpt<double> model(tiny);
  const Tokens rows = random_rows(tiny, 2);
  model.forward_backward(rows, 2);
  const auto expected = all_gradients(model);
  std::vector<data::AlignedBuffer<double>> memory;
  std::vector<Parameter> given = model.parameters();
  for (Parameter& parameter : given) {
    memory.emplace_back(parameter.gradient.count + 1);
    parameter.gradient = TensorView(memory.back().span().first(parameter.gradient.count));
  }
  const auto refused = [&](const std::vector<Parameter>& list) {
    return testing::error_of([&] { model.use_gradients(list); }).message;
  };
  CHECK(testing::has(refused({given.begin(), given.end() - 1}), "not those of a model of 28"));
  auto bad = given;
  bad[4].gradient = TensorView(memory[4].span().subspan(1));
  CHECK(testing::has(refused(bad), "'block0.attention.qkv.weight' is not host memory aligned"));
  bad = given;
  std::swap(bad[3], bad[9]);
  CHECK(testing::has(refused(bad), "'block0.norm1.bias' is that of 'block0.norm2.bias'"));
  model.use_gradients(given);
  model.forward_backward(rows, 2);
  CHECK(equal_bits(all_gradients(model), expected));
  CHECK(model.parameters()[0].gradient.data == memory[0].data());
}

}  // namespace trireme::models
