// SPDX-License-Identifier: Apache-2.0
#include "trireme/models/weights_hash.hpp"

#include "trireme/base/error.hpp"

#include <catch2/catch.hpp>

#include <cstdint>
#include <string>
#include <vector>

using namespace trireme;
using models::weights_hash;

namespace {

Parameter of(std::span<std::uint8_t> bytes) {
  return {"p", {static_cast<std::int64_t>(bytes.size())}, TensorView(bytes), {}};
}

}  // namespace

TEST_CASE("weights_hash gives the published XXH3 values") {
  // What libxxhash 0.8.1 gives for the same bytes.
  CHECK(weights_hash({}) == "2d06800538d394c2");
  std::vector<std::uint8_t> abc = {'a', 'b', 'c'};
  CHECK(weights_hash(std::vector{of(abc)}) == "78af5f94892f3950");
  std::vector<std::uint8_t> many(100000);
  for (std::size_t i = 0; i < many.size(); ++i) many[i] = static_cast<std::uint8_t>(i * i % 251);
  CHECK(weights_hash(std::vector{of(many)}) == "4cbc1becad16bfbc");
}

TEST_CASE("weights_hash hashes the bytes of all parameters in order, however they are cut and named") {
  std::vector<float> values = {1.0f, -2.5f, 3e-40f, 4.0f, 5.0f};
  const std::span<float> all(values);
  const auto parameter = [](std::string name, std::span<float> part) {
    return Parameter{std::move(name), {static_cast<std::int64_t>(part.size())}, TensorView(part), {}};
  };
  const std::string whole = weights_hash(std::vector{parameter("w", all)});
  CHECK(whole.size() == 16);
  CHECK(weights_hash(std::vector{parameter("a", all.first(2)), parameter("b", all.subspan(2, 0)),
                                 parameter("c", all.last(3))}) == whole);
  CHECK(weights_hash(std::vector{parameter("c", all.last(3)), parameter("a", all.first(2))}) != whole);
  values[4] = -values[4];
  CHECK(weights_hash(std::vector{parameter("w", all)}) != whole);
}

TEST_CASE("weights_hash refuses memory it cannot read") {
  Parameter remote{"layer0.weight", {4}, TensorView(nullptr, 4, DType::f32, {DeviceKind::cuda, 0}), {}};
  CHECK_THROWS_WITH(weights_hash(std::vector{remote}), Catch::Contains("layer0.weight"));
}
