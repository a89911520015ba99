// SPDX-License-Identifier: Apache-2.0
// A Gpt trained on a mesh, and the dense one trained on the same rows.
#pragma once

#include "trireme/models/gpt.hpp"
#include "trireme/models/mesh_gpt.hpp"
#include "trireme/optim/adamw.hpp"
#include "trireme/parallel/data_parallel.hpp"
#include "trireme/parallel/mesh.hpp"
#include "trireme/pipeline/generate.hpp"
#include "trireme/world/run_ranks.hpp"
#include "unit/models/gpt_samples.hpp"

#include <cmath>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace trireme::models::testing {

using Values = std::vector<double>;

struct Training {
  GptOptions gpt{.vocabulary = 11, .context = 5, .layers = 4, .heads = 4, .channels = 8, .seed = 3};
  std::size_t rows = 8;  ///< of a step, of all replicas
#ifdef TRIREME_SANITIZED
  int steps = 4;
#else
  int steps = 20;
#endif
  double clip_norm = 0.0;
  bool clips_in_place = false;  ///< before apply(), as for optimizers of others

  std::vector<MeshAxis> axes{};
  std::string schedule = "1f1b";
  int chunks = 1;
  int micro_batches = 2;
  std::size_t micro_batch_rows = 4;
  std::vector<std::size_t> layers{};
  bool sequence_parallel = false;
  int zero_stage = 0;
  bool views = false;
  bool tensor_axis = false;  ///< given to DataParallel
  std::function<std::unique_ptr<Optimizer>()> rule = [] {
    return std::make_unique<AdamW>(AdamWOptions{.learning_rate = 1e-2});
  };

  int ranks() const {
    int all = 1;
    for (const MeshAxis& axis : axes) all *= axis.size;
    return all;
  }
};

/// The values of all parameters behind the last step, and the losses of all steps.
struct Trained {
  std::vector<Values> values;
  Values losses, norms;
};

inline Trained train_dense(const Training& training) {
  Trained trained;
  trireme::testing::run_ranks(1, [&](World& world) {
    Gpt<double> model(training.gpt);
    const auto optimizer = training.rule();
    DataParallel data_parallel(world.communicator(), model.parameters(), {});
    for (auto& step : data_parallel.steps()) {
      const auto number = static_cast<std::uint64_t>(trained.losses.size());
      const auto tokens = samples::random_rows(training.gpt, training.rows, number + 1);
      model.set_place({.step = number});
      for (auto& shard : step.shards())
        trained.losses.push_back(model.forward_backward(tokens, training.rows, [&](std::size_t p) { shard.ready(p); }));
      step.reduce();
      step.apply(*optimizer, {.clip_norm = training.clip_norm});
      if (training.clip_norm > 0.0) trained.norms.push_back(step.gradient_norm());
      if (static_cast<int>(trained.losses.size()) == training.steps) break;
    }
    for (const Parameter& each : model.parameters()) {
      const auto values = each.value.as<double>();
      trained.values.emplace_back(values.begin(), values.end());
    }
  });
  return trained;
}

/// What a rank has at the end.
struct MeshRank {
  std::vector<Values> values;
  std::vector<MeshPlacement> placements;
  Values losses, norms;
};

inline MeshGptOptions options_of(const Training& training, const Mesh& mesh) {
  return {.gpt = training.gpt,
          .schedule = pipeline::make_schedule(
              training.schedule,
              {.ranks = mesh.size("pipeline"), .micro_batches = training.micro_batches, .chunks = training.chunks}),
          .micro_batch_rows = training.micro_batch_rows,
          .layers = training.layers,
          .sequence_parallel = training.sequence_parallel};
}

