// SPDX-License-Identifier: Apache-2.0
#include "bench/zero/zero_run.hpp"

#include "bench/zero/live_heap.hpp"
#include "trireme/data/distributed_sampler.hpp"
#include "trireme/models/weights_hash.hpp"
#include "trireme/optim/adam.hpp"
#include "trireme/world/run_ranks.hpp"

#include <algorithm>
#include <cstring>

namespace trireme::bench {
namespace {

constexpr std::uint64_t steps = 4;
constexpr std::size_t batch = 16;

DataParallelOptions options_of(const ZeroCase& how, const LayeredModel& model) {
  return {.bucket_bytes = Bytes{std::uint64_t{1} << 20},
          .logical_shards = how.leaves,
          .zero_stage = how.stage,
          .shard_group = how.shard_group,
          .leaf_assignment = how.assignment,
          .units = model.units(),
          .initial = LayeredModel::set_initial,
          .gradients_as_bucket_views = how.stage < 2};
}

std::uint64_t bytes_of(const Optimizer& optimizer) {
  std::uint64_t sum = 0;
  for (const auto& [name, state] : optimizer.states()) {
    for (const TensorView& tensor : state.tensors) sum += tensor.size_bytes();
    if (state.master) sum += state.master->size_bytes();
  }
  return sum;
}

/// One rank.
class Trainee {
 public:
  Trainee(World& world, const ZeroCase& how, std::vector<std::vector<std::byte>>& weights, ZeroRun& run)
      : how_(how),
        heap_before_(live_heap_bytes()),
        model_(how.size, how.stage < 3),
        data_parallel_(world.communicator(), model_.parameters(), options_of(how, model_)),
        communicator_(world.communicator()),
        weights_(weights),
        run_(run),
        here_(run.ranks[static_cast<std::size_t>(world.rank())]) {}

  void train() {
    if (how_.stage < 3) {
      for (const Parameter& parameter : model_.parameters()) here_.own_values += parameter.value.size_bytes();
    }
    here_.books = live_heap_bytes() - heap_before_ - static_cast<std::int64_t>(here_.own_values);
    here_.gradients_kept = data_parallel_.gradient_memory().value;
    here_.values_kept = data_parallel_.value_memory().value;
    Adam optimizer({.learning_rate = 0.01});
    here_.estimate = parallel::estimate_memory(model_.parameters(), options_of(how_, model_), optimizer,
                                               communicator_.size(), communicator_.rank());
    DistributedSampler sampler({.count = steps * batch, .global_batch = batch, .seed = 3});
    std::uint64_t before = 0;
    for (auto& step : data_parallel_.steps(sampler)) {
      if (step.index() == 1) before = communicator_.payload_bytes_sent();
      for (auto& shard : step.shards()) pass(shard);
      if (step.reduce() != StepOutcome::ready) break;
      step.apply(optimizer);
      look();
    }
    run_.sent[rank()] = static_cast<double>(communicator_.payload_bytes_sent() - before) / (steps - 1);
    here_.heap = live_heap_bytes() - heap_before_ - here_.books;
    here_.state = bytes_of(optimizer);
    keep_weights();
  }

 private:
  std::size_t rank() const { return static_cast<std::size_t>(communicator_.rank()); }

  void look() {
    here_.gradients_most = std::max(here_.gradients_most, data_parallel_.gradient_memory().value);
    here_.values_most = std::max(here_.values_most, data_parallel_.value_memory().value);
  }

  void pass(Shard& shard) {
    ParameterAccess* const access = how_.stage >= 2 ? &data_parallel_.access() : nullptr;
    const std::uint32_t sample = shard.samples().empty() ? 0 : shard.samples().front();
    for (std::size_t u = 0; access != nullptr && u < model_.units().size(); ++u) {
      access->acquire(u);
      access->release(u);
    }
    for (std::size_t u = model_.units().size(); u-- > 0;) {
      if (access != nullptr) access->acquire(u);
      for (std::size_t p = model_.first_of(u + 1); p-- > model_.first_of(u);) {
        const TensorView value = how_.stage == 3 ? access->value(p) : model_.parameters()[p].value;
        LayeredModel::backward(p, sample, value,
                               access != nullptr ? access->gradient(p) : data_parallel_.parameters()[p].gradient);
        shard.ready(p);
      }
      look();
      if (access != nullptr) access->release(u);
    }
  }

  /// Each element from a rank that owns it; those of the first group where several do.
  void keep_weights() {
    const int group = how_.stage == 0 ? 1 : how_.shard_group == 0 ? how_.ranks : how_.shard_group;
    if (communicator_.rank() < group) {
      for (std::size_t p = 0; p < weights_.size(); ++p) {
        const TensorView part = data_parallel_.owned_value(p);
        if (part.count == 0) continue;
        std::memcpy(weights_[p].data() + data_parallel_.owned(p).begin * size_of(part.dtype), part.data,
                    part.size_bytes());
      }
    }
    communicator_.barrier();
    if (how_.stage == 3) return;
    for (std::size_t p = 0; p < weights_.size(); ++p) {
      const TensorView& value = model_.parameters()[p].value;
      if (std::memcmp(value.data, weights_[p].data(), value.size_bytes()) != 0) differs_ = 1;
    }
    communicator_.all_reduce(std::span<float>(&differs_, 1), maximum);
    if (communicator_.rank() == 0) run_.same_everywhere = differs_ == 0;
  }

  const ZeroCase& how_;
  std::int64_t heap_before_;
  LayeredModel model_;
  DataParallel data_parallel_;
  Communicator communicator_;
  std::vector<std::vector<std::byte>>& weights_;
  ZeroRun& run_;
  RankMemory& here_;
  float differs_ = 0;
};

}  // namespace

ZeroRun run_zero(const ZeroCase& how) {
  const LayeredModel list(how.size, false);
  ZeroRun run{.parameters = list.elements(),
              .ranks = std::vector<RankMemory>(static_cast<std::size_t>(how.ranks)),
              .sent = std::vector<double>(static_cast<std::size_t>(how.ranks))};
  if (how.stage == 3) {
    for (std::size_t p = list.first_of(list.units().size() - 1); p < list.parameters().size(); ++p)
      run.turn_bytes += static_cast<double>(list.parameters()[p].value.size_bytes());
  }
  std::vector<std::vector<std::byte>> weights;
  std::vector<Parameter> whole = list.parameters();
  for (Parameter& parameter : whole) {
    weights.emplace_back(parameter.value.size_bytes());
    parameter.value.data = weights.back().data();
  }
  testing::run_ranks(how.ranks, [&](World& world) { Trainee(world, how, weights, run).train(); },
                     {.transport = how.transport});
  run.hash = models::weights_hash(whole);
  return run;
}

}  // namespace trireme::bench
