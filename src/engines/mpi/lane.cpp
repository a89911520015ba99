// SPDX-License-Identifier: Apache-2.0
#include "engines/mpi/lane.hpp"

#include "comm/message_space.hpp"
#include "comm/signature.hpp"
#include "kernels/float_environment.hpp"
#include "trireme/base/error.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <new>

namespace trireme::engines::mpi {

using comm::Progress;
using comm::Request;
using plan::Collective;

namespace {

/// A rank that has closed its world may still have taken part: what it gave MPI arrives within this time.
constexpr std::chrono::seconds last_words{1};
constexpr unsigned looks_between = 64;

std::size_t size_in(const Request& request) { return size_of(request.input.dtype); }
std::size_t size_out(const Request& request) { return size_of(request.output.dtype); }
const std::byte* input_of(const Request& request) { return static_cast<const std::byte*>(request.input.data); }
std::byte* output_of(const Request& request) { return static_cast<std::byte*>(request.output.data); }

void copy_bytes(std::byte* destination, const std::byte* source, std::size_t bytes) {
  if (bytes != 0 && destination != source) std::memcpy(destination, source, bytes);
}

bool is_uneven_exchange(const Request& request) {
  return request.uneven && request.collective == Collective::all_to_all;
}

}  // namespace

Lane::Lane(Surroundings& surroundings, trireme_mpi_comm communicator)
    : surroundings_(surroundings),
      communicator_(communicator),
      send_(surroundings.room.members.size()),
      receive_(surroundings.room.members.size()),
      gathered_(surroundings.room.members.size()),
      sources_(surroundings.room.members.size()) {}

void Lane::begun(int code) {
  if (code != 0) fail(ErrorCode::system, "MPI refused the call: " + surroundings_.session->words_of(code));
  pending_ = true;
}

Progress Lane::poll(comm::Operation& operation) noexcept {
  bool moved = false;
  try {
    for (;;) {
      if (pending_ && phase_ != Phase::failed) {
        int done = 0;
        if (const int code = calls().test(&request_, &done); code != 0)
          fail(ErrorCode::system, "MPI failed: " + surroundings_.session->words_of(code));
        if (done == 0) return moved ? Progress::advanced : wait_for_peers(operation);
        pending_ = false;
        moved = true;
      }
      switch (phase_) {
        case Phase::fresh: agree(operation); break;
        case Phase::agreeing: compare(operation); break;
        case Phase::pairing: compare_pairs(operation); break;
        case Phase::exchanging: end_exchange(operation.request); break;
        case Phase::gathering: end_gathering(operation.request); break;
        case Phase::disputed: return moved ? Progress::advanced : Progress::idle;
        case Phase::failed: return Progress::failed;
        case Phase::done: return Progress::done;
      }
    }
  } catch (const Exception& exception) {
    operation.failure = exception.error();
  } catch (const std::bad_alloc&) {
    operation.failure.code = ErrorCode::system;
    operation.failure.message = "out of memory for what MPI writes to";
  } catch (const std::exception& exception) {
    operation.failure.code = ErrorCode::system;
    operation.failure.message = exception.what();
  }
  operation.failure.peer_rank = surroundings_.room.members[self()];
  phase_ = Phase::failed;
  return Progress::failed;
}

/// Nothing has moved. While not all have called, a member that has left its world will not: the operation waits in vain.
Progress Lane::wait_for_peers(comm::Operation& operation) noexcept {
  if (agreed() || ++looks_ % looks_between != 0) return Progress::idle;
  int gone = -1;
  for (const int member : surroundings_.room.members) {
    const bool is_other = member != surroundings_.room.members[self()];
    if (is_other && surroundings_.room.endpoint.link_state(member) == transport::LinkState::closed) gone = member;
  }
  if (gone < 0) return Progress::idle;
  const auto now = std::chrono::steady_clock::now();
  if (!closed_since_) closed_since_ = now;
  if (now - *closed_since_ < last_words) return Progress::idle;
  operation.failure.peer_rank = gone;
  phase_ = Phase::failed;
  return Progress::failed;
}

// -------------------------------------------------------------------------------------------------------- the agreement

void Lane::agree(const comm::Operation& operation) {
  auto* ballots = reinterpret_cast<Ballot*>(ballots_.reserve((ranks() + 1) * sizeof(Ballot)));
  Ballot& mine = ballots[ranks()];
  mine = {operation.stamp, 0};
  if (is_uneven_exchange(operation.request)) {
    send_.at(operation.request.input_blocks, size_in(operation.request));
    receive_.at(operation.request.output_blocks, size_out(operation.request));
    mine.largest = std::max(send_.largest(), receive_.largest());
  }
  phase_ = Phase::agreeing;
  begun(calls().iallgather(&mine, static_cast<int>(sizeof mine), ballots, communicator_, &request_));
}

void Lane::dispute(std::size_t member, const comm::Operation& operation, const transport::Stamp& ours,
                   const transport::Stamp& theirs) {
  phase_ = Phase::disputed;
  const auto& room = surroundings_.room;
  room.listener.mismatched(room.members[member], {comm::collective_space(room.id), 0, operation.sequence}, ours,
                           theirs);
}

void Lane::compare(comm::Operation& operation) {
  const Request& request = operation.request;
  const auto* ballots = reinterpret_cast<const Ballot*>(ballots_.data());
  for (std::size_t r = 0; r < ranks(); ++r) {
    if (!comm::same_call(operation.stamp, ballots[r].stamp))
      return dispute(r, operation, operation.stamp, ballots[r].stamp);
  }
  if (request.collective == Collective::barrier) {  // who knows that all have called may go
    phase_ = Phase::done;
    return;
  }
  if (!is_uneven_exchange(request)) {
    choose_way(request);
    lay_out(request);
    return begin_round(request);
  }
  extent_ = 0;
  for (std::size_t r = 0; r < ranks(); ++r) extent_ = std::max<std::size_t>(extent_, ballots[r].largest);
  // Every pair's size is known to the two alone: each tells the other what it sends.
  auto* sizes = reinterpret_cast<std::uint64_t*>(ballots_.reserve(2 * ranks() * sizeof(std::uint64_t)));
  for (std::size_t r = 0; r < ranks(); ++r) sizes[ranks() + r] = send_.size(r);
  phase_ = Phase::pairing;
  begun(calls().ialltoall(sizes + ranks(), static_cast<int>(sizeof(std::uint64_t)), sizes, communicator_, &request_));
}

void Lane::compare_pairs(comm::Operation& operation) {
  const auto* sizes = reinterpret_cast<const std::uint64_t*>(ballots_.data());
  for (std::size_t r = 0; r < ranks(); ++r) {
    if (sizes[r] != receive_.size(r)) {
      return dispute(r, operation, comm::of_message(operation.stamp, receive_.size(r)),
                     comm::of_message(operation.stamp, static_cast<std::size_t>(sizes[r])));
    }
  }
  choose_way(operation.request);
  begin_round(operation.request);
}

// -------------------------------------------------------------------------------------------------------------- the data

void Lane::choose_way(const Request& request) {
  native_ = native_of(request);
  const bool one_vector = request.collective == Collective::all_reduce || request.collective == Collective::reduce;
  const bool small = one_vector && request.input.size_bytes() <= small_bytes;
  way_ = native_ ? Way::native : small ? Way::whole : Way::blocks;
  const bool has_blocks = !one_vector && request.collective != Collective::broadcast;
  const std::size_t widest = std::max(size_in(request), size_out(request));
  step_ = std::max<std::size_t>(round_bytes / (widest * (has_blocks ? ranks() : 1)), 1);
  range_ = {0, 0};
}

/// The blocks of input and output, and how many elements the rounds go through.
void Lane::lay_out(const Request& request) {
  const auto blocks = [&](Blocks& which, std::span<const std::size_t> edges, std::size_t count, std::size_t element) {
    request.uneven ? which.at(edges, element) : which.equal(count, element);
    extent_ = which.largest();
  };
  switch (request.collective) {
    case Collective::reduce_scatter: blocks(send_, request.input_blocks, request.output.count, size_in(request)); break;
    case Collective::all_gather:
    case Collective::gather: blocks(receive_, request.output_blocks, request.input.count, size_in(request)); break;
    case Collective::scatter: blocks(send_, request.input_blocks, request.output.count, size_out(request)); break;
    case Collective::all_to_all:
      blocks(send_, {}, request.input.count / ranks(), size_in(request));
      blocks(receive_, {}, request.input.count / ranks(), size_in(request));
      break;
    default: extent_ = request.logical_count(); break;
  }
}

/// Elements range_ of every block of `input`, as one message.
const std::byte* Lane::packed(const std::byte* input) {
  const std::size_t bytes = send_.message(range_);
  if (send_.whole(range_)) return input;
  send_.pack(input, range_, packed_.reserve(bytes));
  return packed_.data();
}

void Lane::begin_round(const Request& request) {
  range_ = {range_.end, std::min(extent_, range_.end + step_)};
  if (range_.size() == 0) {
    phase_ = Phase::done;
    return;
  }
  phase_ = Phase::exchanging;
  const std::size_t in = size_in(request), out = size_out(request);
  switch (request.collective) {
    case Collective::all_reduce:
    case Collective::reduce:
    case Collective::reduce_scatter: return begin_reduction(request);
    case Collective::all_gather: {
      std::byte* landing = landing_.reserve(receive_.message(range_));
      const auto mine = receive_.part(self(), range_);
      return begun(calls().iallgatherv(input_of(request) + mine.begin * in, static_cast<int>(mine.size() * in), landing,
                                       receive_.counts(), receive_.places(), communicator_, &request_));
    }
    case Collective::gather: {
      const std::size_t bytes = receive_.message(range_);
      std::byte* landing = is_root(request) ? landing_.reserve(bytes) : nullptr;
      const auto mine = receive_.part(self(), range_);
      return begun(calls().igatherv(input_of(request) + mine.begin * in, static_cast<int>(mine.size() * in), landing,
                                    receive_.counts(), receive_.places(), request.root, communicator_, &request_));
    }
    case Collective::scatter: {
      const std::byte* message = nullptr;
      if (is_root(request)) message = packed(input_of(request));
      const std::size_t mine = send_.part(self(), range_).size() * out;
      return begun(calls().iscatterv(message, send_.counts(), send_.places(), landing_.reserve(mine),
                                     static_cast<int>(mine), request.root, communicator_, &request_));
    }
    case Collective::all_to_all: {
      const std::byte* message = packed(input_of(request));
      std::byte* landing = landing_.reserve(receive_.message(range_));
      return begun(calls().ialltoallv(message, send_.counts(), send_.places(), landing, receive_.counts(),
                                      receive_.places(), communicator_, &request_));
    }
    case Collective::broadcast: {
      const std::size_t bytes = range_.size() * out;
      std::byte* message = is_root(request) ? output_of(request) + range_.begin * out : landing_.reserve(bytes);
      return begun(calls().ibcast(message, static_cast<int>(bytes), request.root, communicator_, &request_));
    }
    case Collective::barrier:
    case Collective::send_recv: break;
  }
  phase_ = Phase::done;
}

void Lane::begin_reduction(const Request& request) {
  const std::size_t in = size_in(request), out = size_out(request), count = range_.size();
  const bool scatters = request.collective == Collective::reduce_scatter;
  const std::size_t kept = scatters ? send_.part(self(), range_).size() : count;
  const std::byte* message = scatters ? packed(input_of(request)) : input_of(request) + range_.begin * in;
  const int elements = static_cast<int>(count);
  if (way_ == Way::native) {
    std::byte* landing = landing_.reserve(kept * out);
    if (scatters && request.uneven) {
      return begun(calls().ireduce_scatter(message, landing, send_.elements(), native_->type, native_->op,
                                           communicator_, &request_));
    }
    if (scatters) {
      return begun(calls().ireduce_scatter_block(message, landing, elements, native_->type, native_->op, communicator_,
                                                 &request_));
    }
    if (request.collective == Collective::reduce) {
      return begun(calls().ireduce(message, landing, elements, native_->type, native_->op, request.root, communicator_,
                                   &request_));
    }
    return begun(calls().iallreduce(message, landing, elements, native_->type, native_->op, communicator_, &request_));
  }
  if (way_ == Way::whole) {
    std::byte* contributions = exchanged_.reserve(count * in * ranks());
    return begun(calls().iallgather(message, static_cast<int>(count * in), contributions, communicator_, &request_));
  }
  // Everybody gets everybody's contribution to its own part.
  if (!scatters) {
    send_.cut(count, in);
    send_.message({0, count});
  }
  const std::size_t mine = scatters ? kept : send_.size(self());
  receive_.equal(mine, in);
  std::byte* contributions = exchanged_.reserve(receive_.message({0, mine}));
  begun(calls().ialltoallv(message, send_.counts(), send_.places(), contributions, receive_.counts(), receive_.places(),
                           communicator_, &request_));
}

void Lane::end_exchange(const Request& request) {
  const std::size_t out = size_out(request);
  switch (request.collective) {
    case Collective::all_reduce:
    case Collective::reduce:
    case Collective::reduce_scatter: return end_reduction(request);
    case Collective::gather:
      if (is_root(request)) receive_.unpack(landing_.data(), range_, output_of(request));
      break;
    case Collective::all_gather:
    case Collective::all_to_all: receive_.unpack(landing_.data(), range_, output_of(request)); break;
    case Collective::scatter: {
      const auto mine = send_.part(self(), range_);
      copy_bytes(output_of(request) + mine.begin * out, landing_.data(), mine.size() * out);
      break;
    }
    case Collective::broadcast:
      if (!is_root(request)) copy_bytes(output_of(request) + range_.begin * out, landing_.data(), range_.size() * out);
      break;
    case Collective::barrier:
    case Collective::send_recv: break;
  }
  begin_round(request);
}

void Lane::end_reduction(const Request& request) {
  const bool scatters = request.collective == Collective::reduce_scatter;
  const layout::Interval kept = scatters ? send_.part(self(), range_) : range_;
  const std::size_t in = size_in(request), out = size_out(request), count = kept.size();
  const bool wanted = request.collective != Collective::reduce || is_root(request);
  std::byte* destination = wanted ? output_of(request) + kept.begin * out : nullptr;
  if (way_ == Way::native) {
    if (wanted) bring(request, count, destination);
    return begin_round(request);
  }
  if (way_ == Way::whole) {
    if (wanted) combine(request, exchanged_.data(), count * in, count, destination);
    return begin_round(request);
  }
  if (scatters) {
    combine(request, exchanged_.data(), count * in, count, destination);
    return begin_round(request);
  }
  const std::size_t mine = send_.size(self());
  combine(request, exchanged_.data(), mine * in, mine, combined_.reserve(mine * out));
  gathered_.cut(count, out);
  const std::size_t bytes = gathered_.message({0, count});
  phase_ = Phase::gathering;
  if (request.collective == Collective::reduce) {
    std::byte* landing = wanted ? landing_.reserve(bytes) : nullptr;
    return begun(calls().igatherv(combined_.data(), static_cast<int>(mine * out), landing, gathered_.counts(),
                                  gathered_.places(), request.root, communicator_, &request_));
  }
  begun(calls().iallgatherv(combined_.data(), static_cast<int>(mine * out), landing_.reserve(bytes), gathered_.counts(),
                            gathered_.places(), communicator_, &request_));
}

void Lane::end_gathering(const Request& request) {
  const std::size_t out = size_out(request);
  if (request.collective != Collective::reduce || is_root(request))
    copy_bytes(output_of(request) + range_.begin * out, landing_.data(), range_.size() * out);
  begin_round(request);
}

/// destination = the contributions, `stride` bytes apart, in the canonical brackets.
void Lane::combine(const Request& request, const std::byte* contributions, std::size_t stride, std::size_t count,
                   std::byte* destination) {
  if (count == 0) return;
  const kernels::FloatEnvironment environment;
  for (std::size_t r = 0; r < ranks(); ++r) sources_[r] = {contributions + r * stride, request.input.dtype};
  const bool averages = request.op.kind == ReduceKind::average;
  kernels::reduce({.kind = averages ? ReduceKind::sum : request.op.kind,
                   .accumulator = accumulator_of(request.output.dtype),
                   .destination = destination,
                   .output = request.output.dtype,
                   .count = count,
                   .sources = sources_,
                   .program = surroundings_.programs.of(request.leaves),
                   .divisor = comm::divisor_of(request)});
}

/// The result of a native reduction goes to `destination`; an average is divided on the way.
void Lane::bring(const Request& request, std::size_t count, std::byte* destination) {
  const double divisor = comm::divisor_of(request);
  if (divisor == 1.0) return copy_bytes(destination, landing_.data(), count * size_out(request));
  const kernels::FloatEnvironment environment;
  const std::array<kernels::ReduceSource, 1> source{{{landing_.data(), request.output.dtype}}};
  static constexpr std::array<std::int16_t, 1> itself{0};
  kernels::reduce({.kind = ReduceKind::sum,
                   .accumulator = request.output.dtype,
                   .destination = destination,
                   .output = request.output.dtype,
                   .count = count,
                   .sources = source,
                   .program = itself,
                   .divisor = divisor});
}

bool Lane::finish() noexcept {
  const bool ended_well = phase_ == Phase::done;
  phase_ = Phase::fresh;
  closed_since_.reset();
  looks_ = 0;
  if (pending_) {  // MPI may still write there
    for (Memory* memory : {&ballots_, &packed_, &exchanged_, &combined_, &landing_}) memory->leave_behind();
    pending_ = false;
  }
  return ended_well;
}

}  // namespace trireme::engines::mpi
