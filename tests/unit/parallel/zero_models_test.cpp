// SPDX-License-Identifier: Apache-2.0
// Classifiers at stage 2: gradients in the buckets' memory, with the bits of stage 0; what unit lists and row-sparse parameters
// make of each other.
#include "ranks.hpp"
#include "row_field.hpp"
#include "trireme/models/cnn.hpp"
#include "trireme/models/mlp.hpp"
#include "trireme/models/resnet.hpp"
#include "trireme/models/weights_hash.hpp"
#include "trireme/optim/adamw.hpp"
#include "trireme/parallel/data_parallel.hpp"
#include "unit/models/labelled_samples.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <vector>

using namespace trireme;
using namespace trireme::literals;
using namespace trireme::testing;

namespace {

using MakeClassifier = std::function<std::unique_ptr<models::Classifier>()>;

constexpr models::ImageExtent small_image{8, 8, 1};

const std::vector<std::pair<std::string, MakeClassifier>>& classifiers() {
  static const std::vector<std::pair<std::string, MakeClassifier>> all{
      {"mlp",
       [] {
         return std::make_unique<models::Mlp<float>>(models::MlpOptions{.sizes = {64, 96, 80, 5}});
       }},
      {"cnn",
       [] {
         return std::make_unique<models::Cnn<float>>(
             models::CnnOptions{.input = small_image, .convolutions = {4, 6}, .hidden = {32}, .classes = 5});
       }},
      {"resnet", [] {
         return std::make_unique<models::ResNet<float>>(
             models::ResNetOptions{.input = small_image, .stages = {4, 8}, .classes = 5});
       }}};
  return all;
}

/// The values at the end of an epoch, of which the last batch is short.
std::string trained_classifier(const MakeClassifier& make, int ranks, const DataParallelOptions& options) {
  const Samples<float> samples = random_samples<float>(26, small_image.elements(), 5);
  std::string ends;
  Complaints complaints(ranks);
  run_ranks(ranks, [&](World& world) {
    const auto model = make();
    AdamW optimizer({.learning_rate = 0.01});
    DataParallel data_parallel(world.communicator(), model->parameters(), options);
    if (options.zero_stage == 2) {
      model->use_access(data_parallel.access());
      for (const Parameter& each : model->parameters())
        complaints.expect(world.rank(), each.gradient.data == nullptr, "memory of its own for " + each.name);
    }
    DistributedSampler sampler({.count = 26, .global_batch = 8, .shuffle = false});
    for (auto& step : data_parallel.steps(sampler)) {
      for (auto& shard : step.shards()) {
        const std::size_t begin = shard.samples().front(), end = begin + shard.samples().size();
        model->forward_backward(samples.rows(begin, end), samples.labels_of(begin, end),
                                [&](std::size_t p) { shard.ready(p); });
      }
      step.reduce();
      step.apply(optimizer, {.clip_norm = 1.0});
    }
    if (world.rank() != 0) return;
    for (const Parameter& each : model->parameters())
      ends.append(static_cast<const char*>(each.value.data), each.value.size_bytes());
  });
  REQUIRE(complaints.all() == "");
  return ends;
}

}  // namespace

TEST_CASE("classifiers at stage 2 write gradients into buckets under way, with stage 0's bits") {
  for (const auto& [name, make] : classifiers()) {
    const std::string whole = trained_classifier(make, 1, {.logical_shards = 4});
    for (const int ranks : {2, 4}) {
      for (const auto assignment : {LeafAssignment::block, LeafAssignment::cyclic}) {
        CAPTURE(name, ranks, static_cast<int>(assignment));
        REQUIRE((trained_classifier(
                     make, ranks,
                     {.bucket_bytes = 4_KiB, .logical_shards = 4, .zero_stage = 2, .leaf_assignment = assignment}) ==
                 whole));
      }
    }
  }
}

TEST_CASE("row-sparse parameters belong to no unit, whatever names them; a unit of them alone is refused by name") {
  const std::vector<RowField::Table> tables{{"table", {40, 7}, 9}, {"dense", {9001}, 1}, {"other", {300}, 20}};
  const auto train = [&](int ranks, const DataParallelOptions& options, std::vector<std::string>& ends) {
    run_ranks(ranks, [&](World& world) {
      RowField model(tables, DType::f32, DType::f32);
      AdamW optimizer({.learning_rate = 0.02});
      DataParallel data_parallel(world.communicator(), model.parameters(), options);
      DistributedSampler sampler({.count = 24, .global_batch = 8});
      for (auto& step : data_parallel.steps(sampler)) {
        for (auto& shard : step.shards()) {
          for (std::size_t p = tables.size(); p-- > 0;) {
            if (options.zero_stage == 2) {
              auto list = data_parallel.parameters();
              list[p].gradient = data_parallel.access().gradient(p);
              model.use_gradients(list);
            }
            const auto rows = model.backward(p, shard.samples(), p == 1 ? 0.0 : 1e9);
            p == 1 ? shard.ready(p) : shard.ready_rows(p, rows);
          }
        }
        step.reduce();
        step.apply(optimizer);
      }
      ends[static_cast<std::size_t>(world.rank())] = model.bytes();
    });
  };
  DataParallelOptions options{.bucket_bytes = 16_KiB, .logical_shards = 4, .row_sparse = {"table", "other"}};
  std::vector<std::string> expected(1);
  train(1, options, expected);
  options.zero_stage = 2;
  options.units = {{"table", "dense"}};
  std::vector<std::string> ends(2);
  train(2, options, ends);
  for (const std::string& end : ends) REQUIRE((end == expected.front()));

  Complaints complaints(2);
  run_ranks(2, [&](World& world) {
    RowField model(tables, DType::f32, DType::f32);
    DataParallel data_parallel(world.communicator(), model.parameters(), options);
    ParameterAccess& access = data_parallel.access();
    complaints.expect(world.rank(), access.units() == 1 && access.unit_of(1) == 0, "the unit is of the dense one");
    complaints.expect_refusal(world.rank(), "'table' is row-sparse, and belongs to no unit",
                              [&] { access.unit_of(0); });
    DataParallelOptions alone = options;
    alone.units = {{"dense"}, {"other"}};
    complaints.expect_refusal(world.rank(), "units: unit 1 {'other'} has row-sparse parameters alone",
                              [&] { DataParallel(world.communicator(), model.parameters(), alone); });
  });
  REQUIRE(complaints.all() == "");
}
