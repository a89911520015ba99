// SPDX-License-Identifier: Apache-2.0
#include "kernels/pack/pack.hpp"

#include "kernels/pack/reference.hpp"
#include "samples.hpp"

#include <catch2/catch.hpp>

namespace trireme::kernels {

TEST_CASE("Packing and unpacking give the reference's bits for every pair of floating types") {
  using samples::Array;
  constexpr DType floats[] = {DType::f64, DType::f32, DType::f16, DType::bf16, DType::f8e4m3, DType::f8e5m2};
  for (const Isa isa : samples::isas()) {
    for (const DType tensor_dtype : floats) {
      for (const DType buffer_dtype : floats) {
        for (const double scale : {1.0, 0.37}) {
          CAPTURE(name_of(isa), name_of(tensor_dtype), name_of(buffer_dtype), scale);
          Array first = samples::random(tensor_dtype, 1031, 1, 3, 1);
          Array second = samples::random(tensor_dtype, 9, 2, 3);
          Array buffer(buffer_dtype, 1050);
          Array expected = buffer;
          const std::vector<PackedTensor> tensors{{first.data(), 1031, 12}, {nullptr, 0, 0}, {second.data(), 9, 2}};
          pack({buffer.data(), buffer_dtype, tensor_dtype, tensors, scale}, isa);
          reference::pack({expected.data(), buffer_dtype, tensor_dtype, tensors, scale});
          REQUIRE(samples::same(buffer, expected));

          unpack({buffer.data(), buffer_dtype, tensor_dtype, tensors, scale}, isa);
          Array expected_first(tensor_dtype, 1031), expected_second(tensor_dtype, 9);
          const std::vector<PackedTensor> others{{expected_first.data(), 1031, 12}, {expected_second.data(), 9, 2}};
          reference::unpack({buffer.data(), buffer_dtype, tensor_dtype, others, scale});
          REQUIRE(samples::same(first, expected_first));
          REQUIRE(samples::same(second, expected_second));
        }
      }
    }
  }
}

}  // namespace trireme::kernels
