// SPDX-License-Identifier: Apache-2.0
#include "comm/validate.hpp"

#include "trireme/base/error.hpp"

#include <cstdint>
#include <limits>
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
           std::string("dtype ") + std::string(name_of(view.dtype)) +
               " is not supported by this version; f64 f32 f16 bf16 i64 i32 u8 are");
  }
  if (view.device.kind != DeviceKind::cpu) {
    refuse(request, ErrorCode::unsupported,
           std::string(which) + " is device memory, which the host engine does not take");
  }
  if (view.count > std::numeric_limits<std::size_t>::max() / 16) {
    refuse(request, ErrorCode::invalid_argument,
           std::string(which) + " has an impossible count of " + std::to_string(view.count));
  }
  if (view.data == nullptr && view.count != 0) {
    refuse(request, ErrorCode::invalid_argument,
           std::string(which) + " is null but has " + std::to_string(view.count) + " elements");
  }
  if (reinterpret_cast<std::uintptr_t>(view.data) % size_of(view.dtype) != 0) {
    refuse(request, ErrorCode::invalid_argument, std::string(which) + " is not aligned to its elements");
  }
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
  if (request.op.kind == ReduceKind::sum && dtype == DType::boolean) {
    refuse(request, ErrorCode::invalid_argument, "sum of bool is not defined; use max for 'any', min for 'all'");
  }
  if (request.input.dtype != dtype && request.input.dtype != accumulator_of(dtype)) {
    refuse(request, ErrorCode::invalid_argument,
           "input is " + std::string(name_of(request.input.dtype)) + " but output " + std::string(name_of(dtype)) +
               "; they must be equal, or input the accumulator type");
  }
}

}  // namespace

void validate(const Request& request, int ranks, int rank) {
  const auto count_of = [](const auto& view) { return std::to_string(view.count); };
  const auto size = static_cast<std::size_t>(ranks);
  switch (request.collective) {
    case Collective::all_reduce:
      check_buffer(request, request.input, "input");
      check_buffer(request, request.output, "output");
      check_op(request);
      if (request.input.count != request.output.count) {
        refuse(request, ErrorCode::invalid_argument,
               "input has " + count_of(request.input) + " elements, output " + count_of(request.output));
      }
      check_overlap(request, 0);
      break;
    case Collective::reduce_scatter:
      check_buffer(request, request.input, "input");
      check_buffer(request, request.output, "output");
      check_op(request);
      if (request.input.count != request.output.count * size) {
        refuse(request, ErrorCode::invalid_argument,
               "input must have " + std::to_string(ranks) + " times output's " + count_of(request.output) +
                   " elements, has " + count_of(request.input));
      }
      check_overlap(request, -static_cast<std::ptrdiff_t>(request.output.size_bytes()) * rank);
      break;
    case Collective::all_gather:
      check_buffer(request, request.input, "input");
      check_buffer(request, request.output, "output");
      if (request.output.count != request.input.count * size) {
        refuse(request, ErrorCode::invalid_argument,
               "output must have " + std::to_string(ranks) + " times input's " + count_of(request.input) +
                   " elements, has " + count_of(request.output));
      }
      if (request.input.dtype != request.output.dtype)
        refuse(request, ErrorCode::invalid_argument, "input and output differ in dtype");
      check_overlap(request, static_cast<std::ptrdiff_t>(request.input.size_bytes()) * rank);
      break;
    case Collective::broadcast:
      check_buffer(request, request.output, "data");
      if (request.root < 0 || request.root >= ranks) {
        refuse(request, ErrorCode::invalid_argument,
               "root " + std::to_string(request.root) + " is not a rank of 0.." + std::to_string(ranks - 1));
      }
      break;
    case Collective::send_recv:
      check_buffer(request, request.outgoing ? request.input : ConstTensorView(request.output), "data");
      if (request.root < 0 || request.root >= ranks) {
        refuse(request, ErrorCode::invalid_argument,
               "peer " + std::to_string(request.root) + " is not a rank of 0.." + std::to_string(ranks - 1));
      }
      break;
    case Collective::barrier: break;
  }
  if (request.leaves < ranks || request.leaves > 0xffff) {
    refuse(request, ErrorCode::invalid_argument,
           "leaves is " + std::to_string(request.leaves) + "; it must be from the number of ranks, " +
               std::to_string(ranks) + ", to 65535");
  }
}

}  // namespace trireme::comm
