// SPDX-License-Identifier: Apache-2.0
#include "kernels/reduce/reduce.hpp"

#include "kernels/reduce/grouped_program.hpp"
#include "kernels/reduce/reduce_device.hpp"
#include "support/failures.hpp"
#include "trireme/layout/reduction_tree.hpp"
#include "unit/kernels_device/device_array.hpp"

#include <catch2/catch.hpp>

#include <optional>
#include <string>
#include <vector>

using namespace trireme;

namespace {

using kernels::ReduceCall;
using kernels::ReduceSource;
using kernels::Rung;
using kernels::samples::Array;
using testing::DeviceArray;
using Tokens = std::vector<std::int16_t>;

/// `second` is the type of every odd source.
struct ReduceTypes {
  DType accumulator, first, second, output;
};

constexpr ReduceTypes reduce_types[] = {
    {DType::f32, DType::f32, DType::f32, DType::f32},
    {DType::f32, DType::f32, DType::f32, DType::f16},
    {DType::f32, DType::f32, DType::f32, DType::bf16},
    {DType::f32, DType::bf16, DType::bf16, DType::bf16},
    {DType::f32, DType::bf16, DType::bf16, DType::f32},
    {DType::f32, DType::f16, DType::f16, DType::f16},
    {DType::f32, DType::f16, DType::f16, DType::f32},
    {DType::f32, DType::f32, DType::bf16, DType::bf16},
    {DType::f32, DType::f8e4m3, DType::f8e4m3, DType::f8e4m3},
    {DType::f32, DType::f8e5m2, DType::f32, DType::f8e5m2},
    {DType::f64, DType::f64, DType::f64, DType::f64},
    {DType::i64, DType::i64, DType::i64, DType::i64},
    {DType::i32, DType::i32, DType::i32, DType::i32},
    {DType::i8, DType::i8, DType::i8, DType::i8},
    {DType::u64, DType::u64, DType::u64, DType::u64},
    {DType::u32, DType::u32, DType::u32, DType::u32},
    {DType::u8, DType::u8, DType::u8, DType::u8},
    {DType::boolean, DType::boolean, DType::boolean, DType::boolean},
};

Tokens tokens_of(int leaves, int ranks) {
  const auto tree = layout::ReductionTree::contracted(leaves, ranks);
  return {tree.postfix().begin(), tree.postfix().end()};
}

std::vector<Array> sources_of(const ReduceTypes& types, std::size_t n, std::size_t count,
                              std::size_t special_every = 8) {
  std::vector<Array> sources;
  for (std::size_t k = 0; k < n; ++k) {
    sources.push_back(kernels::samples::random(k % 2 == 1 ? types.second : types.first, count,
                                               200u + static_cast<unsigned>(k), special_every * n));
  }
  return sources;
}

/// One set of sources, on the host and on a device, the latter `shift` times their number off an edge.
class Reduction {
 public:
  Reduction(const std::shared_ptr<device::Runtime>& runtime, Stream stream, const ReduceTypes& types,
            std::vector<Array> sources, std::size_t shift = 0, std::size_t destination_shift = 0)
      : types_(types), host_(std::move(sources)), stream_(stream), runtime_(runtime) {
    for (std::size_t k = 0; k < host_.size(); ++k) {
      device_.emplace_back(runtime, host_[k], stream, shift * k + destination_shift);
      host_views_.push_back({host_[k].data(), host_[k].dtype()});
      device_views_.push_back({device_[k].data(), host_[k].dtype()});
    }
    output_.emplace(runtime, Array(types.output, host_[0].count()), stream, destination_shift);
  }

  void require_host_bits(ReduceKind kind, const Tokens& program, double divisor = 1.0) {
    Array expected(types_.output, host_[0].count());
    ReduceCall call{kind,   types_.accumulator, expected.data(), types_.output, expected.count(), host_views_, program,
                    divisor};
    kernels::reduce(call);
    for (const Rung rung : {Rung::plain, Rung::fast}) {
      call.sources = device_views_;
      call.destination = output_->data();
      runtime_->fill(output_->data(), std::byte{0}, output_->count() * size_of(output_->dtype()), stream_);
      kernels::reduce(call, {*runtime_, stream_}, rung);
      const Array actual = output_->back(stream_);
      if (const std::size_t at = kernels::samples::first_difference(expected, actual); at != expected.count()) {
        FAIL(name_of(kind) << " of " << host_.size() << " sources " << name_of(types_.first) << ", "
                           << name_of(types_.second) << " to " << name_of(types_.output) << ", divisor " << divisor
                           << (rung == Rung::plain ? ", plain" : ", fast") << ": differs from the host at " << at);
      }
    }
    SUCCEED();
  }

