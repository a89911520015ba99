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
};

}  // namespace trireme
