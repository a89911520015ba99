// SPDX-License-Identifier: Apache-2.0
#include "engines/nccl/engine.hpp"

#include "comm/message_space.hpp"
#include "comm/signature.hpp"
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
    let_go(false);
    farewell_.wait(options_.abort_patience);
    throw;
  }
}

Engine::~Engine() {
  const bool first = !ended_;
  {
    const std::lock_guard touching(touching_);
    let_go(!stuck_ && active_ == 0);
  }
  if (first) farewell_.wait(stuck_ ? options_.abort_patience : options_.farewell);
}

void Engine::open(comm::DeviceRoom& room) {
  const Clique::Waiting waiting{room.room.aborted, Deadline::after(room.room.patience)};
  const int member = surroundings_.room.members[surroundings_.self()];
  clique_.emplace(surroundings_.nccl, surroundings_.runtime, surroundings_.device, member);
  join(room, waiting);
  collectives_.emplace(surroundings_, *clique_, stream_.get());
  if (surroundings_.ranks() > 1) {
    transfers_clique_.emplace(surroundings_.nccl, surroundings_.runtime, surroundings_.device, member);
    transfers_clique_->join_all_of(*clique_, surroundings_.room.rank, waiting);
    transfers_.emplace(surroundings_, *transfers_clique_, transfers_stream_.get());
  }
  connect(waiting);
}

/// All members of the parent, which has nothing under way on any: NCCL splits it, which is sooner done than finding each
/// other anew. A part of them, in the parent's order, while the others get none: NCCL shrinks it, where it can, without those.
/// Any other part finds itself anew: not all of the parent's members are here to take part in a split.
void Engine::join(comm::DeviceRoom& room, const Clique::Waiting& waiting) {
  auto* parent = dynamic_cast<Engine*>(room.parent);
  bool ready = parent != nullptr && parent->can_split();
  std::vector<int> excluded;  // ranks of the parent
  if (ready && parent->surroundings_.ranks() != surroundings_.ranks()) {
    const auto &theirs = parent->surroundings_.room.members, &ours = surroundings_.room.members;
    std::size_t next = 0;
    for (std::size_t r = 0; r < theirs.size(); ++r) {
      if (next < ours.size() && theirs[r] == ours[next]) {
        ++next;
      } else {
        excluded.push_back(static_cast<int>(r));
      }
    }
    ready = room.sole && !parent->shrunk_ && next == ours.size() && surroundings_.nccl->calls().comm_shrink != nullptr;
  }
  const int rank = surroundings_.room.rank;
  if (!introduce(surroundings_, room, ready))
    return clique_->join(common_id(surroundings_, room), static_cast<int>(surroundings_.ranks()), rank, waiting);
  const auto touch = [parent] {
    std::unique_lock touching = parent->touch_in_turn();
    parent->check_open();
    return touching;
  };
  try {
    if (excluded.empty()) return clique_->join_all_of(*parent->clique_, rank, waiting, touch);
    parent->shrunk_ = true;
    clique_->join_rest_of(*parent->clique_, std::move(excluded), waiting, touch);
  } catch (...) {
    const std::lock_guard touching(parent->touching_);
    if (parent->clique_->makes_another()) parent->stuck_ = true;  // until that is done NCCL takes nothing else for it
    throw;
  }
}

void Engine::check_open() const {
  if (ended_ || stuck_) trireme::fail(ErrorCode::closed, "NCCL has been left, because something failed");
}

/// What NCCL would otherwise connect within the first operations.
void Engine::connect(const Clique::Waiting& waiting) {
  collectives_->connect_pairs();
  await_device(*clique_, waiting);
  collectives_->connect_rings();
  await_device(*clique_, waiting);
  device::OwnedEvent connected(surroundings_.runtime, surroundings_.device);
  connected.record(stream_.get());
  device::OwnedEvent met(surroundings_.runtime, surroundings_.device);
  if (transfers_clique_) {
    Collectives pairs(surroundings_, *transfers_clique_, transfers_stream_.get());
    try {
      pairs.connect_pairs();
    } catch (...) {
      spent_ = pairs.release();
      throw;
    }
    spent_ = pairs.release();
    await_device(*transfers_clique_, waiting);
    met.record(transfers_stream_.get());
  }
  while (!connected.passed() || !met.passed()) wait_a_moment(waiting);
  spent_.clear();
}

void Engine::await_device(Clique& clique, const Clique::Waiting& waiting) {
  while (!clique.settled()) wait_a_moment(waiting);
}