 private:
  ReduceTypes types_;
  std::vector<Array> host_;
  Stream stream_;
  std::shared_ptr<device::Runtime> runtime_;
  std::vector<DeviceArray> device_;
  std::vector<ReduceSource> host_views_, device_views_;
  std::optional<DeviceArray> output_;
};

}  // namespace

TEST_CASE("A reduction on a device gives the host's bits for every kind, type and number of sources") {
  for (const auto& runtime : testing::runtimes_under_test()) {
    INFO(runtime->name());
    const device::OwnedStream stream(runtime, 0);
    for (const ReduceTypes& types : reduce_types) {
      for (const std::size_t n : {1u, 2u, 3u, 4u, 7u, 8u, 9u, 64u}) {
        Reduction reduction(runtime, stream.get(), types, sources_of(types, n, n == 64 ? 65 : 1031));
        const Tokens program = tokens_of(64, static_cast<int>(n));
        for (const ReduceKind kind : {ReduceKind::sum, ReduceKind::product, ReduceKind::min, ReduceKind::max})
          reduction.require_host_bits(kind, program);
        if (is_floating(types.accumulator))
          reduction.require_host_bits(ReduceKind::average, program, static_cast<double>(n) + 0.5);
      }
    }
  }
}

TEST_CASE("A reduction on a device obeys the brackets and the order of any program") {
  const std::vector<Tokens> programs{
      {0, 1, -1, 2, -1},                                             // (0+1)+2
      {0, 1, 2, -1, -1},                                             // 0+(1+2)
      {2, 0, -1, 1, -1},                                             // sources in another order
      {3, 1, -1, 0, 2, -1, -1},                                      // (3+1)+(0+2)
      {0, 1, 2, -1, -1, 3, -1},                                      // a zigzag
      {0, 1, 2, -1, 3, 4, -1, -1, -1},                               // 0+((1+2)+(3+4))
      {0, 1, -1, 2, -1, 3, -1, 4, -1, 5, -1, 6, -1, 7, -1},          // a chain to the left
      {0, 1, 2, 3, 4, 5, 6, 7, -1, -1, -1, -1, -1, -1, -1},          // a chain to the right
      {7, 6, 5, -1, 4, -1, -1, 3, 2, 1, -1, -1, -1, 0, -1},          // all of it
      {8, 0, 1, 2, 3, 4, 5, 6, 7, -1, -1, -1, -1, -1, -1, -1, -1}};  // more than fit into registers
  const ReduceTypes types{DType::f32, DType::f32, DType::f32, DType::f32};
  const ReduceTypes narrow{DType::f32, DType::bf16, DType::bf16, DType::bf16};
  for (const auto& runtime : testing::runtimes_under_test()) {
    const device::OwnedStream stream(runtime, 0);
    for (const Tokens& program : programs) {
      for (const ReduceTypes& each : {types, narrow}) {
        Reduction reduction(runtime, stream.get(), each, sources_of(each, (program.size() + 1) / 2, 3000, 0));
        reduction.require_host_bits(ReduceKind::sum, program);
        reduction.require_host_bits(ReduceKind::average, program, 7.0);
      }
    }
  }
}

