// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/pipeline/schedule.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace trireme::pipeline {

/// p ranks, m micro-batches, v chunks (stages) per rank. Any p, m, v >= 1.
struct ScheduleSize {
  int ranks = 1;
  int micro_batches = 1;
  int chunks = 1;
};

/// All forwards, then all backwards. Stage r on rank r.
/// Cost: bubble (p-1)(F+B+W); m micro-batches live.  Source: Huang et al., NeurIPS 2019.
Schedule gpipe(int ranks, int micro_batches);

/// A backward as soon as there is one. Stage r on rank r.
/// Cost: bubble (p-1)(F+B+W); min(p-r, m) micro-batches live on rank r.  Source: Narayanan et al., SOSP 2019.
Schedule one_forward_one_backward(int ranks, int micro_batches);

/// The same with v chunks: stage s on rank s mod p; F, B, W are those of a rank's v chunks together.
/// Cost: bubble (p-1)(F+B+W)/v when p divides m, else no longer than with the next such m; about v times the messages.
/// Source: Narayanan et al., SC 2021.
Schedule interleaved(int ranks, int micro_batches, int chunks);

/// 1F1B whose gradients of weights wait until the rank would be idle, r micro-batches on rank r at most.
/// Cost: bubble (p-1)(F+B-W) for m >= p, W <= F and W <= B, a third of 1F1B's where F = B = W; at most p micro-batches live.
/// Source: Qi, Wan, Huang, Lin, ICLR 2024 (ZB-H1).
Schedule zero_bubble_h1(int ranks, int micro_batches);

/// Stages r and 2p-1-r on rank r: the last stage lies beside the first. Between its first and its last action no rank is
/// idle when the two stages of a rank have F = B = W each and m >= 2p-1; rank r begins r forwards late.
/// Cost: bubble (p-1)F of one stage; at most 2p stages' activations (p micro-batches) live.
/// Source: Qi, Wan, Huang, Lin, arXiv 2401.10241 (ZB-V).
Schedule zero_bubble_v(int ranks, int micro_batches);

/// "gpipe", "1f1b", "interleaved", "zb-h1", "zb-v": what make_schedule() takes.
const std::vector<std::string>& schedule_names();

/// The schedule of that name. zb-v has 2 chunks whatever `size` says of 1 or 2; gpipe, 1f1b and zb-h1 have one.
/// Errors: invalid_argument naming what is not known, or a size that makes no sense.
Schedule make_schedule(std::string_view name, const ScheduleSize& size);

}  // namespace trireme::pipeline
