// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/tensor_parallel/axis.hpp"
#include "trireme/tensor_parallel/split.hpp"

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace trireme::tensor_parallel {

/// Rows that travel to the experts of all ranks, where they stand by expert, within one by the rank they are of, and back.
template <class T>
class ExpertExchange {
 public:
  /// Learns how many rows every rank has for each expert here, from how many this one has for each. Collective.
  void begin(Axis& axis, const Split& experts, std::size_t channels, const std::vector<std::uint64_t>& rows,
             std::string_view label);

  /// Where each own expert's rows begin among those here, and the end.
  const std::vector<std::size_t>& begins() const { return begins_; }
  std::size_t rows_here() const { return begins_.back(); }
  void to_experts(Axis& axis, const T* rows, std::vector<T>& at_experts, std::string_view label);
  void from_experts(Axis& axis, const std::vector<T>& at_experts, T* rows, std::string_view label);

 private:
  void regroup(const T* from, T* to, bool by_expert) const;

  std::size_t channels_ = 0;
  std::size_t sent_elements_ = 0;
  std::vector<std::uint64_t> received_;                        ///< ranks x own experts: rows from each
  std::vector<std::size_t> send_elements_, receive_elements_;  ///< per rank
  std::vector<std::size_t> begins_;
  std::vector<T> travelling_;
};

extern template class ExpertExchange<float>;
extern template class ExpertExchange<double>;

}  // namespace trireme::tensor_parallel
