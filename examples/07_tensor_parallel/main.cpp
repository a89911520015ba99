// SPDX-License-Identifier: Apache-2.0
// One hidden layer cut over the ranks of one axis of a mesh, replicas of that over the other: tensor and data parallelism
// with a backward pass written by hand.
//   trireme run -n 4 -- ./07_tensor_parallel        (a mesh of 2 x 2)
#include <trireme/trireme.hpp>

#include <cstdint>
#include <cstdio>
#include <exception>
#include <span>
#include <string>
#include <vector>

namespace {

constexpr std::size_t width = 32, hidden = 100;  // 100 units on 2 or 3 ranks: nothing has to divide

/// A number in [-1, 1), a function of what it is of.
float noise(std::uint64_t of) {
  of = (of ^ (of >> 30)) * 0xbf58476d1ce4e5b9u;
  of = (of ^ (of >> 27)) * 0x94d049bb133111ebu;
  return static_cast<float>(static_cast<std::int64_t>(of ^ (of >> 31))) * 0x1p-63f;
}

/// This rank's share of a weight, whose values are those of the logical tensor.
std::vector<float> initial(const trireme::tensor_parallel::Axis& axis, const trireme::tensor_parallel::Split& split,
                           std::uint64_t seed) {
  std::vector<float> share;
  for (const auto range : split.ranges(axis.rank(), axis.size()))
    for (std::size_t e = range.begin; e < range.end; ++e) share.push_back(0.3f * noise((seed << 32) + e));
  return share;
}

void train(trireme::World& world) {
  const int tensor = world.size() % 2 == 0 ? 2 : 1;
  trireme::Mesh mesh(world.communicator(), {{"data", -1}, {"tensor", tensor}});
  trireme::tensor_parallel::Axis axis(mesh.axis("tensor"));
  trireme::tensor_parallel::ColumnParallelLinear<float> expand(axis, "expand", {.inputs = width, .outputs = hidden});
  trireme::tensor_parallel::RowParallelLinear<float> contract(axis, "contract", {.inputs = hidden, .outputs = width});
  auto w1 = initial(axis, expand.weight(), 1), w2 = initial(axis, contract.weight(), 2);
  std::vector<float> dw1(w1.size()), dw2(w2.size());
  const auto parameter = [](const char* name, std::vector<float>& value, std::vector<float>& gradient) {
    return trireme::Parameter{
        name, {static_cast<std::int64_t>(value.size())}, std::span<float>(value), std::span<float>(gradient)};
  };
  trireme::DataParallel data_parallel(mesh.axis("data"), {parameter("w1", w1, dw1), parameter("w2", w2, dw2)},
                                      {.zero_stage = 1});  // optimizer state shared out among the replicas
  trireme::AdamW optimizer({.learning_rate = 0.01});
  trireme::DistributedSampler sampler({.count = 256, .global_batch = 32, .seed = 1});
  double first = 0, loss = 0;
  for (int epoch = 0; epoch < 10; ++epoch) {
    for (auto& step : data_parallel.steps(sampler)) {
      loss = 0;
      for (auto& shard : step.shards()) {
        const std::size_t rows = shard.samples().size(), local = expand.local_outputs();
        std::vector<float> x(rows * width), h(rows * local), y(rows * width), dy(rows * width), dh(rows * local);
        for (std::size_t i = 0; i < x.size(); ++i) x[i] = noise(shard.samples()[i / width] * width + i % width);
        expand.forward(x.data(), rows, w1.data(), nullptr, h.data());    // replicated to sharded
        for (float& unit : h) unit = unit > 0 ? unit : 0;                // each rank its units
        contract.forward(h.data(), rows, w2.data(), nullptr, y.data());  // sharded to replicated: one all_reduce
        for (std::size_t i = 0; i < y.size(); ++i) {
          const float miss = y[i] - x[i / width * width + (i + 1) % width];  // the neighbour's value is wanted
          loss += 0.5 * miss * miss;
          dy[i] = miss / static_cast<float>(rows);
        }
        contract.backward(h.data(), dy.data(), rows, w2.data(), dw2.data(), nullptr, dh.data());
        shard.ready(1);
        for (std::size_t i = 0; i < h.size(); ++i) dh[i] = h[i] > 0 ? dh[i] : 0;
        expand.backward(x.data(), dh.data(), rows, w1.data(), dw1.data(), nullptr, nullptr);
        shard.ready(0);
      }
      if (step.reduce() != trireme::StepOutcome::ready) return;
      step.apply(optimizer);
      trireme::Communicator data = mesh.axis("data");
      data.all_reduce(std::span<double>(&loss, 1));
      if (first == 0) first = loss;
    }
  }
  if (world.rank() == 0)
    std::printf("mesh data=%d,tensor=%d: loss per sample %.3f at first, %.3f at last\n", mesh.size("data"),
                mesh.size("tensor"), first / 32, loss / 32);
}

}  // namespace

int main() {
  try {
    auto world = trireme::World::open();
    train(world);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "07_tensor_parallel: %s\n", error.what());
    return 1;
  }
}
