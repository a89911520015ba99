// SPDX-License-Identifier: Apache-2.0
// Dropout of perceptrons, of images and of tables.
#include "models/dropout.hpp"

#include "support/failures.hpp"
#include "trireme/base/error.hpp"
#include "trireme/data/philox.hpp"
#include "trireme/data/random.hpp"
#include "trireme/models/cnn.hpp"
#include "trireme/models/mlp.hpp"
#include "trireme/models/tabular.hpp"
#include "unit/data/heap_counter.hpp"
#include "unit/models/labelled_samples.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace trireme::models::perceptrons {
namespace {

using testing::error_of;
using testing::same_bits;

enum class Kind : unsigned char { images, dense_table, sparse_table };

constexpr std::size_t features = 6;
constexpr std::size_t classes = 4;

struct Shape {
  std::vector<std::size_t> hidden;
  double dropout = 0.0;
  std::uint64_t seed = 5;
};

/// One of the perceptrons, with samples that are the same for all.
template <class T>
class Subject {
 public:
  Subject(Kind kind, const Shape& shape, std::size_t rows = 12) : kind_(kind), images_(rows * features) {
    data::PhiloxStream random(8);
    dense_.features = sparse_.features = features;
    dense_.rows = rows;
    for (std::size_t i = 0; i < rows; ++i) {
      for (std::size_t f = 0; f < features; ++f) {
        const auto x = static_cast<float>(2.0 * data::unit_interval(random.next()) - 1.0);
        images_.data()[i * features + f] = static_cast<T>(x);
        dense_.values.push_back(x);
        sparse_.values.push_back(x);
        sparse_.indices.push_back(static_cast<std::uint32_t>(f));
      }
      sparse_.offsets.push_back(sparse_.indices.size());
      labels_.push_back(static_cast<std::uint8_t>(random.below(classes)));
      dense_.labels.push_back(labels_.back());
      sparse_.labels.push_back(labels_.back());
    }
    if (kind == Kind::images) {
      std::vector<std::size_t> sizes{features};
      sizes.insert(sizes.end(), shape.hidden.begin(), shape.hidden.end());
      sizes.push_back(classes);
      mlp_.emplace(MlpOptions{.sizes = sizes, .seed = shape.seed, .dropout = shape.dropout});
    } else {
      tabular_.emplace(TabularOptions{.features = features,
                                      .hidden = shape.hidden,
                                      .outputs = classes,
                                      .loss = TabularLoss::cross_entropy,
                                      .sparse = kind == Kind::sparse_table,
                                      .seed = shape.seed,
                                      .dropout = shape.dropout});
    }
  }

  std::size_t rows() const { return labels_.size(); }
  std::size_t layers() const { return parameters().size() / 2; }
  const std::vector<Parameter>& parameters() const { return mlp_ ? mlp_->parameters() : tabular_->parameters(); }
  std::span<T> value(std::size_t p) const { return parameters()[p].value.template as<T>(); }
  std::span<T> gradient(std::size_t p) const { return parameters()[p].gradient.template as<T>(); }

  /// Of weight (o, i) of a layer: the first layer of sparse features has it the other way round.
  std::size_t index(std::size_t layer, std::size_t o, std::size_t i) const {
    const std::size_t outputs = value(2 * layer + 1).size();
    return layer == 0 && kind_ == Kind::sparse_table ? i * outputs + o : o * (value(2 * layer).size() / outputs) + i;
  }

  double train(SamplePlace place, std::size_t first, std::size_t count) {
    if (mlp_) {
      mlp_->set_place(place);
      return mlp_->forward_backward(images(first, count), std::span(labels_).subspan(first, count));
    }
    tabular_->set_place(place);
    return kind_ == Kind::dense_table ? tabular_->forward_backward(dense_.view().slice(first, count))
                                      : tabular_->forward_backward(sparse_.view().slice(first, count));
  }
  double train(SamplePlace place) { return train(place, 0, rows()); }

