// SPDX-License-Identifier: Apache-2.0
#include "kernels/sgd/sgd.hpp"

#include "kernels/sgd/reference.hpp"
#include "samples.hpp"

#include <catch2/catch.hpp>

namespace trireme::kernels {
namespace {

using samples::Array;

/// PyTorch's definition, in f64 whatever the type, from its documentation.
struct Torch {
  std::vector<double> p;
  std::vector<double> buffer;
  bool first = true;

  void step(const std::vector<double>& gradient, const SgdCall& options) {
    for (std::size_t i = 0; i < p.size(); ++i) {
      double g = options.gradient_scale * gradient[i] + options.weight_decay * p[i];
      if (options.momentum != 0) {
        buffer[i] = first ? g : options.momentum * buffer[i] + (1 - options.dampening) * g;
        g = options.nesterov ? g + options.momentum * buffer[i] : buffer[i];
      }
      p[i] -= options.learning_rate * g;
    }
    first = false;
  }
};

std::vector<SgdCall> variants(DType dtype) {
  std::vector<SgdCall> calls;
  for (double momentum : {0.0, 0.9}) {
    for (double decay : {0.0, 0.01}) {
      for (double dampening : {0.0, 0.1}) {
        for (bool nesterov : {false, true}) {
          for (double scale : {1.0, 0.37}) {
            SgdCall call;
            call.dtype = dtype;
            call.learning_rate = 0.1;
            call.momentum = momentum;
            call.dampening = dampening;
            call.weight_decay = decay;
            call.nesterov = nesterov;
            call.gradient_scale = scale;
            calls.push_back(call);
          }
        }
      }
    }
  }
  return calls;
}

}  // namespace

TEST_CASE("An SGD step gives the reference's bits for every variant, count and alignment") {
  for (DType dtype : {DType::f32, DType::f64}) {
    for (SgdCall call : variants(dtype)) {
      for (bool first : {false, true}) {
        for (std::size_t count : {0u, 1u, 7u, 8u, 9u, 31u, 500u}) {
          Array gradient = samples::random(dtype, count, 31, 5, 1);
          const Array p = samples::random(dtype, count, 32, 5);
          const Array buffer = samples::random(dtype, count, 33, 5);
          call.count = count;
          call.first_step = first;
          call.gradient = gradient.data();
          Array expected_p = p, expected_buffer = buffer;
          call.parameter = expected_p.data();
          call.momentum_buffer = expected_buffer.data();
          reference::sgd(call);
          for (Isa isa : samples::isas()) {
            Array actual_p = p.moved(3), actual_buffer = buffer.moved(5);
            call.parameter = actual_p.data();
            call.momentum_buffer = actual_buffer.data();
            sgd(call, isa);
            CAPTURE(name_of(isa), name_of(dtype), call.momentum, call.nesterov, first, count);
            REQUIRE(samples::same(expected_p, actual_p));
            REQUIRE(samples::same(expected_buffer, actual_buffer));
            REQUIRE((actual_p.guards_intact() && actual_buffer.guards_intact()));
          }
        }
      }
    }
  }
}

TEST_CASE("Many SGD steps follow PyTorch's definition") {
  constexpr std::size_t count = 50;
  for (DType dtype : {DType::f32, DType::f64}) {
    for (SgdCall call : variants(dtype)) {
      Array p = samples::random(dtype, count, 34, 0);
      Array buffer(dtype, count);
      for (std::size_t i = 0; i < count; ++i) buffer.set(i, 1e30);  // must not be read on the first step
      Torch torch{std::vector<double>(count), std::vector<double>(count)};
      for (std::size_t i = 0; i < count; ++i) torch.p[i] = p.value(i);
      call.parameter = p.data();
      call.momentum_buffer = call.momentum == 0.0 ? nullptr : buffer.data();
      call.count = count;
      for (unsigned step = 0; step < 20; ++step) {
        Array gradient = samples::random(dtype, count, 40 + step, 0);
        std::vector<double> values(count);
        for (std::size_t i = 0; i < count; ++i) values[i] = gradient.value(i);
        call.gradient = gradient.data();
        call.first_step = step == 0;
        sgd(call);
        torch.step(values, call);
      }
      double tolerance = dtype == DType::f32 ? 2e-4 : 1e-12;
      for (std::size_t i = 0; i < count; ++i) {
        CAPTURE(name_of(dtype), call.momentum, call.weight_decay, call.nesterov, i);
        REQUIRE(p.value(i) == Approx(torch.p[i]).epsilon(tolerance).margin(tolerance));
      }
    }
  }
}

TEST_CASE("A gradient scale of 1 changes no bit, and splitting a step gives the same bits") {
  Array gradient = samples::random(DType::f32, 333, 51, 0);
  const Array p = samples::random(DType::f32, 333, 52, 0);
  for (Isa isa : samples::isas()) {
    Array whole = p, parts = p, plain = p;
    SgdCall call{DType::f32, whole.data(), gradient.data(), nullptr, 333, 1.0};
    sgd(call, isa);
    for (std::size_t begin = 0; begin < 333; begin += 111) {
      sgd({DType::f32, parts.at(begin), gradient.at(begin), nullptr, 111, 1.0}, isa);
    }
    for (std::size_t i = 0; i < 333; ++i)
      plain.set(i, static_cast<float>(plain.value(i)) - static_cast<float>(gradient.value(i)));
    REQUIRE(samples::same(whole, parts));
    REQUIRE(samples::same(whole, plain));
  }
}

}  // namespace trireme::kernels
