// SPDX-License-Identifier: Apache-2.0
#include "trireme/optim/weight_average.hpp"

#include "kernels/cast/reference.hpp"
#include "tensors.hpp"
#include "trireme/base/error.hpp"

#include <catch2/catch.hpp>

using namespace trireme;
using namespace trireme::testing;
using Catch::Matchers::Contains;

namespace {

template <class T>
std::vector<Parameter> listed(std::vector<T>& values) {
  return {{"w", {static_cast<std::int64_t>(values.size())}, view(values), {}}};
}

double averaged(const WeightAverage& average, std::size_t index) {
  const ConstTensorView tensor = average.average("w");
  return kernels::reference::load(tensor.data, tensor.dtype, index);
}

}  // namespace

TEMPLATE_TEST_CASE("averages follow their formulas", "", double, float) {
  WeightAverage exponential({.decay = 0.75}), warm({.decay = 0.75, .warmup = true}),
      equal({.kind = AverageKind::equal});
  std::vector<double> a(5000), b(5000), c(5000);
  for (int n = 0; n < 12; ++n) {
    auto values = uniforms<TestType>(static_cast<std::uint64_t>(n + 1), 5000);
    for (WeightAverage* each : {&exponential, &warm, &equal}) each->update(listed(values));
    for (std::size_t i = 0; i < values.size(); ++i) {
      const auto p = static_cast<double>(values[i]);
      const double d = std::min(0.75, (1.0 + n) / (10.0 + n));
      a[i] = n == 0 ? p : 0.75 * a[i] + 0.25 * p;
      b[i] = n == 0 ? p : d * b[i] + (1 - d) * p;
      c[i] += p / 12;
    }
  }
  const double margin = std::is_same_v<TestType, double> ? 1e-14 : 1e-6;
  for (std::size_t i = 0; i < a.size(); ++i) {
    REQUIRE(averaged(exponential, i) == Approx(a[i]).margin(margin));
    REQUIRE(averaged(warm, i) == Approx(b[i]).margin(margin));
    REQUIRE(averaged(equal, i) == Approx(c[i]).margin(margin));
  }
  REQUIRE(exponential.updates() == 12);
}

TEST_CASE("the averages take the parameters' places and give them back bit by bit, in 16 bits too") {
  const DType dtype = GENERATE(DType::f32, DType::f16, DType::bf16);
  std::vector<std::byte> memory(100 * size_of(dtype));
  const std::vector<Parameter> parameters{{"w", {100}, TensorView(memory.data(), 100, dtype), {}}};
  WeightAverage average({.kind = AverageKind::equal});
  for (const double value : {1.0, 2.0, 3.0, 4.0}) {
    for (std::size_t i = 0; i < 100; ++i) kernels::reference::store(memory.data(), dtype, i, value);
    average.update(parameters);
  }
  const auto before = memory;
  average.put(parameters);
  for (std::size_t i = 0; i < 100; ++i)
    REQUIRE(kernels::reference::load(memory.data(), dtype, i) == Approx(2.5).epsilon(1e-3));
  REQUIRE_THROWS_WITH(average.update(parameters), Contains("between put() and take_back()"));
  REQUIRE_THROWS_WITH(average.put(parameters), Contains("put() twice"));
  average.take_back(parameters);
  REQUIRE(memory == before);
  REQUIRE_THROWS_WITH(average.take_back(parameters), Contains("without put()"));
}

TEST_CASE("an average goes on where it was saved") {
  WeightAverage straight({.decay = 0.9, .warmup = true}), before({.decay = 0.9, .warmup = true}),
      after({.decay = 0.9, .warmup = true});
  for (std::uint64_t n = 1; n <= 6; ++n) {
    auto values = uniforms<float>(n, 50);
    straight.update(listed(values));
    if (n == 4) {
      const std::pair<std::string, ConstTensorView> saved[] = {{"w", before.average("w")}};
      after.restore(before.updates(), saved);
    }
    (n < 4 ? before : after).update(listed(values));
  }
  for (std::size_t i = 0; i < 50; ++i) REQUIRE(averaged(straight, i) == averaged(after, i));
}

TEST_CASE("an average of other parameters than before is refused, and nothing of it changes") {
  auto values = uniforms<float>(1, 10), longer = uniforms<float>(1, 11);
  std::vector<double> wide(10);
  WeightAverage average;
  REQUIRE_THROWS_WITH(average.put(listed(values)), Contains("before the first update()"));
  average.update(listed(values));
  REQUIRE_THROWS_WITH(average.update(listed(longer)), Contains("'w' had another count or dtype"));
  REQUIRE_THROWS_WITH(average.update(listed(wide)), Contains("'w' had another count or dtype"));
  auto renamed = listed(values);
  renamed[0].name = "v";
  REQUIRE_THROWS_WITH(average.update(renamed), Contains("'v' was not among the first ones"));
  REQUIRE_THROWS_WITH(average.update(std::vector<Parameter>{}), Contains("0 parameters, but it was begun with 1"));
  REQUIRE(average.updates() == 1);
  REQUIRE_THROWS_WITH(WeightAverage({.decay = 1.0}), Contains("decay"));
  const std::pair<std::string, ConstTensorView> wrong[] = {{"w", ConstTensorView(values.data(), 10, DType::bf16)}};
  REQUIRE_THROWS_WITH(average.restore(3, wrong), Contains("'w' is bf16"));
}
