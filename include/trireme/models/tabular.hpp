// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/parameter.hpp"
#include "trireme/base/parameter_access.hpp"
#include "trireme/data/rows.hpp"
#include "trireme/models/classifier.hpp"
#include "trireme/models/sample_place.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

namespace trireme::models {

enum class TabularLoss : unsigned char {
  squared,       ///< (y - f)^2/2 of one output
  cross_entropy  ///< of the softmax over classes
};

struct TabularOptions {
  std::size_t features = 0;
  std::vector<std::size_t> hidden{};  ///< units of each hidden layer; empty for linear and logistic regression
  std::size_t outputs = 1;            ///< 1 of squared; the classes of cross_entropy, 2 to 65536
  TabularLoss loss = TabularLoss::squared;
  bool sparse = false;  ///< takes SparseRows in place of DenseRows
  std::uint64_t seed = 0;
  std::size_t rows = 64;  ///< rows per call to make room for; a larger call grows the workspace
  double dropout = 0.0;   ///< probability, [0, 1): of the outputs of every hidden layer, in training
};

/// What evaluate() finds: to be added over calls and ranks.
struct TabularEvaluation {
  std::size_t samples = 0;
  std::size_t correct = 0;  ///< 0 of squared
  double loss_sum = 0.0;    ///< not divided by the samples; of squared the sum of (y - f)^2/2
};

/// A table's rows, as they come.
template <class Rows>
concept TableRows = std::is_same_v<Rows, data::DenseRows> || std::is_same_v<Rows, data::SparseRows>;

/// Linear regression, logistic regression and a multi-layer perceptron on the rows of a table, with a hand-written backward
/// pass: x_{l+1} = relu(x_l W_l^T + b_l), no relu after the last layer; the mean loss over the rows. Labels are y of
/// squared and the class, 0 to outputs - 1, of cross_entropy.
/// Shape:   parameters "layer0.weight" {outputs, inputs}, "layer0.bias" {outputs}, "layer1.weight", ...: in this order, each
///          value and gradient 64-byte aligned, at the same address for the model's life (moving it included) unless
///          use_gradients() says otherwise. Where features are sparse, layer0.weight is {features, units}: what belongs to
///          a feature is a row, and its gradient is zero in the rows of features that no row of the call stores.
/// Start:   zeros without hidden layers. Otherwise uniform in [-1/sqrt(inputs), 1/sqrt(inputs)], element by element as
///          in Mlp, e being the place in memory.
/// Dropout: as in Mlp, with the same masks; a model without hidden layers has none.
/// Order:   a call's results depend on the parameters and the call's rows only (with dropout, on their place, too): not on
///          earlier calls, other samples or addresses. The sparse layer adds what a row stores in ascending order and what
///          rows give in ascending order, in T; the same bits on every processor.
/// Cost:    6 flops per weight and row, less 2 for the first layer; of a sparse first layer 4 per unit and stored element, and
///          writing zeros to its whole gradient unless assume_row_sparse(). No heap in a call whose rows (and stored elements)
///          were reached before.
/// Threads: one at a time per model.
template <class T>
class Tabular {
  static_assert(std::is_same_v<T, float> || std::is_same_v<T, double>);

 public:
  /// Errors: invalid_argument naming the option.
  explicit Tabular(const TabularOptions& options);
  Tabular(Tabular&&) noexcept;
  Tabular& operator=(Tabular&&) noexcept;
  ~Tabular();

  const TabularOptions& options() const;
  const std::vector<Parameter>& parameters() const;
  /// From here on gradients are written where those of `parameters` lie (DataParallel's bucket views), in place of the
  /// model's own memory, which is given back.
  /// Shape:  as parameters(), in the same order; 64-byte aligned, valid while backward passes run, or until the next call.
  /// Errors: invalid_argument, naming the parameter, and nothing is changed.
  void use_gradients(std::span<const Parameter> parameters);
  /// From here on every call asks `access` where to write each gradient, as Classifier::use_access(). Of row-sparse parameters that is
  /// memory of their own.
  void use_access(ParameterAccess& access);
  /// "linear regression 8", "logistic regression 8-3", "mlp 8-64-3", with " on sparse features" where they are.
  std::string description() const;

