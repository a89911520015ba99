// SPDX-License-Identifier: Apache-2.0
#include "trireme/pipeline/generate.hpp"

#include "pipeline/schedule_builder.hpp"

#include <algorithm>

namespace trireme::pipeline {

Schedule gpipe(int ranks, int micro_batches) {
  ScheduleBuilder builder("gpipe", {.ranks = ranks, .micro_batches = micro_batches});
  for (int rank = 0; rank < ranks; ++rank) {
    for (int i = 0; i < micro_batches; ++i) builder.add(rank, ActionKind::forward, rank, i);
    for (int i = 0; i < micro_batches; ++i) builder.add(rank, ActionKind::backward, rank, i);
  }
  return builder.take();
}

Schedule one_forward_one_backward(int ranks, int micro_batches) {
  ScheduleBuilder builder("1f1b", {.ranks = ranks, .micro_batches = micro_batches});
  for (int rank = 0; rank < ranks; ++rank) {
    const int ahead = std::min(ranks - 1 - rank, micro_batches);
    for (int i = 0; i < ahead; ++i) builder.add(rank, ActionKind::forward, rank, i);
    for (int i = 0; i < micro_batches; ++i) {
      if (ahead + i < micro_batches) builder.add(rank, ActionKind::forward, rank, ahead + i);
      builder.add(rank, ActionKind::backward, rank, i);
    }
  }
  return builder.take();
}

Schedule interleaved(int ranks, int micro_batches, int chunks) {
  if (chunks == 1) return one_forward_one_backward(ranks, micro_batches);
  // Micro-batches go through the chunks in groups of `ranks`. The last group is filled up with micro-batches that the
  // builder then leaves out: no action waits for one of another micro-batch.
  ScheduleBuilder builder("interleaved", {.ranks = ranks, .micro_batches = micro_batches, .chunks = chunks});
  const int groups = micro_batches / ranks + (micro_batches % ranks != 0 ? 1 : 0);
  const int per_rank = groups * ranks * chunks;
  for (int rank = 0; rank < ranks; ++rank) {
    const auto add = [&](ActionKind kind, int turn) {
      const int round = turn / ranks;  // one chunk of one group
      const int chunk = round % chunks;
      const int stage = (kind == ActionKind::forward ? chunk : chunks - 1 - chunk) * ranks + rank;
      builder.add(rank, kind, stage, round / chunks * ranks + turn % ranks);
    };
    const int ahead = std::min(2 * (ranks - 1 - rank) + (chunks - 1) * ranks, per_rank);
    for (int turn = 0; turn < ahead; ++turn) add(ActionKind::forward, turn);
    for (int turn = 0; turn < per_rank; ++turn) {
      if (ahead + turn < per_rank) add(ActionKind::forward, ahead + turn);
      add(ActionKind::backward, turn);
    }
  }
  return builder.take();
}

}  // namespace trireme::pipeline
