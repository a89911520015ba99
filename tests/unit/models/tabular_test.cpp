// SPDX-License-Identifier: Apache-2.0
#include "trireme/models/tabular.hpp"

#include "support/failures.hpp"
#include "trireme/base/error.hpp"
#include "trireme/data/philox.hpp"
#include "trireme/data/random.hpp"
#include "trireme/models/mlp.hpp"
#include "unit/data/heap_counter.hpp"
#include "unit/models/labelled_samples.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <numeric>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace trireme::models::tables {
namespace {

using data::DenseRows;
using data::SparseRows;
using testing::error_of;
using testing::same_bits;

/// The same rows both ways: about two features in five are stored, some rows store none.
struct Table {
  data::DenseTable dense;
  data::SparseTable sparse;
};

Table random_table(std::size_t rows, std::size_t features, const TabularOptions& options, std::uint64_t seed = 1) {
  Table table;
  data::PhiloxStream random(seed);
  table.dense.features = table.sparse.features = features;
  table.dense.rows = rows;
  for (std::size_t i = 0; i < rows; ++i) {
    const bool nothing = i % 7 == 3;
    for (std::size_t f = 0; f < features; ++f) {
      const bool stored = !nothing && random.below(5) < 2;
      const auto x = static_cast<float>(2.0 * data::unit_interval(random.next()) - 1.0);
      table.dense.values.push_back(stored ? x : 0.0f);
      if (!stored) continue;
      table.sparse.indices.push_back(static_cast<std::uint32_t>(f));
      table.sparse.values.push_back(x);
    }
    table.sparse.offsets.push_back(table.sparse.indices.size());
    const float label = options.loss == TabularLoss::squared
                            ? static_cast<float>(4.0 * data::unit_interval(random.next()) - 2.0)
                            : static_cast<float>(random.below(static_cast<std::uint32_t>(options.outputs)));
    table.dense.labels.push_back(label);
    table.sparse.labels.push_back(label);
  }
  return table;
}

TabularOptions options_of(TabularLoss loss, std::vector<std::size_t> hidden, bool sparse, std::size_t features = 9) {
  return {.features = features,
          .hidden = std::move(hidden),
          .outputs = loss == TabularLoss::squared ? 1u : 4u,
          .loss = loss,
          .sparse = sparse,
          .seed = 3};
}

/// Values at which no gradient is small by accident: models without hidden layers start from zeros.
template <class T>
void stir_values(const Tabular<T>& model) {
  data::PhiloxStream random(77);
  for (const Parameter& parameter : model.parameters()) {
    for (T& value : parameter.value.template as<T>()) {
      value += static_cast<T>(0.8 * data::unit_interval(random.next()) - 0.4);
    }
  }
}

template <class T>
void fill_gradients(const Tabular<T>& model, T value) {
  for (const Parameter& parameter : model.parameters()) {
    for (T& each : parameter.gradient.template as<T>()) each = value;
  }
}

template <class T>
std::vector<T> gradient_values(const Tabular<T>& model) {
  std::vector<T> all;
  for (const Parameter& parameter : model.parameters()) {
    const auto gradient = parameter.gradient.template as<T>();
    all.insert(all.end(), gradient.begin(), gradient.end());
  }
  return all;
}

/// Rows of whichever kind the model takes.
template <class T, class Use>
auto with_rows(const Tabular<T>& model, const Table& table, Use use) {
  return model.options().sparse ? use(table.sparse.view()) : use(table.dense.view());
}

template <class T>
double run(Tabular<T>& model, const Table& table) {
  return with_rows(model, table, [&](const auto& rows) { return model.forward_backward(rows); });
}

/// The mean loss by the definition, in plain loops over dense features.
double plain_loss_of(const Tabular<double>& model, const Table& table) {
  double sum = 0.0;
  for (std::size_t row = 0; row < table.dense.rows; ++row) {
    const auto features = table.dense.view().row(row);
    std::vector<double> x(features.begin(), features.end());
    const auto& parameters = model.parameters();
    for (std::size_t p = 0; p < parameters.size(); p += 2) {
      const auto weight = parameters[p].value.as<double>();
      const auto bias = parameters[p + 1].value.as<double>();
      const bool by_feature = p == 0 && model.options().sparse;
      std::vector<double> y(bias.begin(), bias.end());
      for (std::size_t o = 0; o < y.size(); ++o) {
        for (std::size_t i = 0; i < x.size(); ++i) {
          y[o] += weight[by_feature ? i * y.size() + o : o * x.size() + i] * x[i];
        }
        if (p + 2 < parameters.size()) y[o] = std::max(y[o], 0.0);
      }
      x = y;
    }
    const auto label = static_cast<double>(table.dense.labels[row]);
    if (model.options().loss == TabularLoss::squared) {
      sum += (label - x[0]) * (label - x[0]) / 2;
      continue;
    }
    double normaliser = 0.0;
    for (const double z : x) normaliser += std::exp(z);
    sum += std::log(normaliser) - x[static_cast<std::size_t>(label)];
  }
  return sum / static_cast<double>(table.dense.rows);
}

/// A dense model and a sparse one of the same function.
template <class T>
void copy_transposed(const Tabular<T>& from, const Tabular<T>& to) {
  const auto& a = from.parameters();
  const auto& b = to.parameters();
  const std::size_t features = from.options().features;
  const std::size_t units = a[1].value.count;
  for (std::size_t f = 0; f < features; ++f) {
    for (std::size_t u = 0; u < units; ++u) {
      b[0].value.template as<T>()[f * units + u] = a[0].value.template as<T>()[u * features + f];
    }
  }
  for (std::size_t p = 1; p < a.size(); ++p) {
    const auto value = a[p].value.template as<T>();
    std::copy(value.begin(), value.end(), b[p].value.template as<T>().begin());
  }
}

template <class T>
double greatest_difference(const std::vector<T>& a, const std::vector<T>& b) {
  double worst = a.size() == b.size() ? 0.0 : INFINITY;
  for (std::size_t i = 0; i < a.size() && i < b.size(); ++i) {
    const double difference = std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i]));
    worst = difference > worst || std::isnan(difference) ? difference : worst;
  }
  return worst;
}

