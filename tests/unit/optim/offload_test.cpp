// SPDX-License-Identifier: Apache-2.0
#include "support/device_under_test.hpp"
#include "support/full_disk.hpp"
#include "support/temporary_folder.hpp"
#include "trireme/base/error.hpp"
#include "unit/optim/parted_models.hpp"

#include <catch2/catch.hpp>

#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

using namespace trireme;
using namespace trireme::testing;
using namespace trireme::literals;
using Catch::Matchers::Contains;

namespace {

constexpr Bytes small_buffer{96 << 10};  // a few blocks of a parameter's states

void require_equal_models(const PartedModel& a, const PartedModel& b) {
  for (std::size_t t = 0; t < a.tensors.size(); ++t) {
    INFO(a.tensors[t].name);
    REQUIRE((a.tensors[t].value == b.tensors[t].value));
  }
}

void require_equal_states_of(const Optimizer& a, const Optimizer& b, const PartedModel& model) {
  for (const auto& each : model.tensors) REQUIRE(difference(a, b, each.name, {0, each.count}) == "");
}

}  // namespace

TEST_CASE("offloaded state gives the bits of state in memory, every rule, type and master, in bounded memory") {
  const TemporaryFolder folder;
  for (const auto& rule : all_rules()) {
    INFO(rule.name);
    PartedModel model, other;
    const auto kept = rule.make(), away = rule.make();
    away->offload({.folder = folder.path(), .buffer = small_buffer});
    for (std::uint64_t step = 1; step <= 3; ++step) {
      model.set_gradients(step);
      other.set_gradients(step);
      kept->apply(model.updates(), 0.7, 0.8);
      away->apply(other.updates(), 0.7, 0.8);
      if (step == 2) require_equal_states_of(*kept, *away, model);  // a look in between takes nothing from it
    }
    require_equal_models(model, other);
    require_equal_states_of(*kept, *away, model);
    for (const auto& [parameter, state] : away->states()) {
      for (const auto& each : state.storage) CHECK(each.size() == 0);
    }
    std::size_t bytes = 0;
    for (const auto& each : model.tensors) {
      for (const auto& [name, tensor] : away->saved(each.name).tensors) bytes += tensor.size_bytes();
    }
    const OffloadUse use = away->offloaded();
    CHECK(use.file_bytes >= bytes);
    CHECK(use.file_bytes <= bytes + model.tensors.size() * (std::size_t{1} << 16));  // whole pages
    if (kept->scope() != UpdateScope::tensor) CHECK(use.memory_bytes <= small_buffer.value);
    CHECK(std::filesystem::is_empty(folder.path()));  // the file has no name
    away->forget();
    CHECK(away->offloaded().file_bytes == 0);
  }
}

TEST_CASE("owners of parts may keep their states in files, with the bits of the whole") {
  const TemporaryFolder folder;
  for (const auto& rule : all_rules()) {
    INFO(rule.name);
    PartedModel model, other;
    const auto whole = rule.make();
    std::vector<std::unique_ptr<Optimizer>> owners;
    for (int k = 0; k < 2; ++k) {
      owners.push_back(rule.make());
      owners.back()->offload({.folder = folder.path(), .buffer = small_buffer});
    }
    const auto parts = random_parts(model, 2, 3, whole->scope() == UpdateScope::tensor);
    ThreadSums sums(2);
    for (std::uint64_t step = 1; step <= 2; ++step) {
      model.set_gradients(step);
      other.set_gradients(step);
      whole->apply(model.updates(), 0.7);
      const auto run = [&](std::size_t k) {
        std::vector<Optimizer::TensorUpdate> updates;
        for (std::size_t t = 0; t < other.tensors.size(); ++t)
          updates.push_back(PartedModel::update_of(other.tensors[t], parts[k][t]));
        ThreadExchange exchange(sums);
        owners[k]->apply(updates, 0.7, std::numeric_limits<double>::infinity(), &exchange);
      };
      std::thread second(run, 1);
      run(0);
      second.join();
    }
    require_equal_models(model, other);
    for (std::size_t t = 0; t < model.tensors.size(); ++t) {
      for (std::size_t k = 0; k < 2; ++k)
        REQUIRE(difference(*whole, *owners[k], model.tensors[t].name, parts[k][t]) == "");
    }
  }
}

