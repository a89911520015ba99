// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "comm/shared/cells.hpp"
#include "comm/shared/grouped.hpp"
#include "comm/shared/stages.hpp"
#include "comm/shared/work.hpp"
#include "trireme/comm/engine.hpp"
#include "trireme/transport/endpoint.hpp"

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

namespace trireme::comm::shared {

/// One operation's way through the tier.
struct Run {
  const Operation* operation = nullptr;
  std::uint64_t number = 0;  ///< among the tier's operations
  double divisor = 1.0;
  bool announced = false;
  bool agreed = false;    ///< all have announced it, with one signature
  bool disputed = false;  ///< with different ones: the world is failing
  bool small = false;     ///< the contributions lie in the slots
  bool done = false;
  int failed_peer = -1;  ///< rank of the communicator

  // Once announced, of an operation too large for the slots.
  bool readable = false;      ///< announced as readable
  bool first_filled = false;  ///< its first piece is in the staging already
  bool direct = false;        ///< as far as this rank knows, can be done at once when all have announced it
  layout::Interval part{};    ///< what this rank then combines

  // Once agreed, of an operation too large for the slots.
  bool staged = false;          ///< own memory passes through the cell
  std::size_t piece_count = 0;  ///< elements of a piece
  Stages stages{};
  bool by_groups = false;   ///< an all_reduce in two levels
  GroupedStages grouped{};  ///< its stages; `stages` then only numbers the pieces
};

/// Collectives among ranks that see each other's memory: no messages, only flags. Operations run in order of issue; as
/// many as there are slots may be announced ahead.
///
/// Small contributions lie in the slots: every rank combines all of them for itself, one hand-off in all. Of larger
/// ones in the arena each rank combines its part straight into every rank's output: no copy, 2 hand-offs, 3 behind an
/// operation under way. Memory the others cannot see passes through the cell piece by piece, copied in and out, while the pieces before it are combined;
/// of the own part nothing is copied.
/// Source: cross-partition direct reduction as in Open MPI's XHC (Katevenis et al., CLUSTER 2022) and MPICH's
///         release-gather collectives (Jain et al., SC 2018); ours keeps the canonical brackets.
/// Threads: under the progress lock.
class Tier {
 public:
  /// `members`: world ranks; all but the own one reached through memory.
  Tier(transport::Endpoint& endpoint, std::shared_ptr<Cells> cells, transport::EndpointListener& listener,
       std::uint64_t epoch, std::uint32_t communicator, std::vector<int> members, int rank);
  ~Tier();
  Tier(const Tier&) = delete;
  Tier& operator=(const Tier&) = delete;

  /// From here on all_reduces of at least `from_bytes` in arena memory go by groups where that keeps their bits. The same
  /// on all ranks, before the first operation.
  void use_groups(Groups groups, std::size_t from_bytes);

  void start(Run& run, const Operation& operation, double divisor);
  Progress poll(Run& run) noexcept;
  /// The run will not be polled again.
  void finish(Run& run) noexcept;
  /// Ranks of the communicator this run waits for, appended.
  void missing(const Run& run, std::vector<int>& ranks) const;

 private:
  bool attach() noexcept;
  bool only_waits(Run& run) noexcept;
  bool announce(Run& run) noexcept;
  bool agree(Run& run) noexcept;
  void fill_first(Run& run) noexcept;
  bool reduce_at_once(Run& run) noexcept;
  bool settle(Run& run) noexcept;
  bool step(Run& run) noexcept;
  bool small_step(Run& run) noexcept;
  bool piece_step(Run& run) noexcept;
  void settle_grouped(Run& run) noexcept;
  bool grouped_step(Run& run) noexcept;
  bool advance() noexcept;
  void complete(Run& run) noexcept;
  int lost_peer(const Run& run) const noexcept;
  void tell() noexcept;
  struct PieceJob;
  struct GroupedJob;
  layout::Interval range_of(const Run& run, std::uint64_t piece) const noexcept;
  Sight own_sight(const Run& run, std::uint64_t piece) const noexcept;
  /// Where the others see the memory of `rank`.
  Sight sight(std::size_t rank, const Run& run, std::uint64_t piece) noexcept;

  transport::Endpoint& endpoint_;
  std::shared_ptr<Cells> cells_;
  transport::EndpointListener& listener_;
  std::uint64_t key_;
  std::uint32_t communicator_;
  std::vector<int> members_;
  std::size_t rank_;
  Cell* own_;
  Peers peers_;  // cells null: not found yet
  std::unique_ptr<Flags<MachineAtomics>> flags_;
  Work work_;
  std::unique_ptr<Grouped> grouped_;  // null: no groups
  std::vector<Sight> sights_;
  std::vector<Run*> queue_;  // in order of number
  std::uint64_t next_number_ = 0;
  std::uint64_t announced_ = 0;
  std::uint64_t next_piece_ = 0;
  unsigned idle_ = 0;
};

/// How such an operation is done, in words.
std::string_view describe_way(const Request& request);

}  // namespace trireme::comm::shared
