// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/replica_exchange.hpp"

#include "checkpoint/names.hpp"
#include "trireme/base/error.hpp"

#include <string>
#include <utility>

namespace trireme::checkpoint {
namespace {

TensorView view(MemoryTier::Share& share) { return {share.data.data(), share.data.size(), DType::u8}; }

std::uint32_t part_of(const Manifest& manifest, int rank, int ranks) {
  const std::string file = part_file(manifest.attempt, manifest.step, rank, ranks);
  std::uint32_t part = 0;
  while (part < manifest.parts.size() && manifest.parts[part].file != file) ++part;
  return part;
}

}  // namespace

ReplicaExchange::ReplicaExchange(Communicator& communicator, MemoryTier& tier, int distance)
    : communicator_(communicator), tier_(tier), distance_(distance) {
  const int ranks = communicator.size();
  if (ranks == 1 || (distance >= 1 && distance < ranks)) return;
  fail(ErrorCode::invalid_argument, "replica_distance must be from 1 to " + std::to_string(ranks - 1) + " on " +
                                        std::to_string(ranks) + " ranks, not " + std::to_string(distance));
}

int ReplicaExchange::after() const { return (communicator_.rank() + distance_) % communicator_.size(); }
int ReplicaExchange::before() const {
  return (communicator_.rank() + communicator_.size() - distance_) % communicator_.size();
}

std::span<std::byte> ReplicaExchange::room(std::span<const std::uint64_t> sizes) {
  shares_ = tier_.take_oldest();
  shares_.resize(sizes.size() == 1 ? 1 : 2);
  shares_[0].data.resize(sizes[static_cast<std::size_t>(communicator_.rank())]);
  if (sizes.size() > 1) shares_[1].data.resize(sizes[static_cast<std::size_t>(before())]);
  return shares_[0].data;
}

void ReplicaExchange::start() {
  if (communicator_.size() == 1) return;
  const CallOptions options{.label = "checkpoint replica"};
  if (!shares_[1].data.empty()) received_ = communicator_.recv_async(view(shares_[1]), before(), options);
  if (!shares_[0].data.empty()) sent_ = communicator_.send_async(view(shares_[0]), after(), options);
}

bool ReplicaExchange::is_done() {
  for (auto* work : {&sent_, &received_}) {
    if (*work && !(*work)->done()) return false;
  }
  for (auto* work : {&sent_, &received_}) {
    if (*work) (*work)->wait();
    work->reset();
  }
  return true;
}

void ReplicaExchange::keep(std::shared_ptr<const Manifest> manifest) {
  const int ranks = communicator_.size();
  shares_[0].part = part_of(*manifest, communicator_.rank(), ranks);
  if (shares_.size() > 1) shares_[1].part = part_of(*manifest, before(), ranks);
  tier_.keep({std::move(manifest), std::move(shares_)});
}

}  // namespace trireme::checkpoint
