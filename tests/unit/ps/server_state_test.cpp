// SPDX-License-Identifier: Apache-2.0
// Optimizer state that lives on servers: from checkpoints and into them.
#include "served_ranks.hpp"
#include "trireme/parallel/data_parallel.hpp"
#include "trireme/world/run_ranks.hpp"
#include "unit/optim/rules.hpp"
#include "unit/parallel/field.hpp"

#include <catch2/catch.hpp>

using namespace trireme;
using namespace trireme::testing;

namespace {

const std::vector<std::size_t> stated_counts{6 * 11, 9000, 1};
std::vector<Parameter> stated_matrices(std::vector<Parameter> parameters) {
  parameters[0].shape = {6, 11};
  parameters[1].shape = {90, 100};
  return parameters;
}

std::string state_bytes(const Optimizer& optimizer) {
  std::string all;
  for (const auto& [name, state] : optimizer.states()) {
    const auto saved = optimizer.saved(name);
    all += name + " " + std::to_string(saved.steps) + " " + std::to_string(saved.first) + " " +
           std::to_string(saved.count) + "\n";
    for (const auto& [tensor, elements] : saved.tensors)
      all += tensor + std::string(static_cast<const char*>(elements.data), elements.size_bytes());
  }
  return all;
}

/// As many steps, from `optimizer`'s state on; by way of servers that update, which then give the state back to it.
void train_stated(Field<float>& model, Optimizer& optimizer, DistributedSampler& sampler, int steps,
                  const std::function<std::unique_ptr<Optimizer>()>& on_servers) {
  std::shared_ptr<ps::Client> client;
  std::unique_ptr<ServedRanks> served;
  run_ranks(1, [&](World& world) {
    DataParallelOptions options{.logical_shards = 4};
    const auto parameters = stated_matrices(model.parameters());
    if (on_servers) {
      served =
          std::make_unique<ServedRanks>(parameters, ServedRanks::Options{.leaves = 4, .make_optimizer = on_servers});
      client = served->connect(0);
      options.synchronizer =
          ps::updating_synchronizer({.servers = {.client = client, .plan = served->plan()}, .state = &optimizer});
    }
    DataParallel data_parallel(world.communicator(), parameters, options);
    int done = 0;
    for (auto& step : data_parallel.steps(sampler)) {
      for (auto& shard : step.shards()) model.backward(shard.samples(), [&](std::size_t p) { shard.ready(p); });
      step.reduce();
      step.apply(optimizer, {.clip_norm = 2.0});
      if (++done == steps) break;
    }
    if (on_servers) ps::fetch_state(*client, *served->plan(), optimizer);
  });
}

}  // namespace

TEST_CASE("state goes to servers and comes back as if this worker had made every step itself") {
  for (const NamedRule& rule : all_rules()) {
    CAPTURE(rule.name);
    Field<float> alone(stated_counts), served(stated_counts);
    const auto own = rule.make(), fetched = rule.make();
    DistributedSampler sampler({.count = 80, .global_batch = 8, .seed = 3}),
        other({.count = 80, .global_batch = 8, .seed = 3});
    train_stated(alone, *own, sampler, 6, {});
    train_stated(served, *fetched, other, 2, rule.make);  // servers from nothing
    train_stated(served, *fetched, other, 2, {});         // the same state by itself
    train_stated(served, *fetched, other, 2, rule.make);  // other servers, from what there is
    REQUIRE((served.bytes() == alone.bytes()));
    REQUIRE((state_bytes(*fetched) == state_bytes(*own)));
  }
}

TEST_CASE("servers that update refuse to show gradients, and say where they are") {
  const Field<float> names({5000});
  const ServedRanks served(names.parameters(),
                           {.make_optimizer = [] { return std::make_unique<Sgd>(SgdOptions{.learning_rate = 0.1}); }});
  std::string refusal, explanation;
  run_ranks(1, [&](World& world) {
    Field<float> model({5000});
    DataParallel data_parallel(world.communicator(), model.parameters(),
                               {.synchronizer = ps::updating_synchronizer({.servers = served.synchronizer(0)})});
    explanation = data_parallel.explain();
    DistributedSampler sampler({.count = 8, .global_batch = 8});
    for (auto& step : data_parallel.steps(sampler)) {
      for (auto& shard : step.shards()) model.backward(shard.samples(), [&](std::size_t p) { shard.ready(p); });
      step.reduce();
      try {
        step.gradient(0);
      } catch (const Exception& refused) {
        refusal = refused.error().message;
      }
    }
  });
  CHECK_THAT(refusal, Catch::Matchers::Contains("the gradient of 'parameter0' lies on parameter servers"));
  CHECK(explanation ==
        "gradients go to 2 parameter servers, where they are summed and values updated, bulk-synchronous\n"
        "server 0: 1 key of 1 tensor, 0.016 MB (81.9 %)\nserver 1: 1 key of 1 tensor, 0.004 MB (18.1 %)");
}

TEST_CASE("a plan of other parameters is refused by the first that differs") {
  const Field<float> names({5000, 3});
  const ServedRanks served(names.parameters(), {});
  std::string refusal;
  run_ranks(1, [&](World& world) {
    Field<float> model({5000, 4});
    try {
      DataParallel data_parallel(world.communicator(), model.parameters(),
                                 {.synchronizer = ps::summing_synchronizer(served.synchronizer(0))});
    } catch (const Exception& refused) {
      refusal = refused.error().message;
    }
  });
  CHECK_THAT(refusal, Catch::Matchers::Contains("'parameter1'"));
}

TEST_CASE("servers stand apart from sharded stages and devices, and say so") {
  const Field<float> names({5000});
  const ServedRanks served(names.parameters(), {.workers = 2, .leaves = 2});
  std::vector<std::string> refusals(2);
  run_ranks(2, [&](World& world) {
    Field<float> model({5000});
    const auto synchronizer = ps::summing_synchronizer(served.synchronizer(world.rank()));
    try {
      DataParallel data_parallel(world.communicator(), model.parameters(),
                                 {.zero_stage = 1, .synchronizer = synchronizer});
    } catch (const Exception& refused) {
      refusals[static_cast<std::size_t>(world.rank())] = refused.error().message;
    }
  });
  for (const std::string& refusal : refusals)
    CHECK_THAT(refusal, Catch::Matchers::Contains("zero_stage 0, but zero_stage is 1"));
}
