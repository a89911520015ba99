// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/parameter.hpp"
#include "trireme/comm/communicator.hpp"
#include "trireme/optim/optimizer.hpp"

#include <chrono>
#include <optional>
#include <span>
#include <utility>

namespace trireme::parallel {

/// What rules sum over tensors, completed over the ranks that own parts of them (ZeRO) and over those that have the other shares
/// (tensor parallelism).
class TensorSums final : public Optimizer::SumsExchange {
 public:
  /// Unset: this rank has the tensors whole, or no shares of them.
  TensorSums(std::optional<Communicator> owners, std::optional<Communicator> sharers,
             std::optional<std::chrono::milliseconds> deadline)
      : owners_(std::move(owners)), sharers_(std::move(sharers)), deadline_(deadline) {}

  void sum(std::span<double> block_sums) override;
  bool completes_shares() const override { return sharers_.has_value(); }
  void complete(std::span<double> totals) override;

 private:
  std::optional<Communicator> owners_;
  std::optional<Communicator> sharers_;
  std::optional<std::chrono::milliseconds> deadline_;
};

/// Errors: as Optimizer::check_share() of the first share among the parameters: the same on every rank, before anything is changed.
void check_shares(const Optimizer& optimizer, std::span<const Parameter> parameters, bool completes);

}  // namespace trireme::parallel