TEST_CASE("Sums of many sources on a device have the host's bits in the brackets of every contracted tree") {
  const ReduceTypes cases[] = {{DType::f32, DType::f32, DType::f32, DType::f32},
                               {DType::f32, DType::bf16, DType::bf16, DType::bf16},
                               {DType::f32, DType::f16, DType::f16, DType::f32},
                               {DType::f64, DType::f64, DType::f64, DType::f64},
                               {DType::u32, DType::u32, DType::u32, DType::u32}};
  for (const auto& runtime : testing::runtimes_under_test()) {
    const device::OwnedStream stream(runtime, 0);
    for (const auto& [leaves, ranks] :
         {std::pair{9, 9}, {10, 10}, {12, 12}, {15, 15}, {16, 16}, {17, 17}, {48, 11}, {64, 24}, {31, 31}, {64, 64}}) {
      const auto tree = layout::ReductionTree::contracted(leaves, ranks);
      const Tokens program(tree.postfix().begin(), tree.postfix().end());
      for (const ReduceTypes& types : cases) {
        CAPTURE(leaves, ranks, name_of(types.first));
        Reduction reduction(runtime, stream.get(), types, sources_of(types, static_cast<std::size_t>(ranks), 1037), 0,
                            leaves % 2 == 0 ? 0u : 3u);
        reduction.require_host_bits(ReduceKind::sum, program);
        if (is_floating(types.accumulator)) reduction.require_host_bits(ReduceKind::average, program, 11.0);
      }
    }
  }
}

TEST_CASE("The fast sum takes every tree of up to 64 ranks, and in groups no bracket is lost") {
  const auto evaluate = [](const kernels::GroupedProgram& program) {
    const auto load = [](unsigned source) { return static_cast<int>(source); };
    const auto widen = [](int source) { return std::to_string(source); };
    const auto add = [](const std::string& a, const std::string& b) { return "(" + a + "+" + b + ")"; };
    return kernels::on_device::join_groups(program, load, widen, add);
  };
  const auto brackets = [](std::span<const std::int16_t> program) {
    std::vector<std::string> stack;
    for (const std::int16_t token : program) {
      if (token >= 0) {
        stack.push_back(std::to_string(token));
        continue;
      }
      const std::string right = stack.back();
      stack.pop_back();
      stack.back() = "(" + stack.back() + "+" + right + ")";
    }
    return stack.back();
  };
  for (int ranks = 1; ranks <= 64; ++ranks) {
    for (int leaves = ranks; leaves <= 128; leaves += leaves < 70 ? 1 : 29) {
      const auto tree = layout::ReductionTree::contracted(leaves, ranks);
      CAPTURE(leaves, ranks);
      const auto program = kernels::grouped(tree.postfix());
      REQUIRE(program);
      REQUIRE(evaluate(*program) == brackets(tree.postfix()));
    }
  }
  Tokens chain{0};
  for (std::int16_t k = 1; k < 64; ++k) chain.insert(chain.end(), {k, -1});
  CHECK_FALSE(kernels::grouped(chain));  // groups of one source each: left to the plain body
  CHECK(kernels::grouped(std::span<const std::int16_t>(chain).first(31)));
}

TEST_CASE("A reduction on a device takes any count, and arrays that begin at any element") {
  const ReduceTypes cases[] = {{DType::f32, DType::f32, DType::f32, DType::f32},
                               {DType::f32, DType::bf16, DType::bf16, DType::bf16},
                               {DType::f32, DType::f32, DType::f32, DType::bf16},
                               {DType::f64, DType::f64, DType::f64, DType::f64}};
  for (const auto& runtime : testing::runtimes_under_test()) {
    const device::OwnedStream stream(runtime, 0);
    for (const ReduceTypes& types : cases) {
      for (const std::size_t count : {0u, 1u, 5u, 8191u, 40003u}) {
        for (const auto& [shift, destination] : {std::pair{0u, 0u}, {0u, 1u}, {0u, 5u}, {1u, 0u}, {4u, 3u}}) {
          CAPTURE(name_of(types.first), count, shift, destination);
          Reduction reduction(runtime, stream.get(), types, sources_of(types, 2, count), shift, destination);
          reduction.require_host_bits(ReduceKind::sum, {0, 1, -1});
        }
      }
    }
  }
}

