// SPDX-License-Identifier: Apache-2.0
#include "kernels/adamw/adamw.hpp"

#include "kernels/adamw/reference.hpp"
#include "samples.hpp"

#include <catch2/catch.hpp>

namespace trireme::kernels {
namespace {

using samples::Array;

Array positive(const Array& array) {
  Array result = array;
  for (std::size_t i = 0; i < array.count(); ++i) result.set(i, std::fabs(array.value(i)));
  return result;
}

}  // namespace

TEST_CASE("An AdamW step gives the reference's bits for every count and alignment") {
  for (DType dtype : {DType::f32, DType::f64}) {
    for (std::uint64_t step : {1u, 2u, 1000u, 12345678u}) {
      for (double scale : {1.0, 0.37}) {
        for (std::size_t count : {0u, 1u, 7u, 8u, 9u, 31u, 4097u}) {
          Array gradient = samples::random(dtype, count, 61, 5, 1);
          const Array p = samples::random(dtype, count, 62, 5);
          const Array m = samples::random(dtype, count, 63, 5);
          const Array v = positive(samples::random(dtype, count, 64, 5));
          AdamWCall call;
          call.dtype = dtype;
          call.gradient = gradient.data();
          call.count = count;
          call.step = step;
          call.weight_decay = 0.1;
          call.gradient_scale = scale;
          Array expected_p = p, expected_m = m, expected_v = v;
          call.parameter = expected_p.data();
          call.first_moment = expected_m.data();
          call.second_moment = expected_v.data();
          reference::adamw(call);
          for (Isa isa : samples::isas()) {
            Array actual_p = p.moved(3), actual_m = m.moved(5), actual_v = v.moved(2);
            call.parameter = actual_p.data();
            call.first_moment = actual_m.data();
            call.second_moment = actual_v.data();
            adamw(call, isa);
            CAPTURE(name_of(isa), name_of(dtype), step, count);
            REQUIRE(samples::same(expected_p, actual_p));
            REQUIRE(samples::same(expected_m, actual_m));
            REQUIRE(samples::same(expected_v, actual_v));
            REQUIRE((actual_p.guards_intact() && actual_m.guards_intact() && actual_v.guards_intact()));
          }
        }
      }
    }
  }
}

TEST_CASE("Many AdamW steps follow the paper's definition") {
  constexpr std::size_t count = 40;
  constexpr double rate = 0.01, beta1 = 0.9, beta2 = 0.99, epsilon = 1e-6, decay = 0.05, scale = 0.5;
  for (DType dtype : {DType::f32, DType::f64}) {
    Array p = samples::random(dtype, count, 71, 0);
    Array m(dtype, count), v(dtype, count);
    std::vector<double> expected(count), first(count), second(count);
    for (std::size_t i = 0; i < count; ++i) {
      m.set(i, 0);
      v.set(i, 0);
      expected[i] = p.value(i);
    }
    for (unsigned t = 1; t <= 50; ++t) {
      Array gradient = samples::random(dtype, count, 80 + t, 0);
      AdamWCall call{dtype, p.data(), gradient.data(), m.data(), v.data(), count, t,
                     rate,  beta1,    beta2,           epsilon,  decay,    scale};
      adamw(call);
      for (std::size_t i = 0; i < count; ++i) {
        double g = scale * gradient.value(i);
        first[i] = beta1 * first[i] + (1 - beta1) * g;
        second[i] = beta2 * second[i] + (1 - beta2) * g * g;
        double unbiased_first = first[i] / (1 - std::pow(beta1, t));
        double unbiased_second = second[i] / (1 - std::pow(beta2, t));
        expected[i] =
            expected[i] - rate * decay * expected[i] - rate * unbiased_first / (std::sqrt(unbiased_second) + epsilon);
      }
    }
    double tolerance = dtype == DType::f32 ? 2e-5 : 1e-12;
    for (std::size_t i = 0; i < count; ++i) {
      CAPTURE(name_of(dtype), i);
      REQUIRE(p.value(i) == Approx(expected[i]).epsilon(tolerance).margin(tolerance));
    }
  }
}

TEST_CASE("Splitting an AdamW step gives the same bits") {
  Array gradient = samples::random(DType::f32, 999, 91, 0);
  const Array p = samples::random(DType::f32, 999, 92, 0);
  const Array state = positive(samples::random(DType::f32, 999, 93, 0));
  for (Isa isa : samples::isas()) {
    Array whole = p, parts = p, m = state, v = state, m_parts = state, v_parts = state;
    adamw({DType::f32, whole.data(), gradient.data(), m.data(), v.data(), 999, 7}, isa);
    std::size_t begin = 0;
    for (std::size_t size : {1u, 13u, 500u, 485u}) {
      adamw({DType::f32, parts.at(begin), gradient.at(begin), m_parts.at(begin), v_parts.at(begin), size, 7}, isa);
      begin += size;
    }
    REQUIRE(begin == 999);
    REQUIRE(samples::same(whole, parts));
    REQUIRE(samples::same(m, m_parts));
    REQUIRE(samples::same(v, v_parts));
    REQUIRE_FALSE(samples::same(whole, p));
  }
}

}  // namespace trireme::kernels
