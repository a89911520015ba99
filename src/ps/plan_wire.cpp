// SPDX-License-Identifier: Apache-2.0
#include "ps/wire.hpp"
#include "ps_wire.pb.h"
#include "trireme/base/error.hpp"

#include <limits>
#include <string>
#include <utility>

namespace trireme::ps {
namespace {

/// A plan is held in memory by whoever reads one: servers, tensors and keys are bounded.
constexpr std::uint32_t most_servers = 1u << 16;
constexpr std::uint32_t most_loops = 256;
constexpr std::uint64_t most_keys = 1u << 22;
/// Dealing out costs as much: a choice of server for each key, of loops within servers.
constexpr std::uint64_t most_choices = 1u << 27;
constexpr std::uint64_t most_loops_in_all = 1u << 20;
constexpr int most_dimensions = 64;

[[noreturn]] void refuse_plan(const std::string& what) {
  fail(ErrorCode::corrupt, "a plan of keys that was received " + what);
}

DType dtype_from(std::uint32_t value) {
  if (value >= static_cast<std::uint32_t>(dtype_count)) refuse_plan("names an unknown dtype");
  return static_cast<DType>(value);
}

TensorInfo tensor_from(const proto::PlanTensor& from) {
  TensorInfo tensor{.name = from.name(),
                    .shape{},
                    .dtype = dtype_from(from.dtype()),
                    .accumulator = dtype_from(from.accumulator()),
                    .row_sparse = from.row_sparse()};
  std::uint64_t count = 1;
  if (from.shape_size() > most_dimensions) refuse_plan("has a tensor of too many dimensions");
  for (const std::uint64_t extent : from.shape()) {
    // 2^56 elements of 8 bytes are more than any address space, and no product of two such bounds overflows.
    constexpr std::uint64_t most = std::uint64_t{1} << 56;
    if (extent > most || (extent != 0 && count > most / extent)) refuse_plan("has a tensor larger than any memory");
    count *= extent;
    tensor.shape.push_back(static_cast<std::int64_t>(extent));
  }
  return tensor;
}

}  // namespace

std::vector<std::byte> encode(const KeyPlan& plan) {
  proto::Plan message;
  for (const TensorInfo& from : plan.tensors()) {
    proto::PlanTensor& tensor = *message.add_tensors();
    tensor.set_name(from.name);
    for (const std::int64_t extent : from.shape) tensor.add_shape(static_cast<std::uint64_t>(extent));
    tensor.set_dtype(static_cast<std::uint32_t>(from.dtype));
    tensor.set_accumulator(static_cast<std::uint32_t>(from.accumulator));
    tensor.set_row_sparse(from.row_sparse);
  }
  const KeyPlanOptions& options = plan.options();
  message.set_servers(options.servers);
  message.set_loops(options.loops);
  message.set_partition_bytes(options.partition_bytes.value);
  message.mutable_shares()->Add(options.shares.begin(), options.shares.end());
  message.set_scope(static_cast<std::uint32_t>(options.scope));
  message.set_replicas(options.replicas);
  std::vector<std::byte> bytes(message.ByteSizeLong());
  if (bytes.size() > static_cast<std::size_t>(std::numeric_limits<int>::max()) ||
      !message.SerializeToArray(bytes.data(), static_cast<int>(bytes.size())))
    fail(ErrorCode::invalid_argument, "a plan of " + std::to_string(plan.tensors().size()) + " tensors is too long");
  return bytes;
}

std::shared_ptr<const KeyPlan> decode_plan(std::span<const std::byte> bytes) {
  proto::Plan message;
  if (bytes.size() > most_control_bytes || !message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())))
    refuse_plan("cannot be read");
  if (message.servers() == 0 || message.servers() > most_servers || message.loops() == 0 ||
      message.loops() > most_loops || message.partition_bytes() == 0 ||
      message.scope() > static_cast<std::uint32_t>(UpdateScope::tensor) ||
      static_cast<std::uint64_t>(message.shares_size()) > message.servers())
    refuse_plan("has options that are none");
  if (std::uint64_t{message.servers()} * message.loops() > most_loops_in_all)
    refuse_plan("has too many event loops in all");
  std::vector<TensorInfo> tensors;
  std::uint64_t keys = 0;
  for (const proto::PlanTensor& from : message.tensors()) {
    tensors.push_back(tensor_from(from));
    keys += 1 + tensors.back().count() * size_of(tensors.back().dtype) / message.partition_bytes();
    if (keys > most_keys || keys * message.servers() > most_choices) refuse_plan("has too many keys");
  }
  try {
    return std::make_shared<const KeyPlan>(std::move(tensors),
                                           KeyPlanOptions{.servers = message.servers(),
                                                          .loops = message.loops(),
                                                          .partition_bytes = Bytes{message.partition_bytes()},
                                                          .shares{message.shares().begin(), message.shares().end()},
                                                          .scope = static_cast<UpdateScope>(message.scope()),
                                                          .replicas = message.replicas()});
  } catch (const Exception& exception) {
    refuse_plan("makes none: " + exception.error().message);
  }
}

}  // namespace trireme::ps
