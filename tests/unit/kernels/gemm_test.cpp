// SPDX-License-Identifier: Apache-2.0
#include "kernels/gemm/gemm.hpp"

#include "kernels/gemm/reference.hpp"
#include "samples.hpp"

#include <catch2/catch.hpp>

#include <cmath>
#include <random>
#include <vector>

namespace trireme::kernels {
namespace {

struct GemmShape {
  std::size_t m, n, k;
  std::size_t a_more = 0, b_more = 0, c_more = 0;  // elements between the end of a stored row and the next row
};

/// The operands of one product, each `offset` elements off the allocator's alignment.
struct GemmOperands {
  samples::Array a, b;
  GemmCall call;

  GemmOperands(DType dtype, const GemmShape& shape, bool a_transposed, bool b_transposed, std::size_t special_every = 0,
               std::size_t offset = 0)
      : a(samples::random(dtype, elements(a_transposed, shape.m, shape.k, shape.a_more), 1, special_every,
                          offset * size_of(dtype))),
        b(samples::random(dtype, elements(b_transposed, shape.k, shape.n, shape.b_more), 2, special_every,
                          3 * offset * size_of(dtype))) {
    call = {.dtype = dtype, .m = shape.m, .n = shape.n, .k = shape.k};
    call.a = {a.data(), (a_transposed ? shape.m : shape.k) + shape.a_more, a_transposed};
    call.b = {b.data(), (b_transposed ? shape.k : shape.n) + shape.b_more, b_transposed};
    call.c_stride = shape.n + shape.c_more;
  }

  /// Up to the last element of the last row and none behind it.
  static std::size_t elements(bool transposed, std::size_t rows, std::size_t columns, std::size_t more) {
    if (transposed) std::swap(rows, columns);
    return rows == 0 ? 0 : rows * (columns + more) - more;
  }

