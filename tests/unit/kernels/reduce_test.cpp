// SPDX-License-Identifier: Apache-2.0
#include "kernels/reduce/reduce.hpp"

#include "kernels/reduce/reference.hpp"
#include "samples.hpp"
#include "trireme/layout/reduction_tree.hpp"

#include <catch2/catch.hpp>

#include <string>

namespace trireme::kernels {
namespace {

using samples::Array;
using Program = std::vector<std::int16_t>;

const std::vector<ReduceKind> kinds{ReduceKind::sum, ReduceKind::product, ReduceKind::min, ReduceKind::max,
                                    ReduceKind::average};

/// Types of a call: `second` is the type of every odd source.
struct Types {
  DType accumulator;
  DType first;
  DType second;
  DType output;
};

const std::vector<Types> all_types{
    {DType::f32, DType::f32, DType::f32, DType::f32},
    {DType::f32, DType::f32, DType::f32, DType::f16},
    {DType::f32, DType::f32, DType::f32, DType::bf16},
    {DType::f32, DType::bf16, DType::bf16, DType::bf16},
    {DType::f32, DType::bf16, DType::bf16, DType::f32},
    {DType::f32, DType::f16, DType::f16, DType::f16},
    {DType::f32, DType::f16, DType::f16, DType::f32},
    {DType::f32, DType::f32, DType::bf16, DType::bf16},
    {DType::f32, DType::bf16, DType::f32, DType::f32},
    {DType::f32, DType::f16, DType::f32, DType::f16},
    {DType::f32, DType::f32, DType::f16, DType::f32},
    {DType::f64, DType::f64, DType::f64, DType::f64},
    {DType::i64, DType::i64, DType::i64, DType::i64},
    {DType::i32, DType::i32, DType::i32, DType::i32},
    {DType::u8, DType::u8, DType::u8, DType::u8},
    {DType::i8, DType::i8, DType::i8, DType::i8},
    {DType::u64, DType::u64, DType::u64, DType::u64},
    {DType::u32, DType::u32, DType::u32, DType::u32},
    {DType::boolean, DType::boolean, DType::boolean, DType::boolean},
    {DType::f32, DType::f8e4m3, DType::f8e4m3, DType::f8e4m3},
    {DType::f32, DType::f8e5m2, DType::f8e5m2, DType::f8e5m2},
    {DType::f32, DType::f8e4m3, DType::f8e4m3, DType::f32},
    {DType::f32, DType::f8e5m2, DType::f8e5m2, DType::f32},
    {DType::f32, DType::f32, DType::f32, DType::f8e4m3},
    {DType::f32, DType::f32, DType::f32, DType::f8e5m2},
    {DType::f32, DType::f8e4m3, DType::f32, DType::f8e4m3},
    {DType::f32, DType::bf16, DType::f8e5m2, DType::f8e5m2},
};

Program contracted(int leaves, int ranks) {
  layout::ReductionTree tree = layout::ReductionTree::contracted(leaves, ranks);
  return {tree.postfix().begin(), tree.postfix().end()};
}

std::vector<Array> make_sources(const Types& types, int n, std::size_t count, std::size_t special_every = 8) {
  std::vector<Array> sources;
  for (int k = 0; k < n; ++k) {
    auto odd = static_cast<std::size_t>(k % 2);
    sources.push_back(samples::random(odd == 1 ? types.second : types.first, count, 100u + static_cast<unsigned>(k),
                                      special_every * static_cast<std::size_t>(n), odd));
  }
  return sources;
}

std::vector<ReduceSource> views(const std::vector<Array>& sources, std::size_t begin = 0) {
  std::vector<ReduceSource> result;
  for (const Array& source : sources) result.push_back({source.at(begin), source.dtype()});
  return result;
}

std::string describe(const ReduceCall& call) {
  return std::string(name_of(call.kind)) + " of " + std::to_string(call.sources.size()) + " sources " +
         std::string(name_of(call.sources[0].dtype)) + " in " + std::string(name_of(call.accumulator)) + " to " +
         std::string(name_of(call.output)) + ", count " + std::to_string(call.count) + ", divisor " +
         std::to_string(call.divisor);
}

void require_as_reference(ReduceKind kind, const Types& types, const Program& program,
                          const std::vector<Array>& sources, double divisor = 1.0) {
  std::size_t count = sources[0].count();
  std::vector<ReduceSource> source_views = views(sources);
  Array expected(types.output, count);
  ReduceCall call{kind, types.accumulator, expected.data(), types.output, count, source_views, program, divisor};
  reference::reduce(call);
  for (Isa isa : samples::isas()) {
    Array actual(types.output, count, 1);
    call.destination = actual.data();
    reduce(call, isa);
    std::size_t difference = samples::first_difference(expected, actual);
    if (difference != count || !actual.guards_intact()) {
      FAIL(name_of(isa) << ": " << describe(call) << ": differs from the reference at element " << difference);
    }
  }
  SUCCEED();
}

}  // namespace

TEST_CASE("Reducing along contracted trees gives the reference's bits for every kind and type") {
  for (int n : {1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 33, 64}) {
    int leaves = 1;
    while (leaves < n) leaves *= 2;
    for (const Types& types : all_types) {
      for (ReduceKind kind : kinds) {
        if (kind == ReduceKind::average && !is_floating(types.accumulator)) continue;
        for (std::size_t count : {0u, 1u, 7u, 8u, 9u, 31u}) {
          std::vector<Array> sources = make_sources(types, n, count);
          require_as_reference(kind, types, contracted(leaves, n), sources);
          if (kind == ReduceKind::average) require_as_reference(kind, types, contracted(n, n), sources, n + 0.5);
        }
      }
    }
  }
}

TEST_CASE("Every pair of 8-bit values reduces as the reference does, special values too") {
  for (DType dtype : {DType::f8e4m3, DType::f8e5m2, DType::u8, DType::i8}) {
    const DType accumulator = accumulator_of(dtype);
    Array left(dtype, 65536), right(dtype, 65536);
    for (std::size_t i = 0; i < 65536; ++i) {
      const auto low = static_cast<std::uint8_t>(i), high = static_cast<std::uint8_t>(i >> 8);
      std::memcpy(left.at(i), &low, 1);
      std::memcpy(right.at(i), &high, 1);
    }
    for (ReduceKind kind : {ReduceKind::sum, ReduceKind::product, ReduceKind::min, ReduceKind::max}) {
      require_as_reference(kind, {accumulator, dtype, dtype, dtype}, {0, 1, -1}, {left, right});
    }
    if (!is_floating(dtype)) continue;
    require_as_reference(ReduceKind::average, {accumulator, dtype, dtype, dtype}, {0, 1, -1}, {left, right}, 2.0);
    require_as_reference(ReduceKind::average, {accumulator, dtype, dtype, dtype}, {0, 1, -1}, {left, right}, 3.0);
  }
}

TEST_CASE("Integers wrap and are ordered by their own sign, and bools know all and any") {
  const auto combined = [](ReduceKind kind, auto a, auto b, Isa isa) {
    using T = decltype(a);
    std::vector<T> left(70, a), right(70, b), out(70);
    std::vector<ReduceSource> sources{{left.data(), dtype_of<T>}, {right.data(), dtype_of<T>}};
    const Program program{0, 1, -1};
    reduce({kind, dtype_of<T>, out.data(), dtype_of<T>, out.size(), sources, program}, isa);
    REQUIRE(out == std::vector<T>(70, out[0]));
    return out[0];
  };
  for (Isa isa : samples::isas()) {
    CAPTURE(name_of(isa));
    REQUIRE(combined(ReduceKind::sum, std::int8_t{127}, std::int8_t{1}, isa) == -128);
    REQUIRE(combined(ReduceKind::product, std::int8_t{-128}, std::int8_t{-1}, isa) == -128);
    REQUIRE(combined(ReduceKind::min, std::int8_t{127}, std::int8_t{-128}, isa) == -128);
    REQUIRE(combined(ReduceKind::max, std::uint32_t{0x80000000}, std::uint32_t{1}, isa) == 0x80000000);
    REQUIRE(combined(ReduceKind::min, std::uint64_t{1} << 63, std::uint64_t{1}, isa) == 1);
    REQUIRE(combined(ReduceKind::sum, ~std::uint64_t{0}, std::uint64_t{2}, isa) == 1);
    REQUIRE(combined(ReduceKind::product, std::uint32_t{0x10001}, std::uint32_t{0x10001}, isa) == 0x20001);
    REQUIRE(combined(ReduceKind::min, std::numeric_limits<std::int64_t>::min(), std::int64_t{1}, isa) < 0);
    for (const std::uint8_t a : {std::uint8_t{0}, std::uint8_t{1}}) {
      for (const std::uint8_t b : {std::uint8_t{0}, std::uint8_t{1}}) {
        for (auto [kind, expected] :
             {std::pair{ReduceKind::min, a & b}, {ReduceKind::product, a & b}, {ReduceKind::max, a | b}}) {
          std::uint8_t out = 7;
          std::vector<ReduceSource> sources{{&a, DType::boolean}, {&b, DType::boolean}};
          const Program program{0, 1, -1};
          reduce({kind, DType::boolean, &out, DType::boolean, 1, sources, program}, isa);
          REQUIRE(out == expected);
        }
      }
    }
  }
}

TEST_CASE("Reducing across the edges of internal blocks gives the reference's bits") {
  for (int n : {1, 2, 3, 4, 7}) {
    for (const Types& types : all_types) {
      for (ReduceKind kind : {ReduceKind::average, ReduceKind::min}) {
        if (kind == ReduceKind::average && !is_floating(types.accumulator)) continue;
        for (std::size_t count : {512u, 513u, 1025u}) {
          require_as_reference(kind, types, contracted(8, n), make_sources(types, n, count),
                               kind == ReduceKind::average ? 3.0 : 1.0);
        }
      }
    }
  }
}

TEST_CASE("The brackets and the left-to-right order of any program are obeyed") {
  Types types{DType::f32, DType::f32, DType::f32, DType::f32};
  Types mixed{DType::f32, DType::f16, DType::bf16, DType::f16};
  std::vector<Program> programs{
      {0, 1, -1, 2, -1},                // (0+1)+2
      {0, 1, 2, -1, -1},                // 0+(1+2)
      {2, 0, -1, 1, -1},                // sources in another order
      {3, 1, -1, 0, 2, -1, -1},         // (3+1)+(0+2)
      {0, 1, -1, 2, -1, 3, -1},         // a chain to the left
      {0, 1, 2, 3, -1, -1, -1},         // a chain to the right
      {0, 1, 2, -1, -1, 3, -1},         // a zigzag
      {0, 1, 2, -1, 3, 4, -1, -1, -1},  // 0+((1+2)+(3+4))
  };
  for (const Program& program : programs) {
    int n = static_cast<int>(program.size() + 1) / 2;
    for (const Types& t : {types, mixed}) {
      require_as_reference(ReduceKind::sum, t, program, make_sources(t, n, 1000, 0));
      require_as_reference(ReduceKind::average, t, program, make_sources(t, n, 1000, 0), 7.0);
    }
  }
  // The order matters to these inputs, so equality above says something: 1e8 + (-1e8 + 1) is not (1e8 - 1e8) + 1.
  std::vector<float> a{1e8f}, b{-1e8f}, c{1.0f}, out{0.0f};
  std::vector<ReduceSource> sources{{a.data()}, {b.data()}, {c.data()}};
  for (Isa isa : samples::isas()) {
    Program left{0, 1, -1, 2, -1}, right{0, 1, 2, -1, -1};
    reduce({ReduceKind::sum, DType::f32, out.data(), DType::f32, 1, sources, left}, isa);
    REQUIRE(out[0] == 1.0f);
    reduce({ReduceKind::sum, DType::f32, out.data(), DType::f32, 1, sources, right}, isa);
    REQUIRE(out[0] == 0.0f);
  }
}

TEST_CASE("A thousand sources reduce in any brackets") {
  std::vector<Program> programs{contracted(1024, 1024)};
  Program chain;  // 0+(1+(2+…)): the deepest stack
  Program pairs;  // (0+1)+((2+3)+(…)): the most combined values waiting
  for (std::int16_t k = 0; k < 1024; ++k) chain.push_back(k);
  for (int k = 0; k < 1023; ++k) chain.push_back(-1);
  for (std::int16_t k = 0; k < 1024; k = static_cast<std::int16_t>(k + 2)) {
    pairs.insert(pairs.end(), {k, static_cast<std::int16_t>(k + 1), -1});
  }
  for (int k = 0; k < 511; ++k) pairs.push_back(-1);
  programs.push_back(chain);
  programs.push_back(pairs);
  for (const Program& program : programs) {
    for (const Types& types : {Types{DType::f32, DType::f32, DType::bf16, DType::f32},
                               Types{DType::f64, DType::f64, DType::f64, DType::f64}}) {
      require_as_reference(ReduceKind::sum, types, program, make_sources(types, 1024, 20, 0));
    }
  }
}

TEST_CASE("The destination may be exactly one of the sources") {
  for (const Types& types : all_types) {
    for (int n : {1, 2, 3, 4, 7}) {
      std::vector<Array> sources = make_sources(types, n, 601);
      for (int target = 0; target < n; ++target) {
        if (sources[static_cast<std::size_t>(target)].dtype() != types.output) continue;
        for (double divisor : {1.0, 3.0}) {
          if (!is_floating(types.accumulator) && divisor != 1.0) continue;
          Program program = contracted(8, n);
          Array expected(types.output, 601);
          std::vector<ReduceSource> source_views = views(sources);
          ReduceCall call{ReduceKind::sum, types.accumulator, expected.data(), types.output, 601,
                          source_views,    program,           divisor};
          reference::reduce(call);
          for (Isa isa : samples::isas()) {
            std::vector<Array> copies = sources;
            std::vector<ReduceSource> copy_views = views(copies);
            call.sources = copy_views;
            Array& destination = copies[static_cast<std::size_t>(target)];
            call.destination = destination.data();
            reduce(call, isa);
            CAPTURE(name_of(isa), describe(call), target);
            REQUIRE(samples::same(expected, destination));
            for (int k = 0; k < n; ++k) {
              auto index = static_cast<std::size_t>(k);
              if (k != target) REQUIRE(samples::same(copies[index], sources[index]));
            }
          }
        }
      }
    }
  }
}

TEST_CASE("A second destination gets the same bits, and may be the memory of another source") {
  for (const Types& types : all_types) {
    for (int n : {2, 3, 4, 7}) {
      for (std::size_t count : {1u, 7u, 64u, 529u}) {
        for (double divisor : {1.0, 3.0}) {
          if (divisor != 1.0 && !is_floating(types.accumulator)) continue;
          const Program program = contracted(n, n);
          const auto sources = make_sources(types, n, count);
          Array expected(types.output, count);
          auto source_views = views(sources);
          ReduceCall call{ReduceKind::sum, types.accumulator, expected.data(), types.output,
                          count,           source_views,      program,         divisor};
          reference::reduce(call);
          for (Isa isa : samples::isas()) {
            CAPTURE(describe(call), name_of(isa));
            Array one(types.output, count, 1), two(types.output, count, 3);
            call.destination = one.data();
            call.also = two.data();
            reduce(call, isa);
            REQUIRE(samples::same(expected, one));
            REQUIRE(samples::same(expected, two));
            REQUIRE(one.guards_intact());
            REQUIRE(two.guards_intact());
            // In place on both sides: what two ranks do to each other's memory.
            if (types.first != types.output || types.second != types.output) continue;
            auto in_place = make_sources(types, n, count);
            auto in_place_views = views(in_place);
            ReduceCall both = call;
            both.sources = in_place_views;
            both.destination = in_place[0].data();
            both.also = in_place[1].data();
            reduce(both, isa);
            REQUIRE(samples::same(expected, in_place[0]));
            REQUIRE(samples::same(expected, in_place[1]));
          }
        }
      }
    }
  }
}

TEST_CASE("Splitting a range gives the same bits") {
  constexpr std::size_t count = 3001;
  for (const Types& types : all_types) {
    for (int n : {2, 3, 4, 5, 9}) {
      std::vector<Array> sources = make_sources(types, n, count);
      Program program = contracted(16, n);
      double divisor = is_floating(types.accumulator) ? 5.0 : 1.0;
      for (Isa isa : samples::isas()) {
        Array whole(types.output, count);
        Array parts(types.output, count);
        std::vector<ReduceSource> all = views(sources);
        reduce({ReduceKind::sum, types.accumulator, whole.data(), types.output, count, all, program, divisor}, isa);
        std::size_t begin = 0;
        for (std::size_t size : {1u, 512u, 7u, 1024u, 600u, 857u}) {
          std::vector<ReduceSource> part = views(sources, begin);
          reduce({ReduceKind::sum, types.accumulator, parts.at(begin), types.output, size, part, program, divisor},
                 isa);
          begin += size;
        }
        REQUIRE(begin == count);
        REQUIRE(samples::same(whole, parts));
      }
    }
  }
}

TEST_CASE("Minimum and maximum order -0 below +0 and give NaN wherever there is one, in any order") {
  const float nan = std::nanf("");
  const float inf = std::numeric_limits<float>::infinity();
  const std::vector<float> values{0.0f, -0.0f, 1.0f, -1.0f, inf, -inf, nan, -nan, 1e-45f, -1e-45f, 3e38f};
  Program program{0, 1, -1};
  for (Isa isa : samples::isas()) {
    for (float a : values) {
      for (float b : values) {
        for (std::size_t count : {1u, 16u}) {
          std::vector<float> left(count, a), right(count, b), low(count), high(count);
          std::vector<double> left64(count, a), right64(count, b), low64(count), high64(count);
          std::vector<ReduceSource> sources{{left.data(), DType::f32}, {right.data(), DType::f32}};
          std::vector<ReduceSource> sources64{{left64.data(), DType::f64}, {right64.data(), DType::f64}};
          reduce({ReduceKind::min, DType::f32, low.data(), DType::f32, count, sources, program}, isa);
          reduce({ReduceKind::max, DType::f32, high.data(), DType::f32, count, sources, program}, isa);
          reduce({ReduceKind::min, DType::f64, low64.data(), DType::f64, count, sources64, program}, isa);
          reduce({ReduceKind::max, DType::f64, high64.data(), DType::f64, count, sources64, program}, isa);
          for (std::size_t i = 0; i < count; ++i) {
            if (std::isnan(a) || std::isnan(b)) {
              REQUIRE((std::isnan(low[i]) && std::isnan(high[i]) && std::isnan(low64[i]) && std::isnan(high64[i])));
              continue;
            }
            bool a_below = a < b || (a == b && std::signbit(a));
            float lower = a_below ? a : b;
            float upper = a_below ? b : a;
            REQUIRE((low[i] == lower && std::signbit(low[i]) == std::signbit(lower)));
            REQUIRE((high[i] == upper && std::signbit(high[i]) == std::signbit(upper)));
            REQUIRE((low64[i] == lower && std::signbit(low64[i]) == std::signbit(lower)));
            REQUIRE((high64[i] == upper && std::signbit(high64[i]) == std::signbit(upper)));
          }
        }
      }
    }
  }
}

TEST_CASE("An average divides, it does not multiply by a reciprocal, and rounds once") {
  Program program{0, 1, -1};
  for (Isa isa : samples::isas()) {
    std::vector<float> a(9, 2.0f), b(9, 3.0f), out(9);
    std::vector<ReduceSource> sources{{a.data()}, {b.data()}};
    for (float divisor : {3.0f, 5.0f, 7.0f, 49.0f, 0.1f}) {
      reduce({ReduceKind::average, DType::f32, out.data(), DType::f32, 9, sources, program, divisor}, isa);
      REQUIRE(out == std::vector<float>(9, 5.0f / divisor));
    }
    // 16-bit contributions whose sum is no 16-bit value: rounding before the division would give another result.
    std::vector<std::uint16_t> c(9, to_bfloat16(256.0f).bits), d(9, to_bfloat16(1.0f).bits), rounded(9);
    std::vector<ReduceSource> narrow{{c.data(), DType::bf16}, {d.data(), DType::bf16}};
    reduce({ReduceKind::average, DType::f32, rounded.data(), DType::bf16, 9, narrow, program, 257.0}, isa);
    REQUIRE(rounded == std::vector<std::uint16_t>(9, to_bfloat16(1.0f).bits));
  }
}

TEST_CASE("Negative zero is the identity of a sum") {
  Program program{0, 1, -1};
  Types types{DType::f32, DType::f32, DType::f32, DType::f32};
  Array values = samples::random(DType::f32, 333, 9, 2);
  Array zeros(DType::f32, 333);
  for (std::size_t i = 0; i < 333; ++i) zeros.set(i, -0.0);
  for (Isa isa : samples::isas()) {
    for (bool first : {true, false}) {
      Array out(DType::f32, 333);
      std::vector<ReduceSource> sources{{values.data()}, {zeros.data()}};
      if (first) std::swap(sources[0], sources[1]);
      reduce({ReduceKind::sum, types.accumulator, out.data(), types.output, 333, sources, program}, isa);
      REQUIRE(samples::same(out, values));
    }
  }
}

}  // namespace trireme::kernels