Error refusal(const std::function<void()>& body) {
  Error error = error_of(body);
  CHECK(error.code == ErrorCode::invalid_argument);
  return error;
}

}  // namespace

TEST_CASE("Tabular has its parameters in declaration order, aligned; a sparse first weight has a row per feature") {
  const bool sparse = GENERATE(false, true);
  const Tabular<float> model(
      {.features = 19, .hidden = {7}, .outputs = 3, .loss = TabularLoss::cross_entropy, .sparse = sparse});
  const auto& parameters = model.parameters();
  REQUIRE(parameters.size() == 4);
  const std::vector<std::string> names = {"layer0.weight", "layer0.bias", "layer1.weight", "layer1.bias"};
  std::vector<std::vector<std::int64_t>> shapes = {{7, 19}, {7}, {3, 7}, {3}};
  if (sparse) shapes[0] = {19, 7};
  for (std::size_t p = 0; p < 4; ++p) {
    CHECK(parameters[p].name == names[p]);
    CHECK(parameters[p].shape == shapes[p]);
    for (const TensorView& view : {parameters[p].value, parameters[p].gradient}) {
      CHECK(view.dtype == DType::f32);
      CHECK(reinterpret_cast<std::uintptr_t>(view.data) % 64 == 0);
    }
  }
}

TEST_CASE("Linear and logistic regression start from zeros, a perceptron of tables as Mlp does") {
  for (const bool sparse : {false, true}) {
    for (const TabularLoss loss : {TabularLoss::squared, TabularLoss::cross_entropy}) {
      const Tabular<double> regression(options_of(loss, {}, sparse));
      for (const Parameter& parameter : regression.parameters()) {
        for (const double value : parameter.value.as<double>()) REQUIRE((value == 0.0 && !std::signbit(value)));
      }
    }
    const Tabular<float> tabular(options_of(TabularLoss::cross_entropy, {12}, sparse));
    const Mlp<float> mlp({.sizes = {9, 12, 4}, .seed = 3});
    for (std::size_t p = 0; p < 4; ++p) {
      const auto a = tabular.parameters()[p].value.as<float>();
      const auto b = mlp.parameters()[p].value.as<float>();
      REQUIRE(std::equal(a.begin(), a.end(), b.begin(), b.end()));
    }
  }
}

