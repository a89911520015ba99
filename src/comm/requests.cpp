// SPDX-License-Identifier: Apache-2.0
#include "comm/requests.hpp"

#include "trireme/base/deadline.hpp"

#include <algorithm>

namespace trireme::comm {

using plan::Collective;

Request Requests::make(Collective collective, const CallOptions& options) const {
  Request request;
  request.collective = collective;
  request.ranks = ranks_;
  request.order = options.order;
  request.leaves = options.leaves != 0 ? options.leaves : ranks_;
  request.stream = options.stream;
  request.timeout = options.deadline ? nanoseconds_to_wait(*options.deadline) : timeout_;
  std::copy_n(options.label.begin(), std::min(options.label.size(), request.label.size() - 1), request.label.begin());
  return request;
}

Request Requests::all_reduce(ConstTensorView input, TensorView output, ReduceOp op, const CallOptions& options) const {
  Request request = make(Collective::all_reduce, options);
  request.input = input;
  request.output = output;
  request.op = op;
  return request;
}

Request Requests::reduce_scatter(ConstTensorView input, TensorView output, ReduceOp op,
                                 const CallOptions& options) const {
  Request request = make(Collective::reduce_scatter, options);
  request.input = input;
  request.output = output;
  request.op = op;
  return request;
}

Request Requests::reduce(ConstTensorView input, TensorView output, int root, ReduceOp op,
                         const CallOptions& options) const {
  Request request = make(Collective::reduce, options);
  request.input = input;
  request.output = output;
  request.op = op;
  request.root = root;
  if (rank_ != root) {
    // Not looked at, but for the type of the result; nobody need name that where it is the input's.
    const DType dtype = output.count == 0 && accumulator_of(output.dtype) != input.dtype ? input.dtype : output.dtype;
    request.output = {nullptr, 0, dtype};
  }
  return request;
}

Request Requests::all_gather(ConstTensorView input, TensorView output, const CallOptions& options) const {
  Request request = make(Collective::all_gather, options);
  request.input = input;
  request.output = output;
  return request;
}

Request Requests::gather(ConstTensorView input, TensorView output, int root, const CallOptions& options) const {
  Request request = make(Collective::gather, options);
  request.input = input;
  request.output = rank_ == root ? output : TensorView(nullptr, 0, input.dtype);
  request.root = root;
  return request;
}

Request Requests::scatter(ConstTensorView input, TensorView output, int root, const CallOptions& options) const {
  Request request = make(Collective::scatter, options);
  request.input = rank_ == root ? input : ConstTensorView(nullptr, 0, output.dtype);
  request.output = output;
  request.root = root;
  return request;
}

Request Requests::all_to_all(ConstTensorView input, TensorView output, const CallOptions& options) const {
  Request request = make(Collective::all_to_all, options);
  request.input = input;
  request.output = output;
  return request;
}

Request Requests::broadcast(TensorView data, int root, const CallOptions& options) const {
  Request request = make(Collective::broadcast, options);
  request.input = data;
  request.output = data;
  request.root = root;
  return request;
}

namespace {
/// The shape of the concatenation; a group of one is that tensor.
TensorView concatenation(std::span<const TensorView> tensors) {
  if (tensors.size() == 1) return tensors.front();
  TensorView all;
  if (!tensors.empty()) all.dtype = tensors.front().dtype;
  for (const TensorView& tensor : tensors) all.count += tensor.count;
  return all;
}
std::span<const TensorView> if_several(std::span<const TensorView> tensors) {
  return tensors.size() == 1 ? std::span<const TensorView>() : tensors;
}
}  // namespace

Request Requests::all_reduce_group(std::span<const TensorView> tensors, ReduceOp op, const CallOptions& options) const {
  const TensorView all = concatenation(tensors);
  Request request = all_reduce(all, all, op, options);
  request.pieces = if_several(tensors);
  return request;
}

Request Requests::broadcast_group(std::span<const TensorView> tensors, int root, const CallOptions& options) const {
  Request request = broadcast(concatenation(tensors), root, options);
  request.pieces = if_several(tensors);
  return request;
}

Request Requests::barrier(const CallOptions& options) const { return make(Collective::barrier, options); }

Request Requests::send(ConstTensorView data, int peer, const CallOptions& options) const {
  Request request = make(Collective::send_recv, options);
  request.input = data;
  request.outgoing = true;
  request.root = peer;
  return request;
}

Request Requests::recv(TensorView data, int peer, const CallOptions& options) const {
  Request request = make(Collective::send_recv, options);
  request.output = data;
  request.root = peer;
  return request;
}

Request Requests::uneven(Request request, std::span<const std::size_t> input_counts,
                         std::span<const std::size_t> output_counts) {
  request.uneven = true;
  request.input_blocks = input_counts;
  request.output_blocks = output_counts;
  return request;
}

}  // namespace trireme::comm
