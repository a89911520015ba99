// SPDX-License-Identifier: Apache-2.0
#include "support/fake_nccl/fake_clique.hpp"

#include <algorithm>
#include <cstring>

namespace trireme::testing {

void FakeClique::join() {
  const std::lock_guard lock(mutex_);
  ++joined_;
}

bool FakeClique::complete() {
  const std::lock_guard lock(mutex_);
  return joined_ == ranks_;
}

void FakeClique::abort(int rank) {
  const std::lock_guard lock(mutex_);
  aborted_[static_cast<std::size_t>(rank)] = 1;
  changed_.notify_all();
}

bool FakeClique::run_collective(std::unique_lock<std::mutex>& lock, int rank, const FakeCall& call) {
  const std::uint64_t number = seen_[static_cast<std::size_t>(rank)]++;
  Round& round = rounds_[number];
  round.calls.resize(static_cast<std::size_t>(ranks_));
  round.calls[static_cast<std::size_t>(rank)] = &call;
  bool fits = true;
  if (++round.arrived == ranks_ && !round.broken) {
    for (const FakeCall* each : round.calls) {
      fits = fits && each->kind == call.kind && each->count == call.count && each->type == call.type &&
             (each->op == call.op || (each->op >= 5 && call.op >= 5)) && each->peer == call.peer;
    }
    if (fits) fake_move(round.calls);
    round.done = fits;
    round.broken = !fits;  // as the real one: nobody gets anywhere
    changed_.notify_all();
  }
  changed_.wait(lock, [&] { return round.done || is_aborted(rank); });
  if (!round.done) round.broken = true;
  if (++round.left == ranks_) rounds_.erase(number);
  return fits;
}

bool FakeClique::run(int rank, const std::vector<FakeCall>& calls) {
  std::unique_lock lock(mutex_);
  if (std::any_of(calls.begin(), calls.end(), [](const FakeCall& call) { return call.hangs; }))
    changed_.wait(lock, [&] { return is_aborted(rank); });
  if (is_aborted(rank)) return true;
  bool fits = true;
  std::deque<Posted> sends;
  for (const FakeCall& call : calls) {
    if (call.kind == FakeCall::Kind::send) {
      sends.push_back({&call});
      posted_[{rank, call.peer}].push_back(&sends.back());
      changed_.notify_all();
    } else if (call.kind != FakeCall::Kind::recv) {
      fits = run_collective(lock, rank, call) && fits;
    }
  }
  for (const FakeCall& call : calls) {
    if (call.kind != FakeCall::Kind::recv) continue;
    auto& queue = posted_[{call.peer, rank}];
    changed_.wait(lock, [&] { return !queue.empty() || is_aborted(rank); });
    if (is_aborted(rank)) break;
    Posted& send = *queue.front();
    queue.pop_front();
    const std::size_t bytes = call.count * fake_size_of(call.type);
    const std::size_t theirs = send.call->count * fake_size_of(send.call->type);
    fits = fits && bytes == theirs;
    std::memcpy(call.output, send.call->input, std::min(bytes, theirs));
    send.done = true;
    changed_.notify_all();
  }
  const auto is_done = [](const Posted& send) { return send.done; };
  changed_.wait(lock, [&] { return std::all_of(sends.begin(), sends.end(), is_done) || is_aborted(rank); });
  for (Posted& send : sends) {
    if (!send.done) std::erase(posted_[{rank, send.call->peer}], &send);
  }
  return fits;
}

}  // namespace trireme::testing
