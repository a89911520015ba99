// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/parameter.hpp"
#include "trireme/base/parameter_access.hpp"

#include <cstddef>
#include <utility>
#include <vector>

namespace trireme::models {

/// Where a model's parameters have their memory: with the model, or lent by a ParameterAccess, unit by unit, while they are in use.
class ParameterUse {
 public:
  /// A unit whose values are in the list until it is given back.
  class [[nodiscard]] Held {
   public:
    Held() = default;
    Held(ParameterAccess* access, std::size_t unit) : access_(access), unit_(unit) {}
    Held(Held&& other) noexcept : access_(std::exchange(other.access_, nullptr)), unit_(other.unit_) {}
    Held& operator=(Held&&) = delete;
    /// Left by an exception: what giving back may throw as well is not heard.
    ~Held();
    void release() {
      if (auto* const access = std::exchange(access_, nullptr)) access->release(unit_);
    }

   private:
    ParameterAccess* access_ = nullptr;
    std::size_t unit_ = 0;
  };

  /// Errors: invalid_argument when it has other units than the model: `unit_of` of each parameter.
  void borrow(ParameterAccess& access, const std::vector<std::size_t>& unit_of);
  bool borrowed() const { return access_ != nullptr; }
  /// Errors: invalid_argument where the model has no memory of its own and nobody has lent it any.
  void check_memory(bool elsewhere) const;

  /// Values of the unit's parameters are whole.
  Held hold(std::vector<Parameter>& list, std::size_t unit) const;
  /// Gradients of the unit's parameters may be written, until they are ready.
  void open_gradients(std::vector<Parameter>& list, std::size_t unit) const;

 private:
  ParameterAccess* access_ = nullptr;
  std::vector<std::vector<std::size_t>> members_;  ///< of each unit
};

}  // namespace trireme::models
