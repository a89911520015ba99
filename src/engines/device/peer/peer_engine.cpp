// SPDX-License-Identifier: Apache-2.0
#include "engines/device/peer/peer_engine.hpp"

#include "comm/message_space.hpp"
#include "comm/operation.hpp"
#include "comm/signature.hpp"
#include "device/memory_order.hpp"
#include "engines/device/peer/itinerary.hpp"
#include "engines/device/peer/parts.hpp"
#include "trireme/base/error.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <limits>
#include <new>
#include <string>
#include <thread>
#include <utility>

namespace trireme::engines::device {

using comm::Operation;
using comm::Progress;
using peer::Itinerary;
using peer::Report;
using trireme::device::load_acquire;
using trireme::device::store_release;

namespace {

/// Kernels leave within microseconds once they are told to, unless their stream waits for something else.
constexpr std::chrono::seconds patience_with_kernels{5};
/// Peers of other processes read what this rank staged last.
constexpr std::chrono::seconds patience_with_readers{1};
/// Looks at an operation after which whoever drives it may be about to sleep.
constexpr unsigned looks_until_bell = 128;

constexpr std::size_t host_channel = 0;
constexpr std::size_t graph_channel = 1;

struct PeerState final : comm::EngineState {
  PeerState(const std::shared_ptr<trireme::device::Runtime>& runtime, int device)
      : before(runtime, device), end(runtime, device) {}
  trireme::device::OwnedEvent before;  // what the caller's stream held at the call
  trireme::device::OwnedEvent end;     // of the launches so far
  Itinerary itinerary;
  std::uint64_t next = 0;  // round to launch
  bool launched = false;   // some of it
  bool recorded = false;   // into a graph
  unsigned looks = 0;
  bool rung = false;  // behind the launches so far
  Error failure{};    // of a launch; code none: none
  bool all_launched() const { return next == itinerary.rounds(); }
};

PeerState& state_of(Operation& operation) { return static_cast<PeerState&>(*operation.device_state); }
const PeerState& state_of(const Operation& operation) { return static_cast<const PeerState&>(*operation.device_state); }

/// Values on the stack at most while a postfix program runs.
unsigned depth_of(std::span<const std::int16_t> program) {
  unsigned depth = 0, most = 0;
  for (const std::int16_t token : program) most = std::max(most, token >= 0 ? ++depth : --depth);
  return most;
}

bool waits(const std::function<bool()>& until, std::chrono::nanoseconds patience) {
  const auto limit = std::chrono::steady_clock::now() + patience;
  while (!until()) {
    if (std::chrono::steady_clock::now() > limit) return false;
    std::this_thread::yield();
  }
  return true;
}

}  // namespace

PeerEngine::PeerEngine(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

PeerEngine::~PeerEngine() {
  // What is left here the device may still use: leaked rather than freed under it.
  if (!parts_->drained()) static_cast<void>(parts_.release());
}

bool PeerEngine::takes(const comm::Request& request) const {
  if (request.collective == plan::Collective::send_recv || request.collective == plan::Collective::barrier)
    return false;
  return !(request.uneven && request.collective == plan::Collective::all_to_all);
}

std::unique_ptr<comm::EngineState> PeerEngine::make_state() {
  return std::make_unique<PeerState>(parts_->room.runtime, parts_->room.device.index);
}

void PeerEngine::start(Operation& operation) {
  auto& parts = *parts_;
  auto& state = state_of(operation);
  const auto& request = operation.request;
  if (!takes(request)) fail(ErrorCode::unsupported, "the peer engine does not serve this operation");
  if (load_acquire(&parts.control->abort) != 0) {
    operation.failure = parts.failure_of(graph_channel);
    fail(operation.failure.code, operation.failure.message);
  }
  if (parts.broken) fail(ErrorCode::closed, "the device engine of this communicator has failed");
  if (comm::reduces(request.collective)) {
    const auto& program = parts.program_of(request.leaves).postfix;
    if (depth_of(program) > peer::deepest_stack)
      fail(ErrorCode::unsupported, "the peer engine's kernels do not nest as deep as these leaves");
  }
  state.itinerary = Itinerary(request, {.rank = parts.room.room.rank,
                                        .ranks = static_cast<int>(parts.layout.ranks),
                                        .slot_bytes = parts.layout.slot_bytes,
                                        .one_shot_bytes = parts.one_shot_bytes,
                                        .blocks = parts.layout.blocks});
  state.next = 0;
  state.looks = 0;
  state.rung = false;
  state.launched = false;
  state.failure.code = ErrorCode::none;
  auto& runtime = *parts.room.runtime;
  state.recorded = request.stream.pointer != nullptr && runtime.capturing(request.stream);
  if (state.recorded) {
    operation.stamp.words[0] |= comm::captured_bit;  // it meets nothing but what is captured
    launch(operation, request.stream, graph_channel, state.itinerary.rounds());
  } else {
    if (request.stream.pointer != nullptr) state.before.record(request.stream);
    parts.line.push_back(&operation);
    try {
      advance();
    } catch (...) {
      std::erase(parts.line, &operation);
      throw;
    }
  }
  // Some pair must compare signatures whatever the others have called: also where that is of host memory.
  const auto& room = parts.room.room;
  if (parts.layout.ranks == 1) return;
  const auto successor = static_cast<std::size_t>(room.rank + 1) % room.members.size();
  try {
    room.endpoint.send_note(room.members[successor], comm::signature_note,
                            {comm::collective_space(room.id), 0, operation.sequence}, operation.stamp);
  } catch (const std::bad_alloc&) {
    if (state.recorded) throw;
    parts.broken = true;  // what is launched uses the caller's memory: the next poll tells
    state.failure.code = ErrorCode::system;
    state.failure.message = "out of memory";
  }
}

/// Launches what can be: of the oldest operation, and when all of that is launched of the next. Where a launch is refused the
/// peers wait for it in vain, and nothing behind it would meet its like: that was the last.
bool PeerEngine::advance() {
  auto& parts = *parts_;
  bool moved = false;
  while (!parts.line.empty() && !parts.broken) {
    Operation& operation = *parts.line.front();
    auto& state = state_of(operation);
    if (state.launched && !state.end.passed()) break;
    std::erase_if(parts.flying, [](Operation* each) { return state_of(*each).end.passed(); });
    if (parts.flying.size() >= Parts::most_flying) break;
    const Stream stream = parts.stream.get();
    moved = true;
    try {
      if (!state.launched && operation.request.stream.pointer != nullptr) state.before.hold(stream);
      state.launched = true;
      launch(operation, stream, host_channel, Parts::most_flying);
    } catch (const Exception& exception) {
      parts.broken = true;
      state.failure = exception.error();
    } catch (const std::bad_alloc&) {
      parts.broken = true;
      state.failure.code = ErrorCode::system;
      state.failure.message = "out of memory";
    }
    state.end.record(stream);  // also behind the rounds before one that failed: they use the caller's memory
    state.rung = false;
    if (parts.broken || !state.all_launched()) break;
    parts.flying.push_back(&operation);
    parts.line.erase(parts.line.begin());
  }
  return moved;
}

void PeerEngine::launch(Operation& operation, Stream stream, std::size_t channel, std::uint64_t most) {
  auto& parts = *parts_;
  auto& state = state_of(operation);
  const auto& request = operation.request;
  peer::Round& round = parts.rounds[channel];
  static_assert(sizeof round.stamp == sizeof operation.stamp.words);
  std::memcpy(round.stamp, operation.stamp.words.data(), sizeof round.stamp);
  round.operation = static_cast<std::uint32_t>(operation.sequence);
  // Of an operation that somebody waits for, the host finds out first, and who it was; a kernel that is waited for on a stream alone
  // must let go by itself.
  const std::int64_t margin = channel == graph_channel ? 0 : std::chrono::nanoseconds(patience_with_kernels).count();
  constexpr auto most_patience = std::numeric_limits<std::int64_t>::max();
  round.patience_ns = static_cast<std::uint64_t>(request.timeout.count() > most_patience - margin
                                                     ? most_patience
                                                     : std::max<std::int64_t>(request.timeout.count() + margin, 1));
  round.input = static_cast<const std::byte*>(request.input.data);
  round.output = static_cast<std::byte*>(request.output.data);
  if (comm::reduces(request.collective)) {
    const auto& program = parts.program_of(request.leaves);
    round.steps = static_cast<std::uint32_t>(program.postfix.size());
    std::copy(program.postfix.begin(), program.postfix.end(), round.program);
    round.balanced = program.balanced;
    round.groups = program.groups;
    round.kind = request.op.kind;
    const bool boolean = request.output.dtype == DType::boolean;  // of bytes 0 and 1
    if (boolean && request.op.kind == ReduceKind::product) round.kind = ReduceKind::min;
    if (boolean && request.op.kind == ReduceKind::sum) round.kind = ReduceKind::max;
    round.divisor = comm::divisor_of(request);
    round.scales = request.op.kind == ReduceKind::premultiplied_sum;
    round.narrow_input = round.scales && request.input.dtype == request.output.dtype;
    round.factor = request.op.scalar;
  } else {
    round.scales = round.narrow_input = false;
  }
  const trireme::device::Queue queue{*parts.room.runtime, stream};
  for (std::uint64_t k = 0; k < most && !state.all_launched(); ++k) {
    state.itinerary.fill(round, state.next);
    launch_round(queue, operation, state.next++, round);
  }
}

/// One round. Of a group of more tensors than a launch takes: all but the last ones are staged before, and served after.
void PeerEngine::launch_round(trireme::device::Queue queue, const Operation& operation, std::uint64_t index,
                              peer::Round& round) {
  const auto& itinerary = state_of(operation).itinerary;
  const auto& request = operation.request;
  const auto go = [&](bool stages, bool meets, bool brings) {
    round.stages = stages;
    round.meets = meets;
    round.brings = brings;
    peer::launch_round(queue, round, itinerary.staged(), itinerary.output(), itinerary.blocks());
  };
  round.pieces = 0;
  if (request.pieces.empty()) return go(true, true, true);
  // What is counted: elements where something is reduced, bytes elsewhere.
  const std::uint64_t size = comm::reduces(request.collective) ? 1 : size_of(request.output.dtype);
  const auto& all = parts_->pieces_within(request.pieces, size, itinerary.range(index));
  const std::size_t tables = std::max<std::size_t>((all.size() + peer::most_pieces - 1) / peer::most_pieces, 1);
  const auto take = [&](std::size_t table) {
    const std::size_t first = table * peer::most_pieces;
    const std::size_t count = std::min<std::size_t>(all.size() - first, peer::most_pieces);
    std::copy_n(all.begin() + static_cast<std::ptrdiff_t>(first), count, round.piece);
    round.pieces = static_cast<std::uint32_t>(count);
  };
  if (all.empty()) return go(true, true, true);
  for (std::size_t table = 0; table + 1 < tables; ++table) take(table), go(true, false, false);
  take(tables - 1);
  go(true, true, true);
  for (std::size_t table = 0; table + 1 < tables; ++table) take(table), go(false, false, true);
}

Progress PeerEngine::poll(Operation& operation) noexcept {
  auto& parts = *parts_;
  auto& state = state_of(operation);
  if (state.recorded) return Progress::done;
  try {
    const bool moved = advance();
    if (state.failure) {
      operation.failure = state.failure;
      operation.failure.peer_rank = parts.room.room.members[static_cast<std::size_t>(parts.room.room.rank)];
      return Progress::failed;
    }
    const bool passed = state.launched && state.all_launched() && state.end.passed();
    if (load_acquire(&parts.control->abort) != 0) return look_into(operation, passed);
    if (passed) return Progress::done;
    if (++state.looks >= looks_until_bell && state.launched && !std::exchange(state.rung, true))
      parts.ring_after(state.end);
    return moved ? Progress::advanced : Progress::idle;
  } catch (const Exception& exception) {
    operation.failure = exception.error();
  } catch (const std::exception& exception) {
    operation.failure.code = ErrorCode::system;
    operation.failure.message = exception.what();
  }
  operation.failure.peer_rank = parts.room.room.members[static_cast<std::size_t>(parts.room.room.rank)];
  return Progress::failed;
}

/// A kernel has told all kernels to leave.
Progress PeerEngine::look_into(Operation& operation, bool passed) noexcept {
  auto& parts = *parts_;
  const Report& report = parts.control->reports[host_channel];
  if (load_acquire(&report.state) == Report::mismatch) {
    const auto behind = static_cast<std::int32_t>(static_cast<std::uint32_t>(operation.sequence) - report.operation);
    if (behind < 0 && passed) return Progress::done;
    if (behind == 0 && !std::exchange(parts.disputed, true)) {
      const auto& room = parts.room.room;
      transport::Stamp theirs;
      std::memcpy(theirs.words.data(), report.stamp, sizeof report.stamp);
      room.listener.mismatched(room.members[report.peer], {comm::collective_space(room.id), 0, operation.sequence},
                               operation.stamp, theirs);
    }
    return Progress::idle;
  }
  if (load_acquire(&report.state) == Report::late) {
    operation.failure = parts.failure_of(host_channel);
    return Progress::failed;
  }
  if (load_acquire(&parts.control->reports[graph_channel].state) == Report::fine) return Progress::idle;
  operation.failure = parts.failure_of(graph_channel);
  return Progress::failed;
}

bool PeerEngine::has_begun(const Operation& operation) const noexcept {
  const auto& state = state_of(operation);
  if (state.recorded || operation.request.stream.pointer == nullptr) return true;
  try {
    return state.before.passed();
  } catch (...) {  // the device has failed: the next poll tells
    return true;
  }
}

bool PeerEngine::order(Operation& operation, Stream stream) noexcept {
  const auto& state = state_of(operation);
  if (state.recorded) return true;  // the stream that records it is behind it
  if (!state.launched || !state.all_launched() || stream.pointer == nullptr) return false;
  try {
    state.end.hold(stream);
    return true;
  } catch (...) {
    return false;
  }
}

bool PeerEngine::has_let_go(Operation& operation) noexcept {
  auto& parts = *parts_;
  auto& state = state_of(operation);
  if (state.recorded || !state.launched) return true;
  try {
    if (state.end.passed()) return true;
    store_release(&parts.control->abort, 1);
    // They share a stream: where one does not leave, none behind it will.
    if (!parts.patience) parts.patience = Deadline::after(patience_with_kernels);
    if (!parts.abandoned && !parts.patience->passed()) return false;
  } catch (...) {  // the device has failed
  }
  parts.abandoned = true;
  return true;
}

void PeerEngine::finish(Operation& operation) noexcept {
  std::erase(parts_->line, &operation);
  std::erase(parts_->flying, &operation);
}

void PeerEngine::abort() noexcept { store_release(&parts_->control->abort, 1); }

bool PeerEngine::hangs() const noexcept { return parts_->abandoned; }

/// Whom the running kernel lacks; this rank, while its device has not come to it.
void PeerEngine::waiting_for(const Operation& operation, std::vector<int>& world_ranks) const {
  const auto& room = parts_->room.room;
  if (state_of(operation).recorded) return;
  const std::uint32_t lacking = load_acquire(&parts_->control->reports[host_channel].lacking);
  for (std::size_t r = 0; r < room.members.size(); ++r) {
    if ((lacking >> r & 1) != 0) world_ranks.push_back(room.members[r]);
  }
  if (lacking == 0) world_ranks.push_back(room.members[static_cast<std::size_t>(room.rank)]);
}

std::unique_ptr<comm::Engine> PeerEngine::split(std::uint32_t, std::vector<int>, int) {
  fail(ErrorCode::unsupported, "the peer engine of a sub-communicator is made by make_peer_engine");
}

Explanation PeerEngine::explain(const comm::Request& request) const {
  const Itinerary itinerary(request, {.rank = parts_->room.room.rank,
                                      .ranks = static_cast<int>(parts_->layout.ranks),
                                      .slot_bytes = parts_->layout.slot_bytes,
                                      .one_shot_bytes = parts_->one_shot_bytes,
                                      .blocks = parts_->layout.blocks});
  std::string text = std::string(plan::name_of(request.collective)) + " of " + std::to_string(request.logical_count()) +
                     " elements on " + std::to_string(request.ranks) + " ranks (" + std::to_string(request.leaves) +
                     " leaves, " + std::string(name_of(request.order)) + "), " + std::to_string(itinerary.rounds()) +
                     " rounds of " + std::to_string(itinerary.blocks()) + " blocks: ";
  if (!comm::reduces(request.collective)) return {"peer", text + "read from the windows of the peers"};
  if (itinerary.two_shot())
    return {"peer_two_shot", text +
                                 "every rank adds its part of the peers' windows, in the canonical brackets, and reads "
                                 "the other parts from theirs"};
  return {"peer_one_shot", text + "every rank adds what it reads from all windows, in the canonical brackets"};
}

// --------------------------------------------------------------------------------------------------------- the parts

const PeerEngine::Parts::Program& PeerEngine::Parts::program_of(int leaves) {
  for (const auto& each : programs) {
    if (each.leaves == leaves) return each;
  }
  const auto tree = layout::ReductionTree::contracted(leaves, static_cast<int>(layout.ranks));
  const bool unrolled = layout.ranks == 2 || layout.ranks == 4 || layout.ranks == 8;
  programs.push_back({leaves,
                      unrolled && tree.equal_power_of_two_blocks(),
                      {tree.postfix().begin(), tree.postfix().end()},
                      kernels::grouped(tree.postfix()).value_or(kernels::GroupedProgram{})});
  return programs.back();
}

const std::vector<peer::Piece>& PeerEngine::Parts::pieces_within(std::span<const TensorView> tensors,
                                                                 std::uint64_t size, peer::Itinerary::Range range) {
  pieces.clear();
  std::uint64_t begin = 0;
  for (const TensorView& tensor : tensors) {
    const std::uint64_t count = tensor.count * size;
    if (count != 0 && begin < range.end && begin + count > range.begin)
      pieces.push_back({static_cast<std::byte*>(tensor.data), begin, count});
    begin += count;
  }
  return pieces;
}

Error PeerEngine::Parts::failure_of(std::size_t channel) const {
  const Report& report = control->reports[channel];
  Error error;
  error.code = ErrorCode::closed;
  error.message = "the device engine of this communicator has failed";
  error.peer_rank = room.room.members[static_cast<std::size_t>(room.room.rank)];
  const std::uint32_t state = load_acquire(&report.state);
  if (state == Report::late) {
    error.code = ErrorCode::timeout;
    std::string who;
    const std::uint32_t lacking = load_acquire(&report.lacking);
    for (std::size_t r = 0; r < room.room.members.size(); ++r) {
      if ((lacking >> r & 1) == 0) continue;
      if (who.empty()) error.peer_rank = room.room.members[r];
      who += (who.empty() ? "rank " : ", ") + std::to_string(room.room.members[r]);
    }
    error.message = std::string(channel == graph_channel ? "an operation of a captured graph" : "its kernel") +
                    " waited longer than its deadline for " + who;
  }
  if (state == Report::mismatch) {
    error.code = ErrorCode::mismatch;
    error.peer_rank = room.room.members[report.peer];
    error.message = "the graph of rank " + std::to_string(error.peer_rank) +
                    " has another operation where this rank's has " + "captured operation #" +
                    std::to_string(report.operation);
  }
  return error;
}

/// Whoever drives the operation may sleep until something arrives for the host: its end wakes it.
void PeerEngine::Parts::ring_after(const trireme::device::OwnedEvent& end) {
  end.hold(bell_stream.get());
  room.runtime->call([](void* rung) noexcept { static_cast<PeerBell*>(rung)->ring(); }, bell.get(), bell_stream.get());
  bell_rung.record(bell_stream.get());
}

/// Whether the device is done with all of this; waits for it, bounded.
bool PeerEngine::Parts::drained() noexcept {
  if (bell) bell->silence();
  if (abandoned) return false;
  try {
    store_release(&control->abort, 1);
    trireme::device::OwnedEvent last(room.runtime, room.device.index);
    last.record(stream.get());
    if (!waits([&] { return last.passed() && bell_rung.passed(); }, patience_with_kernels)) return false;
    if (!rounds[host_channel].tells_end || room.room.aborted()) return true;
    // Peers map this memory: CUDA wants it freed only when they have read the last of it.
    return waits([&] { return read_by_all(last); }, patience_with_readers);
  } catch (...) {
    return false;
  }
}

bool PeerEngine::Parts::read_by_all(trireme::device::OwnedEvent& copied) {
  constexpr std::size_t bytes = peer::WindowLayout::finished + peer::most_ranks * sizeof(std::uint32_t);
  bool all = true;
  for (const auto& window : windows.own) {
    room.runtime->copy(words.data(), window->memory.data(), bytes, stream.get());
    copied.record(stream.get());
    if (!waits([&] { return copied.passed(); }, patience_with_kernels)) return false;
    const auto* word = reinterpret_cast<const std::uint32_t*>(words.data());
    const std::uint32_t* finished = word + peer::WindowLayout::finished / sizeof *word;
    for (std::uint32_t r = 0; r < layout.ranks; ++r) all = all && static_cast<std::int32_t>(finished[r] - word[0]) >= 0;
  }
  return all;
}

}  // namespace trireme::engines::device
