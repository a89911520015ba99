// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "parallel/sharded_synchronizer.hpp"
#include "trireme/base/parameter_access.hpp"

#include <vector>

namespace trireme::parallel {

/// Parameters whose values are whole on every rank, in the caller's memory, and whose gradients have memory while they are
/// under way. The same object whoever the ranks are.
class WholeValuesAccess final : public ParameterAccess {
 public:
  explicit WholeValuesAccess(std::vector<Parameter> parameters) : parameters_(std::move(parameters)) {}
  void use(ShardedSynchronizer& synchronizer) { synchronizer_ = &synchronizer; }

  std::size_t units() const override { return synchronizer_->units(); }
  std::size_t unit_of(std::size_t parameter) const override;
  void acquire(std::size_t unit) override { check_unit("acquire()", unit); }
  void release(std::size_t unit) override { check_unit("release()", unit); }
  TensorView value(std::size_t parameter) override;
  TensorView gradient(std::size_t parameter) override { return synchronizer_->room(parameter); }

 private:
  void check_unit(const char* call, std::size_t unit) const;
  void check_parameter(const char* call, std::size_t parameter) const;
  std::vector<Parameter> parameters_;
  ShardedSynchronizer* synchronizer_ = nullptr;
};

}  // namespace trireme::parallel
