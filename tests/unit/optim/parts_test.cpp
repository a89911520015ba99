// SPDX-License-Identifier: Apache-2.0
#include "kernels/norm/step_scale.hpp"
#include "support/device_under_test.hpp"
#include "trireme/base/error.hpp"
#include "trireme/optim/weight_average.hpp"
#include "unit/optim/parted_models.hpp"

#include <catch2/catch.hpp>

#include <cstring>
#include <exception>
#include <memory>
#include <string>
#include <thread>
#include <vector>

using namespace trireme;
using namespace trireme::testing;
using Catch::Matchers::Contains;

namespace {

void group_biases_of_parts(Optimizer& optimizer) {
  optimizer.add_group({.name = "biases", .parameters = {"*.bias"}, .learning_rate_scale = 0.5, .weight_decay = 0.0});
}

/// Owners as threads; each has the optimizer of its parts of one model.
struct Owners {
  PartedModel model;
  std::vector<std::vector<layout::Interval>> parts;
  std::vector<std::unique_ptr<Optimizer>> optimizers;
  ThreadSums sums;

  Owners(const NamedRule& rule, std::size_t count, std::uint64_t seed) : sums(count) {
    for (std::size_t k = 0; k < count; ++k) {
      optimizers.push_back(rule.make());
      group_biases_of_parts(*optimizers.back());
    }
    parts = random_parts(model, count, seed, optimizers[0]->scope() == UpdateScope::tensor);
  }
  void apply(double scale, double clip_value, const std::string& without) {
    const auto run = [&](std::size_t k) {
      std::vector<Optimizer::TensorUpdate> updates;
      for (std::size_t t = 0; t < model.tensors.size(); ++t) {
        if (model.tensors[t].name != without) updates.push_back(PartedModel::update_of(model.tensors[t], parts[k][t]));
      }
      ThreadExchange exchange(sums);
      optimizers[k]->apply(updates, scale, clip_value, &exchange);
    };
    if (optimizers[0]->scope() != UpdateScope::sums) {
      for (std::size_t k = 0; k < optimizers.size(); ++k) run(k);
      return;
    }
    std::vector<std::thread> threads;
    for (std::size_t k = 0; k < optimizers.size(); ++k) threads.emplace_back(run, k);
    for (std::thread& each : threads) each.join();
  }
};

}  // namespace

TEST_CASE("owners of parts train with the bits of the whole, every rule, type and state") {
  for (const auto& rule : all_rules()) {
    for (const std::size_t count : {2, 3, 8}) {
      INFO(rule.name << ", " << count << " owners");
      PartedModel model;
      const auto whole = rule.make();
      group_biases_of_parts(*whole);
      Owners owners(rule, count, count * 7 + rule.name.size());
      for (std::uint64_t step = 1; step <= 3; ++step) {
        model.set_gradients(step);
        owners.model.set_gradients(step);
        const std::string without = step == 2 ? "layer.bias" : "";
        std::vector<Optimizer::TensorUpdate> updates;
        for (auto& each : model.tensors)
          if (each.name != without) updates.push_back(PartedModel::update_of(each, {0, each.count}));
        whole->apply(updates, 0.7, 0.8);
        owners.apply(0.7, 0.8, without);
      }
      CHECK(owners.sums.calls() == (whole->scope() == UpdateScope::sums ? 3 * count : 0));  // one for all tensors
      for (std::size_t t = 0; t < model.tensors.size(); ++t) {
        const std::string& name = model.tensors[t].name;
        CHECK((model.tensors[t].value == owners.model.tensors[t].value));
        for (std::size_t k = 0; k < count; ++k)
          CHECK(difference(*whole, *owners.optimizers[k], name, owners.parts[k][t]) == "");
      }
    }
  }
}