void Engine::wait_a_moment(const Clique::Waiting& waiting) {
  for (auto* clique : {&clique_, &transfers_clique_}) {
    if (*clique) static_cast<void>((*clique)->settled());  // throws what NCCL has found
  }
  const bool other_failed =
      (clique_ && clique_->other_failed()) || (transfers_clique_ && transfers_clique_->other_failed());
  const std::string where = clique_->where();
  if (waiting.aborted()) trireme::fail(ErrorCode::peer_lost, "the world failed while NCCL connected its ranks" + where);
  if (other_failed) trireme::fail(ErrorCode::device, "another rank has failed while NCCL connected its ranks" + where);
  if (waiting.until.passed()) {
    trireme::fail(ErrorCode::timeout,
                  "NCCL did not connect the ranks in time: the first collectives and sends of a communicator do not "
                  "end" +
                      where);
  }
  std::this_thread::sleep_for(std::chrono::microseconds(200));
}

/// What the device may still use goes with the communicators, whenever NCCL lets go of those.
void Engine::let_go(bool orderly) noexcept {
  if (ended_.exchange(true)) return;
  ended_at_ = std::chrono::steady_clock::now();
  try {
    Ending ending;
    ending.comms.reserve(2);
    ending.streams.reserve(2);
    // Nothing below allocates: what is taken from here is not lost half way.
    ending.nccl = surroundings_.nccl;
    ending.runtime = surroundings_.runtime;
    ending.device = surroundings_.device;
    ending.orderly = orderly;
    for (auto* clique : {&transfers_clique_, &clique_}) {
      auto handle = *clique ? (*clique)->release() : nullptr;
      if (handle) ending.comms.push_back(std::move(handle));
    }
    if (clique_) ending.unborn = clique_->release_unborn();
    ending.streams.push_back(std::move(stream_));
    ending.streams.push_back(std::move(transfers_stream_));
    if (collectives_) ending.buffers = collectives_->release();
    ending.spent = std::move(spent_);
    ending.registrations = std::move(registrations_);
    ending.in_use = forgetting_;
    farewell_ = Farewell::begin(std::move(ending));
  } catch (const std::bad_alloc&) {  // then NCCL keeps what it has
  }
}

