// SPDX-License-Identifier: Apache-2.0
#include "trireme/models/tabular.hpp"

#include "kernels/float_environment.hpp"
#include "kernels/norm/norm.hpp"
#include "models/dropout.hpp"
#include "models/labelled_rows.hpp"
#include "models/layers/sparse_dense.hpp"
#include "models/table_loss.hpp"
#include "models/table_rows.hpp"
#include "trireme/base/error.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <utility>

namespace trireme::models {
namespace {

constexpr std::size_t most_units = std::numeric_limits<int>::max();  // far above what memory holds
constexpr std::size_t most_sparse_features = std::size_t{1} << 32;   // an index is 32 bits
constexpr std::size_t most_weights = std::size_t{1} << 40;           // of a layer
constexpr std::size_t most_classes = std::numeric_limits<std::uint16_t>::max() + std::size_t{1};

/// Features, hidden units, outputs.
std::vector<std::size_t> sizes_of(const TabularOptions& options) {
  std::vector<std::size_t> sizes{options.features};
  sizes.insert(sizes.end(), options.hidden.begin(), options.hidden.end());
  sizes.push_back(options.outputs);
  return sizes;
}

void check(const TabularOptions& options) {
  const auto require = [](bool holds, const std::string& text) {
    if (!holds) fail(ErrorCode::invalid_argument, "a model of tables: " + text);
  };
  const std::size_t most_features = options.sparse ? most_sparse_features : most_units;
  require(options.features != 0 && options.features <= most_features,
          "features are 1 to " + std::to_string(most_features) + ", not " + std::to_string(options.features));
  for (const std::size_t units : options.hidden) {
    require(units != 0 && units <= most_units, "a hidden layer of " + std::to_string(units) + " units is not possible");
  }
  if (options.loss == TabularLoss::squared) {
    require(options.outputs == 1, "outputs of the squared loss are 1, not " + std::to_string(options.outputs));
  } else {
    require(options.outputs >= 2 && options.outputs <= most_classes, "outputs of the cross entropy are 2 to " +
                                                                         std::to_string(most_classes) + ", not " +
                                                                         std::to_string(options.outputs));
  }
  check_dropout(options.dropout);
  require(options.rows <= most_units, "rows to make room for are " + std::to_string(options.rows));
  const std::vector<std::size_t> sizes = sizes_of(options);
  for (std::size_t l = 0; l + 1 < sizes.size(); ++l) {
    require(sizes[l] <= most_weights / sizes[l + 1], "features or hidden: a layer from " + std::to_string(sizes[l]) +
                                                         " to " + std::to_string(sizes[l + 1]) + " is too large");
  }
}

}  // namespace

template <class T>
struct Tabular<T>::Body {
  explicit Body(const TabularOptions& given);

  /// The rows' outputs.  Shape: at most as many rows as there is room for.
  const T* forward(const data::DenseRows& rows, const Dropout& dropout) {
    return forward_dense(aligned_values(rows, features_copy), rows.size(), dropout);
  }
  const T* forward(const data::SparseRows& rows, const Dropout& dropout) {
    T* units = sparse_layer->forward(rows);
    mask(units, 0, rows.size(), dropout);
    return forward_dense(units, rows.size(), dropout);
  }
  const T* forward_dense(const T* x, std::size_t rows, const Dropout& dropout);
  bool is_hidden(std::size_t layer) const { return layer < options.hidden.size(); }
  std::size_t first_dense() const { return sparse_layer == nullptr ? 0 : 1; }
  /// The outputs of a layer, if it is a hidden one.
  void mask(T* units, std::size_t layer, std::size_t rows, const Dropout& dropout) const {
    if (is_hidden(layer)) dropout.apply(units, rows, options.hidden[layer], static_cast<std::uint32_t>(layer));
  }
  /// The derivative by them: its share that the layer's backward() does not know of.
  void unmask(T* units, std::size_t layer, std::size_t rows, const Dropout& dropout) const {
    if (is_hidden(layer)) dropout.amplify(units, rows * options.hidden[layer]);
  }
  /// What is left of backward() when delta is the derivative by the first dense layer's inputs, or by what goes in there.
  void backward_first(const data::DenseRows&, const Listener&, const Dropout&) {}
  void backward_first(const data::SparseRows& rows, const Listener& listener, const Dropout& dropout) {
    unmask(delta.data(), 0, rows.size(), dropout);
    sparse_layer->backward(rows, delta.data(), listener);
  }
  template <class Rows>
  void check_call(const Rows& rows) const;
  void make_room(std::size_t rows);
  template <class Rows>
  double run(const Rows& rows, const Listener& listener);
  template <class Rows>
  TabularEvaluation evaluate(const Rows& rows, std::span<double> row_losses);
  template <class Rows>
  std::span<const T> predict(const Rows& rows);

