// SPDX-License-Identifier: Apache-2.0
#include "engines/nccl/engine.hpp"

#include "comm/message_space.hpp"
#include "comm/signature.hpp"
#include "engines/nccl/ending.hpp"
#include "engines/nccl/introduction.hpp"
#include "kernels/device_kernels.hpp"
#include "trireme/base/error.hpp"

#include <algorithm>
#include <new>
#include <string>
#include <thread>
#include <utility>

namespace trireme::engines::nccl {

using comm::Operation;
using comm::Progress;
using comm::Request;
using plan::Collective;

namespace {

bool is_transfer(const Request& request) { return request.collective == Collective::send_recv; }
bool is_uneven_exchange(const Request& request) {
  return request.uneven && request.collective == Collective::all_to_all;
}

}  // namespace

Engine::Engine(std::shared_ptr<Library> library, comm::DeviceRoom room, const EngineOptions& options)
    : surroundings_(std::move(library), room), options_(options) {
  if (!room.everywhere) {
    trireme::fail(ErrorCode::unsupported,
                  "NCCL serves worlds in which every rank has a device; in this one some have none");
  }
  waiting_.reserve(64);
  surroundings_.runtime->make_current(surroundings_.device);
  surroundings_.runtime->load(kernels::device_kernels());
  stream_ = device::OwnedStream(surroundings_.runtime, surroundings_.device);
  transfers_stream_ = device::OwnedStream(surroundings_.runtime, surroundings_.device);
  try {
    open(room);
  } catch (...) {
    end(false);
    throw;
  }
}

Engine::~Engine() { end(!stuck_ && active_ == 0); }

/// All members of the parent, which has nothing under way on any: NCCL splits it, which is sooner done than finding each
/// other anew. A part of them: not all of the parent's members are here to take part in a split, so they find each other anew.
void Engine::open(comm::DeviceRoom& room) {
  const Clique::Waiting waiting{room.room.aborted, Deadline::after(room.room.patience)};
  clique_.emplace(surroundings_.library, surroundings_.runtime, surroundings_.device);
  auto* parent = dynamic_cast<Engine*>(room.parent);
  const bool ready = parent != nullptr && parent->surroundings_.ranks() == surroundings_.ranks() && parent->can_split();
  const int rank = surroundings_.room.rank;
  if (introduce(surroundings_, room, ready)) {
    clique_->join_all_of(*parent->clique_, rank, waiting);
  } else {
    clique_->join(common_id(surroundings_, room), static_cast<int>(surroundings_.ranks()), rank, waiting);
  }
  if (surroundings_.ranks() > 1) {
    transfers_clique_.emplace(surroundings_.library, surroundings_.runtime, surroundings_.device);
    transfers_clique_->join_all_of(*clique_, rank, waiting);
    transfers_.emplace(surroundings_, *transfers_clique_, transfers_stream_.get());
  }
  collectives_.emplace(surroundings_, *clique_, stream_.get());
  collectives_->connect();
  while (!clique_->settled()) await_device(waiting);
  device::OwnedEvent connected(surroundings_.runtime, surroundings_.device);
  connected.record(stream_.get());
  while (!connected.passed()) await_device(waiting);
}

void Engine::await_device(const Clique::Waiting& waiting) {
  static_cast<void>(clique_->settled());
  if (waiting.aborted()) trireme::fail(ErrorCode::peer_lost, "the world failed while NCCL connected its ranks");
  if (waiting.until.passed()) trireme::fail(ErrorCode::timeout, "NCCL did not connect the ranks in time");
  std::this_thread::sleep_for(std::chrono::microseconds(200));
}

/// What the device may still use goes with the communicators, whenever NCCL lets go of those.
void Engine::end(bool orderly) noexcept {
  if (std::exchange(ended_, true)) return;
  try {
    Ending ending;
    ending.library = surroundings_.library;
    ending.runtime = surroundings_.runtime;
    ending.device = surroundings_.device;
    ending.orderly = orderly;
    if (transfers_clique_ && transfers_clique_->get() != nullptr) ending.comms.push_back(transfers_clique_->release());
    if (clique_ && clique_->get() != nullptr) ending.comms.push_back(clique_->release());
    ending.streams.push_back(std::move(stream_));
    ending.streams.push_back(std::move(transfers_stream_));
    if (collectives_) ending.buffers = collectives_->release();
    nccl::end(std::move(ending), orderly ? options_.farewell : options_.abort_patience);
  } catch (const std::bad_alloc&) {  // then NCCL keeps what it has
  }
}

std::unique_ptr<comm::EngineState> Engine::make_state() {
  return std::make_unique<OperationState>(surroundings_.runtime, surroundings_.device);
}

std::unique_ptr<comm::Engine> Engine::split(std::uint32_t, std::vector<int>, int) {
  trireme::fail(ErrorCode::unsupported, "engines for device memory are made by their factory");
}

// ------------------------------------------------------------------------------------------------------------- operations

void Engine::start(Operation& operation) {
  if (ended_ || stuck_) trireme::fail(ErrorCode::closed, "NCCL has been left, because something failed");
  const Request& request = operation.request;
  if (request.stream.pointer != nullptr && surroundings_.runtime->capturing(request.stream)) {
    trireme::fail(ErrorCode::unsupported,
                  "operations over NCCL cannot be captured into a graph: issue them outside of the capture");
  }
  OperationState& state = state_of(operation);
  state.reset();
  if (comm::reduces(request.collective)) surroundings_.programs.of(request.leaves);
  if (request.stream.pointer != nullptr) {
    state.before.record(request.stream);
    state.ordered = true;
  }
  if (is_transfer(request)) {
    transfers_->start(operation, state);
  } else {
    const transport::MessageKey key{comm::collective_space(surroundings_.room.id), 0, operation.sequence};
    if (is_uneven_exchange(request)) {
      state.handshake.pairs(surroundings_.room, key, [&](std::size_t r, bool outgoing) {
        const auto& blocks = outgoing ? request.input_blocks : request.output_blocks;
        return comm::of_message(operation.stamp, blocks[r + 1] - blocks[r]);
      });
    } else {
      state.handshake.ring(surroundings_.room, key, operation.stamp);
    }
    ++active_;
    waiting_.push_back(&operation);
  }
  advance();  // how far it came the next poll tells
}

/// What failed while `operation` was given to the device.
void Engine::blame(Operation* operation, const Error& error) noexcept {
  stuck_ = true;
  if (operation != nullptr) state_of(*operation).failure = error;
}

bool Engine::advance() {
  if (stuck_ || ended_) return false;
  bool moved = false;
  Operation* about = nullptr;
  try {
    about = waiting_.empty() ? nullptr : waiting_.front();
    moved |= advance_collectives();
    if (transfers_) {
      about = nullptr;
      moved |= transfers_->advance();
    }
  } catch (const Exception& exception) {
    Operation* giving = transfers_ ? transfers_->giving() : nullptr;
    blame(giving != nullptr ? giving : waiting_.empty() ? about : waiting_.front(), exception.error());
  } catch (const std::bad_alloc&) {
    Error error;
    error.code = ErrorCode::system;
    error.message = "out of memory";
    blame(waiting_.empty() ? about : waiting_.front(), error);
  }
  return moved || stuck_;
}

/// Operations are given in the order of their numbers, each whole before the next begins.
bool Engine::advance_collectives() {
  bool moved = false;
  while (!waiting_.empty()) {
    Operation& operation = *waiting_.front();
    OperationState& state = state_of(operation);
    using Stage = OperationState::Stage;
    switch (state.stage) {
      case Stage::waiting:
        // What goes between two ranks only the two know: NCCL would not find that they differ.
        if (is_uneven_exchange(operation.request) && !state.handshake.heard()) return moved;
        if (state.ordered) state.before.hold(stream_.get());
        collectives_->begin(operation.request);
        state.stage = Stage::begun;
        break;
      case Stage::begun:
        if (!clique_->settled()) return moved;
        collectives_->go_on(operation.request);
        state.stage = Stage::given_whole;
        break;
      case Stage::given_whole:
        if (!clique_->settled()) return moved;
        state.behind.record(stream_.get());
        state.stage = Stage::launched;
        waiting_.erase(waiting_.begin());
        break;
      case Stage::launched: break;
    }
    moved = true;
  }
  return moved;
}

Progress Engine::fail(Operation& operation) const noexcept {
  operation.failure.peer_rank = surroundings_.room.members[surroundings_.self()];
  return Progress::failed;
}

Progress Engine::poll(Operation& operation) noexcept {
  OperationState& state = state_of(operation);
  bool moved = false;
  try {
    moved = advance();
    if (state.failure) {
      operation.failure = state.failure;
      return fail(operation);
    }
    const bool transfer = is_transfer(operation.request);
    const auto failed = [](const auto& request) { return request.state == transport::RequestState::failed; };
    const int missing = !transfer                                    ? state.handshake.missing()
                        : failed(state.answer) || failed(state.word) ? state.answer.peer
                                                                     : -1;
    if (missing >= 0) {
      operation.failure.peer_rank = missing;
      return Progress::failed;
    }
    if (ended_ || stuck_) return Progress::idle;  // another operation says why
    if (state.stage == OperationState::Stage::launched && state.behind.passed()) {
      const bool told = transfer ? state.word.state == transport::RequestState::done : state.handshake.over();
      if (told) return Progress::done;
    }
    Clique& clique = transfer ? *transfers_clique_ : *clique_;
    static_cast<void>(clique.settled());  // throws what NCCL has found
    if (clique.other_failed()) {
      const auto now = std::chrono::steady_clock::now();
      if (!other_failed_since_) other_failed_since_ = now;
      if (now - *other_failed_since_ >= options_.last_words) {
        trireme::fail(ErrorCode::device, "NCCL says that another rank has failed, and none of them has said so");
      }
    }
    return moved ? Progress::advanced : Progress::idle;
  } catch (const Exception& exception) {
    operation.failure = exception.error();
  } catch (const std::exception& exception) {
    operation.failure.code = ErrorCode::system;
    operation.failure.message = exception.what();
  }
  stuck_ = true;
  return fail(operation);
}

bool Engine::order(Operation& operation, Stream stream) noexcept {
  OperationState& state = state_of(operation);
  if (operation.phase() == Operation::Phase::active) advance();
  if (state.stage != OperationState::Stage::launched || state.failure || stuck_) return false;
  try {
    state.behind.hold(stream);
    return true;
  } catch (const Exception&) {  // then the host waits, and finds out
    return false;
  }
}

void Engine::finish(Operation& operation) noexcept {
  OperationState& state = state_of(operation);
  if (is_transfer(operation.request)) {
    if (transfers_) transfers_->forget(operation);
  } else {
    --active_;
    std::erase(waiting_, &operation);
  }
  bool over = false;
  try {
    over = state.stage == OperationState::Stage::launched && state.behind.passed();
  } catch (const Exception&) {  // then it is not
  }
  if (over || state.stage == OperationState::Stage::waiting) return;
  // It may still be read and written: not before NCCL has let go may the caller have its memory back.
  stuck_ = true;
  end(false);
}

/// The time of a call runs from when its stream has come to it.
bool Engine::has_begun(const Operation& operation) const noexcept {
  const auto& state = state_of(operation);
  try {
    return !state.ordered || state.before.passed();
  } catch (...) {  // the device has failed: the next poll tells
    return true;
  }
}

/// First the one that has not called; once that is known to have, any other may be the one that NCCL waits for.
void Engine::waiting_for(const Operation& operation, std::vector<int>& world_ranks) const {
  const OperationState& state = state_of(operation);
  const auto& room = surroundings_.room;
  if (is_transfer(operation.request)) {
    world_ranks.push_back(room.members[static_cast<std::size_t>(operation.request.root)]);
    return;
  }
  const std::size_t before = world_ranks.size();
  state.handshake.waiting_for(world_ranks);
  if (world_ranks.size() != before) return;
  for (std::size_t r = 0; r < room.members.size(); ++r) {
    if (static_cast<int>(r) != room.rank) world_ranks.push_back(room.members[r]);
  }
}

Explanation Engine::explain(const Request& request) const {
  std::string text = std::string(plan::name_of(request.collective)) + " of " + std::to_string(request.logical_count()) +
                     " elements on " + std::to_string(request.ranks) + " ranks (" + std::to_string(request.leaves) +
                     " leaves, " + std::string(name_of(request.order)) + ", " + surroundings_.library->words() + "): ";
  const std::string& missing = surroundings_.library->missing();
  const std::string lacks = missing.empty() ? "" : "; this NCCL lacks " + missing + ", which others would use";
  if (!comm::reduces(request.collective)) return {"nccl", text + "as NCCL does it" + lacks};
  switch (Collectives::way_of(request, surroundings_.library->version())) {
    case Collectives::Way::native: {
      const bool narrow = accumulator_of(request.output.dtype) != request.output.dtype;
      return {"nccl_native", text + "NCCL's own reduction, in an order of its choice" +
                                 (narrow ? ", rounded at every addition" : "") + lacks};
    }
    case Collectives::Way::whole:
      return {"nccl_canonical", text +
                                    "NCCL's all-gather, then every rank adds in the canonical brackets: P times the "
                                    "bytes, of few" +
                                    lacks};
    case Collectives::Way::blocks: break;
  }
  return {"nccl_canonical",
          text +
              "an exchange of blocks by NCCL, our sum in the canonical brackets, NCCL's all-gather: the bytes of a "
              "ring, but without reductions in the network or the switch; the fastest order may take NCCL's own" +
              lacks};
}

}  // namespace trireme::engines::nccl
