// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/comm/communicator.hpp"
#include "trireme/models/classifier.hpp"
#include "trireme/models/leaf_statistics.hpp"

#include <cstddef>

namespace trireme::cli {

/// Moves a model's buffers (running mean and variance) once per step, to the same bits on every rank and on any number of
/// ranks. Of a model without buffers nothing is sent.
/// Order: see LeafStatistics; over the ranks one all_reduce of f64 with all leaves.
class BufferSettling {
 public:
  /// `model` must outlive it.
  BufferSettling(models::Classifier& model, int own_leaves)
      : model_(model), statistics_(model.statistics().size(), own_leaves) {}

  void begin_step() { statistics_.begin(); }
  /// The model's last pass was over `samples` samples of own leaf `leaf`. In ascending order.
  void add(std::size_t leaf, std::size_t samples);
  /// After the step: collective.
  void settle(Communicator& communicator, CallOptions options);

 private:
  bool nothing() const { return model_.buffers().empty(); }

  models::Classifier& model_;
  models::LeafStatistics statistics_;
};

}  // namespace trireme::cli
