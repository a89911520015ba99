// SPDX-License-Identifier: Apache-2.0
// Gradients that over- or underflow, and parameters of 16 bits.
#include "field.hpp"
#include "kernels/cast/reference.hpp"
#include "ranks.hpp"
#include "trireme/optim/adamw.hpp"
#include "trireme/optim/loss_scaler.hpp"
#include "trireme/optim/sgd.hpp"
#include "trireme/parallel/data_parallel.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cmath>
#include <limits>

using namespace trireme;
using namespace trireme::literals;
using namespace trireme::testing;

namespace {

const std::vector<std::size_t> precise_counts{700, 3, 41};

/// A field in 16 bits: values and gradients as bf16 or f16, the gradient a function of value and samples.
class NarrowField {
 public:
  NarrowField(DType dtype, DType gradient_dtype, const std::vector<std::size_t>& counts)
      : dtype_(dtype), gradient_dtype_(gradient_dtype), wide_(counts) {
    for (std::size_t p = 0; p < counts.size(); ++p) {
      values_.emplace_back(counts[p] * 2);
      gradients_.emplace_back(counts[p] * size_of(gradient_dtype));
      for (std::size_t e = 0; e < counts[p]; ++e)
        kernels::reference::store(values_[p].data(), dtype, e, static_cast<double>(wide_.value(p)[e]));
      parameters_.push_back({"parameter" + std::to_string(p),
                             {static_cast<std::int64_t>(counts[p])},
                             TensorView(values_[p].data(), counts[p], dtype),
                             TensorView(gradients_[p].data(), counts[p], gradient_dtype)});
    }
  }
  const std::vector<Parameter>& parameters() const { return parameters_; }
  /// The loss times `scale`; gradients of samples 1 in `infinite_every` overflow.
  template <class Ready>
  void backward(std::span<const std::uint32_t> samples, double scale, bool overflows, Ready ready) {
    for (std::size_t p = values_.size(); p-- > 0;) {
      for (std::size_t e = 0; e < parameters_[p].value.count; ++e) {
        const auto value = static_cast<float>(kernels::reference::load(values_[p].data(), dtype_, e));
        double g = scale * static_cast<double>(Field<float>::gradient_of(p, e, value, samples));
        if (overflows && e == 0) g = 1e30;
        kernels::reference::store(gradients_[p].data(), gradient_dtype_, e, g);
      }
      ready(p);
    }
  }
  std::string bytes() const {
    std::string all;
    for (const auto& each : values_) all.append(reinterpret_cast<const char*>(each.data()), each.size());
    return all;
  }

 private:
  DType dtype_, gradient_dtype_;
  Field<float> wide_;
  std::vector<std::vector<std::byte>> values_, gradients_;
  std::vector<Parameter> parameters_;
};

}  // namespace

TEST_CASE("16-bit parameters end with the same bits on any number of ranks, and near those of f32") {
  const DType dtype = GENERATE(DType::bf16, DType::f16);
  const bool wide_gradients = GENERATE(false, true);
  std::vector<std::string> ends;
  for (const int ranks : {1, 2, 3, 4}) {
    std::string bytes;
    run_ranks(ranks, [&](World& world) {
      NarrowField model(dtype, wide_gradients ? DType::f32 : dtype, precise_counts);
      AdamW optimizer({.learning_rate = 0.01});
      DataParallel data_parallel(world.communicator(), model.parameters(),
                                 {.bucket_bytes = 1_KiB, .logical_shards = 4});
      DistributedSampler sampler({.count = 24, .global_batch = 8});
      for (auto& step : data_parallel.steps(sampler)) {
        for (auto& shard : step.shards())
          model.backward(shard.samples(), 1.0, false, [&](std::size_t p) { shard.ready(p); });
        step.reduce();
        step.apply(optimizer, {.clip_norm = 5.0});
      }
      if (world.rank() == 0) bytes = model.bytes();
    });
    ends.push_back(bytes);
  }
  for (const std::string& each : ends) REQUIRE(each == ends.front());

  Field<float> exact(precise_counts);
  run_ranks(1, [&](World& world) {
    AdamW optimizer({.learning_rate = 0.01});
    DataParallel data_parallel(world.communicator(), exact.parameters(), {.logical_shards = 4});
    DistributedSampler sampler({.count = 24, .global_batch = 8});
    for (auto& step : data_parallel.steps(sampler)) {
      for (auto& shard : step.shards()) exact.backward(shard.samples(), [&](std::size_t p) { shard.ready(p); });
      step.reduce();
      step.apply(optimizer, {.clip_norm = 5.0});
    }
  });
  // Three steps of at most 0.01 each: what is left is the rounding of the start and of the end.
  std::size_t at = 0;
  for (std::size_t p = 0; p < precise_counts.size(); ++p) {
    for (std::size_t e = 0; e < precise_counts[p]; ++e, ++at) {
      const double narrow = kernels::reference::load(ends.front().data(), dtype, at);
      REQUIRE(std::fabs(narrow - static_cast<double>(exact.value(p)[e])) < 0.02);
    }
  }
}

