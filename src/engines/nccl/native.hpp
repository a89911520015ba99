// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "engines/nccl/nccl_api.hpp"
#include "trireme/comm/request.hpp"

#include <optional>

namespace trireme::engines::nccl {

/// How NCCL itself would combine.
struct Native {
  api::DataType type;
  api::Op op;
  bool premultiplied = false;  ///< by an operation made for the scalar, not by `op`
};

/// Whether NCCL's own reduction may do `request`: in the fastest order, of a type it has, by an operation that means what
/// ours does. Its min and max of floats leave NaN and the sign of zero open, and factors of a pre-multiplied sum are rounded to
/// the type, so both go the canonical way where that shows. Floats of 16 and 8 bits it rounds at every addition.
inline std::optional<Native> native_of(const comm::Request& request, int version) {
  if (!comm::reduces(request.collective) || request.order != ReductionOrder::fastest) return std::nullopt;
  if (request.input.dtype != request.output.dtype) return std::nullopt;
  Native native{};
  const DType dtype = request.output.dtype;
  switch (dtype) {
    case DType::f64: native.type = api::float64; break;
    case DType::f32: native.type = api::float32; break;
    case DType::f16: native.type = api::float16; break;
    case DType::bf16: native.type = api::bfloat16; break;
    case DType::f8e4m3: native.type = api::float8e4m3; break;
    case DType::f8e5m2: native.type = api::float8e5m2; break;
    case DType::i64: native.type = api::int64; break;
    case DType::i32: native.type = api::int32; break;
    case DType::i8: native.type = api::int8; break;
    case DType::u64: native.type = api::uint64; break;
    case DType::u32: native.type = api::uint32; break;
    case DType::u8:
    case DType::boolean: native.type = api::uint8; break;
  }
  const bool float8 = dtype == DType::f8e4m3 || dtype == DType::f8e5m2;
  if (float8 && version < api::first_with_float8) return std::nullopt;
  switch (request.op.kind) {
    case ReduceKind::sum:
    case ReduceKind::average: native.op = api::sum; break;
    case ReduceKind::product: native.op = dtype == DType::boolean ? api::min : api::product; break;
    case ReduceKind::min:
      if (is_floating(dtype)) return std::nullopt;
      native.op = api::min;
      break;
    case ReduceKind::max:
      if (is_floating(dtype)) return std::nullopt;
      native.op = api::max;
      break;
    case ReduceKind::premultiplied_sum:
      if (accumulator_of(dtype) != dtype) return std::nullopt;
      native.premultiplied = true;
      break;
  }
  return native;
}

}  // namespace trireme::engines::nccl