TEST_CASE("Tabular says what it is") {
  const auto text = [](const TabularOptions& options) { return Tabular<float>(options).description(); };
  CHECK(text({.features = 8}) == "linear regression 8");
  CHECK(text({.features = 8, .sparse = true}) == "linear regression 8 on sparse features");
  CHECK(text({.features = 8, .outputs = 3, .loss = TabularLoss::cross_entropy}) == "logistic regression 8-3");
  CHECK(text({.features = 8, .hidden = {64}, .outputs = 3, .loss = TabularLoss::cross_entropy}) == "mlp 8-64-3");
  CHECK(text({.features = 8, .hidden = {64, 5}, .sparse = true}) == "mlp 8-64-5-1 on sparse features");
}

TEST_CASE("Loss and gradients of tables are those of the definition") {
  const auto loss = GENERATE(TabularLoss::squared, TabularLoss::cross_entropy);
  const auto hidden = GENERATE(values<std::vector<std::size_t>>({{}, {17}, {6, 5}}));
  const bool sparse = GENERATE(false, true);
  CAPTURE(static_cast<int>(loss), hidden, sparse);
  Tabular<double> model(options_of(loss, hidden, sparse));
  stir_values(model);
  const Table table = random_table(11, 9, model.options());
  fill_gradients(model, std::nan(""));
  REQUIRE(run(model, table) == Approx(plain_loss_of(model, table)).epsilon(1e-13));
  for (const Parameter& parameter : model.parameters()) {
    const auto value = parameter.value.as<double>();
    const auto gradient = parameter.gradient.as<double>();
    double largest = 0.0;
    double error = 0.0;
    for (std::size_t e = 0; e < value.size(); ++e) {
      const double kept = value[e];
      constexpr double h = 1e-5;
      value[e] = kept + h;
      const double above = plain_loss_of(model, table);
      value[e] = kept - h;
      const double below = plain_loss_of(model, table);
      value[e] = kept;
      largest = std::max(largest, std::abs(gradient[e]));
      error = std::max(error, std::abs(gradient[e] - (above - below) / (2 * h)));
    }
    CAPTURE(parameter.name, error, largest);
    CHECK(largest > 1e-4);
    CHECK(error <= 1e-6 * largest);
  }
}

TEMPLATE_TEST_CASE("Sparse and dense features give the same within rounding", "", float, double) {
  using T = TestType;
  constexpr double tolerance = 64 * static_cast<double>(std::numeric_limits<T>::epsilon());
  const auto loss = GENERATE(TabularLoss::squared, TabularLoss::cross_entropy);
  const auto hidden = GENERATE(values<std::vector<std::size_t>>({{}, {33, 8}}));
  Tabular<T> dense(options_of(loss, hidden, false, 50));
  Tabular<T> sparse(options_of(loss, hidden, true, 50));
  stir_values(dense);
  copy_transposed(dense, sparse);
  const Table table = random_table(70, 50, dense.options());
  CHECK(run(dense, table) == Approx(run(sparse, table)).epsilon(tolerance));
  const std::size_t units = dense.parameters()[1].value.count;
  for (std::size_t p = 0; p < dense.parameters().size(); ++p) {
    const auto view = dense.parameters()[p].gradient.template as<T>();
    std::vector<T> a(view.begin(), view.end());
    for (std::size_t e = 0; p == 0 && e < a.size(); ++e) a[e] = view[e % units * 50 + e / units];
    const auto b = sparse.parameters()[p].gradient.template as<T>();
    double largest = 0.0;
    for (const T each : a) largest = std::max(largest, std::abs(static_cast<double>(each)));
    CHECK(greatest_difference(a, {b.begin(), b.end()}) <= tolerance * largest);
  }
  const auto from_dense = dense.evaluate(table.dense.view());
  const auto from_sparse = sparse.evaluate(table.sparse.view());
  CHECK(from_dense.loss_sum == Approx(from_sparse.loss_sum).epsilon(tolerance));
  CHECK(from_dense.correct == from_sparse.correct);
}

