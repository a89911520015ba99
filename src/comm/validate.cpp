// SPDX-License-Identifier: Apache-2.0
#include "comm/validate.hpp"

#include "trireme/base/error.hpp"

#include <cstdint>
#include <limits>
#include <numeric>
#include <span>
#include <string>

namespace trireme::comm {
namespace {

using plan::Collective;

[[noreturn]] void refuse(const Request& request, ErrorCode code, const std::string& what) {
  std::string label = request.label[0] != '\0' ? " '" + std::string(request.label.data()) + "'" : "";
  fail(code, std::string(plan::name_of(request.collective)) + label + ": " + what);
}

void check_buffer(const Request& request, const ConstTensorView& view, const char* which) {
  if (!is_supported(view.dtype)) {
    refuse(request, ErrorCode::unsupported,
           std::string("dtype ") + std::string(name_of(view.dtype)) + " is not supported by this version");
  }
  if (view.count > std::numeric_limits<std::size_t>::max() / 16) {
    refuse(request, ErrorCode::invalid_argument,
           std::string(which) + " has an impossible count of " + std::to_string(view.count));
  }
  if (view.data == nullptr && view.count != 0) {
    refuse(request, ErrorCode::invalid_argument,
           std::string(which) + " is null but has " + std::to_string(view.count) + " elements");
  }
  if ((reinterpret_cast<std::uintptr_t>(view.data) & (size_of(view.dtype) - 1)) != 0) {  // sizes are powers of two
    refuse(request, ErrorCode::invalid_argument, std::string(which) + " is not aligned to its elements");
  }
}

/// The tensors of a group, one by one; false if there is no group.
bool check_group(const Request& request) {
  for (const TensorView& piece : request.pieces) {
    check_buffer(request, piece, "a tensor of the group");
    if (piece.dtype != request.output.dtype) {
      refuse(request, ErrorCode::invalid_argument,
             "the tensors of a group must have one dtype; there are " + std::string(name_of(request.output.dtype)) +
                 " and " + std::string(name_of(piece.dtype)));
    }
    if (piece.device != request.pieces.front().device && piece.count != 0) {
      refuse(request, ErrorCode::invalid_argument,
             "a tensor of the group is host memory, another buffer device memory");
    }
  }
  return !request.pieces.empty();
}

/// Input and output are disjoint, or input begins `allowed_offset` bytes behind (negative: before) output.
void check_overlap(const Request& request, std::ptrdiff_t allowed_offset) {
  const auto in = reinterpret_cast<std::uintptr_t>(request.input.data);
  const auto out = reinterpret_cast<std::uintptr_t>(request.output.data);
  const std::size_t in_bytes = request.input.size_bytes();
  const std::size_t out_bytes = request.output.size_bytes();
  if (in_bytes == 0 || out_bytes == 0 || in + in_bytes <= out || out + out_bytes <= in) return;
  const auto offset = static_cast<std::ptrdiff_t>(in) - static_cast<std::ptrdiff_t>(out);
  if (offset == allowed_offset && request.input.dtype == request.output.dtype) return;
  refuse(request, ErrorCode::invalid_argument,
         "input and output overlap in part; give the same buffer or disjoint ones");
}

void check_op(const Request& request) {
  const DType dtype = request.output.dtype;
  if (request.op.kind == ReduceKind::average && !is_floating(dtype)) {
    refuse(request, ErrorCode::invalid_argument,
           "average of integers (" + std::string(name_of(dtype)) + ") is not defined; sum and divide yourself");
  }
  if (request.op.kind == ReduceKind::premultiplied_sum && !is_floating(dtype)) {
    refuse(request, ErrorCode::invalid_argument,
           "premultiplied_sum of " + std::string(name_of(dtype)) + " is not defined; multiply yourself and sum");
  }
  if (request.op.kind == ReduceKind::sum && dtype == DType::boolean) {
    refuse(request, ErrorCode::invalid_argument, "sum of bool is not defined; use max for 'any', min for 'all'");
  }
  if (request.input.dtype != dtype && request.input.dtype != accumulator_of(dtype)) {
    refuse(request, ErrorCode::invalid_argument,
           "input is " + std::string(name_of(request.input.dtype)) + " but output " + std::string(name_of(dtype)) +
               "; they must be equal, or input the accumulator type");
  }
}

std::string count_of(const ConstTensorView& view) { return std::to_string(view.count); }

void check_root(const Request& request, const char* what) {
  if (request.root < 0 || request.root >= request.ranks) {
    refuse(request, ErrorCode::invalid_argument,
           std::string(what) + " " + std::to_string(request.root) + " is not a rank of 0.." +
               std::to_string(request.ranks - 1));
  }
}

void check_same_dtype(const Request& request) {
  if (request.input.dtype != request.output.dtype)
    refuse(request, ErrorCode::invalid_argument, "input and output differ in dtype");
}

/// `large` has `ranks` times the elements of `small`.
void check_multiple(const Request& request, const ConstTensorView& large, const char* large_name,
                    const ConstTensorView& small, const char* small_name) {
  const auto size = static_cast<std::size_t>(request.ranks);
  if (large.count / size == small.count && large.count % size == 0) return;
  refuse(request, ErrorCode::invalid_argument,
         std::string(large_name) + " must have " + std::to_string(request.ranks) + " times " + small_name + "'s " +
             count_of(small) + " elements, has " + count_of(large));
}

/// The counts of an uneven call: one per rank, together `all` elements.
void check_blocks(const Request& request, std::span<const std::size_t> counts, const char* which, std::size_t all,
                  const char* all_name) {
  if (counts.size() != static_cast<std::size_t>(request.ranks)) {
    refuse(request, ErrorCode::invalid_argument,
           std::string(which) + " has " + std::to_string(counts.size()) + " entries; give one for each of the " +
               std::to_string(request.ranks) + " ranks");
  }
  std::size_t sum = 0;
  for (const std::size_t count : counts) {
    if (count > std::numeric_limits<std::size_t>::max() / 16 - sum) {
      refuse(request, ErrorCode::invalid_argument, std::string(which) + " add up to an impossible count");
    }
    sum += count;
  }
  if (sum != all) {
    refuse(request, ErrorCode::invalid_argument,
           std::string(which) + " add up to " + std::to_string(sum) + " elements, " + all_name + " has " +
               std::to_string(all));
  }
}

void check_own_block(const Request& request, std::span<const std::size_t> counts, int rank, const ConstTensorView& own,
                     const char* name) {
  const std::size_t count = counts[static_cast<std::size_t>(rank)];
  if (own.count == count) return;
  refuse(request, ErrorCode::invalid_argument,
         std::string(name) + " has " + count_of(own) + " elements, but counts gives rank " + std::to_string(rank) +
             " " + std::to_string(count));
}

/// Bytes from the beginning of the whole to block `rank`: where the own block of an in-place call lies.
std::ptrdiff_t block_offset(const Request& request, std::span<const std::size_t> counts, int rank, std::size_t even,
                            DType dtype) {
  const auto own = static_cast<std::size_t>(rank);
  std::size_t before = even * own;
  if (request.uneven)
    before = std::accumulate(counts.begin(), counts.begin() + static_cast<std::ptrdiff_t>(own), std::size_t{0});
  return static_cast<std::ptrdiff_t>(before * size_of(dtype));
}

void check_all_gather(const Request& request, int rank) {
  check_buffer(request, request.input, "input");
  check_buffer(request, request.output, "output");
  check_same_dtype(request);
  if (request.uneven) {
    check_blocks(request, request.output_blocks, "counts", request.output.count, "output");
    check_own_block(request, request.output_blocks, rank, request.input, "input");
  } else {
    check_multiple(request, request.output, "output", request.input, "input");
  }
  check_overlap(request, block_offset(request, request.output_blocks, rank, request.input.count, request.output.dtype));
}

void check_reduce_scatter(const Request& request, int rank) {
  check_buffer(request, request.input, "input");
  check_buffer(request, request.output, "output");
  check_op(request);
  if (request.uneven) {
    check_blocks(request, request.input_blocks, "counts", request.input.count, "input");
    check_own_block(request, request.input_blocks, rank, request.output, "output");
  } else {
    check_multiple(request, request.input, "input", request.output, "output");
  }
  check_overlap(request,
                -block_offset(request, request.input_blocks, rank, request.output.count, request.output.dtype));
}

void check_gather(const Request& request, int rank) {
  check_buffer(request, request.input, "input");
  check_root(request, "root");
  if (request.uneven) check_own_block(request, request.output_blocks, rank, request.input, "input");
  if (rank != request.root) return;
  check_buffer(request, request.output, "output");
  check_same_dtype(request);
  if (request.uneven) {
    check_blocks(request, request.output_blocks, "counts", request.output.count, "output");
  } else {
    check_multiple(request, request.output, "output", request.input, "input");
  }
  check_overlap(request, block_offset(request, request.output_blocks, rank, request.input.count, request.output.dtype));
}

void check_scatter(const Request& request, int rank) {
  check_buffer(request, request.output, "output");
  check_root(request, "root");
  if (request.uneven) check_own_block(request, request.input_blocks, rank, request.output, "output");
  if (rank != request.root) return;
  check_buffer(request, request.input, "input");
  check_same_dtype(request);
  if (request.uneven) {
    check_blocks(request, request.input_blocks, "counts", request.input.count, "input");
  } else {
    check_multiple(request, request.input, "input", request.output, "output");
  }
  check_overlap(request,
                -block_offset(request, request.input_blocks, rank, request.output.count, request.output.dtype));
}

void check_all_to_all(const Request& request, int rank) {
  check_buffer(request, request.input, "input");
  check_buffer(request, request.output, "output");
  check_same_dtype(request);
  if (request.uneven) {
    check_blocks(request, request.input_blocks, "send counts", request.input.count, "input");
    check_blocks(request, request.output_blocks, "receive counts", request.output.count, "output");
    const auto own = static_cast<std::size_t>(rank);
    if (request.input_blocks[own] != request.output_blocks[own]) {
      refuse(request, ErrorCode::invalid_argument,
             "this rank sends itself " + std::to_string(request.input_blocks[own]) + " elements but receives " +
                 std::to_string(request.output_blocks[own]));
    }
  } else {
    if (request.input.count != request.output.count) {
      refuse(request, ErrorCode::invalid_argument,
             "input has " + count_of(request.input) + " elements, output " + count_of(request.output));
    }
    if (request.input.count % static_cast<std::size_t>(request.ranks) != 0) {
      refuse(request, ErrorCode::invalid_argument,
             "input has " + count_of(request.input) + " elements, not a multiple of the " +
                 std::to_string(request.ranks) + " ranks; give counts");
    }
  }
  check_overlap(request, 0);
}

std::string name_of(Device device) { return "cuda:" + std::to_string(device.index); }

/// All buffers that are there lie in one place, which this world serves.
void check_places(const Request& request, std::optional<Device> device) {
  if (!request.on_device()) return;
  if (!device) {
    refuse(request, ErrorCode::unsupported,
           "device memory, but this world has no device: open it with Options::device (TRIREME_DEVICE=cuda)");
  }
  const auto check = [&](const ConstTensorView& view, const char* which) {
    if (view.data == nullptr && view.count == 0) return;
    if (view.device.kind == DeviceKind::cpu)
      refuse(request, ErrorCode::invalid_argument,
             std::string(which) + " is host memory, another buffer device memory");
    if (view.device == *device) return;
    refuse(
        request, ErrorCode::invalid_argument,
        std::string(which) + " is on " + name_of(view.device) + ", but the device of this rank is " + name_of(*device));
  };
  if (request.stream.device.kind != DeviceKind::cpu && request.stream.device != *device) {
    refuse(
        request, ErrorCode::invalid_argument,
        "the stream is on " + name_of(request.stream.device) + ", but the device of this rank is " + name_of(*device));
  }
  if (request.stream.device.kind != DeviceKind::cpu && request.stream.pointer == nullptr) {
    refuse(request, ErrorCode::invalid_argument,
           "the stream is null, and there is no default one: make a stream, or give cudaStreamLegacy or "
           "cudaStreamPerThread");
  }
  for (const TensorView& piece : request.pieces) check(piece, "a tensor of the group");
  if (!request.pieces.empty()) return;
  check(request.input, "input");
  check(request.output, "output");
}

}  // namespace

void validate(const Request& request, int rank, std::optional<Device> device) {
  check_places(request, device);
  if (request.collective == Collective::send_recv && request.root == rank)
    refuse(request, ErrorCode::invalid_argument, "peer " + std::to_string(rank) + " is this rank itself");
  switch (request.collective) {
    case Collective::all_reduce:
      check_op(request);
      if (check_group(request)) break;
      check_buffer(request, request.input, "input");
      check_buffer(request, request.output, "output");
      if (request.input.count != request.output.count) {
        refuse(request, ErrorCode::invalid_argument,
               "input has " + count_of(request.input) + " elements, output " + count_of(request.output));
      }
      check_overlap(request, 0);
      break;
    case Collective::reduce_scatter: check_reduce_scatter(request, rank); break;
    case Collective::reduce:
      check_buffer(request, request.input, "input");
      check_root(request, "root");
      check_op(request);
      if (rank != request.root) break;
      check_buffer(request, request.output, "output");
      if (request.input.count != request.output.count) {
        refuse(request, ErrorCode::invalid_argument,
               "input has " + count_of(request.input) + " elements, output " + count_of(request.output));
      }
      check_overlap(request, 0);
      break;
    case Collective::all_gather: check_all_gather(request, rank); break;
    case Collective::gather: check_gather(request, rank); break;
    case Collective::scatter: check_scatter(request, rank); break;
    case Collective::all_to_all: check_all_to_all(request, rank); break;
    case Collective::broadcast:
      check_root(request, "root");
      if (!check_group(request)) check_buffer(request, request.output, "data");
      break;
    case Collective::send_recv:
      check_buffer(request, request.outgoing ? request.input : ConstTensorView(request.output), "data");
      check_root(request, "peer");
      break;
    case Collective::barrier: break;
  }
  if (request.leaves < request.ranks || request.leaves > 0xffff) {
    refuse(request, ErrorCode::invalid_argument,
           "leaves is " + std::to_string(request.leaves) + "; it must be from the number of ranks, " +
               std::to_string(request.ranks) + ", to 65535");
  }
}

}  // namespace trireme::comm
