// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/plan/predict.hpp"
#include "trireme/pipeline/schedule.hpp"

#include <vector>

namespace trireme::cli {

/// Bytes of one rank.
struct RankMemory {
  double parameters = 0;  ///< elements, before ZeRO shares anything out
  double values = 0, gradients = 0, optimizer_state = 0, transient = 0, activations = 0;
  double messages = 0;  ///< between stages, all places for them
  double total() const { return values + gradients + optimizer_state + transient + activations + messages; }
};

/// What every rank of the pipeline axis holds, of those tensor ranks that have the greatest share. With d data ranks, ZeRO's stage z, b
/// rows of a micro-batch, C channels, T tokens, s the share of the heads, v, g, K and a bytes of a value, gradient, state and activation:
///
/// - without pipeline and tensor ranks (models::Gpt; micro-batches are leaves, m of them): Psi times
///   parallel::zero_bytes_per_parameter(z, d); with m > 1 leaves are folded whole, floor(log2 m) + 1 copies of g Psi at any stage, below
///   stage 2 beside one that backward writes. Transient, of the two largest units (a layer, or all that is beside layers): gradients
///   at stage 2 and 3 where m = 1; values at 3. Activations of every layer a b T (4C + 4 + s(12C + heads T)), with recompute a b T C and one
///   layer whole; the logits, the head's input and backward's scratch once;
/// - with them, or micro-batches of one pass (models::MeshGpt, z at most 2): v Psi; g Psi, in which micro-batches are added up, and g of one term,
///   the largest weight with the tensor before it; the head's own g table where one rank has both ends; at stage 2 the owned part and two
///   buckets beside it; K Psi, at stages 1 and 2 by d. Activations: of every live micro-batch, as many as the schedule has at once,
///   a b T (3C + 4 + s(12C + heads T)) a layer and a b T C for each layer's input that is no message, on the first stage a b T C, on the last
///   a b T (2C + V/t); where backward is split, a b T (2C + 7 s C) more a layer, else once; scratch once. Messages: a b T C for each place. With sequence_parallel
///   1/t of what lies between layers: inputs, messages, C + 4 of what a layer keeps; and once that share of a b T C for each norm.
///
/// Not in it: books, staging of transports, working memory of products.
/// Shape:  a schedule that can run, of choice.pipeline ranks.
RankMemory memory_of_whole(const PlanSetting& setting, const MeshChoice& choice);
std::vector<RankMemory> memory_of_shares(const PlanSetting& setting, const MeshChoice& choice,
                                         const pipeline::Schedule& schedule);

}  // namespace trireme::cli