TEST_CASE("parts of device tensors train with the bits of the host, norms of the whole included", "[device]") {
  for (const auto& runtime : runtimes_under_test()) {
    const device::OwnedStream stream(runtime, 0);
    for (const auto& rule : all_rules()) {
      INFO(runtime->name() << ", " << rule.name);
      const bool tensors = rule.make()->scope() == UpdateScope::tensor;
      PartedModel model;
      const auto host = rule.make();
      const auto parts = random_parts(model, 2, 5, tensors);
      std::vector<std::unique_ptr<Optimizer>> owners;
      struct Memory {
        device::Buffer value, gradient;
      };
      std::vector<std::vector<Memory>> memory(2);
      for (std::size_t k = 0; k < 2; ++k) {
        owners.push_back(rule.make());
        owners[k]->use_device(runtime, stream.get());
        for (std::size_t t = 0; t < model.tensors.size(); ++t) {
          auto& each = model.tensors[t];
          const std::size_t size = size_of(each.dtype);
          memory[k].push_back(
              {on_device<std::byte>(
                   runtime,
                   std::span<const std::byte>(each.value).subspan(parts[k][t].begin * size, parts[k][t].size() * size)),
               device::Buffer(runtime, 0, parts[k][t].size() * size_of(each.gradient_dtype))});
        }
      }
      const kernels::StepScale scales[] = {{0.37, 0}, {0.5, 1}};
      const auto scale = on_device<kernels::StepScale>(runtime, std::span(scales));
      ThreadSums sums(2);
      for (std::uint64_t step = 1; step <= 3; ++step) {
        model.set_gradients(step);
        const auto run = [&](std::size_t k) {
          std::vector<Optimizer::TensorUpdate> updates;
          for (std::size_t t = 0; t < model.tensors.size(); ++t) {
            auto& each = model.tensors[t];
            const layout::Interval part = parts[k][t];
            const std::size_t size = size_of(each.gradient_dtype);
            runtime->copy(memory[k][t].gradient.data(), each.gradient.data() + part.begin * size, part.size() * size,
                          stream.get());
            // What a rank does not own it has nowhere.
            updates.push_back({.parameter = each.name,
                               .value = part.size() == 0 ? TensorView(nullptr, 0, each.dtype)
                                                         : memory[k][t].value.view(each.dtype, part.size()),
                               .gradient = memory[k][t].gradient.view(each.gradient_dtype, part.size()),
                               .shape = each.shape,
                               .first = part.begin});
          }
          ThreadExchange exchange(sums);
          owners[k]->apply(updates,
                           DeviceStepScale{reinterpret_cast<const kernels::StepScale*>(scale.data()) + (step == 2)},
                           0.8, &exchange);
          runtime->synchronize(stream.get());
        };
        if (owners[0]->scope() == UpdateScope::sums) {
          std::thread other(run, 1);
          run(0);
          other.join();
        } else {
          run(0);
          run(1);
        }
        if (step != 2) host->apply(model.updates(), 0.37, 0.8);
      }
      for (std::size_t t = 0; t < model.tensors.size(); ++t) {
        auto& each = model.tensors[t];
        INFO(each.name);
        for (std::size_t k = 0; k < 2; ++k) {
          const layout::Interval part = parts[k][t];
          const std::size_t size = size_of(each.dtype);
          const auto ours = to_host<std::byte>(*runtime, memory[k][t].value.data(), part.size() * size, stream.get());
          CHECK(std::equal(ours.begin(), ours.end(),
                           each.value.begin() + static_cast<std::ptrdiff_t>(part.begin * size)));
          CHECK(owners[k]->states().at(each.name).steps == 2);
        }
      }
    }
  }
}

TEST_CASE("parts that no owner can have are refused by name, and nothing changes") {
  PartedModel model;
  model.set_gradients(1);
  auto& weight = model.tensors[0];
  const auto before = weight.value;
  AdamW adamw({});
  const auto apply = [&](Optimizer& optimizer, layout::Interval part, Optimizer::SumsExchange* exchange = nullptr) {
    const auto update = PartedModel::update_of(weight, part);
    optimizer.apply(std::span(&update, 1), 1.0, 1.0, exchange);
  };
  CHECK_THROWS_WITH(apply(adamw, {4096, 4196}), Contains("'layer.weight' has 100 f32 from 4096 on") &&
                                                    Contains("13000 elements") && Contains("multiple of 4096"));
  CHECK_THROWS_WITH(apply(adamw, {100, 4096}), Contains("from 100 on"));
  auto beyond = PartedModel::update_of(weight, {0, 4096});
  beyond.first = 3 * 4096;
  CHECK_THROWS_WITH(adamw.apply(std::span(&beyond, 1)), Contains("from 12288 on"));
  auto shapeless = PartedModel::update_of(weight, {4096, 8192});
  shapeless.shape = {};
  CHECK_THROWS_WITH(adamw.apply(std::span(&shapeless, 1)), Contains("say the shape"));
  CHECK(adamw.states().empty());
  Lamb lamb({});
  CHECK_THROWS_WITH(apply(lamb, {0, 4096}), Contains("'layer.weight' is a part") && Contains("SumsExchange"));
  CHECK(lamb.states().empty());
  Muon muon({});
  Adafactor adafactor({});
  CHECK_THROWS_WITH(apply(muon, {0, 4096}), Contains("DataParallelOptions::zero_whole_tensors"));
  CHECK_THROWS_WITH(apply(adafactor, {0, 4096}), Contains("DataParallelOptions::zero_whole_tensors"));
  CHECK(weight.value == before);
  apply(muon, {0, 0});  // owned elsewhere
  CHECK(muon.states().at("layer.weight").steps == 1);

  apply(adamw, {4096, 8192});
  const auto after = weight.value;
  CHECK_THROWS_WITH(apply(adamw, {0, 4096}), Contains("'layer.weight' of 13000 elements") &&
                                                 Contains("[4096, 8192) before, now elements [0, 4096)") &&
                                                 Contains("restore()"));
  CHECK_THROWS_WITH(apply(adamw, {4096, 13000}), Contains("now elements [4096, 13000)"));
  CHECK_THROWS_WITH(apply(adamw, {0, 0}), Contains("now elements [0, 0)"));
  CHECK(weight.value == after);
  CHECK(adamw.states().at("layer.weight").steps == 1);
  // And states of other parts.
  auto saved = adamw.saved("layer.weight");
  saved.first = 1;
  CHECK_THROWS_WITH(adamw.restore("layer.weight", saved), Contains("'layer.weight' has 4096 f32 from 1 on"));
  saved.first = 0;
  adamw.restore("layer.weight", saved);  // a part that this rank owns from now on
  apply(adamw, {0, 4096});
  CHECK(adamw.states().at("layer.weight").steps == 2);
}