TEST_CASE("Every gradient of a table's model is announced once, last first, final by then, after the forward pass") {
  const bool sparse = GENERATE(false, true);
  const std::size_t count = GENERATE(0u, 1u, 9u);
  Tabular<double> model(options_of(TabularLoss::cross_entropy, {7, 6}, sparse));
  const Table table = random_table(count, 9, model.options());
  fill_gradients(model, std::nan(""));
  std::string heard;
  std::vector<std::vector<double>> announced(6);
  with_rows(model, table, [&](const auto& rows) {
    return model.forward_backward(
        rows,
        [&](std::size_t p) {
          heard += std::to_string(p);
          const auto gradient = model.parameters().at(p).gradient.template as<double>();
          announced[p].assign(gradient.begin(), gradient.end());
          for (std::size_t later = 0; later < p; ++later) {  // nothing below has been written yet
            REQUIRE(std::isnan(model.parameters()[later].gradient.template as<double>()[0]));
          }
        },
        [&] { heard += "f"; });
  });
  REQUIRE(heard == "f543210");
  for (std::size_t p = 0; p < 6; ++p) {
    const auto gradient = model.parameters()[p].gradient.as<double>();
    REQUIRE(same_bits(announced[p], {gradient.begin(), gradient.end()}));
  }
}

TEST_CASE("No rows of a table give loss 0, gradients 0 and no touched rows") {
  const bool sparse = GENERATE(false, true);
  Tabular<float> model(options_of(TabularLoss::squared, {5}, sparse));
  run(model, random_table(5, 9, model.options()));
  fill_gradients(model, std::nanf(""));
  if (sparse) {
    REQUIRE_FALSE(model.touched_rows().empty());
    REQUIRE(model.forward_backward(SparseRows{}) == 0.0);
    REQUIRE(model.evaluate(SparseRows{}).samples == 0);
    REQUIRE(model.predict(SparseRows{}).empty());
  } else {
    REQUIRE(model.forward_backward(DenseRows{}) == 0.0);
    REQUIRE(model.evaluate(DenseRows{}).loss_sum == 0.0);
    REQUIRE(model.predict(DenseRows{}).empty());
  }
  const auto gradients = gradient_values(model);
  REQUIRE(same_bits(gradients, std::vector<float>(gradients.size(), 0.0f)));
  REQUIRE(model.touched_rows().empty());
}

TEST_CASE("The bits of a table's call depend on its rows only, not on history, room or address") {
  const bool sparse = GENERATE(false, true);
  TabularOptions options = options_of(TabularLoss::cross_entropy, {24, 16}, sparse, 40);
  Tabular<float> model(options);
  const Table table = random_table(24, 40, options);
  const Table other_table = random_table(90, 40, options, 5);
  const double loss = run(model, table);
  const auto expected = gradient_values(model);
  SECTION("after other calls that needed more room") {
    run(model, other_table);
    with_rows(model, other_table, [&](const auto& rows) { return model.evaluate(rows).samples; });
    with_rows(model, other_table, [&](const auto& rows) { return model.predict(rows).size(); });
    CHECK(run(model, table) == loss);
    CHECK(same_bits(gradient_values(model), expected));
  }
  SECTION("in another model of another workspace") {
    options.rows = 1;
    Tabular<float> other(options);
    CHECK(run(other, table) == loss);
    CHECK(same_bits(gradient_values(other), expected));
  }
  SECTION("as a slice of more rows") {
    Table longer = random_table(3, 40, options, 9);
    const std::size_t before = longer.sparse.indices.size();
    const auto append = [](auto& to, const auto& from) { to.insert(to.end(), from.begin(), from.end()); };
    append(longer.dense.values, table.dense.values);
    append(longer.dense.labels, table.dense.labels);
    longer.dense.rows += 24;
    append(longer.sparse.indices, table.sparse.indices);
    append(longer.sparse.values, table.sparse.values);
    append(longer.sparse.labels, table.sparse.labels);
    for (std::size_t i = 1; i <= 24; ++i) longer.sparse.offsets.push_back(before + table.sparse.offsets[i]);
    CHECK(with_rows(model, longer, [&](const auto& rows) { return model.forward_backward(rows.slice(3, 24)); }) ==
          loss);
    CHECK(same_bits(gradient_values(model), expected));
  }
  SECTION("from an address that is not aligned") {
    data::AlignedVector<float> moved(table.dense.values.size() + 1);
    std::copy(table.dense.values.begin(), table.dense.values.end(), moved.begin() + 1);
    DenseRows rows = table.dense.view();
    rows.values = std::span<const float>(moved).subspan(1);
    if (!sparse) {
      CHECK(model.forward_backward(rows) == loss);
      CHECK(same_bits(gradient_values(model), expected));
    }
  }
  SECTION("after the model has moved") {
    const void* address = model.parameters()[0].value.data;
    Tabular<float> moved = std::move(model);
    CHECK(moved.parameters()[0].value.data == address);
    CHECK(run(moved, table) == loss);
    CHECK(same_bits(gradient_values(moved), expected));
  }
}

