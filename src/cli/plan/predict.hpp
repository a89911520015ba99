// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/plan/model_size.hpp"
#include "trireme/base/dtype.hpp"
#include "trireme/parallel/memory_estimate.hpp"
#include "trireme/pipeline/rational.hpp"

#include <optional>
#include <string>
#include <vector>

namespace trireme::cli {

/// A link as a rank sees it: seconds per message and bytes per second, in each direction.
struct Link {
  double latency_s = 0;
  double bytes_per_s = 1;
};

/// The cluster, and how it is to be trained on.
struct PlanSetting {
  ModelSize model{};
  int world = 1;
  int ranks_per_node = 1;
  double memory_per_rank = 0;  ///< bytes
  Link link{};                 ///< to ranks of other nodes
  Link node_link{};            ///< to those of the same node
  double flops_per_rank = 1;   ///< per second, as products of matrices reach them
  int batch_size = 1;          ///< samples of a step, of all ranks
  DType dtype = DType::f32;    ///< of values and activations: f32, or bf16 with f32 gradients and masters
  parallel::ZeroWidths widths{};
  bool recompute = false;
};

/// A way to train. Axes of the mesh are data, pipeline, tensor, the last one fastest.
struct MeshChoice {
  int data = 1;
  int pipeline = 1;
  int tensor = 1;
  int zero_stage = 0;
  int micro_batches = 1;              ///< of every pipeline; without one, leaves of every rank
  std::string schedule{};             ///< of pipeline::schedule_names(); empty without a pipeline
  int chunks = 1;                     ///< stages on a rank
  int leaves = 1;                     ///< of every replica, where micro-batches are no leaves
  std::vector<std::size_t> layers{};  ///< of every stage; empty: as even as can be
  bool sequence_parallel = false;     ///< tensor ranks share positions between their layers

  /// Whether ranks have parts of the model, which takes ZeRO's stages 0 to 2 alone.
  bool shares_model() const { return pipeline > 1 || tensor > 1; }
  int stages() const { return layers.empty() ? pipeline * chunks : static_cast<int>(layers.size()); }
};

/// "data=2,pipeline=2,tensor=2", as trireme::Mesh reads it.
std::string mesh_text(const MeshChoice& choice);

/// Of the rank that needs most, of the rank that sends most, of the slowest; bytes and seconds.
struct PlanPrediction {
  double parameters = 0;  ///< elements on that rank, before ZeRO shares them out
  double values = 0, gradients = 0, optimizer_state = 0, transient = 0, activations = 0;
  double wire_data = 0, wire_pipeline = 0, wire_tensor = 0;  ///< sent per step
  pipeline::Rational bubble{};  ///< of the step's makespan, exactly, for work in whole nanoseconds
  double bubble_share = 0;
  double makespan_s = 0;      ///< forward and backward, messages of pipeline and tensor axes among them
  double exposed_data_s = 0;  ///< of the data axis, what no work hides; and the tied table's sum
  double step_s() const { return makespan_s + exposed_data_s; }
  double memory() const { return values + gradients + optimizer_state + transient + activations; }
};

/// Why a choice cannot be: in the words that are counted; nothing: it can, memory apart.
std::optional<std::string> why_not(const PlanSetting& setting, const MeshChoice& choice);

/// What a step takes. Formulas, with d, p, t ranks along the axes, m micro-batches of b = ceil(B/(d m)) samples, C channels, T
/// tokens, a, v, g and K bytes of an activation, value, gradient and state:
///
/// - parameters Psi of a rank: its layers, of each the whole weights and 1/t of the others (ceil(heads/t)/heads where heads do
///   not divide); table/t at the first and at the last stage, positions at the first, the final norm at the last;
/// - memory: see memory_of_whole() and memory_of_shares();
/// - wire, data axis: Psi times parallel::zero_wire_bytes_per_parameter(stage, d), values of stage 3 once more for every micro-batch, and
///   with p > 1 the tied table's gradient between first and last stage; pipeline: a b T C for every message; tensor: 2 (t-1)/t of a b T C,
///   four times a layer and micro-batch (six with recompute), and twice a micro-batch around the table;
/// - times: 2 flops a weight and token forward, and as many for the gradient of the input and for that of the weights; attention 4 T C a layer and
///   token, twice that backward. The schedule is simulated with them, exactly (pipeline::simulate); sums over tensor ranks block.
///   All-reduces and gathers are plan::cost_of() of their direct and ring plans. On the data axis the last micro-batch's backward hides
///   gradients, the values of stages 1 and 2 are not hidden, those of stage 3 by all work.
///
/// Not in it: the optimizer's own time, loading data, what the loss exchanges (some numbers per token), transports' buffers.
/// Shape:  why_not() has nothing against it.  Errors: as pipeline::simulate().
PlanPrediction predict(const PlanSetting& setting, const MeshChoice& choice);

}  // namespace trireme::cli
