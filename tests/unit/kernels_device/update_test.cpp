// SPDX-License-Identifier: Apache-2.0
#include "kernels/update/update.hpp"

#include "kernels/cast/cast.hpp"
#include "kernels/device_kernels.hpp"
#include "kernels/norm/norm.hpp"
#include "kernels/update/trust.hpp"
#include "kernels/update/update_device.hpp"
#include "trireme/base/error.hpp"
#include "unit/kernels_device/mirrored.hpp"

#include <catch2/catch.hpp>

#include <cmath>
#include <set>
#include <vector>

using namespace trireme;

namespace {

using kernels::UpdateRung;
using kernels::UpdateSpan;
using testing::Mirrored;

const UpdateSpan plain_numbers{};
const UpdateSpan all_numbers{.gradient_scale = 0.7, .clip_value = 0.9, .l2_penalty = 0.03, .keep = 0.99};

/// Calls use(rule, states) for every rule and every form of it.
template <class Use>
void for_all_rules(Use use) {
  use(kernels::SgdRule{.learning_rate = 0.1}, 0);
  for (const bool first : {false, true}) {
    for (const bool nesterov : {false, true}) {
      use(
          kernels::SgdRule{
              .learning_rate = 0.1, .momentum = 0.9, .dampening = 0.2, .nesterov = nesterov, .first_step = first},
          1);
    }
    use(kernels::AdagradRule{.learning_rate = 0.1, .initial = 0.3, .first_step = first}, 1);
  }
  use(kernels::AdamRule{.learning_rate = 0.02, .step = 7}, 2);
  use(kernels::NadamRule{.gradient_step = 0.01, .moment_step = 0.02, .step = 3}, 2);
  use(kernels::RmspropRule{}, 1);
  use(kernels::RmspropRule{.momentum = 0.9}, 2);
  use(kernels::RmspropRule{.centered = true}, 2);
  use(kernels::RmspropRule{.momentum = 0.9, .centered = true}, 3);
  use(kernels::AdadeltaRule{}, 2);
  use(kernels::LionRule{.learning_rate = 0.01}, 1);
  use(kernels::LambRule{.weight_decay = 0.1, .step = 4, .step_size = 0.05}, 2);
}

/// Tensors of all kinds: dtypes of parameters, gradients and copies, odd counts, odd places, with and without decay.
Mirrored of_all_kinds(int states) {
  Mirrored tensors;
  for (const std::size_t count :
       {std::size_t{0}, std::size_t{1}, std::size_t{1023}, std::size_t{4096}, std::size_t{9001}}) {
    for (const std::size_t offset : {0u, 1u}) {
      for (const DType gradient : {DType::f32, DType::bf16, DType::f16}) {
        const bool copied = gradient != DType::f32;
        tensors.add(count, {DType::f32, gradient, states, copied, gradient, offset}, all_numbers);
        tensors.add(count + 2, {.dtype = DType::f64, .gradient = gradient, .states = states, .offset = offset},
                    plain_numbers);
      }
      tensors.add(count, {.dtype = DType::f64, .gradient = DType::f64, .states = states, .offset = offset},
                  all_numbers);
    }
  }
  return tensors;
}

device::Buffer step_scale(const std::shared_ptr<device::Runtime>& runtime, double scale, bool skip) {
  const kernels::StepScale step{scale, skip ? 1u : 0u};
  return testing::on_device<kernels::StepScale>(runtime, std::span(&step, 1));
}

}  // namespace

TEST_CASE("every rule updates all kinds of tensors at once, with the host's bits") {
  for (const auto& runtime : testing::runtimes_under_test()) {
    INFO(runtime->name());
    const device::OwnedStream stream(runtime, 0);
    for_all_rules([&](const auto& rule, int states) {
      Mirrored tensors = of_all_kinds(states);
      const auto ours = tensors.on_device(runtime);
      for (const UpdateSpan& span : tensors.on_host()) kernels::update(span, rule);
      kernels::update(ours, rule, stream.queue());
      CHECK(tensors.equal(*runtime, stream.get()));
    });
  }
}