TEST_CASE("an exchange that fails leaves a step half done, and the optimizer says so until it is told to forget") {
  struct Broken final : Optimizer::SumsExchange {
    void sum(std::span<double>) override { fail(ErrorCode::peer_lost, "rank 3 is gone"); }
  } broken;
  PartedModel model;
  model.set_gradients(1);
  Lamb lamb({});
  const auto update = PartedModel::update_of(model.tensors[0], {4096, 8192});
  CHECK_THROWS_WITH(lamb.apply(std::span(&update, 1), 1.0, 1.0, &broken), Contains("rank 3 is gone"));
  CHECK_THROWS_WITH(lamb.apply(std::span(&update, 1), 1.0, 1.0, &broken),
                    Contains("in part only") && Contains("rank 3 is gone") && Contains("forget()"));
  CHECK_THROWS_WITH(lamb.saved("layer.weight"), Contains("in part only"));
  lamb.forget();
  ThreadSums alone(1);
  ThreadExchange exchange(alone);
  lamb.apply(std::span(&update, 1), 1.0, 1.0, &exchange);
  CHECK(lamb.saved("layer.weight").steps == 1);
}

TEST_CASE("averages of parts are parts of the averages, put in place and taken back") {
  for (const AverageKind kind : {AverageKind::exponential, AverageKind::equal}) {
    PartedModel model;
    const auto parts = random_parts(model, 3, 11, false);
    WeightAverage whole({.kind = kind, .decay = 0.7});
    std::vector<WeightAverage> owners;
    for (int k = 0; k < 3; ++k) owners.emplace_back(WeightAverageOptions{.kind = kind, .decay = 0.7});
    const auto listed = [&](PartedModel& of, std::size_t k) {
      std::vector<Parameter> list;
      for (std::size_t t = 0; t < of.tensors.size(); ++t)
        list.push_back(
            {of.tensors[t].name,
             of.tensors[t].shape,
             PartedModel::update_of(of.tensors[t], k == 3 ? layout::Interval{0, of.tensors[t].count} : parts[k][t])
                 .value,
             {}});
      return list;
    };
    std::vector<std::vector<std::size_t>> firsts(3);
    for (std::size_t k = 0; k < 3; ++k)
      for (const layout::Interval part : parts[k]) firsts[k].push_back(part.begin);
    for (std::uint64_t step = 0; step < 4; ++step) {
      for (auto& each : model.tensors) each.value = PartedModel::elements(step * 10 + 3, each.count, each.dtype);
      whole.update(listed(model, 3));
      for (std::size_t k = 0; k < 3; ++k) owners[k].update(listed(model, k), firsts[k]);
    }
    PartedModel other = model;
    whole.put(listed(model, 3));
    for (std::size_t k = 0; k < 3; ++k) owners[k].put(listed(other, k));
    for (std::size_t t = 0; t < model.tensors.size(); ++t) CHECK((model.tensors[t].value == other.tensors[t].value));
    for (std::size_t k = 0; k < 3; ++k) owners[k].take_back(listed(other, k));
    whole.take_back(listed(model, 3));
    for (std::size_t t = 0; t < model.tensors.size(); ++t) CHECK((model.tensors[t].value == other.tensors[t].value));
    CHECK(owners[1].place("layer.weight").count == 13000);
    CHECK(owners[1].place("layer.weight").first == (parts[1][0].size() == 0 ? 0 : parts[1][0].begin));
  }
  std::vector<float> values(3 * 4096);
  const auto part = [&](std::size_t first) {
    return std::vector<Parameter>{{"w", {3 * 4096}, TensorView(values.data() + first, 4096, DType::f32), {}}};
  };
  WeightAverage average;
  const std::size_t second = 4096, third = 8192, beyond = 12288;
  CHECK_THROWS_WITH(average.update(part(0), std::span(&beyond, 1)), Contains("'w' has no such part"));
  average.update(part(4096), std::span(&second, 1));
  CHECK_THROWS_WITH(average.update(part(8192), std::span(&third, 1)),
                    Contains("'w': its part began at 4096 before, now at 8192"));
  CHECK(average.updates() == 1);
}
