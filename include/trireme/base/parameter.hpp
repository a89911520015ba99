// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/tensor_view.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace trireme {

/// One trainable tensor of the user's own memory. `value` and `gradient` hold product(shape) elements each; both must
/// stay where they are for as long as the Parameter is in use.
struct Parameter {
  std::string name;
  std::vector<std::int64_t> shape;
  TensorView value;
  TensorView gradient;
  /// The shape of the whole tensor, where this is one rank's share of it and the rest is on other ranks of a tensor axis; empty: this is
  /// all of it. What a rule makes of whole tensors (norms, rows, columns) it cannot make of a share.
  std::vector<std::int64_t> logical_shape{};
  /// Whoever gave it computes with the values where they are: they cannot go and come (ZeRO stage 3).
  bool stays = false;
  /// Of a model whose other parameters are on other ranks, which take the same steps: what is found of all gradients (their norm, whether
  /// they are finite) has to be found of theirs, too.
  bool is_part = false;
};

}  // namespace trireme
