// SPDX-License-Identifier: Apache-2.0
#include "engines/mpi/engine.hpp"

#include "trireme/base/error.hpp"

#include <utility>

namespace trireme::engines::mpi {

using comm::Operation;
using comm::Progress;

namespace {
bool is_transfer(const comm::Request& request) { return request.collective == plan::Collective::send_recv; }
}  // namespace

Engine::Engine(std::shared_ptr<Session> session, comm::EngineRoom room)
    : session_(std::move(session)),
      surroundings_(session_, std::move(room)),
      transfers_(surroundings_.room.endpoint, surroundings_.room.scratch, {}, surroundings_.room.id,
                 surroundings_.room.members, surroundings_.room.rank) {
  const auto& here = surroundings_.room;
  const auto communicators =
      session_->communicators(here.members, here.id, lane_count, here.aborted, Deadline::after(here.patience));
  for (std::size_t i = 0; i < lane_count; ++i) {
    tracks_[i] = {std::make_unique<Lane>(surroundings_, communicators[i]), i};
  }
}

Engine::~Engine() {
  for (const Track& track : tracks_) session_->free(track.lane->communicator());
}

std::unique_ptr<comm::Engine> Engine::split(std::uint32_t id, std::vector<int> members, int rank) {
  comm::EngineRoom room = surroundings_.room;
  room.id = id;
  room.members = std::move(members);
  room.rank = rank;
  return std::make_unique<Engine>(session_, std::move(room));
}

void Engine::start(Operation& operation) {
  if (is_transfer(operation.request)) return transfers_.start(operation);
  if (!session_->usable()) fail(ErrorCode::closed, "MPI has been left");
  if (comm::reduces(operation.request.collective)) surroundings_.programs.of(operation.request.leaves);
  poll(operation);  // begins at once if its lane is free; how far it came the next poll tells
}

Progress Engine::poll(Operation& operation) noexcept {
  if (is_transfer(operation.request)) return transfers_.poll(operation);
  Track& track = track_of(operation);
  if (track.next != operation.sequence) return Progress::idle;
  if (!session_->usable()) {
    operation.failure.code = ErrorCode::closed;
    operation.failure.message = "MPI has been left";
    return Progress::failed;
  }
  return track.lane->poll(operation);
}

void Engine::finish(Operation& operation) noexcept {
  if (is_transfer(operation.request)) return transfers_.finish(operation);
  Track& track = track_of(operation);
  if (track.next != operation.sequence) return;  // never began
  track.next += lane_count;
  if (!track.lane->finish()) session_->abandon();
}

/// MPI does not tell who is late: all others, as far as this rank knows.
void Engine::waiting_for(const Operation& operation, std::vector<int>& world_ranks) const {
  if (is_transfer(operation.request)) return transfers_.waiting_for(operation, world_ranks);
  const auto& here = surroundings_.room;
  for (std::size_t r = 0; r < here.members.size(); ++r) {
    if (static_cast<int>(r) != here.rank) world_ranks.push_back(here.members[r]);
  }
}

Explanation Engine::explain(const comm::Request& request) const {
  const bool native = native_of(request).has_value();
  std::string text = std::string(plan::name_of(request.collective)) + " of " + std::to_string(request.logical_count()) +
                     " elements on " + std::to_string(request.ranks) + " ranks (" + std::to_string(request.leaves) +
                     " leaves, " + std::string(name_of(request.order)) + ", " + session_->library() + "): ";
  if (!comm::reduces(request.collective)) return {"mpi", text + "as MPI does it"};
  if (native) return {"mpi_native", text + "MPI's own reduction, in an order of its choice"};
  const bool small =
      request.collective != plan::Collective::reduce_scatter && request.input.size_bytes() <= Lane::small_bytes;
  return {"mpi_canonical", text + (small ? "MPI's all-gather, then every rank adds in the canonical brackets"
                                         : "MPI's all-to-all, our sum in the canonical brackets, MPI's all-gather: the "
                                           "traffic of a native reduction, and one more pass over the memory")};
}

comm::EngineFactory factory(std::shared_ptr<Session> session) {
  return [session = std::move(session)](comm::EngineRoom room) -> std::unique_ptr<comm::Engine> {
    return std::make_unique<Engine>(session, std::move(room));
  };
}

}  // namespace trireme::engines::mpi