inline std::vector<MeshRank> train_mesh(const Training& training) {
  std::vector<MeshRank> ranks(static_cast<std::size_t>(training.ranks()));
  trireme::testing::run_ranks(training.ranks(), [&](World& world) {
    MeshRank& own = ranks[static_cast<std::size_t>(world.rank())];
    const Mesh mesh(world.communicator(), training.axes);
    MeshGpt<double> model(mesh.axis("tensor"), mesh.axis("pipeline"), options_of(training, mesh));
    const auto optimizer = training.rule();
    DataParallelOptions options{
        .bucket_bytes = Bytes{1024}, .zero_stage = training.zero_stage, .gradients_as_bucket_views = training.views};
    if (training.tensor_axis) options.tensor_axis = mesh.axis("tensor");
    DataParallel data_parallel(mesh.axis("data"), model.parameters(), options);
    model.use_gradients(data_parallel.parameters());
    const std::size_t rows = training.rows / static_cast<std::size_t>(mesh.size("data"));
    const std::size_t first = rows * static_cast<std::size_t>(mesh.coordinate("data"));
    const std::size_t width = training.gpt.context + 1;
    for (auto& step : data_parallel.steps()) {
      const auto number = static_cast<std::uint64_t>(own.losses.size());
      const auto tokens = samples::random_rows(training.gpt, training.rows, number + 1);
      model.set_place({.step = number, .first_row = first});
      for (auto& shard : step.shards())
        own.losses.push_back(model.forward_backward(std::span(tokens).subspan(first * width, rows * width), rows,
                                                    [&](std::size_t p) { shard.ready(p); }));
      step.reduce();
      ApplyOptions how{.clip_norm = training.clip_norm};
      MeshGradientParts parts;
      if (training.zero_stage != 0) parts = {[&](std::size_t p) { return data_parallel.owned(p); }, mesh.axis("data")};
      how.norm = [&](std::span<const TensorView> gradients) { return model.gradient_norm(gradients, parts); };
      if (training.clips_in_place) {
        const std::vector<TensorView> gradients = step.gradients();
        own.norms.push_back(model.clip_gradients(gradients, training.clip_norm, parts));
        how = {};
      }
      step.apply(*optimizer, how);
      if (how.clip_norm > 0.0) own.norms.push_back(step.gradient_norm());
      if (static_cast<int>(own.losses.size()) == training.steps) break;
    }
    for (const Parameter& each : model.parameters()) {
      const auto values = each.value.as<double>();
      own.values.emplace_back(values.begin(), values.end());
    }
    own.placements = model.placements();
  });
  return ranks;
}

inline bool same_bits(const Values& a, const Values& b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(double)) == 0);
}

inline bool same_bits(const std::vector<MeshRank>& a, const std::vector<MeshRank>& b) {
  bool same = a.size() == b.size();
  for (std::size_t r = 0; same && r < a.size(); ++r) {
    same = a[r].values.size() == b[r].values.size() && same_bits(a[r].losses, b[r].losses) &&
           same_bits(a[r].norms, b[r].norms);
    for (std::size_t p = 0; same && p < a[r].values.size(); ++p) same = same_bits(a[r].values[p], b[r].values[p]);
  }
  return same;
}

/// The logical tensors that all ranks together have. Complains where copies of an element differ in a bit, or there is none.
inline std::vector<Values> assembled(const std::vector<MeshRank>& ranks, const std::vector<Values>& like,
                                     std::string& complaints) {
  std::vector<Values> whole;
  std::vector<std::vector<bool>> known;
  for (const Values& each : like) {
    whole.emplace_back(each.size());
    known.emplace_back(each.size(), false);
  }
  for (const MeshRank& rank : ranks) {
    for (std::size_t p = 0; p < rank.values.size(); ++p) {
      const std::size_t dense = rank.placements[p].parameter;
      std::size_t next = 0;
      for (const layout::Interval& range : rank.placements[p].ranges) {
        for (std::size_t e = range.begin; e < range.end; ++e, ++next) {
          const double value = rank.values[p].at(next);
          if (known[dense][e] && std::memcmp(&whole[dense][e], &value, sizeof value) != 0)
            complaints += "copies of parameter " + std::to_string(dense) + " differ; ";
          whole[dense][e] = value;
          known[dense][e] = true;
        }
      }
      if (next != rank.values[p].size()) complaints += "ranges of " + std::to_string(dense) + " are not its elements; ";
    }
  }
  for (std::size_t p = 0; p < known.size(); ++p) {
    for (const bool each : known[p]) {
      if (!each) {
        complaints += "nobody has all of parameter " + std::to_string(p) + "; ";
        break;
      }
    }
  }
  return whole;
}

/// Empty when the mesh has the dense model's values within `tolerance`.
inline std::string differences(const std::vector<MeshRank>& ranks, const Trained& dense, double tolerance) {
  std::string complaints;
  const std::vector<Values> whole = assembled(ranks, dense.values, complaints);
  double greatest = 0.0;
  for (std::size_t p = 0; p < whole.size(); ++p) {
    for (std::size_t e = 0; e < whole[p].size(); ++e) {
      const double distance = std::abs(whole[p][e] - dense.values[p][e]);
      if (!(distance <= greatest)) greatest = distance;
    }
  }
  if (!(greatest <= tolerance)) complaints += "values differ by " + std::to_string(greatest * 1e12) + "e-12; ";
  return complaints;
}

/// The mean over replicas of the losses of step `step`.
inline double loss_of(const std::vector<MeshRank>& ranks, std::size_t step) {
  double all = 0.0;
  for (const MeshRank& rank : ranks) all += rank.losses[step];
  return all / static_cast<double>(ranks.size());
}

}  // namespace trireme::models::testing