TEST_CASE("the plain rung of every rule has the same bits") {
  const auto runtime = testing::runtimes_under_test().back();
  const device::OwnedStream stream(runtime, 0);
  for_all_rules([&](const auto& rule, int states) {
    Mirrored tensors;
    tensors.add(1025, {.states = states, .offset = 1}, all_numbers);
    tensors.add(777, {.dtype = DType::f64, .gradient = DType::bf16, .states = states}, plain_numbers);
    const auto ours = tensors.on_device(runtime);
    for (const UpdateSpan& span : tensors.on_host()) kernels::update(span, rule);
    kernels::update(ours, rule, stream.queue(), nullptr, UpdateRung::plain);
    CHECK(tensors.equal(*runtime, stream.get()));
  });
}

TEST_CASE("more tensors than fit in one launch are updated, each with numbers of its own") {
  for (const auto& runtime : testing::runtimes_under_test()) {
    const device::OwnedStream stream(runtime, 0);
    Mirrored tensors;
    for (std::size_t i = 0; i < 701; ++i) {
      tensors.add(i % 37, {.gradient = i % 2 == 0 ? DType::f32 : DType::bf16, .states = 2, .offset = i % 3},
                  {.gradient_scale = 1.0 + 0.01 * static_cast<double>(i), .keep = 1.0 - 1e-4 * static_cast<double>(i)});
    }
    const kernels::AdamRule rule{.step = 2};
    const auto ours = tensors.on_device(runtime);
    for (const UpdateSpan& span : tensors.on_host()) kernels::update(span, rule);
    kernels::update(ours, rule, stream.queue());
    CHECK(tensors.equal(*runtime, stream.get()));
  }
}

TEST_CASE("a scale in device memory takes the place of the spans', and where it says skip nothing is written") {
  for (const auto& runtime : testing::runtimes_under_test()) {
    const device::OwnedStream stream(runtime, 0);
    const auto scale = step_scale(runtime, 0.37, false), skip = step_scale(runtime, 0.37, true);
    const auto at = [](const device::Buffer& buffer) {
      return reinterpret_cast<const kernels::StepScale*>(buffer.data());
    };
    for_all_rules([&](const auto& rule, int states) {
      Mirrored tensors;
      tensors.add(5000, {.states = states, .has_copy = true}, all_numbers);
      tensors.add(70, {.dtype = DType::f64, .gradient = DType::f64, .states = states}, plain_numbers);
      const auto ours = tensors.on_device(runtime);
      for (const UpdateRung rung : {UpdateRung::fast, UpdateRung::plain}) {
        kernels::update(ours, rule, stream.queue(), at(skip), rung);
        CHECK(tensors.equal(*runtime, stream.get()));
      }
      for (UpdateSpan span : tensors.on_host()) {
        span.gradient_scale = 0.37;
        kernels::update(span, rule);
      }
      kernels::update(ours, rule, stream.queue(), at(scale));
      CHECK(tensors.equal(*runtime, stream.get()));
    });
  }
}

TEST_CASE("infinities and NaNs among gradients give what they give on the host") {
  for (const auto& runtime : testing::runtimes_under_test()) {
    const device::OwnedStream stream(runtime, 0);
    const float odd[] = {INFINITY, -INFINITY, NAN, 0.0f, -0.0f, 1e-42f, -3e38f, 1.0f};
    for_all_rules([&](const auto& rule, int) {
      std::vector<float> arrays[4];
      std::vector<device::Buffer> buffers;
      for (auto& array : arrays) {
        array.assign(std::begin(odd), std::end(odd));
        if (&array != &arrays[0]) std::fill(array.begin(), array.end(), 0.5f);
        buffers.push_back(testing::on_device<float>(runtime, array));
      }
      std::vector<float> values(8, 0.25f);
      const auto device_values = testing::on_device<float>(runtime, values);
      kernels::update({.parameter = values.data(),
                       .gradient = arrays[0].data(),
                       .state = {arrays[1].data(), arrays[2].data(), arrays[3].data()},
                       .count = 8},
                      rule);
      const UpdateSpan ours{.parameter = device_values.data(),
                            .gradient = buffers[0].data(),
                            .state = {buffers[1].data(), buffers[2].data(), buffers[3].data()},
                            .count = 8};
      kernels::update(std::span(&ours, 1), rule, stream.queue());
      const auto got = testing::to_host<float>(*runtime, device_values.data(), 8, stream.get());
      for (std::size_t i = 0; i < 8; ++i) {
        const bool both = std::isnan(got[i]) && std::isnan(values[i]);
        CHECK((both || std::memcmp(&got[i], &values[i], 4) == 0));
      }
    });
  }
}