TEST_CASE("Touched rows are the features that the call stores, ascending, and all others are zero") {
  const std::size_t features = 9000;  // several words of words of marks
  Tabular<float> model({.features = features, .hidden = {3}, .outputs = 1, .sparse = true});
  CHECK(model.touched_rows().empty());
  data::SparseTable table;
  table.features = features;
  std::set<std::uint32_t> named;
  data::PhiloxStream random(4);
  for (std::size_t i = 0; i < 30; ++i) {
    std::set<std::uint32_t> row{static_cast<std::uint32_t>(i % 2 == 0 ? 8999 : 0)};
    for (std::size_t k = 0; k < i % 5; ++k) row.insert(random.below(9000));
    for (const std::uint32_t f : row) {
      table.indices.push_back(f);
      table.values.push_back(1.0f);
    }
    named.insert(row.begin(), row.end());
    table.offsets.push_back(table.indices.size());
    table.labels.push_back(3.0f);
  }
  fill_gradients(model, std::nanf(""));
  model.forward_backward(table.view());
  const auto touched = model.touched_rows();
  CHECK(std::vector<std::uint32_t>(touched.begin(), touched.end()) ==
        std::vector<std::uint32_t>(named.begin(), named.end()));
  const auto gradient = model.parameters()[0].gradient.as<float>();
  bool zero = true;
  for (std::size_t e = 0; e < gradient.size(); ++e) {
    if (named.count(static_cast<std::uint32_t>(e / 3)) == 0) zero = zero && gradient[e] == 0.0f;
  }
  CHECK(zero);
  model.forward_backward(table.view().slice(1, 1));
  REQUIRE_FALSE(model.touched_rows().empty());
  CHECK(model.touched_rows()[0] == 0);
  model.evaluate(table.view());
  CHECK(model.touched_rows().size() < 6);  // an evaluation touches nothing
}

TEST_CASE("Where rows suffice, touched rows have the same bits and nothing is written beside them") {
  const TabularOptions options = options_of(TabularLoss::squared, {5}, true, 60);
  Tabular<float> model(options);
  const Table table = random_table(3, 60, options);
  run(model, table);
  const auto expected = gradient_values(model);
  model.assume_row_sparse(true);
  fill_gradients(model, 7.0f);  // as a reduction with other ranks may leave it
  run(model, table);
  const std::set<std::uint32_t> touched(model.touched_rows().begin(), model.touched_rows().end());
  REQUIRE(touched.size() > 5);
  REQUIRE(touched.size() < 60);
  const auto actual = gradient_values(model);
  bool same = true;
  for (std::size_t e = 0; e < actual.size(); ++e) {
    const bool beside = e < 300 && touched.count(static_cast<std::uint32_t>(e / 5)) == 0;
    same = same && actual[e] == (beside ? 7.0f : expected[e]);
  }
  CHECK(same);
  model.forward_backward(SparseRows{});
  CHECK(model.touched_rows().empty());
  CHECK(gradient_values(model)[0] == actual[0]);
  CHECK(gradient_values(model)[300] == 0.0f);  // of the bias
  model.assume_row_sparse(false);
  run(model, table);
  CHECK(same_bits(gradient_values(model), expected));

  Tabular<float> dense(options_of(TabularLoss::squared, {5}, false));
  dense.assume_row_sparse(false);
  refusal([&] { dense.assume_row_sparse(true); });
  CHECK(dense.touched_rows().empty());
}

