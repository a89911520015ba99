// SPDX-License-Identifier: Apache-2.0
#include "trireme/comm/communicator.hpp"

#include "comm/group.hpp"
#include "comm/requests.hpp"
#include "comm/validate.hpp"
#include "comm/world_context.hpp"

#include <string>

namespace trireme {
namespace {

using comm::Request;
using comm::Requests;

Requests requests_of(const comm::Group& group) {
  return {group.size(), group.rank(), nanoseconds_to_wait(group.context()->options().timeout)};
}

}  // namespace

int Communicator::rank() const { return group_->rank(); }
int Communicator::size() const { return group_->size(); }
MemberId Communicator::member(int rank) const {
  if (rank < 0 || rank >= size())
    fail(ErrorCode::invalid_argument, "member: " + std::to_string(rank) + " is not a rank of this communicator");
  return static_cast<MemberId>(group_->members()[static_cast<std::size_t>(rank)]);
}
Location Communicator::location(int rank) const {
  const auto world_rank = static_cast<std::size_t>(member(rank));
  const auto& options = group_->context()->options();
  const auto number = [&](const std::vector<int>& of) { return world_rank < of.size() ? of[world_rank] : -1; };
  return {number(options.host_of), number(options.cache_groups.domain_of)};
}
Memory Communicator::memory() const { return Memory(group_->context()->arena()); }
std::optional<Device> Communicator::device() const { return group_->device(); }
std::shared_ptr<device::Runtime> Communicator::device_runtime() const {
  return device() ? group_->context()->options().devices.runtime : nullptr;
}
void Communicator::progress() { group_->context()->progress_once(); }
void Communicator::abort(const Error& cause) noexcept { group_->context()->abort(cause); }
std::uint64_t Communicator::payload_bytes_sent() const {
  const auto& context = group_->context();
  context->lock();  // the progress thread counts
  const auto bytes = context->endpoint().payload_bytes_sent();
  context->unlock();
  return bytes;
}

Work Communicator::start(const Request& request) {
  comm::validate(request, rank(), group_->device());
  comm::Operation& operation = group_->issue(request);
  group_->context()->leave_unattended();
  return Work(&operation);
}

void Communicator::run(const Request& request) {
  comm::validate(request, rank(), group_->device());
  group_->run(request);
}

void Communicator::all_reduce(ConstTensorView input, TensorView output, ReduceOp op, const CallOptions& options) {
  run(requests_of(*group_).all_reduce(input, output, op, options));
}
Work Communicator::all_reduce_async(ConstTensorView input, TensorView output, ReduceOp op, const CallOptions& options) {
  return start(requests_of(*group_).all_reduce(input, output, op, options));
}
void Communicator::reduce_scatter(ConstTensorView input, TensorView output, ReduceOp op, const CallOptions& options) {
  run(requests_of(*group_).reduce_scatter(input, output, op, options));
}
Work Communicator::reduce_scatter_async(ConstTensorView input, TensorView output, ReduceOp op,
                                        const CallOptions& options) {
  return start(requests_of(*group_).reduce_scatter(input, output, op, options));
}
void Communicator::reduce_scatter(ConstTensorView input, TensorView output, std::span<const std::size_t> counts,
                                  ReduceOp op, const CallOptions& options) {
  run(Requests::uneven(requests_of(*group_).reduce_scatter(input, output, op, options), counts, counts));
}
Work Communicator::reduce_scatter_async(ConstTensorView input, TensorView output, std::span<const std::size_t> counts,
                                        ReduceOp op, const CallOptions& options) {
  return start(Requests::uneven(requests_of(*group_).reduce_scatter(input, output, op, options), counts, counts));
}
void Communicator::reduce(ConstTensorView input, TensorView output, int root, ReduceOp op, const CallOptions& options) {
  run(requests_of(*group_).reduce(input, output, root, op, options));
}
Work Communicator::reduce_async(ConstTensorView input, TensorView output, int root, ReduceOp op,
                                const CallOptions& options) {
  return start(requests_of(*group_).reduce(input, output, root, op, options));
}
void Communicator::all_gather(ConstTensorView input, TensorView output, const CallOptions& options) {
  run(requests_of(*group_).all_gather(input, output, options));
}
Work Communicator::all_gather_async(ConstTensorView input, TensorView output, const CallOptions& options) {
  return start(requests_of(*group_).all_gather(input, output, options));
}
void Communicator::all_gather(ConstTensorView input, TensorView output, std::span<const std::size_t> counts,
                              const CallOptions& options) {
  run(Requests::uneven(requests_of(*group_).all_gather(input, output, options), counts, counts));
}
Work Communicator::all_gather_async(ConstTensorView input, TensorView output, std::span<const std::size_t> counts,
                                    const CallOptions& options) {
  return start(Requests::uneven(requests_of(*group_).all_gather(input, output, options), counts, counts));
}
void Communicator::gather(ConstTensorView input, TensorView output, int root, const CallOptions& options) {
  run(requests_of(*group_).gather(input, output, root, options));
}
Work Communicator::gather_async(ConstTensorView input, TensorView output, int root, const CallOptions& options) {
  return start(requests_of(*group_).gather(input, output, root, options));
}
void Communicator::gather(ConstTensorView input, TensorView output, std::span<const std::size_t> counts, int root,
                          const CallOptions& options) {
  run(Requests::uneven(requests_of(*group_).gather(input, output, root, options), counts, counts));
}
Work Communicator::gather_async(ConstTensorView input, TensorView output, std::span<const std::size_t> counts, int root,
                                const CallOptions& options) {
  return start(Requests::uneven(requests_of(*group_).gather(input, output, root, options), counts, counts));
}
void Communicator::scatter(ConstTensorView input, TensorView output, int root, const CallOptions& options) {
  run(requests_of(*group_).scatter(input, output, root, options));
}
Work Communicator::scatter_async(ConstTensorView input, TensorView output, int root, const CallOptions& options) {
  return start(requests_of(*group_).scatter(input, output, root, options));
}
void Communicator::scatter(ConstTensorView input, TensorView output, std::span<const std::size_t> counts, int root,
                           const CallOptions& options) {
  run(Requests::uneven(requests_of(*group_).scatter(input, output, root, options), counts, counts));
}
Work Communicator::scatter_async(ConstTensorView input, TensorView output, std::span<const std::size_t> counts,
                                 int root, const CallOptions& options) {
  return start(Requests::uneven(requests_of(*group_).scatter(input, output, root, options), counts, counts));
}
void Communicator::all_to_all(ConstTensorView input, TensorView output, const CallOptions& options) {
  run(requests_of(*group_).all_to_all(input, output, options));
}
Work Communicator::all_to_all_async(ConstTensorView input, TensorView output, const CallOptions& options) {
  return start(requests_of(*group_).all_to_all(input, output, options));
}
void Communicator::all_to_all(ConstTensorView input, std::span<const std::size_t> send_counts, TensorView output,
                              std::span<const std::size_t> receive_counts, const CallOptions& options) {
  run(Requests::uneven(requests_of(*group_).all_to_all(input, output, options), send_counts, receive_counts));
}
Work Communicator::all_to_all_async(ConstTensorView input, std::span<const std::size_t> send_counts, TensorView output,
                                    std::span<const std::size_t> receive_counts, const CallOptions& options) {
  return start(Requests::uneven(requests_of(*group_).all_to_all(input, output, options), send_counts, receive_counts));
}
void Communicator::broadcast(TensorView data, int root, const CallOptions& options) {
  run(requests_of(*group_).broadcast(data, root, options));
}
Work Communicator::broadcast_async(TensorView data, int root, const CallOptions& options) {
  return start(requests_of(*group_).broadcast(data, root, options));
}
void Communicator::all_reduce_group(std::span<const TensorView> tensors, ReduceOp op, const CallOptions& options) {
  run(requests_of(*group_).all_reduce_group(tensors, op, options));
}
Work Communicator::all_reduce_group_async(std::span<const TensorView> tensors, ReduceOp op,
                                          const CallOptions& options) {
  return start(requests_of(*group_).all_reduce_group(tensors, op, options));
}
void Communicator::broadcast_group(std::span<const TensorView> tensors, int root, const CallOptions& options) {
  run(requests_of(*group_).broadcast_group(tensors, root, options));
}
Work Communicator::broadcast_group_async(std::span<const TensorView> tensors, int root, const CallOptions& options) {
  return start(requests_of(*group_).broadcast_group(tensors, root, options));
}
void Communicator::barrier(const CallOptions& options) { run(requests_of(*group_).barrier(options)); }
Work Communicator::barrier_async(const CallOptions& options) { return start(requests_of(*group_).barrier(options)); }
void Communicator::send(ConstTensorView data, int peer, const CallOptions& options) {
  run(requests_of(*group_).send(data, peer, options));
}
Work Communicator::send_async(ConstTensorView data, int peer, const CallOptions& options) {
  return start(requests_of(*group_).send(data, peer, options));
}
void Communicator::recv(TensorView data, int peer, const CallOptions& options) {
  run(requests_of(*group_).recv(data, peer, options));
}
Work Communicator::recv_async(TensorView data, int peer, const CallOptions& options) {
  return start(requests_of(*group_).recv(data, peer, options));
}

Explanation Communicator::explain(std::size_t count, DType dtype, const CallOptions& options) const {
  const TensorView data(nullptr, count, dtype, options.stream.device);
  const bool on_device = options.stream.device.kind != DeviceKind::cpu;
  if (on_device && group_->device_engine() == nullptr)
    fail(ErrorCode::unsupported, "explain: a stream of a device, but this world has none (TRIREME_DEVICE=cuda)");
  const comm::Engine& engine = on_device ? *group_->device_engine() : group_->engine();
  Explanation explanation = engine.explain(requests_of(*group_).all_reduce(data, data, sum, options));
  explanation.engine = engine.capabilities().name;
  return explanation;
}

Explanation Communicator::explain(plan::Collective collective, std::size_t count, DType dtype,
                                  const CallOptions& options) const {
  const std::size_t share = count / static_cast<std::size_t>(size());
  const bool gives_share = collective == plan::Collective::all_gather || collective == plan::Collective::gather;
  const bool gets_share = collective == plan::Collective::reduce_scatter || collective == plan::Collective::scatter;
  Request request =
      requests_of(*group_).all_reduce(TensorView(nullptr, gives_share ? share : count, dtype),
                                      TensorView(nullptr, gets_share ? share : count, dtype), sum, options);
  request.collective = collective;
  return group_->engine().explain(request);
}

std::string Communicator::flight_recorder_json() const {
  return "{\"rank\": " + std::to_string(group_->context()->options().rank) +
         ", \"communicator\": " + std::to_string(group_->id()) +
         ", \"operations\": " + group_->recorder().to_json(group_->context()->tick_scale().read()) + "}";
}

}  // namespace trireme
