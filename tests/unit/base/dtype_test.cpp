// SPDX-License-Identifier: Apache-2.0
#include "trireme/base/dtype.hpp"

#include "trireme/base/bytes.hpp"
#include "trireme/base/op.hpp"
#include "trireme/base/tensor_view.hpp"

#include <catch2/catch.hpp>

#include <array>
#include <set>
#include <string>
#include <vector>

using namespace trireme;

namespace {

std::vector<DType> all_dtypes() {
  std::vector<DType> all;
  for (int i = 0; i < dtype_count; ++i) all.push_back(static_cast<DType>(i));
  return all;
}

}  // namespace

TEST_CASE("dtype numbers are the wire format") {
  REQUIRE(static_cast<int>(DType::f64) == 0);
  REQUIRE(static_cast<int>(DType::f32) == 1);
  REQUIRE(static_cast<int>(DType::f16) == 2);
  REQUIRE(static_cast<int>(DType::bf16) == 3);
  REQUIRE(static_cast<int>(DType::f8e4m3) == 4);
  REQUIRE(static_cast<int>(DType::f8e5m2) == 5);
  REQUIRE(static_cast<int>(DType::i64) == 6);
  REQUIRE(static_cast<int>(DType::i32) == 7);
  REQUIRE(static_cast<int>(DType::i8) == 8);
  REQUIRE(static_cast<int>(DType::u64) == 9);
  REQUIRE(static_cast<int>(DType::u32) == 10);
  REQUIRE(static_cast<int>(DType::u8) == 11);
  REQUIRE(static_cast<int>(DType::boolean) == 12);
  REQUIRE(dtype_count == 13);
}

TEST_CASE("every dtype has a name of its own that parses back to it") {
  std::set<std::string> names;
  for (const DType dtype : all_dtypes()) {
    const std::string name(name_of(dtype));
    CAPTURE(name);
    REQUIRE(names.insert(name).second);
    DType parsed = dtype == DType::f64 ? DType::u8 : DType::f64;
    REQUIRE(parse_dtype(name, parsed));
    REQUIRE(parsed == dtype);
  }
  REQUIRE(name_of(DType::bf16) == "bf16");
  REQUIRE(name_of(DType::boolean) == "bool");
}

TEST_CASE("what is no dtype's name does not parse and changes nothing") {
  for (const char* text : {"", "f", "F32", "f32 ", " f32", "float", "f128", "boolean"}) {
    CAPTURE(text);
    DType dtype = DType::i64;
    REQUIRE(!parse_dtype(text, dtype));
    REQUIRE(dtype == DType::i64);
  }
}

TEST_CASE("a dtype's size is that of its C++ type") {
  REQUIRE(size_of(dtype_of<double>) == sizeof(double));
  REQUIRE(size_of(dtype_of<float>) == sizeof(float));
  REQUIRE(size_of(dtype_of<Float16>) == sizeof(Float16));
  REQUIRE(size_of(dtype_of<BFloat16>) == sizeof(BFloat16));
  REQUIRE(size_of(dtype_of<std::int64_t>) == 8);
  REQUIRE(size_of(dtype_of<std::int32_t>) == 4);
  REQUIRE(size_of(dtype_of<std::int8_t>) == 1);
  REQUIRE(size_of(dtype_of<std::uint64_t>) == 8);
  REQUIRE(size_of(dtype_of<std::uint32_t>) == 4);
  REQUIRE(size_of(dtype_of<std::uint8_t>) == 1);
  REQUIRE(size_of(dtype_of<bool>) == sizeof(bool));
  REQUIRE(dtype_of<Float8E4M3> == DType::f8e4m3);
  REQUIRE(dtype_of<Float8E5M2> == DType::f8e5m2);
  REQUIRE(size_of(dtype_of<Float8E4M3>) == sizeof(Float8E4M3));
  REQUIRE(size_of(dtype_of<Float8E5M2>) == sizeof(Float8E5M2));
}

TEST_CASE("narrow floats are added in f32, everything else in itself") {
  for (const DType dtype : all_dtypes()) {
    CAPTURE(name_of(dtype));
    const bool narrow = is_floating(dtype) && size_of(dtype) < 4;
    REQUIRE(accumulator_of(dtype) == (narrow ? DType::f32 : dtype));
    REQUIRE(accumulator_of(accumulator_of(dtype)) == accumulator_of(dtype));
  }
  for (const DType dtype : {DType::f64, DType::f32, DType::f16, DType::bf16, DType::f8e4m3, DType::f8e5m2})
    REQUIRE(is_floating(dtype));
  for (const DType dtype : {DType::i64, DType::i32, DType::i8, DType::u64, DType::u32, DType::u8, DType::boolean}) {
    REQUIRE(!is_floating(dtype));
  }
}

TEST_CASE("every dtype is supported") {
  for (const DType dtype : all_dtypes()) REQUIRE(is_supported(dtype));
}

TEST_CASE("reductions and orders have names, and an average knows its divisor") {
  REQUIRE(name_of(sum.kind) == "sum");
  REQUIRE(name_of(product.kind) == "product");
  REQUIRE(name_of(minimum.kind) == "min");
  REQUIRE(name_of(maximum.kind) == "max");
  REQUIRE(name_of(average.kind) == "average");
  REQUIRE(name_of(ReductionOrder::canonical) == "canonical");
  REQUIRE(name_of(ReductionOrder::fastest) == "fastest");
  REQUIRE(average_over(12.5) == ReduceOp{ReduceKind::average, 12.5});
  REQUIRE(average_over(12.5) != average);
}

TEST_CASE("byte literals are powers of 1024") {
  using namespace literals;
  REQUIRE((7_B).value == 7);
  REQUIRE((3_KiB).value == 3u * 1024);
  REQUIRE((25_MiB).value == 25u * 1024 * 1024);
  REQUIRE((2_GiB).value == 2ull * 1024 * 1024 * 1024);
  REQUIRE(1_KiB == 1024_B);
  REQUIRE(1_KiB < 1_MiB);
  static_assert(!std::is_convertible_v<std::size_t, Bytes>);  // a count never passes for bytes
}

TEST_CASE("a view takes count and dtype from its span") {
  std::vector<double> data{1, 2, 3};
  const TensorView view{std::span(data)};
  REQUIRE(view.data == data.data());
  REQUIRE(view.count == 3);
  REQUIRE(view.dtype == DType::f64);
  REQUIRE(view.size_bytes() == 24);
  REQUIRE(view.as<double>()[2] == 3);
  const ConstTensorView constant{std::span<const double>(data)};
  REQUIRE(constant.data == data.data());
  REQUIRE(constant.dtype == DType::f64);
  const ConstTensorView converted = view;
  REQUIRE(converted.size_bytes() == 24);
}
