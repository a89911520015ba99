// SPDX-License-Identifier: Apache-2.0
// What bounds the kernels here is memory, so what they move is their speed as far as it can be counted: each byte once, by whole
// sectors, and by accesses of 16 bytes for each thread, 512 for a warp, on the widest side. Over the cases of bench/device,
// with the alignments of GPT-2's parameters. The figures are those of kernels/README.md.
#include "bench/device/cases.hpp"
#include "bench/device/memory.hpp"
#include "bench/device/parameter_list.hpp"
#include "kernels/update/update_device.hpp"
#include "support/fake_cuda/control.hpp"
#include "trireme/device/cuda.hpp"

#include <catch2/catch.hpp>

#include <cstdio>
#include <cstdlib>

namespace trireme::testing {
namespace {

ptx::Traffic traffic_of(const bench::Ground& ground, const std::function<void()>& run) {
  count_traffic();
  run();
  ground.stream.synchronize();
  ptx::Traffic all;
  for (const auto& [name, each] : counted_traffic()) {
    all.requested += each.requested;
    all.moved += each.moved;
    all.accesses += each.accesses;
    all.least += each.least;
  }
  return all;
}

double share(std::uint64_t a, std::uint64_t b) { return static_cast<double>(a) / static_cast<double>(b); }

/// A row of the table in kernels/README.md, where it is asked for.
void print(const std::string& name, std::size_t bytes, const ptx::Traffic& traffic) {
  if (std::getenv("PRINT_TRAFFIC") == nullptr) return;
  std::printf("| %s | %.3f | %.3f | %.3f | %.0f |\n", name.c_str(), share(traffic.requested, bytes),
              share(traffic.least, bytes), share(traffic.moved, bytes), share(traffic.moved, traffic.accesses));
}

template <class Rule>
ptx::Traffic traffic_of_update(const bench::Ground& ground, const Rule& rule, std::size_t states, DType gradient,
                               bool has_copy, std::size_t& bytes) {
  const auto counts = bench::small_parameters();
  const std::size_t elements = bench::sum_of(counts);
  bench::Twin values(ground, DType::f32, elements * (1 + states), 1), gradients(ground, gradient, elements, 2),
      copies(ground, DType::bf16, elements, 3);
  ground.runtime->fill(values.device_at(elements), std::byte{0}, states * elements * 4, ground.stream.get());
  std::vector<kernels::UpdateSpan> spans;
  std::size_t begin = 0;
  for (const std::size_t count : counts) {
    kernels::UpdateSpan span{.count = count, .gradient_scale = 0.5, .keep = 0.999};
    span.parameter = values.device_at(begin);
    for (std::size_t k = 0; k < states; ++k) span.state[k] = values.device_at((1 + k) * elements + begin);
    span.gradient = gradients.device_at(begin);
    span.gradient_dtype = gradient;
    if (has_copy) span.copy = copies.device_at(begin);
    spans.push_back(span);
    begin += count;
  }
  bytes = elements * (8 + 8 * states + size_of(gradient) + (has_copy ? 2 : 0));
  return traffic_of(ground, [&] { kernels::update(spans, rule, ground.stream.queue()); });
}

}  // namespace

TEST_CASE("reductions, casts and packing move each byte once, by accesses as wide as there are", "[device]") {
  const auto runtime = device::cuda_runtime();
  const device::OwnedStream stream(runtime, 0);
  const bench::Ground ground{runtime, stream, std::size_t{1} << 17, false};
  for (const auto& group : {bench::reduce_cases(), bench::cast_cases(), bench::pack_cases()}) {
    for (const auto& make : group) {
      const bench::Case each = make(ground);
      INFO(each.name);
      const ptx::Traffic traffic = traffic_of(ground, each.run);
      print(each.name, each.bytes, traffic);
      CHECK(each.verify());
      CHECK(traffic.requested == each.bytes);
      CHECK(share(traffic.moved, each.bytes) < 1.001);
      // As many elements of the narrower side in an access as of the wider, whose 16 bytes are a thread's.
      const bool f8 = each.name.find("f8") != std::string::npos;
      const bool two_widths = each.name.starts_with("cast") || each.name.find("pack/f32_to_bf16") == 0 ||
                              each.name.find("from_bf16") != std::string::npos;
      CHECK(share(traffic.moved, traffic.accesses) > 0.99 * (f8 ? 320 : two_widths ? 384 : 512));
    }
  }
}

TEST_CASE("norms read each byte once", "[device]") {
  const auto runtime = device::cuda_runtime();
  const device::OwnedStream stream(runtime, 0);
  const bench::Ground ground{runtime, stream, std::size_t{1} << 17, false};
  for (const auto& make : bench::norm_cases()) {
    const bench::Case each = make(ground);
    INFO(each.name);
    const ptx::Traffic traffic = traffic_of(ground, each.run);
    print(each.name, each.bytes, traffic);
    CHECK(each.verify());
    CHECK(share(traffic.requested, each.bytes) < 1.005);
    CHECK(share(traffic.least, each.bytes) < 1.005);
    // A thread reads whole rows, one behind the other: of 16 bits half a sector at a time.
    CHECK(share(traffic.moved, each.bytes) < (each.name.ends_with("bf16") ? 2.02 : 1.01));
  }
}

TEST_CASE("an update of hundreds of tensors moves each byte once, by accesses as wide as there are", "[device]") {
  const auto runtime = device::cuda_runtime();
  const device::OwnedStream stream(runtime, 0);
  const bench::Ground ground{runtime, stream, std::size_t{1} << 17, false};
  const kernels::AdamRule adam{.learning_rate = 1e-3, .step = 10};
  const auto check = [&](const char* name, const auto& rule, std::size_t states, DType gradient, bool has_copy) {
    INFO(name);
    std::size_t bytes = 0;
    const ptx::Traffic traffic = traffic_of_update(ground, rule, states, gradient, has_copy, bytes);
    print(name, bytes, traffic);
    CHECK(share(traffic.requested, bytes) < 1.001);
    CHECK(share(traffic.moved, bytes) < 1.001);
    // Of tensors shorter than 1024 elements, here an eighth of all, a thread takes one element at a time.
    CHECK(share(traffic.moved, traffic.accesses) > (gradient == DType::f32 ? 370 : 325));
  };
  check("adamw/f32", adam, 2, DType::f32, false);
  check("adamw/bf16+master", adam, 2, DType::bf16, true);
  check("sgd momentum/f32", kernels::SgdRule{.learning_rate = 0.1, .momentum = 0.9}, 1, DType::f32, false);
  check("sgd/f32", kernels::SgdRule{.learning_rate = 0.1}, 0, DType::f32, false);
}

}  // namespace trireme::testing