TEST_CASE("The destinations of a reduction on a device may be two of its sources") {
  for (const auto& runtime : testing::runtimes_under_test()) {
    const device::OwnedStream stream(runtime, 0);
    for (const DType dtype : {DType::f32, DType::bf16, DType::f8e4m3, DType::i64, DType::boolean}) {
      const ReduceTypes types{accumulator_of(dtype), dtype, dtype, dtype};
      for (const Rung rung : {Rung::plain, Rung::fast}) {
        const auto host = sources_of(types, 3, 9001);
        std::vector<DeviceArray> arrays;
        std::vector<ReduceSource> host_views, device_views;
        for (const Array& each : host) {
          arrays.emplace_back(runtime, each, stream.get());
          host_views.push_back({each.data(), dtype});
          device_views.push_back({arrays.back().data(), dtype});
        }
        const Tokens program{0, 1, -1, 2, -1};
        Array expected(dtype, 9001);
        ReduceCall call{ReduceKind::sum, types.accumulator, expected.data(), dtype, 9001, host_views, program};
        kernels::reduce(call);
        call.sources = device_views;
        call.destination = arrays[2].data();
        call.also = arrays[0].data();
        kernels::reduce(call, stream.queue(), rung);
        CAPTURE(name_of(dtype));
        CHECK(kernels::samples::same(expected, arrays[2].back(stream.get())));
        CHECK(kernels::samples::same(expected, arrays[0].back(stream.get())));
        CHECK(kernels::samples::same(host[1], arrays[1].back(stream.get())));
      }
    }
  }
}

TEST_CASE("A reduction on a device refuses what is no program of its sources") {
  const auto runtime = device::emulated_runtime();
  const device::OwnedStream stream(runtime, 0);
  const std::vector<ReduceSource> two(2), many(1025), deep(100);
  const auto refused = [&](const std::vector<ReduceSource>& sources, const Tokens& program) {
    const ReduceCall call{.sources = sources, .program = program};
    return testing::code_of([&] { kernels::reduce(call, stream.queue()); }) == ErrorCode::invalid_argument;
  };
  CHECK(refused({}, {}));
  Tokens one_by_one{0}, all_at_once;
  for (std::int16_t k = 1; k < 1025; ++k) one_by_one.insert(one_by_one.end(), {k, -1});
  CHECK(refused(many, one_by_one));
  for (std::int16_t k = 0; k < 100; ++k) all_at_once.push_back(k);
  all_at_once.insert(all_at_once.end(), 99, -1);
  CHECK(refused(deep, all_at_once));  // 100 values would wait
  CHECK(refused(two, {0, 1}));
  CHECK(refused(two, {0, 2, -1}));
  CHECK(refused(two, {0, 0, -1}));
  CHECK(refused(two, {0, -1, 1}));
  const std::vector<ReduceSource> halves(2, ReduceSource{nullptr, DType::f16});
  const Tokens program{0, 1, -1};
  CHECK_THROWS_AS(
      kernels::reduce({.accumulator = DType::f16, .output = DType::bf16, .sources = halves, .program = program},
                      stream.queue()),
      Exception);
}

TEST_CASE("A reduction on a device takes as many sources as the host's") {
  for (const auto& runtime : testing::runtimes_under_test()) {
    const device::OwnedStream stream(runtime, 0);
    for (const int count : {65, 1024}) {
      std::vector<std::vector<float>> host;
      std::vector<device::Buffer> arrays;
      std::vector<ReduceSource> host_views, device_views;
      Tokens program{0};
      for (std::int16_t k = 0; k < count; ++k) {
        host.push_back({1.0f / static_cast<float>(k + 1), static_cast<float>(k) * 0.3f, -0.7f});
        arrays.push_back(testing::on_device<float>(runtime, host.back()));
        device_views.push_back({arrays.back().data(), DType::f32});
        if (k > 0) program.insert(program.end(), {k, -1});
      }
      for (const auto& each : host) host_views.push_back({each.data(), DType::f32});
      std::vector<float> expected(3);
      const device::Buffer found(runtime, 0, 3 * sizeof(float));
      ReduceCall call{.destination = expected.data(), .count = 3, .sources = host_views, .program = program};
      kernels::reduce(call);
      call.sources = device_views;
      call.destination = found.data();
      kernels::reduce(call, stream.queue());
      CHECK(testing::to_host<float>(*runtime, found.data(), 3, stream.get()) == expected);
    }
  }
}
