// SPDX-License-Identifier: Apache-2.0
#include "tensor_parallel/expert_exchange.hpp"

#include <algorithm>
#include <numeric>
#include <span>

namespace trireme::tensor_parallel {

template <class T>
void ExpertExchange<T>::begin(Axis& axis, const Split& experts, std::size_t channels,
                              const std::vector<std::uint64_t>& rows, std::string_view label) {
  channels_ = channels;
  const auto ranks = static_cast<std::size_t>(axis.size());
  const std::size_t own = axis.share(experts).size();
  std::vector<std::size_t> to(ranks), from(ranks, own);
  for (std::size_t r = 0; r < ranks; ++r) to[r] = experts.share(static_cast<int>(r), axis.size()).size();
  received_.assign(ranks * own, 0);
  if (ranks == 1) {
    received_ = rows;
  } else {
    Communicator communicator = axis.communicator();
    communicator.all_to_all(std::span<const std::uint64_t>(rows), to, std::span<std::uint64_t>(received_), from,
                            axis.call(label));
  }
  send_elements_.assign(ranks, 0);
  receive_elements_.assign(ranks, 0);
  begins_.assign(own + 1, 0);
  for (std::size_t r = 0; r < ranks; ++r) {
    const layout::Interval theirs = experts.share(static_cast<int>(r), axis.size());
    for (std::size_t e = theirs.begin; e < theirs.end; ++e) send_elements_[r] += rows[e] * channels;
    for (std::size_t e = 0; e < own; ++e) {
      receive_elements_[r] += received_[r * own + e] * channels;
      begins_[e + 1] += received_[r * own + e];
    }
  }
  std::partial_sum(begins_.begin(), begins_.end(), begins_.begin());
  sent_elements_ = std::accumulate(send_elements_.begin(), send_elements_.end(), std::size_t{0});
}

/// Between rows by rank, then expert, as they travel, and by expert, then rank, as experts take them.
template <class T>
void ExpertExchange<T>::regroup(const T* from, T* to, bool by_expert) const {
  const std::size_t own = begins_.size() - 1;
  std::vector<std::size_t> next(begins_.begin(), begins_.end());
  std::size_t travelling = 0;
  for (std::size_t r = 0; r < receive_elements_.size(); ++r) {
    for (std::size_t e = 0; e < own; ++e) {
      const std::size_t rows = received_[r * own + e];
      const std::size_t source = by_expert ? travelling : next[e], target = by_expert ? next[e] : travelling;
      std::copy_n(from + source * channels_, rows * channels_, to + target * channels_);
      travelling += rows;
      next[e] += rows;
    }
  }
}

template <class T>
void ExpertExchange<T>::to_experts(Axis& axis, const T* rows, std::vector<T>& at_experts, std::string_view label) {
  at_experts.resize(rows_here() * channels_);
  if (axis.size() == 1) {
    std::copy_n(rows, at_experts.size(), at_experts.data());
    return;
  }
  travelling_.resize(at_experts.size());
  Communicator communicator = axis.communicator();
  communicator.all_to_all(std::span<const T>(rows, sent_elements_), send_elements_, std::span<T>(travelling_),
                          receive_elements_, axis.call(label));
  regroup(travelling_.data(), at_experts.data(), true);
}

template <class T>
void ExpertExchange<T>::from_experts(Axis& axis, const std::vector<T>& at_experts, T* rows, std::string_view label) {
  if (axis.size() == 1) {
    std::copy(at_experts.begin(), at_experts.end(), rows);
    return;
  }
  travelling_.resize(at_experts.size());
  regroup(at_experts.data(), travelling_.data(), false);
  Communicator communicator = axis.communicator();
  communicator.all_to_all(std::span<const T>(travelling_), receive_elements_, std::span<T>(rows, sent_elements_),
                          send_elements_, axis.call(label));
}

template class ExpertExchange<float>;
template class ExpertExchange<double>;

}  // namespace trireme::tensor_parallel
