// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "comm/operation.hpp"
#include "comm/programs.hpp"
#include "engines/mpi/blocks.hpp"
#include "engines/mpi/memory.hpp"
#include "engines/mpi/native.hpp"
#include "engines/mpi/session.hpp"
#include "kernels/reduce/reduce.hpp"
#include "trireme/comm/engine.hpp"

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace trireme::engines::mpi {

/// What the lanes of one communicator share.
struct Surroundings {
  Surroundings(std::shared_ptr<Session> session_, comm::EngineRoom room_)
      : session(std::move(session_)), room(std::move(room_)), programs(static_cast<int>(room.members.size())) {}
  std::shared_ptr<Session> session;
  comm::EngineRoom room;
  comm::Programs programs;
};

/// One MPI communicator and the one operation that runs on it. Nonblocking collectives of a communicator must be begun in
/// the same order on all ranks, and an operation of ours begins several: so no other begins on this lane meanwhile.
///
/// Every operation begins with the agreement: an all-gather of the signatures, which every rank compares with its own. So
/// MPI never meets calls that do not fit each other, and nothing is written for a call that has no counterpart. The data
/// follows in rounds of at most `round_bytes`, which bounds the working memory and keeps counts within MPI's int.
/// MPI writes into the lane's own memory only; the caller's is written by us, while MPI does nothing.
class Lane {
 public:
  static constexpr std::size_t round_bytes = std::size_t{8} << 20;
  static constexpr std::size_t small_bytes = 2048;  ///< contributions that every rank combines all by itself

  Lane(Surroundings& surroundings, trireme_mpi_comm communicator);

  /// Moves `operation` as far as MPI lets it; never blocks. On `failed` code and message, or the missing peer, are in the
  /// operation.
  comm::Progress poll(comm::Operation& operation) noexcept;
  /// The operation is over. False if it did not end well: then the lane, and all it has, is of no use any more.
  bool finish() noexcept;
  /// Whether every rank is known to have called the operation.
  bool agreed() const { return phase_ != Phase::fresh && phase_ != Phase::agreeing; }
  trireme_mpi_comm communicator() const { return communicator_; }

 private:
  enum class Phase { fresh, agreeing, pairing, exchanging, gathering, disputed, failed, done };
  enum class Way { native, whole, blocks };
  /// What a rank shows the others before anything moves.
  struct Ballot {
    transport::Stamp stamp;
    std::uint64_t largest;  ///< elements of its largest message of an uneven all_to_all
  };

  const trireme_mpi_table& calls() const { return surroundings_.session->calls(); }
  std::size_t ranks() const { return surroundings_.room.members.size(); }
  std::size_t self() const { return static_cast<std::size_t>(surroundings_.room.rank); }
  bool is_root(const comm::Request& request) const { return request.root == surroundings_.room.rank; }

  void begun(int code);
  comm::Progress wait_for_peers(comm::Operation& operation) noexcept;
  void agree(const comm::Operation& operation);
  void compare(comm::Operation& operation);
  void compare_pairs(comm::Operation& operation);
  void dispute(std::size_t member, const comm::Operation& operation, const transport::Stamp& ours,
               const transport::Stamp& theirs);
  void choose_way(const comm::Request& request);
  void lay_out(const comm::Request& request);
  void begin_round(const comm::Request& request);
  void begin_reduction(const comm::Request& request);
  void end_exchange(const comm::Request& request);
  void end_reduction(const comm::Request& request);
  void end_gathering(const comm::Request& request);
  void combine(const comm::Request& request, const std::byte* contributions, std::size_t stride, std::size_t count,
               std::byte* destination);
  void bring(const comm::Request& request, std::size_t count, std::byte* destination);
  const std::byte* packed(const std::byte* input);

  Surroundings& surroundings_;
  trireme_mpi_comm communicator_;
  trireme_mpi_request request_ = 0;
  bool pending_ = false;
  Phase phase_ = Phase::fresh;
  Way way_ = Way::blocks;
  std::optional<Native> native_;
  std::size_t extent_ = 0;  ///< elements that the rounds go through: of the vector, or of the largest block
  std::size_t step_ = 1;    ///< of them in one round
  layout::Interval range_;  ///< of the round under way
  Blocks send_, receive_, gathered_;
  Memory ballots_, packed_, exchanged_, combined_, landing_;
  std::vector<kernels::ReduceSource> sources_;
  std::optional<std::chrono::steady_clock::time_point> closed_since_;
  unsigned looks_ = 0;
};

}  // namespace trireme::engines::mpi
