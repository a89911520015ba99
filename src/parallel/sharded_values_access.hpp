// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "parallel/parameter_shards.hpp"
#include "parallel/sharded_synchronizer.hpp"
#include "trireme/base/parameter_access.hpp"

namespace trireme::parallel {

/// Parameters of which every rank keeps a part of the values, and whose gradients have memory while they are under way.
class ShardedValuesAccess final : public ParameterAccess {
 public:
  /// Both must outlive this.
  ShardedValuesAccess(ParameterShards& values, ShardedSynchronizer& gradients)
      : values_(values), gradients_(gradients) {}

  std::size_t units() const override { return values_.units(); }
  std::size_t unit_of(std::size_t parameter) const override { return values_.unit_of(parameter); }
  void acquire(std::size_t unit) override { values_.acquire(unit); }
  void release(std::size_t unit) override { values_.release(unit); }
  TensorView value(std::size_t parameter) override { return values_.value(parameter); }
  TensorView gradient(std::size_t parameter) override { return gradients_.room(parameter); }

 private:
  ParameterShards& values_;
  ShardedSynchronizer& gradients_;
};

}  // namespace trireme::parallel
