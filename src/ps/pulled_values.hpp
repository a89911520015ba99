// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ps/session.hpp"
#include "trireme/base/parameter_access.hpp"

#include <memory>
#include <utility>
#include <vector>

namespace trireme::ps {

/// Values that servers update, in the caller's memory: asked for after each update, first layer first, and awaited all at once or
/// as they are used, one parameter a unit.
/// Threads: one at a time.  Errors: the client's.
class PulledValues final : public ParameterAccess {
 public:
  PulledValues(std::shared_ptr<Session> session, std::vector<Parameter> parameters)
      : session_(std::move(session)), parameters_(std::move(parameters)), under_way_(parameters_.size(), false) {}
  ~PulledValues() override;

  void pull_all(std::uint64_t step);
  void wait_for_all();

  std::size_t units() const override { return parameters_.size(); }
  std::size_t unit_of(std::size_t parameter) const override { return checked("unit_of()", parameter); }
  void acquire(std::size_t unit) override { wait_for(checked("acquire()", unit)); }
  void release(std::size_t unit) override { checked("release()", unit); }
  TensorView value(std::size_t parameter) override { return parameters_[checked("value()", parameter)].value; }
  TensorView gradient(std::size_t parameter) override { return parameters_[checked("gradient()", parameter)].gradient; }

 private:
  std::size_t checked(const char* call, std::size_t parameter) const;
  void wait_for(std::size_t parameter);
  std::shared_ptr<Session> session_;
  std::vector<Parameter> parameters_;
  std::vector<bool> under_way_;
};

}  // namespace trireme::ps