TEST_CASE("use_gradients() of a table's model moves where gradients are written, whatever lies there") {
  const bool sparse = GENERATE(false, true);
  Tabular<float> model(options_of(TabularLoss::cross_entropy, {}, sparse));
  const Table table = random_table(2, 9, model.options());
  run(model, table);
  const auto expected = gradient_values(model);
  std::vector<data::AlignedBuffer<float>> memory;
  std::vector<Parameter> elsewhere = model.parameters();
  for (auto& each : elsewhere) {
    memory.emplace_back(each.gradient.count);
    each.gradient = memory.back().span();
  }
  model.use_gradients(elsewhere);
  fill_gradients(model, std::nanf(""));
  run(model, table);
  CHECK(same_bits(gradient_values(model), expected));
  CHECK(model.parameters()[0].gradient.data == memory[0].data());
  std::swap(elsewhere[0], elsewhere[1]);
  CHECK_THAT(refusal([&] { model.use_gradients(elsewhere); }).message, Catch::Contains("'layer0.weight'"));
}

TEST_CASE("Evaluation counts and sums as training does, and its bits do not depend on how blocks are shared") {
  const auto loss = GENERATE(TabularLoss::squared, TabularLoss::cross_entropy);
  const bool sparse = GENERATE(false, true);
  Tabular<float> model(options_of(loss, {16}, sparse, 12));
  constexpr std::size_t count = 600;  // two whole blocks and a part
  const Table table = random_table(count, 12, model.options());
  const double mean_loss = run(model, table);
  const auto gradients = gradient_values(model);
  std::vector<double> losses(count), head(512), tail(count - 512);
  const auto check = [&](const auto& rows) {
    const auto evaluation = model.evaluate(rows);
    CHECK(evaluation.samples == count);
    CHECK(evaluation.loss_sum == Approx(mean_loss * count).epsilon(1e-5));
    CHECK(same_bits(gradient_values(model), gradients));
    CHECK(model.evaluate(rows, losses).loss_sum == evaluation.loss_sum);
    const std::size_t head_correct = model.evaluate(rows.slice(0, 512), head).correct;
    CHECK(head_correct + model.evaluate(rows.slice(512, count - 512), tail).correct == evaluation.correct);
    head.insert(head.end(), tail.begin(), tail.end());
    CHECK(same_bits(head, losses));
    CHECK(error_of([&] { model.evaluate(rows, tail); }).code == ErrorCode::invalid_argument);

    // Predictions are what evaluation worked with.
    auto unlabelled = rows;
    unlabelled.labels = {};
    const auto outputs = model.predict(unlabelled);
    REQUIRE(outputs.size() == count * model.options().outputs);
    std::size_t correct = 0;
    double worst = 0.0;
    for (std::size_t row = 0; row < count; ++row) {
      if (loss == TabularLoss::squared) {
        const double difference = static_cast<double>(outputs[row]) - static_cast<double>(rows.labels[row]);
        worst = std::max(worst, std::abs(losses[row] - difference * difference / 2));
        continue;
      }
      const float* logits = outputs.data() + 4 * row;
      const auto label = static_cast<std::ptrdiff_t>(rows.labels[row]);
      correct += std::max_element(logits, logits + 4) - logits == label ? 1u : 0u;
      double normaliser = 0.0;
      for (std::size_t c = 0; c < 4; ++c) normaliser += std::exp(static_cast<double>(logits[c]));
      worst = std::max(worst, std::abs(losses[row] - std::log(normaliser) + static_cast<double>(logits[label])));
    }
    CHECK(worst < (loss == TabularLoss::squared ? 1e-15 : 1e-5));
    CHECK(evaluation.correct == correct);
    return 0;
  };
  with_rows(model, table, check);
}

