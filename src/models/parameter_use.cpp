// SPDX-License-Identifier: Apache-2.0
#include "models/parameter_use.hpp"

#include "trireme/base/error.hpp"

#include <algorithm>
#include <string>

namespace trireme::models {

ParameterUse::Held::~Held() {
  try {
    release();
  } catch (...) {
  }
}

void ParameterUse::check_memory(bool elsewhere) const {
  if (elsewhere && access_ == nullptr) {
    fail(ErrorCode::invalid_argument, "a model of memory_elsewhere has no values before use_access() lends it memory");
  }
}

void ParameterUse::borrow(ParameterAccess& access, const std::vector<std::size_t>& unit_of) {
  const std::size_t units = unit_of.empty() ? 0 : *std::max_element(unit_of.begin(), unit_of.end()) + 1;
  bool same = access.units() == units;
  for (std::size_t p = 0; same && p < unit_of.size(); ++p) same = access.unit_of(p) == unit_of[p];
  if (!same) {
    fail(ErrorCode::invalid_argument,
         "the parameters come in other units than the model's: give DataParallelOptions::units what its units() says");
  }
  members_.assign(units, {});
  for (std::size_t p = 0; p < unit_of.size(); ++p) members_[unit_of[p]].push_back(p);
  access_ = &access;
}

ParameterUse::Held ParameterUse::hold(std::vector<Parameter>& list, std::size_t unit) const {
  if (!borrowed()) return {};
  access_->acquire(unit);
  Held held(access_, unit);
  for (const std::size_t p : members_[unit]) list[p].value = access_->value(p);
  return held;
}

void ParameterUse::open_gradients(std::vector<Parameter>& list, std::size_t unit) const {
  if (!borrowed()) return;
  for (const std::size_t p : members_[unit]) list[p].gradient = access_->gradient(p);
}

}  // namespace trireme::models