TEST_CASE("state moves to the file in the midst of training, and saved states are restored into it") {
  const TemporaryFolder folder;
  PartedModel model, other;
  Lamb kept({}), away({});
  for (std::uint64_t step = 1; step <= 4; ++step) {
    model.set_gradients(step);
    other.set_gradients(step);
    kept.apply(model.updates());
    if (step == 2) away.offload({.folder = folder.path()});
    if (step == 3) {  // as after a restart: one whole, one by who fills it
      Lamb again({});
      again.offload({.folder = folder.path(), .buffer = small_buffer});
      for (const auto& each : other.tensors) {
        const Optimizer::SavedState saved = away.saved(each.name);
        if (each.name == "brain.weight") {
          again.restore(each.name, saved);
          continue;
        }
        const auto room = again.make_room(each.name, saved);
        for (std::size_t i = 0; i < room.size(); ++i) {
          if (saved.tensors[i].second.count == 0) continue;
          std::memcpy(room[i].second.data, saved.tensors[i].second.data, room[i].second.size_bytes());
        }
      }
      again.apply(other.updates());
      require_equal_models(model, other);
      require_equal_states_of(kept, again, model);
      // And back into the first, over what it has.
      for (const auto& each : other.tensors) away.restore(each.name, again.saved(each.name));
      continue;
    }
    away.apply(other.updates());
    require_equal_models(model, other);
  }
  require_equal_states_of(kept, away, model);
}

TEST_CASE("room that is given back is used again, and nothing of its former content is seen") {
  const TemporaryFolder folder;
  AdamW adamw({});
  adamw.offload({.folder = folder.path()});
  std::vector<float> a(5000, 1.0f), g(5000, 0.5f);
  adamw.apply("a", view(a), view(g));
  adamw.apply("b", view(a), view(g));
  const auto bytes = adamw.offloaded().file_bytes;
  for (int i = 0; i < 10; ++i) {
    const auto saved = adamw.saved("a");
    const auto room = adamw.make_room(
        "a", {.steps = saved.steps, .dtype = saved.dtype, .count = saved.count, .shape = saved.shape, .tensors{}});
    for (const auto& [name, tensor] : room) {
      for (const float each : tensor.as<float>()) REQUIRE(each == 0.0f);
    }
    adamw.apply("a", view(a), view(g));
  }
  CHECK(adamw.offloaded().file_bytes <= bytes + bytes / 2 + (1 << 16));
}

TEST_CASE("parameters in device memory with offloaded state have the bits of the host", "[device]") {
  const TemporaryFolder folder;
  for (const auto& runtime : runtimes_under_test()) {
    const device::OwnedStream stream(runtime, 0);
    for (const auto& rule : all_rules()) {
      INFO(runtime->name() << ", " << rule.name);
      PartedModel model;
      const auto host = rule.make(), away = rule.make();
      away->use_device(runtime, stream.get());
      std::vector<device::Buffer> values, gradients;
      for (const auto& each : model.tensors) {
        values.push_back(on_device<std::byte>(runtime, each.value));
        gradients.emplace_back(runtime, 0, each.gradient.size());
      }
      for (std::uint64_t step = 1; step <= 3; ++step) {
        model.set_gradients(step);
        std::vector<Optimizer::TensorUpdate> updates;
        for (std::size_t t = 0; t < model.tensors.size(); ++t) {
          const auto& each = model.tensors[t];
          runtime->copy(gradients[t].data(), each.gradient.data(), each.gradient.size(), stream.get());
          updates.push_back({each.name, values[t].view(each.dtype, each.count),
                             gradients[t].view(each.gradient_dtype, each.count), each.shape});
        }
        runtime->synchronize(stream.get());
        // State of the device's moves to the file, or is made there.
        if (step == (rule.name.size() % 2 == 0 ? 1u : 2u))
          away->offload({.folder = folder.path(), .buffer = small_buffer});
        away->apply(updates, 0.7, 0.8);
        host->apply(model.updates(), 0.7, 0.8);
      }
      for (std::size_t t = 0; t < model.tensors.size(); ++t) {
        const auto& each = model.tensors[t];
        INFO(each.name);
        CHECK((to_host<std::byte>(*runtime, values[t].data(), each.value.size(), stream.get()) == each.value));
        // Without state of its own a rule has none in the file either.
        if (away->states().at(each.name).extent != nullptr)
          CHECK(difference(*host, *away, each.name, {0, each.count}) == "");
      }
    }
  }
}