TEST_CASE("adopting widens and rounds as a cast of the host does") {
  for (const auto& runtime : testing::runtimes_under_test()) {
    const device::OwnedStream stream(runtime, 0);
    for (const UpdateRung rung : {UpdateRung::fast, UpdateRung::plain}) {
      Mirrored tensors;
      for (const DType narrow : {DType::bf16, DType::f16, DType::f32}) {
        tensors.add(4099, {DType::f32, narrow, 0, true, DType::bf16, 1}, all_numbers);
        tensors.add(2048, {DType::f32, narrow, 0, true, DType::f16, 0}, all_numbers);
      }
      const auto ours = tensors.on_device(runtime);
      for (const UpdateSpan& span : tensors.on_host()) {
        kernels::cast(span.parameter, span.dtype, span.gradient, span.gradient_dtype, span.count);
        kernels::cast(span.copy, span.copy_dtype, span.parameter, span.dtype, span.count);
      }
      kernels::adopt(ours, stream.queue(), rung);
      CHECK(tensors.equal(*runtime, stream.get()));
    }
  }
}

TEST_CASE("norms of tensors, trust ratios and the steps by them have the host's bits, and the host sees none of them") {
  // Counts around the edges of blocks, and enough blocks for trees of every shape: 300 need segments of two.
  const std::size_t counts[] = {1, 8, 4095, 4096, 4097, 3 * 4096, 5 * 4096 + 11, 0, 7 * 4096 + 1023, 100};
  for (const auto& runtime : testing::runtimes_under_test()) {
    INFO(runtime->name());
    const device::OwnedStream stream(runtime, 0);
    const auto scale = step_scale(runtime, 0.37, false), skip = step_scale(runtime, 0.37, true);
    const auto at = [](const device::Buffer& buffer) {
      return reinterpret_cast<const kernels::StepScale*>(buffer.data());
    };
    for (const bool lars : {false, true}) {
      INFO((lars ? "lars" : "lamb"));
      Mirrored tensors;
      std::size_t blocks = 0, i = 0;
      for (const std::size_t count : counts) {
        const bool wide = i % 3 == 2;
        UpdateSpan numbers = all_numbers;
        if (lars) numbers.l2_penalty = 0.0;
        tensors.add(count,
                    {wide ? DType::f64 : DType::f32,
                     wide         ? DType::f64
                     : i % 2 == 0 ? DType::f32
                                  : DType::bf16,
                     lars ? 1 : 2, !wide, DType::bf16, i % 2},
                    numbers);
        blocks += (count + 4095) / 4096;
        ++i;
      }
      const auto ours = tensors.on_device(runtime);
      const device::Buffer sums(runtime, 0, 2 * blocks * sizeof(double));
      const device::Buffer factors(runtime, 0, std::size(counts) * sizeof(double));
      auto* block_sums = reinterpret_cast<double*>(sums.data());
      auto* factor = reinterpret_cast<double*>(factors.data());
      const kernels::LambRule lamb{.weight_decay = 0.1, .step = 4};
      const kernels::SgdRule sgd{.learning_rate = 0.3, .momentum = 0.9};
      const kernels::TrustRule trust{
          .local = lars, .learning_rate = 0.05, .max_trust = 0.8, .trust = 0.02, .weight_decay = 0.1, .epsilon = 1e-8};
      const auto step = [&](const device::Buffer& by) {
        lars ? kernels::measure(ours, block_sums, stream.queue(), at(by))
             : kernels::measure(ours, lamb, block_sums, stream.queue(), at(by));
        kernels::trust(ours, trust, block_sums, factor, stream.queue(), at(by));
        lars ? kernels::update(ours, sgd, factor, stream.queue(), at(by))
             : kernels::update(ours, lamb, factor, stream.queue(), at(by));
      };
      step(skip);
      CHECK(tensors.equal(*runtime, stream.get()));
      step(scale);
      std::vector<double> expected;
      for (UpdateSpan span : tensors.on_host()) {
        span.gradient_scale = 0.37;
        std::vector<double> parts(2 * ((span.count + 4095) / 4096));
        if (!lars) kernels::measure(span, lamb, parts.data());
        for (std::size_t b = 0; lars && b < parts.size() / 2; ++b) {
          const std::size_t n = std::min<std::size_t>(4096, span.count - b * 4096);
          std::vector<double> wide(n);
          for (std::size_t e = 0; e < n; ++e) {
            if (span.dtype == DType::f64) {
              const double g = static_cast<const double*>(span.gradient)[b * 4096 + e] * 0.37;
              wide[e] = std::clamp(g, -span.clip_value, span.clip_value);
              continue;
            }
            float g;
            kernels::cast(&g, DType::f32,
                          static_cast<const std::byte*>(span.gradient) + (b * 4096 + e) * size_of(span.gradient_dtype),
                          span.gradient_dtype, 1);
            g = g * static_cast<float>(0.37);
            const auto bound = static_cast<float>(span.clip_value);
            wide[e] = std::clamp(g, -bound, bound);
          }
          parts[2 * b] = kernels::block_sum_of_squares(
              static_cast<const std::byte*>(span.parameter) + b * 4096 * size_of(span.dtype), span.dtype, n);
          parts[2 * b + 1] = kernels::block_sum_of_squares(wide.data(), DType::f64, n);
        }
        kernels::TreeSum p, u;
        for (std::size_t b = 0; b < parts.size(); b += 2) p.add(parts[b]), u.add(parts[b + 1]);
        const double by = lars ? kernels::local_rate(p.result(), u.result(), 0.02, 0.1, 1e-8)
                               : 0.05 * kernels::trust_ratio(p.result(), u.result(), 0.8);
        expected.push_back(by);
        if (lars) {
          span.gradient_scale *= by;
          span.clip_value *= by;
          span.l2_penalty *= by;
          kernels::update(span, sgd);
        } else {
          kernels::LambRule second = lamb;
          second.step_size = by;
          kernels::update(span, second);
        }
      }
      CHECK(tensors.equal(*runtime, stream.get()));
      const auto got = testing::to_host<double>(*runtime, factor, expected.size(), stream.get());
      for (std::size_t k = 0; k < expected.size(); ++k) CHECK((counts[k] == 0 || got[k] == expected[k]));
    }
  }
}

