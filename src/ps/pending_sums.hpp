// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ps/message.hpp"
#include "trireme/base/tensor_view.hpp"
#include "trireme/ps/client.hpp"
#include "trireme/ps/key_plan.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <utility>
#include <vector>

namespace trireme::ps {

/// Sums that come back key by key, for callers that may ask for them before or after: straight into their memory, or kept until
/// they ask.
/// Threads: one at a time.
class PendingSums {
 public:
  explicit PendingSums(const KeyPlan& plan) : plan_(plan), taken_(plan.tensors().size()) {}

  /// A push for the sum has begun; nothing of its memory is used any more.
  void pushed(std::uint32_t tensor, std::uint64_t step) { ++at(tensor, step).pushes; }
  void finished(std::uint32_t tensor, std::uint64_t step);
  /// The caller waits. `mean` of no elements: it wants none.
  void want(std::size_t tensor, std::uint64_t step, TensorView mean);
  /// Where the payload goes. Empty: nowhere yet. Errors: corrupt when the lengths do not fit.
  std::span<std::byte> place(const Reduced& reduced, std::uint64_t payload_bytes);
  /// Errors: corrupt.
  void arrived(Reduced reduced, Payload payload);
  /// Whether the sum of this key has come, be it taken already.
  bool has_come(Key key, std::uint64_t step) const;
  bool is_complete(std::size_t tensor, std::uint64_t step) const;
  /// Shape: it is complete. Forgets it.
  Client::Sum take(std::size_t tensor, std::uint64_t step);
  /// Nobody will ask for sums up to `step`.
  void forget_until(std::uint64_t step);

 private:
  struct Part {
    Reduced reduced;
    Payload payload;
    bool is_placed = false;
  };
  struct Sum {
    std::uint64_t pushes = 0;  ///< not finished
    std::vector<std::optional<Part>> parts;
    std::size_t missing = 0;
    std::optional<TensorView> mean{};
    std::set<Key> placed{};  ///< being read straight into `mean`
  };
  Sum& at(std::size_t tensor, std::uint64_t step);
  std::span<std::byte> memory_of(const TensorView& mean, Key key) const;
  void lay_out(const TensorView& mean, Part& part) const;

  const KeyPlan& plan_;
  std::map<std::pair<std::size_t, std::uint64_t>, Sum> sums_;
  std::vector<std::uint64_t> taken_;  ///< the last step, by tensor
};

}  // namespace trireme::ps