  /// The loss of every row, and what predict() gives where there is one.
  std::vector<double> evaluated() {
    std::vector<double> found(rows());
    if (mlp_) {
      mlp_->evaluate(images(0, rows()), labels_, found);
      return found;
    }
    const auto look = [&](const auto& all) {
      tabular_->evaluate(all, found);
      const auto outputs = tabular_->predict(all);
      found.insert(found.end(), outputs.begin(), outputs.end());
    };
    kind_ == Kind::dense_table ? look(dense_.view()) : look(sparse_.view());
    return found;
  }

  std::vector<T> gradients() const {
    std::vector<T> all;
    for (std::size_t p = 0; p < parameters().size(); ++p) {
      const auto part = gradient(p);
      all.insert(all.end(), part.begin(), part.end());
    }
    return all;
  }

  /// The mean loss by the definition: layer by layer in plain loops, masks row by row.
  double plain_loss(const Dropout& dropout) const {
    double sum = 0.0;
    for (std::size_t row = 0; row < rows(); ++row) {
      std::vector<double> x(dense_.values.begin() + static_cast<std::ptrdiff_t>(row * features),
                            dense_.values.begin() + static_cast<std::ptrdiff_t>((row + 1) * features));
      for (std::size_t l = 0; l < layers(); ++l) {
        std::vector<double> y(value(2 * l + 1).begin(), value(2 * l + 1).end());
        for (std::size_t o = 0; o < y.size(); ++o) {
          for (std::size_t i = 0; i < x.size(); ++i) y[o] += static_cast<double>(value(2 * l)[index(l, o, i)]) * x[i];
          if (l + 1 < layers()) y[o] = std::max(y[o], 0.0);
        }
        if (l + 1 < layers()) dropout.apply(y.data(), y.data(), row, 0, y.size(), static_cast<std::uint32_t>(l));
        x = y;
      }
      double normaliser = 0.0;
      for (const double z : x) normaliser += std::exp(z);
      sum += std::log(normaliser) - x[labels_[row]];
    }
    return sum / static_cast<double>(rows());
  }

 private:
  ConstTensorView images(std::size_t first, std::size_t count) const {
    return {images_.data() + first * features, count * features, dtype_of<T>};
  }

  Kind kind_;
  data::AlignedBuffer<T> images_;
  data::DenseTable dense_;
  data::SparseTable sparse_;
  std::vector<std::uint8_t> labels_;
  std::optional<Mlp<T>> mlp_;
  std::optional<Tabular<T>> tabular_;
};

Kind any_kind() { return GENERATE(Kind::images, Kind::dense_table, Kind::sparse_table); }

/// Makes every output of every hidden layer 1 before its mask.
template <class T>
void level(const Subject<T>& subject) {
  for (std::size_t l = 0; l + 1 < subject.layers(); ++l) {
    std::fill(subject.value(2 * l).begin(), subject.value(2 * l).end(), T{0});
    std::fill(subject.value(2 * l + 1).begin(), subject.value(2 * l + 1).end(), T{1});
  }
}

/// The outputs of hidden layer l as the last call of one row had them: a weight's gradient is their product with the
/// derivative by the layer above, which is the gradient of its bias.
std::vector<double> outputs_of(const Subject<double>& subject, std::size_t l) {
  const auto above = subject.gradient(2 * l + 3);
  const auto o = static_cast<std::size_t>(
      std::max_element(above.begin(), above.end(), [](double a, double b) { return std::abs(a) < std::abs(b); }) -
      above.begin());
  std::vector<double> outputs(subject.value(2 * l + 1).size());
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    outputs[i] = subject.gradient(2 * l + 2)[subject.index(l + 1, o, i)] / above[o];
  }
  return outputs;
}

}  // namespace