TEST_CASE("an overflow on one rank skips the step on all, and the scale falls on all") {
  const int ranks = GENERATE(1, 3);
  Complaints complaints(ranks);
  run_ranks(ranks, [&](World& world) {
    NarrowField model(DType::f16, DType::f16, precise_counts);
    AdamW optimizer({.learning_rate = 0.01});
    LossScaler scaler({.initial = 1024, .interval = 2});
    DataParallel data_parallel(world.communicator(), model.parameters(), {.logical_shards = 4});
    DistributedSampler sampler({.count = 40, .global_batch = 8});
    std::string before = model.bytes();
    const double scales[] = {1024, 1024, 512, 512, 1024};  // at the beginning of each step
    for (auto& step : data_parallel.steps(sampler)) {
      const auto index = step.index();
      complaints.expect(world.rank(), scaler.scale() == scales[index], "scale before step " + std::to_string(index));
      for (auto& shard : step.shards()) {
        const bool overflows = index == 1 && world.rank() == ranks - 1;
        model.backward(shard.samples(), scaler.scale(), overflows, [&](std::size_t p) { shard.ready(p); });
      }
      step.reduce();
      const ApplyOutcome outcome = step.apply(optimizer, {.clip_norm = 1.0, .loss_scaler = &scaler});
      complaints.expect(world.rank(), outcome == (index == 1 ? ApplyOutcome::nonfinite : ApplyOutcome::applied),
                        "outcome");
      complaints.expect(world.rank(), (model.bytes() == before) == (index == 1), "skipped or not");
      before = model.bytes();
    }
    complaints.expect(world.rank(), optimizer.states().at("parameter0").steps == 4, "steps counted");
    complaints.expect(world.rank(), scaler.state().skipped == 1, "steps skipped");
  });
  REQUIRE(complaints.all() == "");
}

TEST_CASE("losses scaled by a power of two give the bits of plain ones, clipped or not") {
  const double clip_norm = GENERATE(0.0, 0.5);
  std::string bytes[2];
  for (const bool scaled : {false, true}) {
    run_ranks(2, [&](World& world) {
      Field<float> model(precise_counts);
      Sgd optimizer({.learning_rate = 0.1, .momentum = 0.9});
      LossScaler scaler({.initial = 4096});
      DataParallel data_parallel(world.communicator(), model.parameters(), {.logical_shards = 4});
      DistributedSampler sampler({.count = 24, .global_batch = 8});
      for (auto& step : data_parallel.steps(sampler)) {
        for (auto& shard : step.shards()) {
          model.backward(shard.samples(), [&](std::size_t p) {
            if (scaled)
              for (float& g : model.gradient(p)) g *= 4096.0f;
            shard.ready(p);
          });
        }
        step.reduce();
        step.apply(optimizer, {.clip_norm = clip_norm, .loss_scaler = scaled ? &scaler : nullptr});
      }
      if (world.rank() == 0) bytes[scaled ? 1 : 0] = model.bytes();
    });
  }
  REQUIRE(bytes[0] == bytes[1]);
}

TEST_CASE("clip_value bounds every element of the reduced gradients") {
  run_ranks(2, [&](World& world) {
    Field<float> model(precise_counts);
    Sgd optimizer({.learning_rate = 1.0});
    DataParallel data_parallel(world.communicator(), model.parameters(), {});
    DistributedSampler sampler({.count = 8, .global_batch = 8});
    for (auto& step : data_parallel.steps(sampler)) {
      for (auto& shard : step.shards()) model.backward(shard.samples(), [&](std::size_t p) { shard.ready(p); });
      step.reduce();
      std::vector<std::vector<float>> expected;
      for (std::size_t p = 0; p < precise_counts.size(); ++p) {
        expected.push_back(model.value(p));
        const auto gradient = step.gradient(p).as<float>();
        for (std::size_t e = 0; e < gradient.size(); ++e) expected[p][e] -= std::clamp(gradient[e], -0.125f, 0.125f);
      }
      step.apply(optimizer, {.clip_value = 0.125});
      for (std::size_t p = 0; p < precise_counts.size(); ++p) {
        if (model.value(p) != expected[p]) throw std::logic_error("not the clipped update");
      }
    }
  });
}

TEST_CASE("gradients that are not finite change nothing where that is asked for") {
  run_ranks(2, [&](World& world) {
    Field<float> model(precise_counts);
    Sgd optimizer({.learning_rate = 1.0});
    DataParallel data_parallel(world.communicator(), model.parameters(), {});
    DistributedSampler sampler({.count = 8, .global_batch = 8});
    const std::string before = model.bytes();
    for (auto& step : data_parallel.steps(sampler)) {
      for (auto& shard : step.shards()) {
        model.backward(shard.samples(), [&](std::size_t p) {
          if (world.rank() == 1 && p == 2) model.gradient(p)[40] = std::numeric_limits<float>::quiet_NaN();
          shard.ready(p);
        });
      }
      step.reduce();
      if (step.apply(optimizer, {.skip_nonfinite = true}) != ApplyOutcome::nonfinite) throw std::logic_error("applied");
    }
    if (model.bytes() != before) throw std::logic_error("changed");
  });
}
