// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ps/message.hpp"
#include "trireme/base/tensor_view.hpp"
#include "trireme/ps/key_plan.hpp"

#include <functional>
#include <span>
#include <vector>

namespace trireme::ps {

/// Brings ranges of a tensor's gradient, in any pieces, into the payloads of its keys.
/// Threads: one at a time.
class GradientParts {
 public:
  explicit GradientParts(const KeyPlan& plan) : plan_(plan), parts_(plan.keys().size()) {}

  /// `complete` is given each key that has all its elements now, and they are forgotten here.
  /// Errors: invalid_argument for a range or elements that do not fit the tensor.
  void add(std::size_t tensor, layout::Interval range, ConstTensorView elements,
           const std::function<void(Key, Payload)>& complete);

 private:
  struct Part {
    Payload payload;
    std::size_t filled = 0;  ///< elements
  };
  const KeyPlan& plan_;
  std::vector<Part> parts_;  ///< per key
};

/// Rows of a row-sparse tensor that lie in one of its keys: [first, last) of `rows`.
struct RowsOfKey {
  Key key = 0;
  std::size_t first = 0;
  std::size_t last = 0;
};
/// Of every key of the tensor, also those without any.
/// Errors: invalid_argument for a tensor that is not row-sparse, or rows that it does not have or that do not ascend.
std::vector<RowsOfKey> rows_by_key(const KeyPlan& plan, std::size_t tensor, std::span<const std::uint32_t> rows);
/// Elements of a row. Shape: the tensor has rows.
std::size_t columns_of(const TensorInfo& tensor);

/// A sum that came back, all of the key or rows of it, to its place in the mean of the whole tensor; other rows of the key are +0.
/// Errors: corrupt for a payload that is not of its size, or rows of another key.
void place_mean(const TensorInfo& info, const KeyInfo& key, const Reduced& reduced, std::span<const std::byte> payload,
                const TensorView& mean);

}  // namespace trireme::ps
