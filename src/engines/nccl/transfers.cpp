// SPDX-License-Identifier: Apache-2.0
#include "engines/nccl/transfers.hpp"

#include "comm/message_space.hpp"

#include <algorithm>

namespace trireme::engines::nccl {

using comm::Operation;
using transport::RequestState;

namespace {

// What the words between the two mean, and by whom: sends and receives of one number are told apart.
constexpr std::uint32_t called = 0;
constexpr std::uint32_t offers = 2;
constexpr std::uint32_t takes = 4;

}  // namespace

transport::MessageKey Transfers::key_of(const Operation& operation, std::uint32_t word, bool from_sender) const {
  return {comm::transfer_space(surroundings_.room.id), Handshake::index + word + (from_sender ? 0 : 1),
          operation.sequence};
}

void Transfers::start(Operation& operation, OperationState& state) {
  const auto& room = surroundings_.room;
  const int peer = room.members[static_cast<std::size_t>(operation.request.root)];
  const bool sends = operation.request.outgoing;
  state.answer = {.peer = peer, .key = key_of(operation, called, !sends), .stamp = operation.stamp};
  state.word = {.peer = peer, .key = key_of(operation, called, sends), .stamp = operation.stamp};
  state.offered = false;
  waiting_.push_back(&operation);
  room.endpoint.receive(state.answer);
  room.endpoint.send(state.word);
}

bool Transfers::advance() {
  bool moved = false;
  for (std::size_t i = 0; i < waiting_.size();) {
    Operation& operation = *waiting_[i];
    OperationState& state = state_of(operation);
    giving_ = &operation;
    const bool sends = operation.request.outgoing;
    const auto& room = surroundings_.room;
    if (state.stage == OperationState::Stage::begun) {  // NCCL has not taken it yet
      if (!clique_.settled()) {
        ++i;
        continue;
      }
      state.behind.record(stream_);
      state.stage = OperationState::Stage::launched;
      engaged_ = nullptr;
      waiting_.erase(waiting_.begin() + static_cast<std::ptrdiff_t>(i));
      moved = true;
      i = 0;  // others may have waited for this
      continue;
    }
    const bool met = state.answer.state == RequestState::done && state.word.state == RequestState::done;
    if (met && !state.heard) {
      // The lower rank listens for the offer, which comes when the higher is free.
      state.heard = moved = true;
      if (!is_higher(operation)) {
        state.answer.key = key_of(operation, offers, !sends);
        room.endpoint.receive(state.answer);
      }
    } else if (state.heard && !state.offered && is_higher(operation) && engaged_ == nullptr) {
      engaged_ = &operation;
      state.offered = moved = true;
      state.answer.key = key_of(operation, takes, !sends);
      state.word.key = key_of(operation, offers, sends);
      room.endpoint.receive(state.answer);
      room.endpoint.send(state.word);
    } else if (met && state.offered && engaged_ == &operation) {  // taken
      moved = true;
      give(operation, state);
      continue;  // looked at once more
    } else if (met && state.heard && !is_higher(operation) && engaged_ == nullptr) {
      engaged_ = &operation;
      moved = true;
      state.word.key = key_of(operation, takes, sends);
      room.endpoint.send(state.word);
      give(operation, state);
      continue;
    }
    ++i;
  }
  giving_ = nullptr;
  return moved;
}

void Transfers::give(Operation& operation, OperationState& state) {
  const comm::Request& request = operation.request;
  const api::Calls& calls = clique_.calls();
  state.stage = OperationState::Stage::begun;  // also where the call fails: nobody knows what of it is on the device
  if (state.ordered) state.before.hold(stream_);
  CallGroup group(clique_);
  if (request.outgoing && request.input.count != 0) {
    clique_.check(calls.send(request.input.data, request.input.size_bytes(), api::int8, request.root, clique_.get(),
                             stream_.pointer),
                  "ncclSend");
  } else if (!request.outgoing && request.output.count != 0) {
    clique_.check(calls.recv(request.output.data, request.output.size_bytes(), api::int8, request.root, clique_.get(),
                             stream_.pointer),
                  "ncclRecv");
  }
  group.end();
}

void Transfers::forget(Operation& operation) noexcept {
  std::erase(waiting_, &operation);
  if (engaged_ == &operation) engaged_ = nullptr;
}

}  // namespace trireme::engines::nccl
