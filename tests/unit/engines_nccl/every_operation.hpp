// SPDX-License-Identifier: Apache-2.0
// Every operation on device memory, beside the host engine's on the same numbers: over the fake NCCL, and over the real one.
#pragma once

#include "engines_nccl/nccl_world.hpp"

#include <algorithm>
#include <atomic>
#include <numeric>
#include <vector>

namespace trireme::testing {

using ByteVector = std::vector<std::byte>;

inline constexpr DType every_dtype[] = {DType::f64,    DType::f32, DType::f16,    DType::bf16, DType::f8e4m3,
                                        DType::f8e5m2, DType::i64, DType::i32,    DType::i8,   DType::u64,
                                        DType::u32,    DType::u8,  DType::boolean};

inline std::vector<ReduceOp> ops_of(DType dtype, int rank) {
  std::vector<ReduceOp> ops{product, minimum, maximum};
  if (dtype != DType::boolean) ops.push_back(sum);
  if (is_floating(dtype)) {
    ops.push_back(average);
    ops.push_back(average_over(2.5));
    ops.push_back(premultiplied_sum(0.75 + rank));
  }
  return ops;
}

/// What happens on the host and on the device; Catch's assertions are not for threads.
struct Findings {
  std::atomic<int> differ{0};
  std::atomic<int> compared{0};
  void compare(const ByteVector& host, const ByteVector& device) {
    ++compared;
    if (host != device) ++differ;
  }
};

inline TensorView view(ByteVector& bytes, DType dtype, std::size_t first = 0, std::size_t count = ~std::size_t{0}) {
  return {bytes.data() + first * size_of(dtype), std::min(count, bytes.size() / size_of(dtype) - first), dtype};
}

inline void reduce_everything(World& world, const RunRanksOptions& options, ReductionOrder order, Findings& findings) {
  auto communicator = world.communicator();
  const OnDevice here(world, options);
  const auto ranks = static_cast<std::size_t>(communicator.size());
  const int rank = communicator.rank(), root = communicator.size() - 1;
  const bool exact = order == ReductionOrder::fastest;
  const CallOptions on_host{.order = order}, on_device{.order = order, .stream = here.stream()};
  for (const DType dtype : every_dtype) {
    for (const ReduceOp op : ops_of(dtype, rank)) {
      if (exact && (op.kind == ReduceKind::average || op.kind == ReduceKind::premultiplied_sum) && size_of(dtype) < 4)
        continue;  // rounded more than once in the fastest order
      for (const std::size_t count : ranks == 3 ? std::vector<std::size_t>{1, 2600} : std::vector<std::size_t>{1100}) {
        const auto seed = static_cast<std::uint64_t>(rank) + count;
        ByteVector input = elements(dtype, count, seed, exact), output(input.size());
        const auto in = here.up(input), out = here.up(output);
        communicator.all_reduce(view(input, dtype), view(output, dtype), op, on_host);
        communicator.all_reduce(in.view(dtype, count), out.view(dtype, count), op, on_device);
        findings.compare(output, here.down(out));
        communicator.all_reduce(in.view(dtype, count), in.view(dtype, count), op, on_device);
        findings.compare(output, here.down(in));

        input = elements(dtype, count, seed + 5, exact);
        const auto again = here.up(input);
        communicator.reduce(view(input, dtype), view(output, dtype), root, op, on_host);
        communicator.reduce(again.view(dtype, count), out.view(dtype, count), root, op, on_device);
        if (rank == root) findings.compare(output, here.down(out));

        ByteVector long_input = elements(dtype, count * ranks, seed + 9, exact);
        const auto whole = here.up(long_input);
        communicator.reduce_scatter(view(long_input, dtype), view(output, dtype), op, on_host);
        communicator.reduce_scatter(whole.view(dtype, count * ranks), out.view(dtype, count), op, on_device);
        findings.compare(output, here.down(out));

        // Blocks of unequal sizes: some for the first rank, the rest for the last one, nothing between them.
        std::vector<std::size_t> counts(ranks, 0);
        counts.front() = count / 3;
        counts.back() += count * ranks - count / 3;
        const std::size_t own = counts[static_cast<std::size_t>(rank)];
        const std::size_t begin = std::accumulate(counts.begin(), counts.begin() + rank, std::size_t{0});
        ByteVector kept(own * size_of(dtype));
        const auto d_kept = here.up(kept);
        communicator.reduce_scatter(view(long_input, dtype), view(kept, dtype), counts, op, on_host);
        communicator.reduce_scatter(whole.view(dtype, count * ranks), d_kept.view(dtype, own), counts, op, on_device);
        findings.compare(kept, here.down(d_kept));
        const TensorView all = whole.view(dtype, count * ranks);
        const TensorView part(static_cast<std::byte*>(all.data) + begin * size_of(dtype), own, dtype, all.device);
        communicator.reduce_scatter(all, part, counts, op, on_device);
        ByteVector in_place = here.down(whole);
        in_place.erase(in_place.begin(), in_place.begin() + static_cast<std::ptrdiff_t>(begin * size_of(dtype)));
        in_place.resize(own * size_of(dtype));
        findings.compare(kept, in_place);
      }
    }
  }
}

inline void move_everything(World& world, const RunRanksOptions& options, Findings& findings) {
  auto communicator = world.communicator();
  const OnDevice here(world, options);
  const auto ranks = static_cast<std::size_t>(communicator.size());
  const auto self = static_cast<std::size_t>(communicator.rank());
  const int root = communicator.size() / 2;
  const bool is_root = communicator.rank() == root;
  const CallOptions on_device{.stream = here.stream()};
  for (const DType dtype : {DType::f32, DType::f8e4m3, DType::i64}) {
    const std::size_t count = 301;
    ByteVector one = elements(dtype, count, self + 1), all = elements(dtype, count * ranks, self + 2);
    ByteVector small(one.size()), large(all.size());
    const auto d_one = here.up(one), d_all = here.up(all), d_small = here.up(small), d_large = here.up(large);
    const auto v_one = d_one.view(dtype, count), v_all = d_all.view(dtype, count * ranks);
    const auto v_small = d_small.view(dtype, count), v_large = d_large.view(dtype, count * ranks);

    communicator.all_gather(view(one, dtype), view(large, dtype));
    communicator.all_gather(v_one, v_large, on_device);
    findings.compare(large, here.down(d_large));

    communicator.gather(view(one, dtype), view(large, dtype), root);
    communicator.gather(v_one, v_large, root, on_device);
    if (is_root) findings.compare(large, here.down(d_large));

    communicator.scatter(view(all, dtype), view(small, dtype), root);
    communicator.scatter(v_all, v_small, root, on_device);
    findings.compare(small, here.down(d_small));

    communicator.all_to_all(view(all, dtype), view(large, dtype));
    communicator.all_to_all(v_all, v_large, on_device);
    findings.compare(large, here.down(d_large));
    communicator.all_to_all(v_all, v_all, on_device);
    findings.compare(large, here.down(d_all));

    communicator.broadcast(view(one, dtype), root);
    communicator.broadcast(v_one, root, on_device);
    findings.compare(one, here.down(d_one));

    // Rank r gives 10 r + 3 elements, rank 1 none.
    std::vector<std::size_t> counts(ranks);
    std::size_t sum_of_counts = 0;
    for (std::size_t r = 0; r < ranks; ++r) sum_of_counts += counts[r] = r == 1 ? 0 : 10 * r + 3;
    ByteVector mine = elements(dtype, counts[self], self + 3), together(sum_of_counts * size_of(dtype));
    const auto d_mine = here.up(mine), d_together = here.up(together);
    communicator.all_gather(view(mine, dtype), view(together, dtype), counts);
    communicator.all_gather(d_mine.view(dtype, counts[self]), d_together.view(dtype, sum_of_counts), counts, on_device);
    findings.compare(together, here.down(d_together));
    // In place.
    const std::size_t before = std::accumulate(counts.begin(), counts.begin() + communicator.rank(), std::size_t{0});
    ByteVector placed(together.size());
    std::copy(mine.begin(), mine.end(), placed.begin() + static_cast<std::ptrdiff_t>(before * size_of(dtype)));
    const auto d_placed = here.up(placed);
    const TensorView whole = d_placed.view(dtype, sum_of_counts);
    const TensorView own(static_cast<std::byte*>(whole.data) + before * size_of(dtype), counts[self], dtype,
                         whole.device);
    communicator.all_gather(own, whole, counts, on_device);
    findings.compare(together, here.down(d_placed));
    communicator.gather(view(mine, dtype), view(together, dtype), counts, root);
    communicator.gather(d_mine.view(dtype, counts[self]), d_together.view(dtype, sum_of_counts), counts, root,
                        on_device);
    if (is_root) findings.compare(together, here.down(d_together));
    together = elements(dtype, sum_of_counts, 4);
    const auto d_parts = here.up(together);
    communicator.scatter(view(together, dtype), view(mine, dtype), counts, root);
    communicator.scatter(d_parts.view(dtype, sum_of_counts), d_mine.view(dtype, counts[self]), counts, root, on_device);
    findings.compare(mine, here.down(d_mine));

    // Rank i sends 2 i + j elements to rank j.
    std::vector<std::size_t> to(ranks), from(ranks);
    std::size_t sent = 0, received = 0;
    for (std::size_t r = 0; r < ranks; ++r) {
      sent += to[r] = 2 * self + r;
      received += from[r] = 2 * r + self;
    }
    ByteVector out = elements(dtype, sent, self + 5), in(received * size_of(dtype));
    const auto d_out = here.up(out), d_in = here.up(in);
    communicator.all_to_all(view(out, dtype), to, view(in, dtype), from);
    communicator.all_to_all(d_out.view(dtype, sent), to, d_in.view(dtype, received), from, on_device);
    findings.compare(in, here.down(d_in));
  }
}

}  // namespace trireme::testing
