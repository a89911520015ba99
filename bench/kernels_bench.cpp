// SPDX-License-Identifier: Apache-2.0
// How fast do the host kernels stream? Bytes per second count what is read plus what is written, once each. Products of
// matrices: operations per second, beside another library where one is found.
// Every benchmark checks one result against the reference before it is timed.
#include "gemm/rows.hpp"
#include "kernels/cast/cast.hpp"
#include "kernels/cast/reference.hpp"
#include "kernels/fold/fold.hpp"
#include "kernels/fold/reference.hpp"
#include "kernels/norm/norm.hpp"
#include "kernels/norm/reference.hpp"
#include "kernels/reduce/reduce.hpp"
#include "kernels/reduce/reference.hpp"
#include "kernels/update/reference.hpp"
#include "kernels/update/update.hpp"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <string>
#include <vector>

namespace trireme::kernels {
namespace {

constexpr std::size_t in_cache = std::size_t{1} << 14;   // elements: 64 KiB of f32 per array
constexpr std::size_t in_memory = std::size_t{1} << 24;  // 64 MiB

using Bytes = std::vector<std::byte>;

Bytes random(DType dtype, std::size_t count, unsigned seed) {
  Bytes bytes(count * size_of(dtype));
  std::mt19937 generator(seed);
  std::uniform_real_distribution<float> distribution(0.5f, 2.0f);
  std::size_t fresh = std::min(count, in_cache);
  for (std::size_t i = 0; i < fresh * size_of(dtype); ++i) {
    bytes[i] = static_cast<std::byte>(dtype == DType::boolean ? generator() % 2 : generator());
  }
  for (std::size_t i = 0; i < fresh && is_floating(dtype); ++i) {
    reference::store(bytes.data(), dtype, i, distribution(generator));
  }
  for (std::size_t done = fresh; done < count; done += fresh) {
    std::memcpy(bytes.data() + done * size_of(dtype), bytes.data(), std::min(fresh, count - done) * size_of(dtype));
  }
  return bytes;
}

/// Stops the benchmark when the first elements are not the reference's.
bool check(benchmark::State& state, const Bytes& expected, const Bytes& actual) {
  if (std::memcmp(expected.data(), actual.data(), expected.size()) == 0) return true;
  state.SkipWithError("differs from the reference");
  return false;
}

constexpr std::size_t checked = 1000;

void finish(benchmark::State& state, std::size_t bytes) {
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations()) * static_cast<std::int64_t>(bytes));
}

struct ReduceBench {
  int sources = 2;
  DType dtype = DType::f32;
  ReduceKind kind = ReduceKind::sum;
  double divisor = 1.0;
  bool twice = false;  ///< both sources take the result: what each of two ranks does to memory that both map
};

void reduce_bench(benchmark::State& state, const ReduceBench& what, Isa isa) {
  const DType dtype = what.dtype;
  auto count = static_cast<std::size_t>(state.range(0));
  std::vector<std::int16_t> program{0, 1, -1};
  if (what.sources == 4) program.insert(program.end(), {2, 3, -1, -1});
  std::vector<Bytes> inputs;
  std::vector<ReduceSource> views;
  for (int k = 0; k < what.sources; ++k) inputs.push_back(random(dtype, count, static_cast<unsigned>(k)));
  for (const Bytes& input : inputs) views.push_back({input.data(), dtype});
  Bytes output(count * size_of(dtype));
  Bytes expected(checked * size_of(dtype)), actual(expected.size());
  ReduceCall call{what.kind, accumulator_of(dtype), expected.data(), dtype, checked, views, program, what.divisor};
  reference::reduce(call);
  call.destination = actual.data();
  reduce(call, isa);
  if (!check(state, expected, actual)) return;
  call.destination = what.twice ? inputs[0].data() : output.data();
  call.also = what.twice ? inputs[1].data() : nullptr;
  call.count = count;
  for (auto _ : state) {
    reduce(call, isa);
    benchmark::ClobberMemory();
  }
  finish(state, (inputs.size() + (what.twice ? 2 : 1)) * count * size_of(dtype));
}

void cast_bench(benchmark::State& state, DType to, DType from, Isa isa) {
  auto count = static_cast<std::size_t>(state.range(0));
  Bytes source = random(from, count, 1);
  Bytes destination(count * size_of(to));
  Bytes expected(checked * size_of(to)), actual(expected.size());
  reference::cast(expected.data(), to, source.data(), from, checked);
  cast(actual.data(), to, source.data(), from, checked, isa);
  if (!check(state, expected, actual)) return;
  for (auto _ : state) {
    cast(destination.data(), to, source.data(), from, count, isa);
    benchmark::ClobberMemory();
  }
  finish(state, count * (size_of(to) + size_of(from)));
}

void scale_add_bench(benchmark::State& state, Isa isa) {
  auto count = static_cast<std::size_t>(state.range(0));
  Bytes source = random(DType::f32, count, 1);
  Bytes destination = random(DType::f32, count, 2);
  Bytes expected(destination.begin(), destination.begin() + checked * 4);
  Bytes actual = expected;
  reference::scale_add(expected.data(), source.data(), DType::f32, 0.3, checked);
  scale_add(actual.data(), source.data(), DType::f32, 0.3, checked, isa);
  if (!check(state, expected, actual)) return;
  for (auto _ : state) {
    scale_add(destination.data(), source.data(), DType::f32, 1e-6, count, isa);
    benchmark::ClobberMemory();
  }
  finish(state, 3 * count * 4);
}

