// SPDX-License-Identifier: Apache-2.0
#include "gpt_samples.hpp"
#include "trireme/models/gpt.hpp"
#include "trireme/optim/adamw.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

namespace trireme::models {

using namespace samples;

TEMPLATE_TEST_CASE("a later token changes no bit of an earlier position's logits or loss", "", float, double) {
  using T = TestType;
  const GptOptions options{.vocabulary = 30, .context = 70, .layers = 2, .heads = 2, .channels = 32, .seed = 4};
  Gpt<T> model(options);
  stir(model);
  const Tokens rows = random_rows(options, 2);
  std::vector<double> losses(140), changed_losses(140);
  model.evaluate(rows, 2, losses);
  const auto before = model.logits(std::span(rows).first(70));
  const std::vector<T> expected(before.begin(), before.end());
  for (std::size_t at : {1u, 8u, 63u, 64u, 69u}) {
    CAPTURE(at);
    Tokens changed = rows;
    changed[at] = static_cast<std::uint16_t>((changed[at] + 1) % 30);
    const auto after = model.logits(std::span(changed).first(70));
    CHECK(std::memcmp(after.data(), expected.data(), at * 30 * sizeof(T)) == 0);
    CHECK(std::memcmp(after.data() + at * 30, expected.data() + at * 30, 30 * sizeof(T)) != 0);
    model.evaluate(changed, 2, changed_losses);
    CHECK(std::equal(losses.begin(), losses.begin() + static_cast<std::ptrdiff_t>(at) - 1, changed_losses.begin()));
    CHECK(std::equal(losses.begin() + 70, losses.end(), changed_losses.begin() + 70));  // another row
  }
}

TEST_CASE("evaluations cut at multiples of evaluation_rows add up to the whole, bit by bit") {
  Gpt<float> model(tiny);
  const std::size_t count = Gpt<float>::evaluation_rows + 3;
  const Tokens rows = random_rows(tiny, count);
  std::vector<double> whole(count * 5), parts(count * 5);
  const auto all = model.evaluate(rows, count, whole);
  const std::size_t cut = Gpt<float>::evaluation_rows;
  const auto first = model.evaluate(std::span(rows).first(cut * 6), cut, std::span(parts).first(cut * 5));
  const auto second = model.evaluate(std::span(rows).subspan(cut * 6), 3, std::span(parts).subspan(cut * 5));
  CHECK(equal_bits(whole, parts));
  CHECK(first.loss_sum + second.loss_sum == all.loss_sum);
  CHECK(model.evaluate({}, 0).tokens == 0);
}

TEST_CASE("generation is a function of model, prompt, temperature and seed; temperature 0 takes the likeliest") {
  Gpt<float> model(tiny);
  stir(model);
  const Tokens prompt = {1, 2, 3};
  const Tokens text = model.generate(prompt, 40, 1.0, 7);
  CHECK(text.size() == 40);
  CHECK(std::all_of(text.begin(), text.end(), [](std::uint16_t token) { return token < 11; }));
  CHECK(model.generate(prompt, 40, 1.0, 7) == text);
  CHECK(model.generate(prompt, 40, 1.0, 8) != text);
  CHECK(model.generate(prompt, 0, 1.0, 7).empty());
  const Tokens prefix = model.generate(prompt, 10, 1.0, 7);
  CHECK(std::equal(prefix.begin(), prefix.end(), text.begin()));

  const Tokens greedy = model.generate(prompt, 6, 0.0, 1);
  CHECK(greedy == model.generate(prompt, 6, 0.0, 2));
  CHECK(greedy == model.generate(prompt, 6, 1e-4, 3));
  Tokens seen = prompt;
  for (std::uint16_t token : greedy) {
    const auto window = std::span(seen).last(std::min<std::size_t>(seen.size(), 5));
    const auto logits = model.logits(window).last(11);
    CHECK(std::max_element(logits.begin(), logits.end()) - logits.begin() == token);
    seen.push_back(token);
  }
  // At temperature 1 tokens come as often as the model says.
  const auto logits = model.logits(prompt).last(11);
  double total = 0.0;
  for (float z : logits) total += std::exp(static_cast<double>(z));
  std::vector<double> expected, seen_often(11);
  for (float z : logits) expected.push_back(std::exp(static_cast<double>(z)) / total);
  for (std::uint64_t seed = 0; seed < 4000; ++seed) seen_often[model.generate(prompt, 1, 1.0, seed)[0]] += 1.0 / 4000;
  for (std::size_t j = 0; j < 11; ++j) CHECK(seen_often[j] == Approx(expected[j]).margin(0.04));
}

TEST_CASE("a small Gpt learns a short text by heart and recites it") {
  const std::string text = "A galley with three banks of oars is rowed by many; one hull it is.";
  const GptOptions options{.vocabulary = 128, .context = 16, .layers = 2, .heads = 2, .channels = 32, .seed = 2};
  Gpt<float> model(options);
  Tokens rows;
  constexpr std::size_t count = 4;
  for (std::size_t r = 0; r < count; ++r) {
    for (std::size_t t = 0; t <= 16; ++t) rows.push_back(static_cast<std::uint16_t>(text.at(r * 16 + t)));
  }
  AdamW optimizer({.learning_rate = 3e-3, .weight_decay = 0.0});
  const double before = model.evaluate(rows, count).loss_sum / 64.0;
  CHECK(before == Approx(std::log(128.0)).epsilon(0.02));
  for (int step = 0; step < 300; ++step) {
    model.forward_backward(rows, count);
    for (const Parameter& parameter : model.parameters()) {
      optimizer.apply(parameter.name, parameter.value, parameter.gradient);
    }
  }
  CHECK(model.evaluate(rows, count).loss_sum / 64.0 < 0.1);
  const Tokens recited = model.generate(std::span(rows).first(3), 14, 0.0, 0);
  CHECK(std::equal(recited.begin(), recited.end(), rows.begin() + 3));
}

}  // namespace trireme::models
