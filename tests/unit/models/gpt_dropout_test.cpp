// SPDX-License-Identifier: Apache-2.0
#include "gpt_samples.hpp"
#include "trireme/models/gpt.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

namespace trireme::models {

using namespace samples;

TEMPLATE_TEST_CASE("recomputation changes no bit of loss or gradients", "", float, double) {
  using T = TestType;
  const double dropout = GENERATE(0.0, 0.2);
  const GptOptions options{.vocabulary = 40, .context = 12, .layers = 3, .heads = 2, .channels = 16, .seed = 5};
  Gpt<T> keeps(with(options, false, dropout)), computes(with(options, true, dropout));
  const Tokens rows = random_rows(options, 4);
  spoil_gradients(computes);
  CHECK(keeps.forward_backward(rows, 4) == computes.forward_backward(rows, 4));
  CHECK(equal_bits(all_gradients(keeps), all_gradients(computes)));
}

TEST_CASE("the gradient of a batch is the mean over its parts, dropout included: masks follow the sample") {
  const double dropout = GENERATE(0.0, 0.4);
  Gpt<double> model(with(tiny, false, dropout));
  stir(model);
  const Tokens rows = random_rows(tiny, 6);
  model.set_place({.step = 2, .first_row = 0});
  const double loss = model.forward_backward(rows, 6);
  const auto whole = all_gradients(model);
  std::vector<double> mean(whole.size());
  double mean_loss = 0.0;
  for (const auto& [begin, count] : {std::pair<std::size_t, std::size_t>{0, 1}, {1, 3}, {4, 2}}) {
    model.set_place({.step = 2, .first_row = begin});
    const double weight = static_cast<double>(count) / 6.0;
    mean_loss += weight * model.forward_backward(std::span(rows).subspan(begin * 6, count * 6), count);
    const auto part = all_gradients(model);
    for (std::size_t i = 0; i < mean.size(); ++i) mean[i] += weight * part[i];
  }
  CHECK(mean_loss == Approx(loss).epsilon(1e-12));
  double largest = 0.0, error = 0.0;
  for (std::size_t i = 0; i < mean.size(); ++i) {
    largest = std::max(largest, std::abs(whole[i]));
    error = std::max(error, std::abs(mean[i] - whole[i]));
  }
  CHECK(error <= 1e-12 * largest);
}

TEST_CASE("dropout's masks change with step, sample and seed, and only in training") {
  Gpt<double> model(with(tiny, false, 0.4)), plain(tiny);
  stir(model);
  stir(plain);
  const Tokens rows = random_rows(tiny, 2);
  const auto loss_at = [&](SamplePlace place) {
    model.set_place(place);
    return model.forward_backward(rows, 2);
  };
  const double first = loss_at({0, 0});
  CHECK(loss_at({1, 0}) != first);
  CHECK(loss_at({0, 1}) != first);
  CHECK(loss_at({0, 0}) == first);
  CHECK(model.evaluate(rows, 2).loss_sum == plain.evaluate(rows, 2).loss_sum);
  CHECK(model.generate(rows, 8, 1.0, 3) == plain.generate(rows, 8, 1.0, 3));
  // Over many masks the loss with dropout stays near the one without.
  double mean = 0.0;
  for (std::uint64_t step = 0; step < 400; ++step) mean += loss_at({step, 0}) / 400.0;
  CHECK(mean == Approx(plain.forward_backward(rows, 2)).epsilon(0.2));
}

}  // namespace trireme::models
