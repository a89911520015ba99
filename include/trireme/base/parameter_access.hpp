// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/tensor_view.hpp"

#include <cstddef>

namespace trireme {

/// Who keeps a model's parameters, for models that say when they use them: values and gradients need memory only from the
/// moment they are asked for to the moment they are given back. Parameters come and go by units, a layer each.
/// Order:   the same calls on every rank: they may communicate. A unit may be acquired several times, also while it is
///          held (it is held until each of them is released).
/// Threads: one at a time.  Errors: the communicator's; invalid_argument for a unit or parameter that there is not.
class ParameterAccess {
 public:
  virtual ~ParameterAccess() = default;

  virtual std::size_t units() const = 0;
  virtual std::size_t unit_of(std::size_t parameter) const = 0;
  /// The values of the unit are whole, at value(), until release(). What will probably be asked for next may start to move.
  virtual void acquire(std::size_t unit) = 0;
  virtual void release(std::size_t unit) = 0;
  /// Of a unit that is held. The place may be another after the next acquire().
  virtual TensorView value(std::size_t parameter) = 0;
  /// Where backward shall write the gradient of this leaf: there from the first call until ready(parameter), zeros or
  /// anything else in it.
  virtual TensorView gradient(std::size_t parameter) = 0;
};

}  // namespace trireme
