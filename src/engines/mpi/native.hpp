// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "engines/mpi/module_table.h"
#include "trireme/comm/request.hpp"

#include <optional>

namespace trireme::engines::mpi {

/// How MPI itself would combine.
struct Native {
  trireme_mpi_type type;
  trireme_mpi_op op;
};

/// Whether MPI's own reduction may do `request`: in the fastest order, of a type it has, by an operation it defines as we
/// do. Its min and max of floats leave NaN and the sign of zero open, so those go the canonical way, as does every type of
/// less than 32 bits that is not an integer.
inline std::optional<Native> native_of(const comm::Request& request) {
  if (!comm::reduces(request.collective) || request.order != ReductionOrder::fastest) return std::nullopt;
  if (request.input.dtype != request.output.dtype) return std::nullopt;
  Native native{};
  bool floating = false;
  switch (request.output.dtype) {
    case DType::f64: native.type = TRIREME_MPI_F64, floating = true; break;
    case DType::f32: native.type = TRIREME_MPI_F32, floating = true; break;
    case DType::i64: native.type = TRIREME_MPI_I64; break;
    case DType::i32: native.type = TRIREME_MPI_I32; break;
    case DType::i8: native.type = TRIREME_MPI_I8; break;
    case DType::u64: native.type = TRIREME_MPI_U64; break;
    case DType::u32: native.type = TRIREME_MPI_U32; break;
    case DType::u8: native.type = TRIREME_MPI_U8; break;
    default: return std::nullopt;
  }
  switch (request.op.kind) {
    case ReduceKind::sum:
    case ReduceKind::average: native.op = TRIREME_MPI_SUM; break;
    case ReduceKind::product: native.op = TRIREME_MPI_PRODUCT; break;
    case ReduceKind::min:
      if (floating) return std::nullopt;
      native.op = TRIREME_MPI_MIN;
      break;
    case ReduceKind::max:
      if (floating) return std::nullopt;
      native.op = TRIREME_MPI_MAX;
      break;
    case ReduceKind::premultiplied_sum: return std::nullopt;  // arrives as a sum of products
  }
  return native;
}

}  // namespace trireme::engines::mpi