  TabularOptions options;
  std::size_t widest = 0;  // units of the largest layer
  layers::ParameterStore<T> store;
  std::unique_ptr<layers::SparseDense<T>> sparse_layer;  // the first, where features are sparse
  std::vector<std::unique_ptr<layers::Dense<T>>> dense_layers;
  std::vector<const T*> inputs;  // of every dense layer, in the pass under way
  SamplePlace place;
  TableLoss loss;
  data::AlignedBuffer<T> features_copy;  // used only for features that are not 64-byte aligned or of another type
  data::AlignedBuffer<T> delta;          // derivative of the loss by a layer's outputs
  data::AlignedBuffer<T> next_delta;     // the same for the layer below
  data::AlignedBuffer<T> predictions;
  data::AlignedBuffer<double> losses;  // of every row
};

template <class T>
Tabular<T>::Body::Body(const TabularOptions& given) : options(given) {
  check(options);
  loss = TableLoss(options.loss, options.outputs);
  const std::vector<std::size_t> sizes = sizes_of(options);
  for (std::size_t l = 0; l + 1 < sizes.size(); ++l) {
    const layers::DenseOptions layer{
        .name = "layer" + std::to_string(l),
        .inputs = sizes[l],
        .outputs = sizes[l + 1],
        .relu = l + 2 < sizes.size(),
        .bound = options.hidden.empty() ? 0.0 : 1.0 / std::sqrt(static_cast<double>(sizes[l]))};
    widest = std::max(widest, layer.outputs);
    if (l == 0 && options.sparse) {
      sparse_layer = std::make_unique<layers::SparseDense<T>>(store, layer);
    } else {
      dense_layers.push_back(std::make_unique<layers::Dense<T>>(store, layer));
    }
  }
  inputs.resize(dense_layers.size());
  store.allocate(options.seed);
  make_room(options.rows);
}

template <class T>
void Tabular<T>::Body::make_room(std::size_t rows) {
  if (sparse_layer != nullptr) sparse_layer->make_room(rows);
  for (const auto& layer : dense_layers) layer->make_room(rows);
  loss.make_room(rows);
  delta.ensure(rows * widest);
  next_delta.ensure(rows * widest);
  losses.ensure(rows);
}

template <class T>
template <class Rows>
void Tabular<T>::Body::check_call(const Rows& rows) const {
  if (std::is_same_v<Rows, data::SparseRows> != options.sparse) {
    fail(ErrorCode::invalid_argument, options.sparse ? "this model takes sparse rows, not dense ones"
                                                     : "this model takes dense rows, not sparse ones");
  }
  check_rows(rows, options.features);
}

template <class T>
const T* Tabular<T>::Body::forward_dense(const T* x, std::size_t rows, const Dropout& dropout) {
  for (std::size_t l = 0; l < dense_layers.size(); ++l) {
    inputs[l] = x;
    T* units = dense_layers[l]->forward(x, rows, layers::Pass::training);
    mask(units, first_dense() + l, rows, dropout);
    x = units;
  }
  return x;
}

template <class T>
template <class Rows>
double Tabular<T>::Body::run(const Rows& rows, const Listener& listener) {
  const kernels::FloatEnvironment environment;  // of all kernels below
  check_call(rows);
  loss.check(rows.labels, rows.size());
  if (rows.size() == 0) {
    listener.forward_done();
    for (std::size_t p = store.parameters().size(); p-- > 2 * first_dense();) {
      std::fill_n(store.gradient(p), store.parameters()[p].gradient.count, T{0});
      listener.ready(p);
    }
    backward_first(rows, listener, {});
    return 0.0;
  }
  make_room(rows.size());
  const Dropout dropout(options.dropout, options.seed, place);
  const T* outputs = forward(rows, dropout);
  loss(rows.labels, outputs, losses.data(), delta.data());
  listener.forward_done();
  for (std::size_t l = dense_layers.size(); l-- > 0;) {
    T* dx = l == 0 && sparse_layer == nullptr ? nullptr : next_delta.data();  // nobody wants that by the features
    unmask(delta.data(), first_dense() + l, rows.size(), dropout);
    dense_layers[l]->backward(inputs[l], delta.data(), dx, rows.size(), listener);
    std::swap(delta, next_delta);
  }
  backward_first(rows, listener, dropout);
  return kernels::sum(losses.data(), rows.size()) / static_cast<double>(rows.size());
}

template <class T>
template <class Rows>
TabularEvaluation Tabular<T>::Body::evaluate(const Rows& rows, std::span<double> row_losses) {
  check_losses(row_losses, rows.size());
  check_call(rows);
  loss.check(rows.labels, rows.size());
  const kernels::FloatEnvironment environment;
  make_room(std::min(rows.size(), evaluation_rows));
  TabularEvaluation result{.samples = rows.size()};
  kernels::TreeSum loss_sum;
  for (std::size_t begin = 0; begin < rows.size(); begin += evaluation_rows) {
    const Rows block = block_of(rows, begin, std::min(evaluation_rows, rows.size() - begin));
    double* block_losses = row_losses.empty() ? losses.data() : row_losses.data() + begin;
    const T* outputs = forward(block, {});
    loss(block.labels, outputs, block_losses, static_cast<T*>(nullptr));
    result.correct += loss.correct(block.labels, outputs);
    loss_sum.add(kernels::block_sum(block_losses, block.size()));
  }
  result.loss_sum = loss_sum.result();
  return result;
}

template <class T>
template <class Rows>
std::span<const T> Tabular<T>::Body::predict(const Rows& rows) {
  check_call(rows);
  const kernels::FloatEnvironment environment;
  make_room(std::min(rows.size(), evaluation_rows));
  predictions.ensure(rows.size() * options.outputs);
  for (std::size_t begin = 0; begin < rows.size(); begin += evaluation_rows) {
    const std::size_t count = std::min(evaluation_rows, rows.size() - begin);
    std::copy_n(forward(block_of(rows, begin, count), {}), count * options.outputs,
                predictions.data() + begin * options.outputs);
  }
  return predictions.span().first(rows.size() * options.outputs);
}

template <class T>
Tabular<T>::Tabular(const TabularOptions& options) : body_(std::make_unique<Body>(options)) {}
template <class T>
Tabular<T>::Tabular(Tabular&&) noexcept = default;
template <class T>
Tabular<T>& Tabular<T>::operator=(Tabular&&) noexcept = default;
template <class T>
Tabular<T>::~Tabular() = default;

template <class T>
const TabularOptions& Tabular<T>::options() const {
  return body_->options;
}

template <class T>
const std::vector<Parameter>& Tabular<T>::parameters() const {
  return body_->store.parameters();
}

template <class T>
void Tabular<T>::use_gradients(std::span<const Parameter> parameters) {
  body_->store.use_gradients(parameters);
}

template <class T>
void Tabular<T>::use_access(ParameterAccess& access) {
  body_->store.use_access(access);
}

template <class T>
void Tabular<T>::set_place(const SamplePlace& place) {
  body_->place = place;
}

template <class T>
std::string Tabular<T>::description() const {
  const TabularOptions& options = body_->options;
  const bool squared = options.loss == TabularLoss::squared;
  std::string text = !options.hidden.empty() ? "mlp " : squared ? "linear regression " : "logistic regression ";
  text += std::to_string(options.features);
  for (const std::size_t units : options.hidden) text += "-" + std::to_string(units);
  if (!squared || !options.hidden.empty()) text += "-" + std::to_string(options.outputs);
  return text + (options.sparse ? " on sparse features" : "");
}

template <class T>
std::span<const std::uint32_t> Tabular<T>::touched_rows() const {
  if (body_->sparse_layer == nullptr) return {};
  return body_->sparse_layer->touched();
}

template <class T>
void Tabular<T>::assume_row_sparse(bool assume) {
  if (body_->sparse_layer != nullptr) {
    body_->sparse_layer->assume_row_sparse(assume);
  } else if (assume) {
    fail(ErrorCode::invalid_argument, "a model of dense features has no gradient of which rows suffice");
  }
}

template <class T>
double Tabular<T>::run(const data::DenseRows& rows, const Listener& listener) {
  return body_->run(rows, listener);
}
template <class T>
double Tabular<T>::run(const data::SparseRows& rows, const Listener& listener) {
  return body_->run(rows, listener);
}

template <class T>
TabularEvaluation Tabular<T>::evaluate(const data::DenseRows& rows, std::span<double> losses) {
  return body_->evaluate(rows, losses);
}
template <class T>
TabularEvaluation Tabular<T>::evaluate(const data::SparseRows& rows, std::span<double> losses) {
  return body_->evaluate(rows, losses);
}

template <class T>
std::span<const T> Tabular<T>::predict(const data::DenseRows& rows) {
  return body_->predict(rows);
}
template <class T>
std::span<const T> Tabular<T>::predict(const data::SparseRows& rows) {
  return body_->predict(rows);
}

template class Tabular<float>;
template class Tabular<double>;

}  // namespace trireme::models
