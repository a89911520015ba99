// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/parameter.hpp"
#include "trireme/comm/communicator.hpp"
#include "trireme/layout/interval.hpp"

#include <cstddef>
#include <functional>
#include <optional>
#include <span>
#include <vector>

namespace trireme::cli {

/// A model of f32 that several ranks have together: what lies where, of its parameters and of all that lies as they do (their
/// averages, an optimizer's states). Parameters of the whole model are meant by their place in whole().
/// Threads: one at a time.
class ModelShares {
 public:
  virtual ~ModelShares() = default;

  /// Names and logical shapes, without memory.
  virtual const std::vector<Parameter>& whole() const = 0;
  /// The place among Task::parameters() of what this rank has of it.
  virtual std::optional<std::size_t> local(std::size_t parameter) const = 0;
  /// `all` becomes the logical tensor, on every rank of the replica. Collective over it.
  /// Shape:  own empty where this rank has nothing of it.
  virtual void gather(std::size_t parameter, std::span<const float> own, std::span<float> all) = 0;
  /// The inverse: this rank's share of `all`.
  virtual void take(std::size_t parameter, std::span<const float> all, std::span<float> own) const = 0;

  /// Calls use(p, value) for every parameter of whole(), in order. Collective over the replica.
  virtual void visit(const std::function<void(std::size_t parameter, const TensorView& value)>& use) = 0;

  /// Which elements of a gradient this rank has, where replicas share them out.
  struct Parts {
    std::function<layout::Interval(std::size_t parameter)> owned{};  ///< unset: all
    std::optional<Communicator> replicas{};
  };
  /// Of the whole model's gradient, the same on every rank. Collective over the replica, and over `parts.replicas`.
  virtual double norm(std::span<const TensorView> gradients, const Parts& parts) = 0;
};

}  // namespace trireme::cli
