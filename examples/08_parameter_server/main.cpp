// SPDX-License-Identifier: Apache-2.0
// A linear model trained by parameter servers, one beside each worker: they sum gradients and update values. Bulk-synchronous it ends
// with the bits of all_reduce on any number of ranks; asynchronous, every worker trains by itself and pushes when it is ready.
//   trireme run -n 4 -- ./08_parameter_server all_reduce|bsp|async
#include <trireme/models/weights_hash.hpp>
#include <trireme/trireme.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace ps = trireme::ps;

namespace {

constexpr std::size_t inputs = 64, count = 4096;
constexpr int leaves = 8;

/// Element i of sample s: a number in [-1, 1), a function of both. The target is the sum of (i % 5 - 2) times each.
float feature(std::uint64_t s, std::size_t i) {
  std::uint64_t of = (s * inputs + i + 1) * 0xbf58476d1ce4e5b9u;
  of = (of ^ (of >> 29)) * 0x94d049bb133111ebu;
  return static_cast<float>(static_cast<std::int64_t>(of ^ (of >> 32))) * 0x1p-63f;
}

/// Half the mean squared error's, over a shard.
void backward(std::span<const std::uint32_t> shard, std::span<const float> weight, std::span<float> gradient) {
  std::fill(gradient.begin(), gradient.end(), 0.0f);
  for (const std::uint32_t s : shard) {
    float error = 0.0f;
    for (std::size_t i = 0; i < inputs; ++i) error += (weight[i] - static_cast<float>(i % 5) + 2.0f) * feature(s, i);
    for (std::size_t i = 0; i < inputs; ++i) gradient[i] += error * feature(s, i) / static_cast<float>(shard.size());
  }
}

/// What every rank says, by rank.
std::vector<std::string> exchange(trireme::Communicator communicator, const std::string& mine) {
  std::vector<std::string> all;
  for (const auto& each : communicator.all_gather_bytes(std::as_bytes(std::span(mine))))
    all.emplace_back(reinterpret_cast<const char*>(each.data()), each.size());
  return all;
}

}  // namespace

int main(int argc, char** argv) try {
  const std::string way = argc > 1 ? argv[1] : "bsp";
  auto world = trireme::World::open();
  const auto rank = static_cast<std::uint32_t>(world.rank()), workers = static_cast<std::uint32_t>(world.size());
  std::vector<float> weight(inputs, 0.0f), gradient(inputs);
  std::vector<trireme::Parameter> parameters{{"weight", {inputs}, std::span(weight), std::span(gradient)}};
  const trireme::SgdOptions rule{.learning_rate = 0.5};
  std::shared_ptr<trireme::parallel::SynchronizerFactory> synchronizer;  // null: all_reduce

  std::unique_ptr<ps::Server> server;
  if (way != "all_reduce") {
    const auto consistency = ps::Consistency::parse(way);
    const auto plan = std::make_shared<const ps::KeyPlan>(ps::KeyPlan::tensors_of(parameters, {}),
                                                          ps::KeyPlanOptions{.servers = workers});
    const auto key = trireme::net::JobKey::from_text(
        exchange(world.communicator(), trireme::net::JobKey::random().to_text()).front());  // rank 0's
    server = ps::Server::start({.server = rank,
                                .plan = plan,
                                .consistency = consistency,
                                .workers = workers,
                                .leaves = leaves,
                                .make_optimizer = [&] { return std::make_unique<trireme::Sgd>(rule); },
                                .key = key,
                                .job_id = "example"});
    std::vector<ps::ServerCard> cards;
    for (const auto& text : exchange(world.communicator(), server->card().to_text()))
      cards.push_back(ps::ServerCard::parse(text));
    std::shared_ptr<ps::Client> client = ps::Client::connect({.rank = rank,
                                                              .workers = workers,
                                                              .leaves = leaves,
                                                              .plan = plan,
                                                              .consistency = consistency,
                                                              .key = key,
                                                              .job_id = "example",
                                                              .servers = [cards] { return cards; }},
                                                             trireme::Deadline::after(std::chrono::minutes(1)));
    const ps::UpdatingOptions options{.servers = {.client = client, .plan = plan}};
    synchronizer = way == "bsp" ? ps::updating_synchronizer(options) : ps::asynchronous_synchronizer(options);
  }

  const bool together = way == "all_reduce" || way == "bsp";
  auto data_parallel = std::make_unique<trireme::DataParallel>(
      together ? world.communicator() : *world.communicator().split(world.rank(), 0), parameters,
      trireme::DataParallelOptions{.logical_shards = leaves, .synchronizer = synchronizer});
  trireme::Sgd optimizer(rule);  // with servers it says the learning rate; they have the state
  trireme::DistributedSampler sampler({.count = count, .global_batch = 128, .seed = together ? 7 : 7 + rank});
  for (auto& step : data_parallel->steps(sampler)) {
    for (auto& shard : step.shards()) {
      backward(shard.samples(), weight, gradient);
      shard.ready(0);
    }
    if (step.reduce() == trireme::StepOutcome::ready) step.apply(optimizer);
  }
  double distance = 0.0;
  for (std::size_t i = 0; i < inputs; ++i) distance += std::abs(weight[i] - static_cast<double>(i % 5) + 2.0);
  if (rank == 0) {
    std::printf("%s on %u ranks: distance %.6f, weights_xxh3 %s\n%s\n", way.c_str(), workers, distance,
                trireme::models::weights_hash(parameters).c_str(), data_parallel->explain().c_str());
  }
  data_parallel.reset();
  synchronizer.reset();            // leaves the servers,
  world.communicator().barrier();  // of which none goes before all have left
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