/// One step of a rule with two states: four arrays are read and three written.
template <class Rule>
void update_bench(benchmark::State& state, Rule rule, Isa isa) {
  auto count = static_cast<std::size_t>(state.range(0));
  Bytes parameter = random(DType::f32, count, 1);
  Bytes gradient = random(DType::f32, count, 2);
  Bytes first = random(DType::f32, count, 3);
  Bytes second = random(DType::f32, count, 4);
  Bytes expected(parameter.begin(), parameter.begin() + checked * 4);
  Bytes actual = expected;
  for (bool by_reference : {true, false}) {
    Bytes m(first.begin(), first.begin() + checked * 4);
    Bytes v(second.begin(), second.begin() + checked * 4);
    Bytes& p = by_reference ? expected : actual;
    const UpdateSpan span{
        .parameter = p.data(), .gradient = gradient.data(), .state = {m.data(), v.data()}, .count = checked};
    by_reference ? reference::update(span, rule) : update(span, rule, isa);
  }
  if (!check(state, expected, actual)) return;
  const UpdateSpan span{.parameter = parameter.data(),
                        .gradient = gradient.data(),
                        .state = {first.data(), second.data()},
                        .count = count};
  for (auto _ : state) {
    update(span, rule, isa);
    benchmark::ClobberMemory();
  }
  finish(state, 7 * count * 4);
}

void norm_bench(benchmark::State& state, Isa isa) {
  auto count = static_cast<std::size_t>(state.range(0));
  Bytes data = random(DType::f32, count, 1);
  if (reference::sum_of_squares(data.data(), DType::f32, checked) !=
      sum_of_squares(data.data(), DType::f32, checked, isa)) {
    state.SkipWithError("differs from the reference");
    return;
  }
  for (auto _ : state) benchmark::DoNotOptimize(sum_of_squares(data.data(), DType::f32, count, isa));
  finish(state, count * 4);
}

/// What memory gives to the C library: the bound to compare with.
void copy_bench(benchmark::State& state, DType dtype) {
  auto count = static_cast<std::size_t>(state.range(0));
  Bytes source = random(dtype, count, 1);
  Bytes destination(source.size());
  for (auto _ : state) {
    std::memcpy(destination.data(), source.data(), source.size());
    benchmark::ClobberMemory();
  }
  finish(state, 2 * source.size());
}

void register_all() {
  auto add = [](const std::string& name, auto body) {
    benchmark::RegisterBenchmark(name.c_str(), body)
        ->Arg(static_cast<std::int64_t>(in_cache))
        ->Arg(static_cast<std::int64_t>(in_memory));
  };
  // The bound of as many elements of 8, 4, 2 and 1 bytes.
  for (DType dtype : {DType::f64, DType::f32, DType::f16, DType::u8}) {
    add("memcpy/" + std::to_string(8 * size_of(dtype)) + "_bits", [=](benchmark::State& s) { copy_bench(s, dtype); });
  }
  for (Isa isa : {Isa::portable, Isa::avx2, Isa::avx512}) {
    if (isa > best_isa()) continue;
    const std::string end = std::string("/").append(name_of(isa));
    const auto add_reduce = [&](const std::string& name, const ReduceBench& what) {
      add("reduce/" + name + end, [=](benchmark::State& state) { reduce_bench(state, what, isa); });
    };
    for (int d = 0; d < dtype_count; ++d) {
      const auto dtype = static_cast<DType>(d);
      const std::string name(name_of(dtype));
      const ReduceKind kind = dtype == DType::boolean ? ReduceKind::max : ReduceKind::sum;
      add_reduce("2/" + name, {2, dtype, kind});
      if (is_floating(dtype)) add_reduce("4/" + name, {4, dtype, kind});
      if (is_floating(dtype)) add_reduce("2/" + name + "/twice", {2, dtype, kind, 1.0, true});
      if (!is_floating(dtype)) add_reduce("2/" + name + "/min", {2, dtype, ReduceKind::min});
    }
    add_reduce("4/f32/average", {4, DType::f32, ReduceKind::average, 3.0});
    for (DType narrow : {DType::bf16, DType::f16, DType::f8e4m3, DType::f8e5m2}) {
      std::string name(name_of(narrow));
      add("cast/f32_to_" + name + end, [=](benchmark::State& s) { cast_bench(s, narrow, DType::f32, isa); });
      add("cast/" + name + "_to_f32" + end, [=](benchmark::State& s) { cast_bench(s, DType::f32, narrow, isa); });
    }
    if (isa == Isa::avx512) continue;  // the others take AVX2 there
    add("scale_add/f32" + end, [=](benchmark::State& state) { scale_add_bench(state, isa); });
    add("adam/f32" + end, [=](benchmark::State& state) { update_bench(state, AdamRule{.step = 7}, isa); });
    add("adadelta/f32" + end, [=](benchmark::State& state) { update_bench(state, AdadeltaRule{}, isa); });
    add("sum_of_squares/f32" + end, [=](benchmark::State& state) { norm_bench(state, isa); });
  }
}

}  // namespace
}  // namespace trireme::kernels

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  trireme::kernels::register_all();
  trireme::bench::register_gemm();
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
