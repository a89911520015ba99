// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/parameter.hpp"
#include "trireme/base/parameter_access.hpp"
#include "trireme/base/tensor_view.hpp"
#include "trireme/models/sample_place.hpp"
#include "trireme/models/statistics_exchange.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

namespace trireme::models {

/// What evaluate() finds: to be added over calls and ranks.
struct Evaluation {
  std::size_t samples = 0;
  std::size_t correct = 0;
  double loss_sum = 0.0;  ///< natural-logarithm cross-entropy, not divided by the samples
};

/// A model with a hand-written backward pass that tells classes apart: what a training loop needs of one, whatever its
/// layers and element type.
/// Order:   a call's results depend on the parameters (an evaluation's on the buffers, too) and the call's samples only: not
///          on earlier calls, other samples or addresses (with dropout, on their place, too; with a statistics exchange: of
///          all ranks), and not on the processor.
/// Threads: one at a time per model.
class Classifier {
 public:
  virtual ~Classifier() = default;

  /// In declaration order; each value and gradient 64-byte aligned, at the same address for the model's life (moving it
  /// included) unless use_gradients() says otherwise.
  virtual const std::vector<Parameter>& parameters() const = 0;
  /// From here on gradients are written where those of `parameters` lie (DataParallel's bucket views), in place of the
  /// model's own memory, which is given back.
  /// Shape:  as parameters(), in the same order; 64-byte aligned, valid while backward passes run, or until the next call.
  /// Errors: invalid_argument, naming the parameter, and nothing is changed.
  virtual void use_gradients(std::span<const Parameter> parameters) = 0;
  /// From here on every call asks `access` where to write each gradient (DataParallel::access() at ZeRO stage 2), in place of the
  /// model's own memory, which is given back. Values stay where they are.
  /// Shape:  `access` is of the same parameters and outlives the calls.  Errors: unsupported, naming the model, where it cannot.
  virtual void use_access(ParameterAccess& access);
  virtual std::size_t inputs() const = 0;
  virtual std::size_t classes() const = 0;
  /// "mlp 784-512-512-10": for the start of a log.
  virtual std::string description() const = 0;

  /// Where the samples of the next calls of forward_backward() stand; only dropout asks. {0, 0} until it is called.
  virtual void set_place(const SamplePlace&) {}

  /// What a model keeps beside its parameters: values without a gradient that follow the statistics of what passes
  /// (running mean and variance of batch normalisation). evaluate() uses them, forward_backward() does not.
  virtual std::span<const Parameter> buffers() const { return {}; }
  /// What the last forward_backward() found: one f64 per element of the buffers, in their order. Of a call without rows:
  /// unspecified.
  virtual std::span<const double> statistics() const { return {}; }
  /// The buffers move towards `statistics`, once per step: the mean of statistics() over the step's leaves, weighted by
  /// their samples (models/leaf_statistics.hpp).
  /// Errors: invalid_argument unless there are as many as elements of the buffers.
  virtual void settle_buffers(std::span<const double> statistics);
  /// From here on batch normalisation in forward_backward() takes mean and variance over the samples of all ranks that
  /// `exchange` joins, and statistics() are theirs, with the same bits on every rank; null: over those of the call, as at first.
  /// Then every rank makes as many calls, each with its own part of the same batch; one without samples calls without rows.
  /// The gradients, weighted by the ranks' samples, have the gradient of the mean loss over the batch as their mean.
  /// evaluate() exchanges nothing.
  /// Shape:  `exchange` must outlive its use. Its ranks are counted here: give it anew when they change.
  /// Cost:   two exchanges per batch norm and call, of 2 channels + 1 and 2 channels values.
  /// Errors: unsupported, naming the model, where there is no batch normalisation, unless null.
  virtual void use_statistics_exchange(StatisticsExchange* exchange);

  /// The mean cross-entropy of the rows; overwrites every gradient with its mean over the rows. `ready(p)` is called
  /// once per parameter, as soon as gradient p is final and before work on earlier layers goes on: p descends from the
  /// last parameter to 0. What `ready` throws leaves this call; the gradients are then unspecified.
  /// Shape:  features rows x inputs(), row-major, of the model's type; labels rows. No rows: loss 0, gradients 0.
  /// Errors: invalid_argument when shapes, dtype or a label do not fit.
  template <class Ready>
  double forward_backward(ConstTensorView features, std::span<const std::uint8_t> labels, Ready&& ready) {
    return forward_backward(features, labels, ready, [] {});
  }
  /// As above; `forward_done()` is called once between the loss and the first gradient, before any `ready`. No rows: it is
  /// called all the same.
  template <class Ready, class ForwardDone>
  double forward_backward(ConstTensorView features, std::span<const std::uint8_t> labels, Ready&& ready,
                          ForwardDone&& forward_done) {
    using Callable = std::remove_reference_t<Ready>;
    using Boundary = std::remove_reference_t<ForwardDone>;
    return run(features, labels,
               {address_of(ready), [](void* callable, std::size_t p) { (*static_cast<Callable*>(callable))(p); },
                address_of(forward_done), [](void* callable) { (*static_cast<Boundary*>(callable))(); }});
  }
  double forward_backward(ConstTensorView features, std::span<const std::uint8_t> labels) {
    return forward_backward(features, labels, [](std::size_t) {});
  }

  /// Rows of evaluate() that count as one block. Shares of an evaluation cut at its multiples meet the same shapes, hence
  /// the same bits per row, on any number of ranks.
  static constexpr std::size_t evaluation_rows = 256;

  /// Without dropout, how many rows have their label as the (first) largest output, and the sum of their losses. Gradients
  /// are not touched. Unless empty, `losses` gets the loss of every row: summed over all ranks' rows in one order, they give
  /// a loss whose bits do not depend on the number of ranks.
  /// Shape:  as forward_backward; losses empty or rows.
  /// Order:  losses within a block of evaluation_rows as kernels/norm sums a block, blocks by the balanced tree.
  /// Errors: as forward_backward.
  Evaluation evaluate(ConstTensorView features, std::span<const std::uint8_t> labels, std::span<double> losses = {}) {
    return evaluate_rows(features, labels, losses);
  }

  /// References to a caller's callables: nothing is owned, nothing allocated.
  struct Listener {
    void* ready_callable;
    void (*call_ready)(void* callable, std::size_t parameter);
    void* forward_done_callable;
    void (*call_forward_done)(void* callable);
    void ready(std::size_t parameter) const { call_ready(ready_callable, parameter); }
    void forward_done() const { call_forward_done(forward_done_callable); }
  };

 protected:
  Classifier() = default;
  Classifier(Classifier&&) = default;
  Classifier& operator=(Classifier&&) = default;

 private:
  virtual double run(ConstTensorView features, std::span<const std::uint8_t> labels, const Listener& listener) = 0;
  virtual Evaluation evaluate_rows(ConstTensorView features, std::span<const std::uint8_t> labels,
                                   std::span<double> losses) = 0;
  template <class Callable>
  static void* address_of(Callable& callable) {
    return const_cast<void*>(static_cast<const void*>(std::addressof(callable)));
  }
};

}  // namespace trireme::models
