// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ps/payload.hpp"
#include "trireme/layout/interval.hpp"
#include "trireme/optim/optimizer.hpp"
#include "trireme/ps/key_plan.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace trireme::ps {

/// What is updated at once: a key, or a whole tensor where the rule must see it whole; its values, its optimizer with its
/// state, and the gradient that is next. Without an optimizer, values alone.
class UpdateUnit {
 public:
  /// Errors: invalid_argument when the rule cannot update such a part, or such types.
  UpdateUnit(const TensorInfo& tensor, layout::Interval range, std::unique_ptr<Optimizer> optimizer);

  layout::Interval range() const { return range_; }
  bool updates() const { return optimizer_ != nullptr; }
  std::size_t value_bytes(layout::Interval part) const { return part.size() * size_of(tensor_->dtype); }
  /// Of elements of the tensor that lie in range().
  std::span<std::byte> values(layout::Interval part);
  std::span<std::byte> gradient(layout::Interval part);

  /// A state tensor as it travels with a part: element-wise ones are cut like the values, others go whole with the part that
  /// begins the unit.
  struct StatePart {
    std::string name;
    std::size_t bytes = 0;
    std::size_t offset = 0;  ///< in the whole state tensor, bytes
  };
  std::vector<StatePart> state_parts(layout::Interval part) const;
  /// Names and payload (values, then those states) as they came. Empty: they fit. Nothing is changed.
  std::string misfit(layout::Interval part, const std::vector<std::string>& names, std::size_t payload_bytes) const;
  /// Shape: what misfit() found no fault with. `anew`: state that there is, is forgotten first.
  void set(layout::Interval part, std::span<const std::byte> payload, std::uint64_t steps,
           const std::vector<std::string>& names, bool anew);
  /// Values and state of a part, one after the other; names and lengths of the states. No state: it has none yet.
  Payload saved(layout::Interval part, std::vector<std::string>& names, std::vector<std::uint64_t>& bytes) const;
  std::uint64_t steps() const;

  /// One step of the rule with `gradient` (of the whole unit, in the accumulator's dtype).
  void apply(const std::byte* gradient, double scale, double clip_value, double learning_rate);

 private:
  TensorShape shape() const;
  const Optimizer::State* state() const;
  /// Of the tensor of that name, in the optimizer.
  static const TensorView& tensor_of(const Optimizer& optimizer, const Optimizer::State& state,
                                     const std::string& name);

  const TensorInfo* tensor_;
  layout::Interval range_;
  std::unique_ptr<Optimizer> optimizer_;
  std::vector<std::byte> values_;    ///< room is made when they are set
  std::vector<std::byte> gradient_;  ///< room is made when it is first asked for
};

}  // namespace trireme::ps