  /// Where the rows of the next calls of forward_backward() stand; only dropout asks. {0, 0} until it is called.
  void set_place(const SamplePlace& place);

  /// The mean loss of the rows; overwrites every gradient with its mean over the rows. `ready(p)` is called once per
  /// parameter, as soon as gradient p is final and before work on earlier layers goes on: p descends from the last parameter
  /// to 0. What `ready` throws leaves this call; the gradients are then unspecified. No rows: loss 0, gradients 0.
  /// Shape:  dense rows have the model's features; sparse ones may have fewer.
  /// Errors: invalid_argument when the kind of rows, shapes, an index or a label do not fit; nothing is changed then.
  template <TableRows Rows, class Ready>
  double forward_backward(const Rows& rows, Ready&& ready) {
    return forward_backward(rows, ready, [] {});
  }
  /// As above; `forward_done()` is called once between the loss and the first gradient, before any `ready`. No rows: it is
  /// called all the same.
  template <TableRows Rows, class Ready, class ForwardDone>
  double forward_backward(const Rows& rows, Ready&& ready, ForwardDone&& forward_done) {
    using Callable = std::remove_reference_t<Ready>;
    using Boundary = std::remove_reference_t<ForwardDone>;
    return run(rows, {address_of(ready), [](void* callable, std::size_t p) { (*static_cast<Callable*>(callable))(p); },
                      address_of(forward_done), [](void* callable) { (*static_cast<Boundary*>(callable))(); }});
  }
  template <TableRows Rows>
  double forward_backward(const Rows& rows) {
    return forward_backward(rows, [](std::size_t) {});
  }

  /// Sparse features: the features, ascending, whose rows of parameter 0's gradient the last forward_backward() wrote; in the
  /// model's memory until the next. Empty of dense features, and before the first call.
  std::span<const std::uint32_t> touched_rows() const;
  /// When set, rows of parameter 0's gradient outside touched_rows() are unspecified: nothing is written there, which saves
  /// a pass over the whole gradient. For those who reduce and apply the touched rows only.
  /// Errors: invalid_argument when it is to be set for a model of dense features.
  void assume_row_sparse(bool assume);

  /// Rows of evaluate() and predict() that count as one block. Shares of an evaluation cut at its multiples meet the same
  /// shapes, hence the same bits per row, on any number of ranks.
  static constexpr std::size_t evaluation_rows = Classifier::evaluation_rows;

  /// Without dropout, the sum of the rows' losses and, of cross_entropy, how many rows have their label as the (first)
  /// largest output. Gradients are not touched. Unless empty, `losses` gets the loss of every row: summed over all ranks'
  /// rows in one order, they give a loss whose bits do not depend on the number of ranks.
  /// Shape:  as forward_backward; losses empty or one per row.
  /// Order:  losses within a block of evaluation_rows as kernels/norm sums a block, blocks by the balanced tree.
  /// Errors: as forward_backward.
  TabularEvaluation evaluate(const data::DenseRows& rows, std::span<double> losses = {});
  TabularEvaluation evaluate(const data::SparseRows& rows, std::span<double> losses = {});

  /// Without dropout, the outputs of the rows, whose labels are not looked at: f of squared, the logits of cross_entropy; in
  /// the model's memory until the next call. A row has the bits that evaluate() works with.
  /// Shape:  the result rows x outputs.
  /// Errors: as forward_backward, less the labels.
  std::span<const T> predict(const data::DenseRows& rows);
  std::span<const T> predict(const data::SparseRows& rows);

 private:
  struct Body;
  using Listener = Classifier::Listener;
  template <class Callable>
  static void* address_of(Callable& callable) {
    return const_cast<void*>(static_cast<const void*>(std::addressof(callable)));
  }
  double run(const data::DenseRows& rows, const Listener& listener);
  double run(const data::SparseRows& rows, const Listener& listener);

  std::unique_ptr<Body> body_;
};

extern template class Tabular<float>;
extern template class Tabular<double>;

}  // namespace trireme::models