TEST_CASE("what is wrong with the folder or the disk is an error that names it") {
  const TemporaryFolder folder;
  AdamW adamw({});
  CHECK_THROWS_WITH(adamw.offload({.folder = folder.path() + "/none"}),
                    Contains(folder.path() + "/none") && Contains("cannot be made") && Contains("No such file"));
  CHECK_THROWS_WITH(adamw.offload({}), Contains("folder"));
  std::vector<float> a(20000, 1.0f), g(20000, 0.5f);
  adamw.apply("small", TensorView(a.data(), 100, DType::f32), TensorView(g.data(), 100, DType::f32));
  CHECK(adamw.offloaded().file_bytes == 0);  // in memory
  {
    const FullDisk full(1);
    CHECK_THROWS_WITH(adamw.offload({.folder = folder.path()}), Contains(folder.path()) && Contains("no room"));
  }
  CHECK(adamw.states().at("small").extent == nullptr);  // as it was
  adamw.offload({.folder = folder.path(), .buffer = small_buffer});
  CHECK_THROWS_WITH(adamw.offload({.folder = folder.path()}), Contains("in a file already"));
  const auto before = a;
  const auto bytes = adamw.offloaded().file_bytes;
  {
    const FullDisk full(bytes + 10000);
    CHECK_THROWS_WITH(adamw.apply("w", view(a), view(g)), Contains(folder.path()) && Contains("no room"));
  }
  CHECK(a == before);  // nothing has been done
  CHECK(adamw.states().size() == 1);
  CHECK(adamw.offloaded().file_bytes == bytes);
  adamw.apply("w", view(a), view(g));
  {
    const FullDisk full(bytes + 10000);  // what is reserved cannot be written after all
    CHECK_THROWS_WITH(adamw.apply("w", view(a), view(g)), Contains(folder.path()) && Contains("cannot be written"));
  }
  CHECK_THROWS_WITH(adamw.apply("w", view(a), view(g)), Contains("in part only") && Contains("cannot be written"));
  adamw.forget();
  adamw.apply("w", view(a), view(g));
  CHECK(adamw.states().at("w").steps == 1);
}

TEST_CASE("state made ahead is what the first step would make: the same bits, nothing counted, taken back whole") {
  const TemporaryFolder folder;
  for (const auto& rule : all_rules()) {
    INFO(rule.name);
    PartedModel model, other;
    const auto plain = rule.make(), ahead = rule.make(), offloaded = rule.make();
    offloaded->offload({.folder = folder.path(), .buffer = small_buffer});
    offloaded->forget();
    PartedModel third;
    for (Optimizer* each : {ahead.get(), offloaded.get()}) {
      PartedModel& theirs = each == ahead.get() ? other : third;
      theirs.set_gradients(0);
      const auto updates = theirs.updates();
      const auto made = each->make_states(updates);
      REQUIRE(made.size() == updates.size());
      REQUIRE(each->make_states(updates).empty());  // they are there
      for (const auto& [name, state] : each->states()) REQUIRE(state.steps == 0);
      const auto bytes = each->offloaded().file_bytes;
      for (const std::string& name : made) each->forget(name);
      REQUIRE(each->states().empty());
      REQUIRE(each->offloaded().file_bytes == 0);
      each->make_states(updates);
      REQUIRE(each->offloaded().file_bytes == bytes);
    }
    for (std::uint64_t step = 0; step < 3; ++step) {
      for (PartedModel* each : {&model, &other, &third}) each->set_gradients(step);
      plain->apply(model.updates());
      ahead->apply(other.updates());
      offloaded->apply(third.updates());
    }
    require_equal_models(model, other);
    require_equal_models(model, third);
    require_equal_states_of(*plain, *offloaded, model);
  }
}