TEST_CASE("block sums of any number are added along the balanced tree") {
  const auto runtime = testing::runtimes_under_test().back();
  const device::OwnedStream stream(runtime, 0);
  for (const std::size_t blocks : {1u, 2u, 3u, 7u, 255u, 256u, 257u, 300u, 777u, 9424u}) {
    INFO(blocks);
    std::vector<double> sums(2 * blocks);
    for (std::size_t i = 0; i < sums.size(); ++i) sums[i] = 1.0 / static_cast<double>(i + 3);
    const auto device_sums = testing::on_device<double>(runtime, sums);
    const device::Buffer factor(runtime, 0, sizeof(double));
    const UpdateSpan span{.count = blocks * 4096};
    kernels::trust(std::span(&span, 1), {.learning_rate = 1.0}, reinterpret_cast<const double*>(device_sums.data()),
                   reinterpret_cast<double*>(factor.data()), stream.queue());
    kernels::TreeSum p, u;
    for (std::size_t b = 0; b < blocks; ++b) p.add(sums[2 * b]), u.add(sums[2 * b + 1]);
    CHECK(testing::to_host<double>(*runtime, factor.data(), 1, stream.get())[0] ==
          kernels::trust_ratio(p.result(), u.result(), INFINITY));
  }
}

TEST_CASE("types that no update kernel has are refused by name") {
  const auto runtime = testing::runtimes_under_test().front();
  const device::OwnedStream stream(runtime, 0);
  const UpdateSpan whole{.dtype = DType::i32, .gradient_dtype = DType::i32};
  const UpdateSpan eight{.gradient_dtype = DType::f8e4m3};
  CHECK_THROWS_WITH(kernels::update(std::span(&whole, 1), kernels::AdamRule{}, stream.queue()),
                    Catch::Contains("parameters of i32"));
  CHECK_THROWS_WITH(kernels::update(std::span(&eight, 1), kernels::AdamRule{}, stream.queue()),
                    Catch::Contains("gradients of f8e4m3"));
}

TEST_CASE("every form of every rule is among the kernels that are loaded ahead") {
  const auto kernels = kernels::device_kernels();
  CHECK(std::set(kernels.begin(), kernels.end()).size() == kernels.size());
}