TEST_CASE("Gradient descent reaches the closed-form solution of least squares") {
  const bool sparse = GENERATE(false, true);
  constexpr std::size_t features = 3, count = 40;
  Tabular<double> model({.features = features, .sparse = sparse});
  const Table table = random_table(count, features, model.options(), 8);
  // The normal equations of (x, 1), by elimination.
  std::array<std::array<double, 5>, 4> system{};
  for (std::size_t row = 0; row < count; ++row) {
    const auto x = table.dense.view().row(row);
    const std::array<double, 5> z{x[0], x[1], x[2], 1.0, table.dense.labels[row]};
    for (std::size_t i = 0; i < 4; ++i) {
      for (std::size_t j = 0; j < 5; ++j) system[i][j] += z[i] * z[j];
    }
  }
  for (std::size_t pivot = 0; pivot < 4; ++pivot) {
    for (std::size_t i = 0; i < 4; ++i) {
      if (i == pivot) continue;
      const double factor = system[i][pivot] / system[pivot][pivot];
      for (std::size_t j = 0; j < 5; ++j) system[i][j] -= factor * system[pivot][j];
    }
  }
  for (int step = 0; step < 2000; ++step) {
    run(model, table);
    for (const Parameter& parameter : model.parameters()) {
      const auto value = parameter.value.as<double>();
      const auto gradient = parameter.gradient.as<double>();
      for (std::size_t e = 0; e < value.size(); ++e) value[e] -= 0.5 * gradient[e];
    }
  }
  for (std::size_t i = 0; i < 4; ++i) {
    const double learnt =
        i < 3 ? model.parameters()[0].value.as<double>()[i] : model.parameters()[1].value.as<double>()[0];
    CHECK(learnt == Approx(system[i][4] / system[i][i]).epsilon(1e-9));
  }
}

TEST_CASE("More than 256 classes are told apart") {
  TabularOptions options = options_of(TabularLoss::cross_entropy, {}, true, 600);
  options.outputs = 600;
  Tabular<float> model(options);
  data::SparseTable table;  // feature c alone says class c
  table.features = 600;
  for (const std::uint32_t label : {0u, 255u, 256u, 599u}) {
    table.indices.push_back(label);
    table.values.push_back(1.0f);
    table.labels.push_back(static_cast<float>(label));
    table.offsets.push_back(table.indices.size());
  }
  CHECK(model.evaluate(table.view()).loss_sum == Approx(4 * std::log(600.0)).epsilon(1e-6));
  CHECK(model.evaluate(table.view()).correct == 1);  // the first of equals is class 0
  for (int step = 0; step < 20; ++step) {
    model.forward_backward(table.view());
    for (const Parameter& parameter : model.parameters()) {
      const auto gradient = parameter.gradient.as<float>();
      for (std::size_t e = 0; e < gradient.size(); ++e) parameter.value.as<float>()[e] -= 4.0f * gradient[e];
    }
  }
  CHECK(model.evaluate(table.view()).correct == 4);
}

TEST_CASE("Tabular uses no heap in a warm call") {
  const auto loss = GENERATE(TabularLoss::squared, TabularLoss::cross_entropy);
  const bool sparse = GENERATE(false, true);
  const auto hidden = GENERATE(values<std::vector<std::size_t>>({{}, {32, 8}}));
  Tabular<double> model(options_of(loss, hidden, sparse, 300));
  const Table table = random_table(300, 300, model.options());
  std::uint64_t calls = 1;
  with_rows(model, table, [&](const auto& rows) {
    const auto step = [&] {
      model.forward_backward(rows.slice(0, 64));
      model.forward_backward(rows.slice(7, 3));
      model.forward_backward(rows.slice(0, 0));
      model.evaluate(rows);
      model.predict(rows);
    };
    step();
    const auto before = testing::heap_calls();
    for (int i = 0; i < 5; ++i) step();
    calls = testing::heap_calls() - before;
    return 0;
  });
  CAPTURE(static_cast<int>(loss), sparse, hidden);
  CHECK(calls == 0);
}

TEST_CASE("What the ready callback of a table's model throws reaches the caller, and the model goes on working") {
  const bool sparse = GENERATE(false, true);
  Tabular<float> model(options_of(TabularLoss::squared, {7}, sparse));
  const Table table = random_table(4, 9, model.options());
  run(model, table);
  const auto expected = gradient_values(model);
  with_rows(model, table, [&](const auto& rows) {
    CHECK_THROWS_AS(model.forward_backward(rows,
                                           [](std::size_t p) {
                                             if (p == 1) throw std::runtime_error("stop");
                                           }),
                    std::runtime_error);
    return 0;
  });
  run(model, table);
  CHECK(same_bits(gradient_values(model), expected));
}