TEST_CASE("A perceptron keeps the units that Philox 4x32-10 names, and divides them by what is kept") {
  const Kind kind = any_kind();
  Subject<double> subject(kind, {.hidden = {14, 11}, .dropout = 0.4});
  level(subject);
  // Of seed 5 at step 3, computed by another program: '.' is dropped.
  struct Expected {
    std::uint64_t row;
    std::string layers[2];
  };
  constexpr std::uint64_t far = std::uint64_t{1} << 32;
  for (const auto& [row, layers] :
       {Expected{far + 7, {"...x.x.xx...xx", "xxxxxxx.xxx"}}, Expected{far + 8, {"x.xxxxxxx.x.x.", "xxx.xx....x"}}}) {
    subject.train({.step = 3, .first_row = row}, 1, 1);
    for (std::size_t l = 0; l < 2; ++l) {
      CAPTURE(static_cast<int>(kind), row, l);
      // The derivative by layer 1 has passed two masks and no weight of the first.
      const auto outputs = outputs_of(subject, l);
      std::string seen;
      for (const double each : outputs) {
        seen += each == 0.0 ? '.' : 'x';
        if (each != 0.0) CHECK(each == Approx(1.0 / 0.6).epsilon(1e-12));
      }
      CHECK(seen == layers[l]);
    }
  }
}

TEMPLATE_TEST_CASE("A share near the probability is dropped, and the rest exactly one over what is kept", "", float,
                   double) {
  using T = TestType;
  constexpr std::size_t rows = 400, units = 101;
  for (const double probability : {0.01, 0.2, 0.5, 0.9}) {
    std::vector<T> values(rows * units, T{1});
    Dropout(probability, 3, {.step = 7, .first_row = 20}).apply(values.data(), rows, units, 2);
    const auto dropped = static_cast<double>(std::count(values.begin(), values.end(), T{0}));
    const auto kept = std::count(values.begin(), values.end(), static_cast<T>(1.0 / (1.0 - probability)));
    constexpr double count = rows * units;
    CAPTURE(probability, dropped / count);
    CHECK(static_cast<double>(kept) + dropped == count);
    CHECK(std::abs(dropped - probability * count) < 4 * std::sqrt(count * probability * (1 - probability)));
  }
}

TEST_CASE("A mask in pieces is the mask of the whole, in place or not, and what is dropped is 0 whatever it was") {
  constexpr std::size_t units = 203;
  const Dropout dropout(0.3, 3, {.step = 7, .first_row = 20});
  std::vector<float> from(units), whole(units);
  for (std::size_t u = 0; u < units; ++u) from[u] = static_cast<float>(u) + 1.0f;
  dropout.apply(whole.data(), from.data(), 5, 0, units, 2);
  for (const std::size_t begin : {0u, 1u, 3u, 64u, 66u, 130u}) {
    for (const std::size_t count : {0u, 1u, 2u, 5u, 61u, 64u, 73u}) {
      CAPTURE(begin, count);
      std::vector<float> piece(from.begin() + static_cast<std::ptrdiff_t>(begin),
                               from.begin() + static_cast<std::ptrdiff_t>(begin + count));
      dropout.apply(piece.data(), piece.data(), 5, begin, count, 2);
      CHECK(std::equal(piece.begin(), piece.end(), whole.begin() + static_cast<std::ptrdiff_t>(begin)));
    }
  }
  std::vector<float> nothing(units, std::nanf(""));
  dropout.apply(nothing.data(), nothing.data(), 5, 0, units, 2);
  bool same = true;
  for (std::size_t u = 0; u < units; ++u) same = same && (nothing[u] == 0.0f) == (whole[u] == 0.0f);
  CHECK(same);
}

