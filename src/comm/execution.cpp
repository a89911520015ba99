// SPDX-License-Identifier: Apache-2.0
#include "comm/execution.hpp"

#include "comm/signature.hpp"
#include "kernels/float_environment.hpp"

#include <array>
#include <cstring>
#include <memory>
#include <new>
#include <utility>

namespace trireme::comm {

using plan::Role;
using plan::Space;
using plan::StepKind;
using transport::RequestState;

namespace {

constexpr std::size_t align(std::size_t bytes) { return (bytes + 127) / 128 * 128; }
constexpr std::array<std::int16_t, 3> left_then_right{0, 1, -1};
constexpr std::array<std::int16_t, 1> alone{0};

DType role_dtype(const Request& request, Role role) {
  switch (role) {
    case Role::input: return request.input.dtype;
    case Role::partial: return accumulator_of(request.output.dtype);
    case Role::output: return request.output.dtype;
  }
  return request.output.dtype;
}

/// The elements of `range` in the caller's input or output; scratch is cut as the input is.
layout::Interval whole_range(const ExecutablePlan& plan, const Request& request, Space space, plan::BlockRange range) {
  if (!request.uneven) return plan::elements_of(range, request.logical_count(), plan.plan.blocks);
  const auto edges = space == Space::output ? request.output_blocks : request.input_blocks;
  return {edges[static_cast<std::size_t>(range.first)], edges[static_cast<std::size_t>(range.first + range.count)]};
}

std::size_t slot_bytes(const ExecutablePlan& plan, const plan::ScratchSlot& slot, const Request& request) {
  return align(whole_range(plan, request, Space::scratch, slot.blocks).size() *
               size_of(role_dtype(request, slot.role)));
}

/// The memory whose blocks a step names: the two ends of an uneven all_to_all's message name different ones.
Space space_of(const plan::Step& step) {
  const bool reads = step.kind == StepKind::send || step.kind == StepKind::copy;
  return (reads ? step.source : step.destination).space;
}

/// Whether messages without elements travel all the same: a barrier's are all there is, and those of an uneven all_to_all
/// tell the other side that it is right to expect nothing.
bool sends_empty(const Request& request) {
  return request.collective == plan::Collective::barrier ||
         (request.uneven && request.collective == plan::Collective::all_to_all);
}

}  // namespace

std::size_t Execution::scratch_bytes(const ExecutablePlan& plan, const Request& request) {
  std::size_t bytes = 0;
  for (const auto& slot : plan.slots) bytes += slot_bytes(plan, slot, request);
  return bytes;
}

std::size_t Execution::instance_bytes(const ExecutablePlan& plan, int segments) {
  const std::size_t count = plan.plan.mine.steps.size() * static_cast<std::size_t>(segments);
  return align(count * sizeof(Instance)) + 2 * align(count * sizeof(std::uint32_t));
}

void Execution::start(const Setup& setup, transport::Endpoint& endpoint, ScratchPool& pool) {
  const auto& plan = *setup.plan;
  scratch_ = pool.acquire(scratch_bytes(plan, setup.request));
  try {
    instance_memory_ = pool.acquire(instance_bytes(plan, setup.segments));
  } catch (...) {
    pool.release(std::exchange(scratch_, {}));
    throw;
  }
  setup_ = setup;
  failed_peer_ = -1;
  const std::size_t count = steps() * static_cast<std::size_t>(setup_.segments);
  std::byte* memory = instance_memory_.data();
  instances_ = {reinterpret_cast<Instance*>(memory), count};
  for (auto& instance : instances_) new (&instance) Instance;
  memory += align(count * sizeof(Instance));
  ready_ = {reinterpret_cast<std::uint32_t*>(memory), count};
  memory += align(count * sizeof(std::uint32_t));
  running_ = {reinterpret_cast<std::uint32_t*>(memory), count};
  ready_begin_ = ready_end_ = running_count_ = 0;
  left_ = count;

  slot_offset_.clear();
  std::size_t offset = 0;
  for (const auto& slot : plan.slots) {
    slot_offset_.push_back(offset);
    offset += slot_bytes(plan, slot, setup_.request);
  }
  for (std::size_t i = 0; i < count; ++i) {
    instances_[i].waits_for = plan.dependencies[i % steps()];
    instances_[i].readers_left = plan.readers[i % steps()];
    if (instances_[i].waits_for == 0) ready_[ready_end_++] = static_cast<std::uint32_t>(i);
  }
  run_ready(endpoint);
}

void Execution::finish(ScratchPool& pool) noexcept {
  pool.release(scratch_);
  pool.release(instance_memory_);
  scratch_ = instance_memory_ = {};
  instances_ = {};
  running_count_ = 0;
  setup_.plan = nullptr;
}

Progress Execution::poll(transport::Endpoint& endpoint) noexcept {
  if (failed_peer_ >= 0) return Progress::failed;
  bool moved = false;
  for (std::size_t i = 0; i < running_count_;) {
    const std::size_t index = running_[i];
    auto& instance = instances_[index];
    const bool sending = step(index).kind == StepKind::send;
    const RequestState state = sending ? instance.send.state : instance.receive.state;
    if (state == RequestState::pending) {
      ++i;
      continue;
    }
    if (state == RequestState::failed) {
      failed_peer_ = step(index).peer;
      return Progress::failed;
    }
    running_[i] = running_[--running_count_];
    moved = true;
    if (step(index).kind == StepKind::recv_reduce) fold_arrival(index, endpoint);
    complete(index);
  }
  run_ready(endpoint);
  if (failed_peer_ >= 0) return Progress::failed;
  return left_ == 0 ? Progress::done : moved ? Progress::advanced : Progress::idle;
}

void Execution::run_ready(transport::Endpoint& endpoint) noexcept {
  while (ready_begin_ < ready_end_ && failed_peer_ < 0) begin(ready_[ready_begin_++], endpoint);
}

void Execution::complete(std::size_t index) noexcept {
  instances_[index].complete = true;
  --left_;
  const auto& plan = *setup_.plan;
  const std::size_t own = index % steps();
  const std::size_t segment_begin = index - own;
  for (auto i = plan.dependent_begin[own]; i < plan.dependent_begin[own + 1]; ++i) {
    const std::size_t dependent = segment_begin + plan.dependents[i];
    if (--instances_[dependent].waits_for == 0) ready_[ready_end_++] = static_cast<std::uint32_t>(dependent);
  }
}

layout::Interval Execution::whole(Space space, plan::BlockRange blocks) const {
  return whole_range(*setup_.plan, setup_.request, space, blocks);
}

layout::Interval Execution::elements(Space space, plan::BlockRange blocks, std::size_t index) const {
  return layout::piece(whole(space, blocks), static_cast<std::size_t>(setup_.segments), index / steps());
}

DType Execution::dtype_of_role(Role role) const { return role_dtype(setup_.request, role); }

std::byte* Execution::slot_memory(std::size_t slot, plan::BlockRange blocks, DType dtype, std::size_t index) const {
  const auto& held = setup_.plan->slots[slot];
  const auto all = whole(Space::scratch, held.blocks);
  return scratch_.data() + slot_offset_[slot] +
         (elements(Space::scratch, blocks, index).begin - all.begin) * size_of(dtype);
}

Execution::Place Execution::place(const plan::Operand& operand, plan::BlockRange blocks, std::size_t index) const {
  const auto range = elements(operand.space, blocks, index);
  const DType dtype = dtype_of_role(operand.role);
  if (operand.space == Space::scratch) {
    return {slot_memory(static_cast<std::size_t>(operand.slot), blocks, dtype, index), range.size(), dtype};
  }
  const auto& mine = setup_.plan->plan.mine;
  const bool input = operand.space == Space::input;
  const auto held = whole(operand.space, input ? mine.input_blocks : mine.output_blocks);
  auto* base = input ? static_cast<std::byte*>(const_cast<void*>(setup_.request.input.data))
                     : static_cast<std::byte*>(setup_.request.output.data);
  return {base + (range.begin - held.begin) * size_of(dtype), range.size(), dtype};
}

void Execution::begin(std::size_t index, transport::Endpoint& endpoint) noexcept {
  const auto& what = step(index);
  auto& instance = instances_[index];
  const auto range = elements(space_of(what), what.blocks, index);
  const bool empty = range.size() == 0;
  const bool moves = what.kind != StepKind::copy && what.kind != StepKind::load_reduce;
  if (empty && !(moves && sends_empty(setup_.request))) {
    complete(index);
    return;
  }
  const std::size_t own = index % steps();
  const auto segment = static_cast<std::uint32_t>(index / steps());
  const transport::MessageKey key{setup_.communicator,
                                  setup_.plan->message[own] * static_cast<std::uint32_t>(setup_.segments) + segment,
                                  setup_.operation};
  switch (what.kind) {
    case StepKind::send: {
      const Place source = empty ? Place{nullptr, 0, DType::u8} : place(what.source, what.blocks, index);
      instance.send.peer = setup_.members[static_cast<std::size_t>(what.peer)];
      instance.send.key = key;
      instance.send.stamp = of_message(setup_.stamp, range.size());
      instance.send.data = source.memory;
      instance.send.bytes = source.count * size_of(source.dtype);
      endpoint.send(instance.send);
      if (instance.send.state == RequestState::done) {
        complete(index);
      } else {
        running_[running_count_++] = static_cast<std::uint32_t>(index);
      }
      return;
    }
    case StepKind::recv:
    case StepKind::recv_reduce: {
      const bool folding = what.kind == StepKind::recv_reduce;
      Place destination{nullptr, 0, DType::u8};
      if (!empty && folding) {
        const DType dtype = dtype_of_role(what.wire);
        destination = {slot_memory(setup_.plan->landing[own], what.blocks, dtype, index), range.size(), dtype};
      } else if (!empty) {
        destination = place(what.destination, what.blocks, index);
      }
      instance.receive.peer = setup_.members[static_cast<std::size_t>(what.peer)];
      instance.receive.key = key;
      instance.receive.stamp = of_message(setup_.stamp, range.size());
      instance.receive.destination = destination.memory;
      instance.receive.bytes = destination.count * size_of(destination.dtype);
      instance.receive.may_borrow = folding || setup_.plan->borrowable[own];
      endpoint.receive(instance.receive);
      running_[running_count_++] = static_cast<std::uint32_t>(index);
      return;
    }
    case StepKind::load_reduce: load_reduce(index, endpoint); break;
    case StepKind::copy: copy(index); break;
  }
  complete(index);
}

void Execution::combine(const Place& destination, std::span<const kernels::ReduceSource> sources,
                        std::span<const std::int16_t> program, bool finalize) const noexcept {
  const kernels::FloatEnvironment environment;
  const ReduceKind kind = setup_.request.op.kind;
  kernels::reduce({.kind = kind == ReduceKind::average ? ReduceKind::sum : kind,
                   .accumulator = accumulator_of(setup_.request.output.dtype),
                   .destination = destination.memory,
                   .output = destination.dtype,
                   .count = destination.count,
                   .sources = sources,
                   .program = program,
                   .divisor = finalize ? setup_.divisor : 1.0});
}

void Execution::load_reduce(std::size_t index, transport::Endpoint& endpoint) noexcept {
  const auto& what = step(index);
  const auto& received = setup_.plan->source_receive[index % steps()];
  const std::size_t segment_begin = index - index % steps();
  sources_.clear();
  for (std::size_t i = 0; i < what.sources.size(); ++i) {
    const Place source = place(what.sources[i], what.blocks, index);
    const std::byte* memory = source.memory;
    if (received[i] >= 0) {
      const auto& from = instances_[segment_begin + static_cast<std::size_t>(received[i])].receive;
      if (from.borrowed != nullptr) memory = from.borrowed;
    }
    sources_.push_back({memory, source.dtype});
  }
  combine(place(what.destination, what.blocks, index), sources_, what.program, what.finalize);
  for (const auto from : received) {
    if (from < 0) continue;
    auto& instance = instances_[segment_begin + static_cast<std::size_t>(from)];
    if (--instance.readers_left == 0 && instance.receive.borrowed != nullptr) endpoint.give_back(instance.receive);
  }
}

void Execution::fold_arrival(std::size_t index, transport::Endpoint& endpoint) noexcept {
  const auto& what = step(index);
  auto& receive = instances_[index].receive;
  const Place destination = place(what.destination, what.blocks, index);
  // A finalizing step turns the partial sum in scratch into the result elsewhere only through load_reduce; here the
  // destination already has the dtype it keeps.
  const std::array<kernels::ReduceSource, 2> sources{
      kernels::ReduceSource{destination.memory, destination.dtype},
      kernels::ReduceSource{receive.borrowed != nullptr ? receive.borrowed : receive.destination,
                            dtype_of_role(what.wire)}};
  combine(destination, sources, left_then_right, what.finalize);
  if (receive.borrowed != nullptr) endpoint.give_back(receive);
}

void Execution::copy(std::size_t index) noexcept {
  const auto& what = step(index);
  const Place source = place(what.source, what.blocks, index);
  const Place destination = place(what.destination, what.blocks, index);
  const bool plain = source.dtype == destination.dtype && (!what.finalize || setup_.divisor == 1.0);
  if (plain) {
    if (source.memory != destination.memory) {
      std::memmove(destination.memory, source.memory, destination.count * size_of(destination.dtype));
    }
    return;
  }
  const std::array<kernels::ReduceSource, 1> sources{kernels::ReduceSource{source.memory, source.dtype}};
  combine(destination, sources, alone, what.finalize);
}

void Execution::missing(std::vector<int>& ranks) const {
  for (std::size_t i = 0; i < running_count_; ++i) {
    const int peer = step(running_[i]).peer;
    bool known = false;
    for (int rank : ranks) known |= rank == peer;
    if (!known) ranks.push_back(peer);
  }
}

bool Execution::sends_to(int peer) const {
  const auto& all = setup_.plan->plan.mine.steps;
  for (const auto& each : all) {
    if (each.kind == StepKind::send && each.peer == peer &&
        (sends_empty(setup_.request) || whole(space_of(each), each.blocks).size() != 0)) {
      return true;
    }
  }
  return false;
}

}  // namespace trireme::comm
