// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/bytes.hpp"
#include "trireme/base/tensor_view.hpp"

#include <cstddef>

namespace trireme::parallel {

/// The values of parameters of which every rank updates a part: whole on every rank between updates (stages 1 and 2), or in
/// parts until somebody uses them (stage 3).
/// Threads: one at a time.  Errors: the communicator's.
class ShardedValues {
 public:
  virtual ~ShardedValues() = default;
  /// What this rank owns of a parameter that is in a bucket, to be updated in place; of its dtype, perhaps empty.
  virtual TensorView part(std::size_t parameter) = 0;
  /// Somebody is about to write the parts: nothing that was gathered ahead reads them any more.
  /// Errors: invalid_argument while values are in use.
  virtual void before_update() {}
  /// The parts have been updated on every rank: whoever reads values from now on reads new ones. Collective over the ranks
  /// that share them.
  virtual void after_update() = 0;
  /// Arena memory that they take, for good or for now.
  virtual Bytes memory() const { return {}; }
};

}  // namespace trireme::parallel