TEST_CASE("Loss and gradients with dropout are those of the definition") {
  const Kind kind = any_kind();
  const auto hidden = GENERATE(values<std::vector<std::size_t>>({{9}, {13, 10}}));
  Subject<double> subject(kind, {.hidden = hidden, .dropout = 0.3});
  const SamplePlace place{.step = 4, .first_row = 30};
  const Dropout dropout(0.3, 5, place);
  CAPTURE(static_cast<int>(kind), hidden);
  REQUIRE(subject.train(place) == Approx(subject.plain_loss(dropout)).epsilon(1e-13));
  for (std::size_t p = 0; p < subject.parameters().size(); ++p) {
    const auto value = subject.value(p);
    double largest = 0.0, error = 0.0;
    for (std::size_t e = 0; e < value.size(); ++e) {
      const double kept = value[e];
      constexpr double h = 1e-5;
      value[e] = kept + h;
      const double above = subject.plain_loss(dropout);
      value[e] = kept - h;
      const double below = subject.plain_loss(dropout);
      value[e] = kept;
      largest = std::max(largest, std::abs(subject.gradient(p)[e]));
      error = std::max(error, std::abs(subject.gradient(p)[e] - (above - below) / (2 * h)));
    }
    CAPTURE(p, error, largest);
    CHECK(largest > 1e-3);
    CHECK(error <= 1e-6 * largest);
  }
}

TEST_CASE("Masks follow the row's place, not the call: a batch is the mean of its parts") {
  const Kind kind = any_kind();
  Subject<double> subject(kind, {.hidden = {17, 8}, .dropout = 0.5});
  const double loss = subject.train({.step = 2, .first_row = 40});
  const auto whole = subject.gradients();
  std::vector<std::pair<std::size_t, std::size_t>> parts{{0, 1}, {1, 4}, {5, 0}, {5, 7}};
  if (GENERATE(false, true)) {
    parts.clear();
    for (std::size_t row = 0; row < subject.rows(); ++row) parts.push_back({row, 1});
  }
  std::vector<double> mean(whole.size());
  double mean_loss = 0.0;
  for (const auto& [first, count] : parts) {
    const double weight = static_cast<double>(count) / static_cast<double>(subject.rows());
    mean_loss += weight * subject.train({.step = 2, .first_row = 40 + first}, first, count);
    const auto part = subject.gradients();
    for (std::size_t i = 0; i < mean.size(); ++i) mean[i] += weight * part[i];
  }
  CAPTURE(static_cast<int>(kind), parts.size());
  CHECK(mean_loss == Approx(loss).epsilon(1e-12));
  double largest = 0.0, error = 0.0;
  for (std::size_t i = 0; i < mean.size(); ++i) {
    largest = std::max(largest, std::abs(whole[i]));
    error = std::max(error, std::abs(mean[i] - whole[i]));
  }
  CHECK(error <= 1e-12 * largest);
}

TEST_CASE("The bits of a call with dropout depend on its rows and their place, and on nothing before it") {
  const Kind kind = any_kind();
  Subject<float> subject(kind, {.hidden = {17, 8}, .dropout = 0.5});
  const SamplePlace place{.step = 2, .first_row = 44};
  const float loss = static_cast<float>(subject.train(place, 4, 3));
  const auto expected = subject.gradients();
  subject.train({.step = 3, .first_row = 1});
  subject.evaluated();
  CAPTURE(static_cast<int>(kind));
  CHECK(static_cast<float>(subject.train(place, 4, 3)) == loss);
  CHECK(same_bits(subject.gradients(), expected));
  Subject<float> fresh(kind, {.hidden = {17, 8}, .dropout = 0.5});
  fresh.train(place, 4, 3);
  CHECK(same_bits(fresh.gradients(), expected));
  Subject<float> of_other_seed(kind, {.hidden = {17, 8}, .dropout = 0.5, .seed = 6});
  for (std::size_t p = 0; p < subject.parameters().size(); ++p) {
    std::copy(subject.value(p).begin(), subject.value(p).end(), of_other_seed.value(p).begin());
  }
  of_other_seed.train(place, 4, 3);
  CHECK_FALSE(same_bits(of_other_seed.gradients(), expected));
  for (const SamplePlace other : {SamplePlace{.step = 3, .first_row = 44}, SamplePlace{.step = 2, .first_row = 45}}) {
    subject.train(other, 4, 3);
    CHECK_FALSE(same_bits(subject.gradients(), expected));
  }
}