std::unique_lock<std::mutex> Engine::touch_soon() const noexcept {
  constexpr int looks = 100;
  std::unique_lock touching(touching_, std::defer_lock);
  for (int i = 0; i < looks && !touching.owns_lock(); ++i) {
    if (!touching.try_lock()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return touching;
}

std::unique_lock<std::mutex> Engine::touch_in_turn() const {
  for (;;) {
    std::unique_lock touching(touching_);
    if (!*forgetting_) return touching;
    touching.unlock();
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
}

/// From the watcher's thread. A call of NCCL returns at once; should one not, whoever is in it looks at the failure next.
void Engine::abort() noexcept {
  const auto touching = touch_soon();
  if (!touching.owns_lock()) return;
  stuck_ = true;
  let_go(false);
}

bool Engine::hangs() const noexcept {
  const auto touching = touch_soon();
  if (!touching.owns_lock()) return true;  // somebody sits in a call of NCCL
  return ended_ && stuck_ && !farewell_.over();
}

// ----------------------------------------------------------------------------------------------------------------- memory

std::shared_ptr<comm::DeviceBlock> Engine::allocate(std::size_t bytes) {
  if (!knows_memory()) return nullptr;
  return std::make_shared<RegisteredMemory>(surroundings_.nccl, surroundings_.runtime, surroundings_.device, bytes);
}

void Engine::know(const std::shared_ptr<comm::DeviceBlock>& block) {
  auto memory = std::dynamic_pointer_cast<RegisteredMemory>(block);
  if (!memory) return;
  const Deadline until = Deadline::after(surroundings_.room.patience);
  Registration* registration = nullptr;
  const auto settled = [&] {
    const auto touching = touch_in_turn();
    check_open();
    if (registration == nullptr) {
      registration = registrations_.emplace_back(std::make_unique<Registration>()).get();
      registration->memory = std::move(memory);
      const std::lock_guard order(Library::launch_order());
      clique_->make_current();
      clique_->check(registration->begin(clique_->calls(), clique_->get()), registration->call());
    }
    if (!clique_->settled()) return false;
    registration->conclude();
    return true;
  };
  try {
    while (!settled()) {
      if (surroundings_.room.aborted())
        trireme::fail(ErrorCode::peer_lost, "the world failed while NCCL registered memory" + clique_->where());
      if (until.passed())
        trireme::fail(ErrorCode::timeout,
                      "NCCL did not register memory in time: not all ranks came" + clique_->where());
      std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
  } catch (...) {
    stuck_ = true;  // what NCCL makes of it nobody knows: it keeps the memory until it is left
    throw;
  }
}

/// Where something is under way or has failed, NCCL keeps it until it lets go of everything. NCCL may wait for the device, so it is
/// called without a lock: who drives, and the watcher, go on meanwhile.
void Engine::forget(const std::shared_ptr<comm::DeviceBlock>& block) noexcept {
  std::unique_ptr<Registration> known;
  api::Comm comm = nullptr;
  {
    const auto touching = touch_in_turn();
    const auto found = std::find_if(registrations_.begin(), registrations_.end(),
                                    [&](const auto& each) { return each->memory == block; });
    if (found == registrations_.end() || ended_ || stuck_ || active_ != 0 || clique_->makes_another()) return;
    known = std::move(*found);
    registrations_.erase(found);
    comm = clique_->get();
    *forgetting_ = true;
  }
  try {
    clique_->make_current();
  } catch (const Exception&) {  // NCCL will say so
  }
  known->end(clique_->calls(), comm);
  known->memory->set_known_as("plain");
  const std::lock_guard touching(touching_);
  *forgetting_ = false;
}

std::unique_ptr<comm::EngineState> Engine::make_state() {
  return std::make_unique<OperationState>(surroundings_.runtime, surroundings_.device);
}

std::unique_ptr<comm::Engine> Engine::split(std::uint32_t, std::vector<int>, int) {
  trireme::fail(ErrorCode::unsupported, "engines for device memory are made by their factory");
}

// ------------------------------------------------------------------------------------------------------------- operations

void Engine::start(Operation& operation) {
  check_open();
  const Request& request = operation.request;
  if (request.stream.pointer != nullptr && surroundings_.runtime->capturing(request.stream)) {
    trireme::fail(ErrorCode::unsupported,
                  "operations over NCCL cannot be captured into a graph: issue them outside of the capture");
  }
  const std::lock_guard touching(touching_);
  OperationState& state = state_of(operation);
  state.reset();
  if (comm::reduces(request.collective)) surroundings_.programs.of(request.leaves);
  if (request.stream.pointer != nullptr) {
    state.before.record(request.stream);
    state.ordered = true;
  }
  if (!is_transfer(request)) ++active_;
  try {
    if (is_transfer(request)) {
      transfers_->start(operation, state);
    } else {
      waiting_.push_back(&operation);
      greet(operation, state);
    }
  } catch (...) {  // out of memory
    drop(operation);
    throw;
  }
  advance();  // how far it came the next poll tells
}

/// Tells the others what was called here.
void Engine::greet(Operation& operation, OperationState& state) {
  const Request& request = operation.request;
  const transport::MessageKey key{comm::collective_space(surroundings_.room.id), 0, operation.sequence};
  if (!is_uneven_exchange(request)) return state.handshake.ring(surroundings_.room, key, operation.stamp);
  state.handshake.pairs(surroundings_.room, key, [&](std::size_t r, bool outgoing) {
    const auto& blocks = outgoing ? request.input_blocks : request.output_blocks;
    return comm::of_message(operation.stamp, blocks[r + 1] - blocks[r]);
  });
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
  while (!waiting_.empty() && !*forgetting_) {
    Operation& operation = *waiting_.front();
    OperationState& state = state_of(operation);
    using Stage = OperationState::Stage;
    switch (state.stage) {
      case Stage::waiting:
        // What goes between two ranks only the two know: NCCL would not find that they differ.
        if (is_uneven_exchange(operation.request) && !state.handshake.heard()) return moved;
        state.stage = Stage::begun;  // also where a call of several fails: those before it may be on the device
        if (state.ordered) state.before.hold(stream_.get());
        collectives_->begin(operation.request);
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
  const std::lock_guard touching(touching_);
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
    if (!transfer && *forgetting_) return Progress::idle;  // nothing of it is given
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
  const std::lock_guard touching(touching_);
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

bool Engine::has_let_go(Operation& operation) noexcept {
  const OperationState& state = state_of(operation);
  const std::lock_guard touching(touching_);
  bool over = false;
  try {
    over = state.stage == OperationState::Stage::launched && state.behind.passed();
  } catch (const Exception&) {  // then it is not
  }
  if (over || state.stage == OperationState::Stage::waiting) return true;
  // It may still be read and written: not before NCCL has let go may the caller have its memory back.
  stuck_ = true;
  let_go(false);
  return farewell_.over() || std::chrono::steady_clock::now() - ended_at_ >= options_.abort_patience;
}

void Engine::finish(Operation& operation) noexcept {
  const std::lock_guard touching(touching_);
  drop(operation);
}

void Engine::drop(Operation& operation) noexcept {
  if (is_transfer(operation.request)) {
    if (transfers_) transfers_->forget(operation);
  } else {
    --active_;
    std::erase(waiting_, &operation);
  }
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
                     " leaves, " + std::string(name_of(request.order)) + ", " + surroundings_.nccl->words() + "): ";
  const std::string& missing = surroundings_.nccl->missing();
  const std::string lacks = missing.empty() ? "" : "; this NCCL lacks " + missing + ", which others would use";
  if (!comm::reduces(request.collective)) return {"nccl", text + "as NCCL does it" + lacks};
  switch (Collectives::way_of(request, surroundings_.nccl->version())) {
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
