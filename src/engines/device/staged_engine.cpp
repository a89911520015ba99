// SPDX-License-Identifier: Apache-2.0
#include "engines/device/staged_engine.hpp"

#include "kernels/float_environment.hpp"
#include "kernels/fold/fold.hpp"
#include "trireme/base/deadline.hpp"
#include "trireme/base/error.hpp"

#include <algorithm>
#include <chrono>
#include <exception>
#include <new>
#include <optional>
#include <utility>

namespace trireme::engines::device {

using comm::Operation;
using comm::Progress;
using comm::Request;
using plan::Collective;
using trireme::device::OwnedEvent;

struct StagedEngine::State final : comm::EngineState {
  enum class Moment : std::uint8_t { none, called, arriving, ready, moving, leaving };

  State(const std::shared_ptr<trireme::device::Runtime>& runtime, int device)
      : begins(runtime, device), arrived(runtime, device), left(runtime, device) {}

  Moment moment = Moment::none;
  bool on_host = false;                ///< a collective on host memory that only waits for its turn: done on itself
  bool started = false;                ///< the host's engine has it
  Operation shadow;                    ///< what the host's engine is given: the same on pinned memory
  std::span<std::byte> memory{};       ///< pinned
  std::span<std::byte> scaled{};       ///< part of it: the products of a pre-multiplied sum
  OwnedEvent begins;                   ///< on the caller's stream
  OwnedEvent arrived;                  ///< behind the copies of the input
  OwnedEvent left;                     ///< behind those of the output
  std::optional<Deadline> patience{};  ///< with copies of an operation that has failed
};

namespace {

constexpr std::size_t alignment = 128;
std::size_t aligned(std::size_t bytes) { return (bytes + alignment - 1) / alignment * alignment; }

bool is_transfer(const Request& request) { return request.collective == Collective::send_recv; }

bool premultiplies(const Request& request) {
  return comm::reduces(request.collective) && request.op.kind == ReduceKind::premultiplied_sum;
}

/// What of the input this rank's part of the operation reads.
std::size_t bytes_in(const Request& request, bool is_root) {
  if (request.collective == Collective::broadcast && !is_root) return 0;
  if (is_transfer(request) && !request.outgoing) return 0;
  return request.input.size_bytes();
}

/// What of the output it writes.
std::size_t bytes_out(const Request& request, bool is_root) {
  if (request.collective == Collective::broadcast && is_root) return 0;
  if (is_transfer(request) && request.outgoing) return 0;
  return request.output.size_bytes();
}

/// Whether the host's engine may work in place, too.
bool is_in_place(const Request& request) {
  if (request.collective == Collective::broadcast) return true;
  const bool one_buffer = request.input.data == request.output.data && request.input.dtype == request.output.dtype &&
                          request.input.count == request.output.count;
  return one_buffer && request.collective != Collective::all_to_all;
}

}  // namespace

StagedEngine::StagedEngine(const comm::DeviceRoom& room, std::shared_ptr<StagingArea> area)
    : host_(room.host),
      device_(room.device),
      world_rank_(room.room.members[static_cast<std::size_t>(room.room.rank)]),
      rank_(room.room.rank),
      area_(std::move(area)) {
  if (!area_) {
    area_ = make_staging_area(room.runtime, device_.index, room.room.scratch.arena(), room.room.endpoint);
  }
  queue_.reserve(256);
}

StagedEngine::State& StagedEngine::state_of(Operation& operation) {
  return static_cast<State&>(*operation.staged_state);
}
const StagedEngine::State& StagedEngine::state_of(const Operation& operation) {
  return static_cast<const State&>(*operation.staged_state);
}

std::unique_ptr<comm::EngineState> StagedEngine::make_staged_state() {
  auto state = std::make_unique<State>(area_->runtime, device_.index);
  state->shadow.state = host_.make_state();
  return state;
}

/// One engine per communicator is made by the factory; there is no other way to one.
std::unique_ptr<comm::Engine> StagedEngine::split(std::uint32_t, std::vector<int>, int) {
  fail(ErrorCode::unsupported, "device engines are made by their factory");
}

comm::Capabilities StagedEngine::capabilities() const {
  return {.name = "device", .device = device_.kind, .canonical = host_.capabilities().canonical};
}

// --------------------------------------------------------------------------------------------------------- an operation

void StagedEngine::start(Operation& operation) {
  State& state = state_of(operation);
  const Request& request = operation.request;
  host_.check(request);
  state.started = false;
  state.on_host = !request.on_device();
  if (state.on_host) {
    state.moment = State::Moment::ready;
    queue_.push_back(&operation);
    return;
  }
  auto& runtime = *area_->runtime;
  const bool has_stream = request.stream.pointer != nullptr || request.stream.device.kind != DeviceKind::cpu;
  if (has_stream && runtime.capturing(request.stream)) {
    fail(ErrorCode::unsupported,
         "this operation goes through host memory, so it cannot be captured: end the capture of its stream before it");
  }
  lay_out(operation, state);
  try {
    if (has_stream) {
      state.begins.record(request.stream);
      state.begins.hold(area_->watch.get());
      area_->bell->ring_behind(runtime, area_->watch.get());
      state.moment = State::Moment::called;
    } else {
      state.moment = State::Moment::arriving;
      copy_in(request, state);
    }
  } catch (const Exception& exception) {
    // What was copied before the failure may still be under way to the memory: it is not used again.
    state.memory = {};
    state.moment = State::Moment::none;
    fail(exception.error().code, "on " + name() + ": " + exception.error().message);
  }
  if (!is_transfer(request)) queue_.push_back(&operation);
}

/// Pinned memory for input and output, and the operation on it.
void StagedEngine::lay_out(const Operation& operation, State& state) {
  const Request& request = operation.request;
  const bool is_root = rank_ == request.root;
  const bool in_place = is_in_place(request);
  const bool multiplies = premultiplies(request);
  const DType product = multiplies ? accumulator_of(request.input.dtype) : request.input.dtype;
  // A broadcast reads or writes, the root's input being everybody's output.
  const std::size_t in =
      request.collective == Collective::broadcast ? request.output.size_bytes() : bytes_in(request, is_root);
  const std::size_t out = in_place ? 0 : bytes_out(request, is_root);
  const bool apart = multiplies && product != request.input.dtype;
  const std::size_t wide = apart ? request.input.count * size_of(product) : 0;
  state.memory = area_->memory.acquire(aligned(in) + aligned(out) + wide);

  std::byte* const input = state.memory.data();
  std::byte* const output = in_place ? input : input + aligned(in);
  state.scaled = {};
  Operation& shadow = state.shadow;
  shadow.request = request;
  shadow.request.stream = {};
  shadow.request.pieces = {};
  shadow.request.input = {in != 0 ? input : nullptr, request.input.count, request.input.dtype};
  shadow.request.output = {in_place || out != 0 ? output : nullptr, request.output.count, request.output.dtype};
  if (multiplies) {
    std::byte* const products = apart ? input + aligned(in) + aligned(out) : input;
    state.scaled = {products, request.input.count * size_of(product)};
    shadow.request.input = {products, request.input.count, product};
    shadow.request.op = sum;
  }
  shadow.sequence = operation.sequence;
  shadow.stamp = operation.stamp;
  shadow.group = operation.group;
  shadow.failure.code = ErrorCode::none;
  shadow.failure.peer_rank = -1;
}

void StagedEngine::copy_in(const Request& request, State& state) {
  auto& runtime = *area_->runtime;
  const Stream in = area_->in.get();
  if (bytes_in(request, rank_ == request.root) != 0) {
    std::byte* place = state.memory.data();
    if (request.pieces.empty()) runtime.copy(place, request.input.data, request.input.size_bytes(), in);
    for (const TensorView& piece : request.pieces) {
      if (piece.count != 0) runtime.copy(place, piece.data, piece.size_bytes(), in);
      place += piece.size_bytes();
    }
  }
  state.arrived.record(in);
  area_->bell->ring_behind(runtime, in);
}

void StagedEngine::copy_out(const Request& request, State& state) {
  auto& runtime = *area_->runtime;
  const Stream out = area_->out.get();
  if (bytes_out(request, rank_ == request.root) != 0) {
    const auto* place = static_cast<const std::byte*>(state.shadow.request.output.data);
    if (request.pieces.empty()) runtime.copy(request.output.data, place, request.output.size_bytes(), out);
    for (const TensorView& piece : request.pieces) {
      if (piece.count != 0) runtime.copy(piece.data, place, piece.size_bytes(), out);
      place += piece.size_bytes();
    }
  }
  state.left.record(out);
  area_->bell->ring_behind(runtime, out);
}

Progress StagedEngine::poll(Operation& operation) noexcept {
  State& state = state_of(operation);
  try {
    return advance(operation, state);
  } catch (const Exception& exception) {
    blame_device(operation, exception.error().code, exception.error().message.c_str());
  } catch (const std::bad_alloc&) {
    blame_device(operation, ErrorCode::system, "out of memory");
  } catch (const std::exception& exception) {
    blame_device(operation, ErrorCode::system, exception.what());
  }
  return Progress::failed;
}

Progress StagedEngine::advance(Operation& operation, State& state) {
  using enum State::Moment;
  Progress progress = Progress::idle;
  if (state.moment == called) {
    if (!state.begins.passed()) return progress;
    state.moment = arriving;
    copy_in(operation.request, state);
    progress = Progress::advanced;
  }
  if (state.moment == arriving) {
    if (!state.arrived.passed()) return progress;
    state.moment = ready;
    progress = Progress::advanced;
  }
  if (state.moment == ready) {
    if (!begin_on_host(operation, state)) return progress;
    progress = Progress::advanced;
  }
  if (state.moment == moving) return std::max(progress, move(operation, state));
  if (!state.left.passed()) return progress;
  return Progress::done;
}

/// The host's engine gets the operation, if it is its turn.
bool StagedEngine::begin_on_host(Operation& operation, State& state) {
  const bool in_turn = !is_transfer(operation.request);
  if (in_turn && queue_.front() != &operation) return false;
  if (!state.scaled.empty()) {
    const Request& request = operation.request;
    const kernels::FloatEnvironment environment;
    kernels::scale(state.scaled.data(), state.memory.data(), request.input.dtype, request.op.scalar,
                   request.input.count);
  }
  host_.start(state.on_host ? operation : state.shadow);
  state.started = true;
  state.moment = State::Moment::moving;
  if (in_turn) queue_.erase(queue_.begin());
  return true;
}

Progress StagedEngine::move(Operation& operation, State& state) {
  if (state.on_host) return host_.poll(operation);
  const Progress progress = host_.poll(state.shadow);
  if (progress == Progress::failed) {
    operation.failure.code = state.shadow.failure.code;
    operation.failure.message = state.shadow.failure.message;
    operation.failure.peer_rank = state.shadow.failure.peer_rank;
  }
  if (progress != Progress::done) return progress;
  host_.finish(state.shadow);
  state.started = false;
  state.moment = State::Moment::leaving;
  copy_out(operation.request, state);
  return Progress::advanced;
}

bool StagedEngine::has_begun(const Operation& operation) const noexcept {
  return state_of(operation).moment != State::Moment::called;
}

bool StagedEngine::order(Operation& operation, Stream stream) noexcept {
  const State& state = state_of(operation);
  if (operation.done()) return true;  // and so has passed
  if (state.on_host || state.moment != State::Moment::leaving) return false;
  try {
    state.left.hold(stream);
    return true;
  } catch (const Exception&) {
    return false;
  }
}

/// Whether no copy is under way. Errors: device.
bool StagedEngine::at_rest(const State& state) {
  if (state.moment == State::Moment::arriving) return state.arrived.passed();
  return state.moment != State::Moment::leaving || state.left.passed();
}

/// Copies wait for nothing themselves, unless for a queue of the hardware that they share with what does; not for ever, then.
bool StagedEngine::has_let_go(Operation& operation) noexcept {
  State& state = state_of(operation);
  try {
    if (at_rest(state)) return true;
  } catch (const Exception&) {  // a device that has failed copies nothing more
    return true;
  }
  if (!state.patience) state.patience = Deadline::after(patience_with_copies);
  return state.patience->passed();
}

void StagedEngine::finish(Operation& operation) noexcept {
  State& state = state_of(operation);
  std::erase(queue_, &operation);
  if (std::exchange(state.started, false)) host_.finish(state.on_host ? operation : state.shadow);
  bool idle = false;
  try {
    idle = at_rest(state);
  } catch (const Exception&) {
  }
  const auto memory = std::exchange(state.memory, {});
  if (idle) area_->memory.release(memory);  // else it is not used again
  state.moment = State::Moment::none;
  state.patience.reset();
}

void StagedEngine::waiting_for(const Operation& operation, std::vector<int>& world_ranks) const {
  const State& state = state_of(operation);
  if (state.started) host_.waiting_for(state.on_host ? operation : state.shadow, world_ranks);
}

Explanation StagedEngine::explain(const Request& request) const {
  Request on_host = request;
  on_host.input.device = on_host.output.device = {};
  on_host.stream = {};
  const Explanation there = host_.explain(on_host);
  return {there.algorithm, "on " + name() + ", copied to pinned host memory and back; there: " + there.text};
}

std::string StagedEngine::name() const { return "cuda:" + std::to_string(device_.index); }

/// What the runtime or the host's memory refused, on this rank.
void StagedEngine::blame_device(Operation& operation, ErrorCode code, const char* what) const noexcept {
  operation.failure.code = code;
  operation.failure.message = "on " + name() + ": " + what;
  operation.failure.peer_rank = world_rank_;
}

}  // namespace trireme::engines::device