TEST_CASE("All perceptrons of a seed have the same masks") {
  const Shape shape{.hidden = {9, 20}, .dropout = 0.25};
  Subject<double> mlp(Kind::images, shape), dense(Kind::dense_table, shape), sparse(Kind::sparse_table, shape);
  for (std::size_t f = 0; f < features; ++f) {
    for (std::size_t u = 0; u < 9; ++u) sparse.value(0)[sparse.index(0, u, f)] = mlp.value(0)[mlp.index(0, u, f)];
  }
  const SamplePlace place{.step = 1, .first_row = 6};
  const double loss = mlp.train(place);
  CHECK(dense.train(place) == Approx(loss).epsilon(1e-13));
  CHECK(sparse.train(place) == Approx(loss).epsilon(1e-13));
}

TEST_CASE("Evaluation and prediction have no dropout") {
  const Kind kind = any_kind();
  Subject<float> subject(kind, {.hidden = {17, 8}, .dropout = 0.5}), plain(kind, {.hidden = {17, 8}});
  CHECK(subject.train({}) != plain.train({}));
  CHECK(same_bits(subject.evaluated(), plain.evaluated()));
}

TEST_CASE("Without dropout, or without a hidden layer, the place changes no bit") {
  const Kind kind = any_kind();
  const bool hidden = GENERATE(false, true);
  const Shape shape = hidden ? Shape{.hidden = {17, 8}} : Shape{.hidden = {}, .dropout = 0.5};
  Subject<float> subject(kind, shape), plain(kind, {.hidden = shape.hidden});
  CHECK(subject.train({.step = 9, .first_row = 100}) == plain.train({}));
  CHECK(same_bits(subject.gradients(), plain.gradients()));
}

TEST_CASE("Over many steps the outputs with dropout have the mean of those without") {
  Subject<double> subject(Kind::images, {.hidden = {10}, .dropout = 0.4});
  level(subject);
  std::vector<double> mean(10);
  for (std::uint64_t step = 0; step < 2000; ++step) {
    subject.train({.step = step, .first_row = 0}, 0, 1);
    const auto outputs = outputs_of(subject, 0);
    for (std::size_t u = 0; u < mean.size(); ++u) mean[u] += outputs[u] / 2000.0;
  }
  for (const double each : mean) CHECK(each == Approx(1.0).margin(0.075));  // four deviations
}

TEST_CASE("A classifier without dropout takes a place and does not ask for it") {
  Cnn<float> model({.input = {8, 8, 1}, .convolutions = {2}, .hidden = {4}, .classes = 3});
  const auto samples = testing::random_samples<float>(5, 64, 3);
  const double loss = model.forward_backward(samples.all(), samples.labels);
  Classifier& classifier = model;
  classifier.set_place({.step = 3, .first_row = 9});
  CHECK(model.forward_backward(samples.all(), samples.labels) == loss);
}

TEST_CASE("A warm call with dropout uses no heap") {
  const Kind kind = any_kind();
  Subject<float> subject(kind, {.hidden = {17, 8}, .dropout = 0.5});
  subject.train({});
  subject.train({}, 1, 3);  // features at no multiple of 64 bytes are copied
  const auto before = testing::heap_calls();
  for (std::uint64_t step = 0; step < 10; ++step) {
    subject.train({.step = step, .first_row = 5});
    subject.train({.step = step, .first_row = 6}, 1, 3);
    subject.train({.step = step, .first_row = 6}, 1, 0);
  }
  CHECK(testing::heap_calls() == before);
}

TEST_CASE("A dropout that is no probability below 1 is refused by name") {
  for (const double bad : {1.0, 1.5, -0.1, std::nan(""), std::numeric_limits<double>::infinity()}) {
    CAPTURE(bad);
    for (const Kind kind : {Kind::images, Kind::dense_table, Kind::sparse_table}) {
      const Error error = error_of([&] { Subject<float>(kind, {.hidden = {3}, .dropout = bad}); });
      CHECK(error.code == ErrorCode::invalid_argument);
      CHECK_THAT(error.message, Catch::Contains("dropout"));
    }
  }
}

}  // namespace trireme::models::perceptrons
