// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "engines/device/peer/round.hpp"
#include "trireme/comm/request.hpp"

#include <cstddef>
#include <cstdint>
#include <span>

namespace trireme::engines::device::peer {

/// The rounds that one request takes, for one rank: how large they are is the same on all ranks, whatever each stages.
/// A pure function of what it is made of; keeps references to the request's block edges.
class Itinerary {
 public:
  struct Place {
    int rank = 0;
    int ranks = 1;
    std::uint64_t slot_bytes = 0;
    std::uint64_t one_shot_bytes = 0;  ///< up to here every rank reduces all by itself
    unsigned blocks = 1;               ///< of a launch at most
  };
  Itinerary() = default;
  Itinerary(const comm::Request& request, Place place);

  /// At least one: also an operation without elements finds out whether all ranks mean the same.
  std::uint64_t rounds() const { return rounds_; }
  /// Whether the results of a reduction are shared out in a second meeting.
  bool two_shot() const { return two_shot_; }
  /// Of slots and of results: what launch_round is given.
  DType staged() const { return staged_; }
  DType output() const { return output_; }
  unsigned blocks() const { return blocks_; }
  /// Of the logical vector of an all_reduce or broadcast: what round `index` is about, as it counts.
  struct Range {
    std::uint64_t begin, end;
  };
  Range range(std::uint64_t index) const {
    const std::uint64_t begin = index * step_;
    return {begin, begin + step_ < extent_ ? begin + step_ : extent_};
  }
  /// Sets what round `index` stages, reduces and brings; the rest of `round` stays.
  void fill(Round& round, std::uint64_t index) const;

 private:
  using Collective = plan::Collective;
  bool is_root() const { return request_.root == place_.rank; }
  std::uint64_t edge(std::span<const std::size_t> edges, std::uint64_t rank) const;
  std::uint64_t largest(std::span<const std::size_t> edges) const;
  std::uint64_t part(std::span<const std::size_t> edges, std::uint64_t rank, std::uint64_t begin,
                     std::uint64_t end) const;
  void fill_reduction(Round& round, std::uint64_t begin, std::uint64_t end) const;
  void fill_two_shot(Round& round, std::uint64_t begin, std::uint64_t end) const;

  comm::Request request_{};
  Place place_{};
  DType staged_ = DType::u8;
  DType output_ = DType::u8;
  std::uint64_t element_ = 1;  ///< bytes of what is counted, where nothing is reduced; elements count as 1
  std::uint64_t block_ = 0;    ///< of even blocks
  std::uint64_t extent_ = 0;   ///< what the rounds go through: of the vector or of the largest block
  std::uint64_t step_ = 1;
  std::uint64_t stride_ = 0;  ///< of the parts of a slot, in bytes
  std::uint64_t rounds_ = 1;
  unsigned blocks_ = 1;
  bool two_shot_ = false;
};

}  // namespace trireme::engines::device::peer
