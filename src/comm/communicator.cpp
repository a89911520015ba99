// SPDX-License-Identifier: Apache-2.0
#include "trireme/comm/communicator.hpp"

#include "comm/group.hpp"
#include "comm/message_space.hpp"
#include "comm/validate.hpp"
#include "comm/world_context.hpp"

#include <algorithm>
#include <array>
#include <tuple>
#include <vector>

namespace trireme {
namespace {

using comm::Request;
using plan::Collective;

Request make_request(Collective collective, const comm::Group& group, const CallOptions& options) {
  Request request;
  request.collective = collective;
  request.order = options.order;
  request.leaves = options.leaves != 0 ? options.leaves : group.size();
  request.stream = options.stream;
  request.timeout = nanoseconds_to_wait(options.deadline.value_or(group.context()->options().timeout));
  std::copy_n(options.label.begin(), std::min(options.label.size(), request.label.size() - 1), request.label.begin());
  return request;
}

}  // namespace

int Communicator::rank() const { return group_->rank(); }
int Communicator::size() const { return group_->size(); }
MemberId Communicator::member(int rank) const {
  if (rank < 0 || rank >= size())
    fail(ErrorCode::invalid_argument, "member: " + std::to_string(rank) + " is not a rank of this communicator");
  return static_cast<MemberId>(group_->members()[static_cast<std::size_t>(rank)]);
}
Memory Communicator::memory() const { return Memory(group_->context()->arena()); }
void Communicator::progress() { group_->context()->progress_once(); }
std::uint64_t Communicator::payload_bytes_sent() const {
  const auto& context = group_->context();
  context->lock();  // the progress thread counts
  const auto bytes = context->endpoint().payload_bytes_sent();
  context->unlock();
  return bytes;
}

Work Communicator::start(const Request& request) {
  comm::validate(request, size(), rank());
  comm::Operation& operation = group_->issue(request);
  group_->context()->leave_unattended();
  return Work(&operation);
}

void Communicator::run(const Request& request) {
  comm::validate(request, size(), rank());
  comm::Operation& operation = group_->issue(request);
  operation.drive(Deadline::never());  // bounded by the operation's own deadline
  if (!operation.failure) {
    operation.release();
    return;
  }
  Error failure = operation.failure;
  operation.release();
  throw Exception(std::move(failure));
}

// One description per operation; blocking and asynchronous calls differ only in how they wait.
namespace {

Request all_reduce_request(const comm::Group& group, ConstTensorView input, TensorView output, ReduceOp op,
                           const CallOptions& options) {
  Request request = make_request(Collective::all_reduce, group, options);
  request.input = input;
  request.output = output;
  request.op = op;
  return request;
}

Request reduce_scatter_request(const comm::Group& group, ConstTensorView input, TensorView output, ReduceOp op,
                               const CallOptions& options) {
  Request request = make_request(Collective::reduce_scatter, group, options);
  request.input = input;
  request.output = output;
  request.op = op;
  return request;
}

Request all_gather_request(const comm::Group& group, ConstTensorView input, TensorView output,
                           const CallOptions& options) {
  Request request = make_request(Collective::all_gather, group, options);
  request.input = input;
  request.output = output;
  return request;
}

Request broadcast_request(const comm::Group& group, TensorView data, int root, const CallOptions& options) {
  Request request = make_request(Collective::broadcast, group, options);
  request.input = data;
  request.output = data;
  request.root = root;
  return request;
}

Request transfer_request(const comm::Group& group, ConstTensorView input, TensorView output, bool outgoing, int peer,
                         const CallOptions& options) {
  Request request = make_request(Collective::send_recv, group, options);
  request.input = input;
  request.output = output;
  request.outgoing = outgoing;
  request.root = peer;
  if (peer == group.rank())
    fail(ErrorCode::invalid_argument, "send_recv: peer " + std::to_string(peer) + " is this rank itself");
  return request;
}

}  // namespace

void Communicator::all_reduce(ConstTensorView input, TensorView output, ReduceOp op, const CallOptions& options) {
  run(all_reduce_request(*group_, input, output, op, options));
}
Work Communicator::all_reduce_async(ConstTensorView input, TensorView output, ReduceOp op, const CallOptions& options) {
  return start(all_reduce_request(*group_, input, output, op, options));
}
void Communicator::reduce_scatter(ConstTensorView input, TensorView output, ReduceOp op, const CallOptions& options) {
  run(reduce_scatter_request(*group_, input, output, op, options));
}
Work Communicator::reduce_scatter_async(ConstTensorView input, TensorView output, ReduceOp op,
                                        const CallOptions& options) {
  return start(reduce_scatter_request(*group_, input, output, op, options));
}
void Communicator::all_gather(ConstTensorView input, TensorView output, const CallOptions& options) {
  run(all_gather_request(*group_, input, output, options));
}
Work Communicator::all_gather_async(ConstTensorView input, TensorView output, const CallOptions& options) {
  return start(all_gather_request(*group_, input, output, options));
}
void Communicator::broadcast(TensorView data, int root, const CallOptions& options) {
  run(broadcast_request(*group_, data, root, options));
}
Work Communicator::broadcast_async(TensorView data, int root, const CallOptions& options) {
  return start(broadcast_request(*group_, data, root, options));
}
void Communicator::barrier(const CallOptions& options) { run(make_request(Collective::barrier, *group_, options)); }
Work Communicator::barrier_async(const CallOptions& options) {
  return start(make_request(Collective::barrier, *group_, options));
}
void Communicator::send(ConstTensorView data, int peer, const CallOptions& options) {
  run(transfer_request(*group_, data, {}, true, peer, options));
}
Work Communicator::send_async(ConstTensorView data, int peer, const CallOptions& options) {
  return start(transfer_request(*group_, data, {}, true, peer, options));
}
void Communicator::recv(TensorView data, int peer, const CallOptions& options) {
  run(transfer_request(*group_, {}, data, false, peer, options));
}
Work Communicator::recv_async(TensorView data, int peer, const CallOptions& options) {
  return start(transfer_request(*group_, {}, data, false, peer, options));
}

std::optional<Communicator> Communicator::split(int color, int key) {
  const auto& context = group_->context();
  context->lock();
  const std::int64_t proposed_id = context->reserve_communicator_id();
  context->unlock();
  const std::array<std::int64_t, 3> mine{color, key, proposed_id};
  std::vector<std::int64_t> all(3 * static_cast<std::size_t>(size()));
  all_gather(std::span<const std::int64_t>(mine), std::span<std::int64_t>(all), {.label = "split"});

  struct Entry {
    std::int64_t key;
    int rank;
  };
  std::vector<Entry> chosen;
  std::int64_t id = 0;
  for (int r = 0; r < size(); ++r) {
    const auto* entry = all.data() + 3 * static_cast<std::size_t>(r);
    if (entry[2] >= static_cast<std::int64_t>(comm::transfer_bit)) {  // found on every rank alike
      fail(ErrorCode::unsupported,
           "split: this world has no communicator ids left; keep communicators and use them again");
    }
    if (entry[0] != color) continue;
    // The id that the first of these ranks has reserved for this split and for nothing else: whatever other splits are
    // under way, on whatever communicators and in whatever order, none takes the same.
    if (chosen.empty()) id = entry[2];
    chosen.push_back({entry[1], r});
  }
  if (color < 0) return std::nullopt;
  std::sort(chosen.begin(), chosen.end(),
            [](const Entry& a, const Entry& b) { return std::tie(a.key, a.rank) < std::tie(b.key, b.rank); });
  std::vector<int> members;
  int own = 0;
  for (std::size_t i = 0; i < chosen.size(); ++i) {
    if (chosen[i].rank == rank()) own = static_cast<int>(i);
    members.push_back(group_->members()[static_cast<std::size_t>(chosen[i].rank)]);
  }
  context->lock();
  std::unique_ptr<comm::Engine> engine;
  try {
    engine = group_->engine().split(static_cast<std::uint32_t>(id), members, own);
  } catch (...) {
    context->unlock();
    throw;
  }
  context->unlock();
  return Communicator(std::make_shared<comm::Group>(context, static_cast<std::uint32_t>(id), std::move(members), own,
                                                    std::move(engine)));
}

Explanation Communicator::explain(std::size_t count, DType dtype, const CallOptions& options) const {
  Request request = make_request(Collective::all_reduce, *group_, options);
  request.input = ConstTensorView(nullptr, count, dtype);
  request.output = TensorView(nullptr, count, dtype);
  return group_->engine().explain(request);
}

std::string Communicator::flight_recorder_json() const {
  return "{\"rank\": " + std::to_string(group_->context()->options().rank) +
         ", \"communicator\": " + std::to_string(group_->id()) + ", \"operations\": " + group_->recorder().to_json() +
         "}";
}

}  // namespace trireme
