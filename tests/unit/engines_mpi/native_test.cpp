// SPDX-License-Identifier: Apache-2.0
#include "engines/mpi/native.hpp"

#include <catch2/catch.hpp>

using namespace trireme;
using engines::mpi::native_of;

namespace {

comm::Request reduction(DType dtype, ReduceOp op, ReductionOrder order = ReductionOrder::fastest) {
  comm::Request request;
  request.collective = plan::Collective::all_reduce;
  request.input = ConstTensorView(nullptr, 0, dtype);
  request.output = TensorView(nullptr, 0, dtype);
  request.op = op;
  request.order = order;
  return request;
}

}  // namespace

TEST_CASE("MPI adds what it has a type and one meaning for, and only in the fastest order") {
  for (const auto dtype :
       {DType::f64, DType::f32, DType::i64, DType::i32, DType::i8, DType::u64, DType::u32, DType::u8}) {
    REQUIRE(native_of(reduction(dtype, sum)));
    REQUIRE(native_of(reduction(dtype, product))->op == TRIREME_MPI_PRODUCT);
    REQUIRE_FALSE(native_of(reduction(dtype, sum, ReductionOrder::canonical)));
    REQUIRE(native_of(reduction(dtype, minimum)).has_value() == !is_floating(dtype));
    REQUIRE(native_of(reduction(dtype, maximum)).has_value() == !is_floating(dtype));
  }
  for (const auto dtype : {DType::f16, DType::bf16, DType::f8e4m3, DType::f8e5m2, DType::boolean})
    REQUIRE_FALSE(native_of(reduction(dtype, maximum)));
  REQUIRE(native_of(reduction(DType::f64, average))->op == TRIREME_MPI_SUM);
  auto mixed = reduction(DType::bf16, sum);
  mixed.input.dtype = DType::f32;
  REQUIRE_FALSE(native_of(mixed));
  auto broadcast = reduction(DType::f32, sum);
  broadcast.collective = plan::Collective::broadcast;
  REQUIRE_FALSE(native_of(broadcast));
}