TEST_CASE("Tabular refuses options that do not fit, and names them") {
  const auto refused = [](const TabularOptions& options, const std::string& part) {
    CHECK_THAT(refusal([&] { Tabular<float> model(options); }).message, Catch::Contains(part));
  };
  constexpr auto classes = TabularLoss::cross_entropy;
  refused({.features = 0}, "features");
  refused({.features = std::size_t{1} << 31}, "features");
  refused({.features = (std::size_t{1} << 32) + 1, .sparse = true}, "features");
  refused({.features = 5, .hidden = {4, 0}}, "hidden");
  refused({.features = 5, .outputs = 2}, "outputs");
  refused({.features = 5, .outputs = 1, .loss = classes}, "outputs");
  refused({.features = 5, .outputs = 65537, .loss = classes}, "outputs");
  refused({.features = std::size_t{1} << 30, .hidden = {1 << 20}}, "too large");
}

TEST_CASE("Tabular refuses rows and labels that do not fit, and writes nothing") {
  const bool sparse = GENERATE(false, true);
  Tabular<float> model(options_of(TabularLoss::cross_entropy, {}, sparse));
  const Table table = random_table(5, 9, model.options());
  fill_gradients(model, 5.0f);
  const auto refused = [&](const auto& rows, const std::string& part) {
    CHECK_THAT(refusal([&] { model.forward_backward(rows); }).message, Catch::Contains(part));
    CHECK_THAT(refusal([&] { model.evaluate(rows); }).message, Catch::Contains(part));
  };
  for (const float label : {-1.0f, 0.5f, 4.0f, 1e30f, std::nanf(""), INFINITY}) {
    std::vector<float> labels{0, 1, label, 2, 3};
    DenseRows dense = table.dense.view();
    SparseRows compressed = table.sparse.view();
    dense.labels = compressed.labels = labels;
    sparse ? refused(compressed, "of row 2 is no class") : refused(dense, "of row 2 is no class");
  }
  if (sparse) {
    refused(table.dense.view(), "takes sparse rows");
    SparseRows rows = table.sparse.view();
    rows.features = 10;
    refused(rows, "10 features for a model of 9");
    rows = table.sparse.view();
    rows.labels = rows.labels.first(4);
    refused(rows, "4 labels");
    rows = table.sparse.view();
    rows.values = rows.values.first(3);
    refused(rows, "offsets");
    std::vector<std::uint64_t> offsets{0, 3, 2, 4, 5, 6};
    rows = table.sparse.view();
    rows.offsets = offsets;
    refused(rows, "offsets");
    data::SparseTable beyond = table.sparse;
    beyond.indices.back() = 9;
    refused(beyond.view(), "feature 9 of row");
    CHECK_THAT(refusal([&] { model.predict(beyond.view()); }).message, Catch::Contains("feature 9 of row 4"));
  } else {
    refused(table.sparse.view(), "takes dense rows");
    DenseRows rows = table.dense.view();
    rows.features = 8;
    refused(rows, "rows of 8 features");
    rows = table.dense.view();
    rows.values = rows.values.first(44);
    refused(rows, "44 features are not");
    rows = table.dense.view();
    rows.labels = {};
    refused(rows, "0 labels");
  }
  const auto gradients = gradient_values(model);
  CHECK(same_bits(gradients, std::vector<float>(gradients.size(), 5.0f)));
}

TEST_CASE("Sparse rows may have fewer features than the model") {
  Tabular<double> model(options_of(TabularLoss::squared, {4}, true, 30));
  const Table table = random_table(6, 20, model.options());
  Table wide = table;
  wide.sparse.features = 30;
  const double loss = run(model, wide);
  const auto expected = gradient_values(model);
  CHECK(run(model, table) == loss);
  CHECK(same_bits(gradient_values(model), expected));
}

}  // namespace trireme::models::tables