  samples::Array result() const {
    return {call.dtype, elements(false, call.m, call.n, call.c_stride - call.n), size_of(call.dtype)};
  }
  samples::Array expected() const {
    samples::Array c = result();
    GemmCall to = call;
    to.c = c.data();
    reference::gemm(to);
    return c;
  }
  samples::Array actual(Isa isa) const {
    alignas(64) static std::byte workspace[gemm_workspace_bytes];
    samples::Array c = result();
    GemmCall to = call;
    to.c = c.data();
    gemm(to, workspace, isa);
    return c;
  }
};

void require_the_reference(DType dtype, const GemmShape& shape, bool a_transposed, bool b_transposed,
                           std::size_t special_every, std::size_t offset) {
  const GemmOperands operands(dtype, shape, a_transposed, b_transposed, special_every, offset);
  const samples::Array expected = operands.expected();
  for (const Isa isa : samples::isas()) {
    const samples::Array actual = operands.actual(isa);
    CAPTURE(name_of(isa), name_of(dtype), shape.m, shape.n, shape.k, a_transposed, b_transposed);
    CAPTURE(shape.a_more, shape.b_more, shape.c_more);
    REQUIRE(samples::same(expected, actual));
    REQUIRE(actual.guards_intact());
  }
}

void require_the_reference(const GemmShape& shape, std::size_t special_every, std::size_t offset) {
  for (const DType dtype : {DType::f32, DType::f64}) {
    for (const bool a_transposed : {false, true}) {
      for (const bool b_transposed : {false, true}) {
        require_the_reference(dtype, shape, a_transposed, b_transposed, special_every, offset);
      }
    }
  }
}

}  // namespace

TEST_CASE("gemm gives the reference's bits on every processor, for any shape, form, stride and alignment") {
  const GemmShape shapes[] = {{0, 3, 4},
                              {3, 0, 4},
                              {3, 4, 0},
                              {1, 1, 1},
                              {1, 40, 7},
                              {40, 1, 7},
                              {2, 3, 200},
                              {5, 9, 33},
                              {6, 16, 8},
                              {14, 32, 16},
                              {15, 33, 17},
                              {28, 64, 5},
                              {64, 10, 51},
                              {10, 51, 64},
                              {64, 51, 10},
                              {3, 5, 2, 1, 2, 3},
                              {31, 47, 29, 7, 4, 1},
                              {13, 129, 16, 0, 3, 17},
                              {100, 65, 3},
                              {12, 32, 1},
                              {24, 64, 2},
                              {50, 60, 4},
                              {130, 96, 20},             // many tiles: panels are copied
                              {17, 110, 40},             // C turned, several tiles together
                              {20, 64, 600, 0, 448, 0},  // rows that would push one another out of a cache
                              {64, 100, 20, 3, 5, 412},
                              {48, 64, 703},  // copied factors of rows that are no whole lines, in every type
                              {66, 64, 519}};
  for (const GemmShape& shape : shapes) require_the_reference(shape, 0, shape.m % 3);
}

TEST_CASE("gemm gives the reference's bits for shapes that nobody chose") {
  std::mt19937 random(20261130);
  const auto upto = [&](std::size_t most) { return std::uniform_int_distribution<std::size_t>(1, most)(random); };
  const auto more = [&] { return upto(3) == 1 ? upto(20) : 0; };
  for (int k = 0; k < 200; ++k) {
    // A side is short or long, so that every way of copying is taken: many tiles or panels, and depths of whole lines or not.
    const GemmShape shape = {upto(2) == 1 ? upto(30) : upto(150),
                             upto(2) == 1 ? upto(40) : upto(150),
                             upto(3) == 1 ? upto(1100) : upto(150),
                             more(),
                             more(),
                             more()};
    require_the_reference(upto(2) == 1 ? DType::f32 : DType::f64, shape, upto(2) == 1, upto(2) == 1, 0, upto(4) - 1);
  }
}

TEST_CASE("gemm passes infinities, NaN and zeros of either sign on as the reference does") {
  for (const GemmShape& shape : {GemmShape{7, 9, 3}, GemmShape{20, 35, 40}}) require_the_reference(shape, 9, 1);
}

TEST_CASE("gemm adds blocks of k in order, on every path") {
  // Across block edges; with rows whole pages apart; with few and with many tiles.
  for (const GemmShape& shape :
       {GemmShape{3, 5, 2 * gemm_block + 1}, GemmShape{40, 37, gemm_block + 9}, GemmShape{70, 33, gemm_block},
        GemmShape{5, 34, 2 * gemm_block}, GemmShape{17, 70, gemm_block + 2}}) {
    require_the_reference(shape, 0, 0);
  }
}

TEST_CASE("an element of gemm does not depend on the rows and columns beside it") {
  // The whole takes other tiles and copies than its parts. Of the second factors do not stay copied while panels pass in
  // several blocks of many; of the third they stay, and of the fourth they do where they lie.
  const GemmShape whole = GENERATE(GemmShape{410, 530, 300}, GemmShape{900, 1700, 1030}, GemmShape{60, 1700, 1030},
                                   GemmShape{120, 1700, 1030});
  const std::size_t row = whole.m / 2 + 5, column = whole.n - 150;
  for (const DType dtype : {DType::f32, DType::f64}) {
    for (const bool a_transposed : {false, true}) {
      for (const bool b_transposed : {false, true}) {
        const GemmOperands operands(dtype, whole, a_transposed, b_transposed);
        for (const Isa isa : samples::isas()) {
          if (isa == Isa::portable && best_isa() != Isa::portable) continue;  // it takes a second where fma is a call
          const samples::Array all = operands.actual(isa);
          GemmOperands part = operands;
          part.call.m = 3;
          part.call.n = 20;
          part.call.a.data = part.a.at(a_transposed ? row : row * part.call.a.stride);
          part.call.b.data = part.b.at(b_transposed ? column * part.call.b.stride : column);
          part.call.c_stride = 20;
          const samples::Array few = part.expected();
          for (std::size_t i = 0; i < 3; ++i) {
            for (std::size_t j = 0; j < 20; ++j) {
              CAPTURE(name_of(isa), name_of(dtype), a_transposed, b_transposed, i, j);
              REQUIRE(few.value(i * 20 + j) == all.value((row + i) * whole.n + column + j));
            }
          }
        }
      }
    }
  }
}

TEST_CASE("gemm rounds each product and sum once together, not twice") {
  const double small = 0x1p-30;
  samples::Array a(DType::f64, 2), b(DType::f64, 2), c(DType::f64, 1);
  a.set(0, -1.0);
  b.set(0, 1.0);
  a.set(1, 1.0 + small);
  b.set(1, 1.0 - small);
  alignas(64) static std::byte workspace[gemm_workspace_bytes];
  for (const Isa isa : samples::isas()) {
    gemm({DType::f64, 1, 1, 2, {a.data(), 2}, {b.data(), 1}, c.data(), 1}, workspace, isa);
    CHECK(c.value(0) == -small * small);
  }
}

}  // namespace trireme::kernels
