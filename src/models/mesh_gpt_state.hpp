// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "models/mesh_parameters.hpp"
#include "models/mesh_stage.hpp"
#include "trireme/models/mesh_gpt.hpp"
#include "trireme/pipeline/runtime.hpp"
#include "trireme/tensor_parallel/axis.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace trireme::models {

template <class T>
struct MeshGpt<T>::State {
  State(Communicator tensor, Communicator pipeline_ranks, const MeshGptOptions& given);

  CallOptions call(std::string_view label) const { return {.deadline = options.deadline, .label = label}; }
  bool on(std::size_t stage) const { return facts.rank_of_stage[stage] == along.rank(); }
  bool has_first() const { return on(0); }
  bool has_last() const { return on(facts.rank_of_stage.size() - 1); }
  /// The rank of the pipeline axis that has a dense parameter; of the tied embedding, the first stage's.
  int owner_of(std::size_t parameter) const;
  /// A pass of up to micro_batch_rows rows through all stages; the losses of all targets, on the last.
  void evaluate(std::span<const std::uint16_t> tokens, std::size_t rows, std::span<double> found);
  /// The gradients of both ends of the tied embedding become one, on both.
  void tie();

  MeshGptOptions options;
  pipeline::ScheduleFacts facts;
  tensor_parallel::Axis axis;
  Communicator along;                ///< the pipeline axis
  std::optional<Communicator> tied;  ///< of first and last stage, where they are on two ranks
  std::optional<MeshParameters<T>> parameters;
  MeshScratch<T> scratch;
  data::AlignedBuffer<T> passed_in, passed_on;  ///< between stages, when evaluating
  MeshStep step;
  std::vector<double> losses;  ///< of every micro-batch, on the last stage
  std::vector<std::unique_ptr<MeshStage<T>>> stages;
  std::optional<pipeline::Runtime> runtime;
};

}  // namespace trireme::models
