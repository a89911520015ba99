// SPDX-License-Identifier: Apache-2.0
#include "tensor_parallel/share_moves.hpp"

#include "trireme/base/error.hpp"

#include <cstring>
#include <string>
#include <vector>

namespace trireme::tensor_parallel {
namespace {

void check(const Axis& axis, const Split& split, ConstTensorView whole, ConstTensorView share, std::string_view label) {
  split.check();
  const auto refuse = [&](const std::string& what) {
    fail(ErrorCode::invalid_argument, "'" + std::string(label) + "': " + what);
  };
  if (whole.device.kind != DeviceKind::cpu || share.device.kind != DeviceKind::cpu)
    fail(ErrorCode::unsupported, "'" + std::string(label) + "': tensor parallelism works in host memory");
  if (whole.dtype != share.dtype)
    refuse("the whole is " + std::string(name_of(whole.dtype)) + ", the share " + std::string(name_of(share.dtype)));
  if (whole.count != split.count())
    refuse("the whole has " + std::to_string(whole.count) + " elements, not " + std::to_string(split.count()));
  if (const std::size_t mine = axis.share_count(split); share.count != mine) {
    refuse("the share of rank " + std::to_string(axis.rank()) + " of " + std::to_string(axis.size()) + " has " +
           std::to_string(share.count) + " elements, not " + std::to_string(mine));
  }
}

std::vector<std::size_t> counts_of(const Axis& axis, const Split& split) {
  std::vector<std::size_t> counts;
  for (int rank = 0; rank < axis.size(); ++rank) counts.push_back(split.share_count(rank, axis.size()));
  return counts;
}

/// The runs of bytes in which rank `rank`'s share stands in the whole: run(in the whole, in the share, bytes).
template <class Run>
void for_each_run(const Axis& axis, const Split& split, int rank, std::size_t element, Run run) {
  const layout::Interval mine = split.share(rank, axis.size());
  const std::size_t bytes = mine.size() * split.inner * element;
  if (bytes == 0) return;
  for (std::size_t o = 0; o < split.outer; ++o)
    run((o * split.extent + mine.begin) * split.inner * element, o * bytes, bytes);
}

void pack_share(const Axis& axis, const Split& split, int rank, ConstTensorView whole, std::byte* share) {
  const auto* const from = static_cast<const std::byte*>(whole.data);
  for_each_run(axis, split, rank, size_of(whole.dtype),
               [&](std::size_t in_whole, std::size_t in_share, std::size_t bytes) {
                 std::memcpy(share + in_share, from + in_whole, bytes);
               });
}

void unpack_share(const Axis& axis, const Split& split, int rank, const std::byte* share, TensorView whole) {
  auto* const to = static_cast<std::byte*>(whole.data);
  for_each_run(axis, split, rank, size_of(whole.dtype),
               [&](std::size_t in_whole, std::size_t in_share, std::size_t bytes) {
                 std::memcpy(to + in_whole, share + in_share, bytes);
               });
}

}  // namespace

void take_share(const Axis& axis, const Split& split, ConstTensorView whole, TensorView share, std::string_view label) {
  check(axis, split, whole, share, label);
  pack_share(axis, split, axis.rank(), whole, static_cast<std::byte*>(share.data));
}

void gather_shares(Axis& axis, const Split& split, ConstTensorView share, TensorView whole, std::string_view label) {
  check(axis, split, whole, share, label);
  if (axis.size() == 1) {
    if (share.count != 0) std::memcpy(whole.data, share.data, share.size_bytes());
    return;
  }
  const auto counts = counts_of(axis, split);
  Communicator communicator = axis.communicator();
  if (split.outer == 1) {
    communicator.all_gather(share, whole, counts, axis.call(label));
    return;
  }
  std::byte* const packed = axis.scratch(Axis::Scratch::packed, whole.size_bytes());
  communicator.all_gather(share, TensorView(packed, whole.count, whole.dtype), counts, axis.call(label));
  const std::byte* from = packed;
  for (int rank = 0; rank < axis.size(); ++rank) {
    unpack_share(axis, split, rank, from, whole);
    from += counts[static_cast<std::size_t>(rank)] * size_of(whole.dtype);
  }
}

void sum_to_shares(Axis& axis, const Split& split, ConstTensorView whole, TensorView share, std::string_view label) {
  check(axis, split, whole, share, label);
  if (axis.size() == 1) {
    if (share.count != 0) std::memcpy(share.data, whole.data, share.size_bytes());
    return;
  }
  const auto counts = counts_of(axis, split);
  Communicator communicator = axis.communicator();
  if (split.outer != 1) {
    std::byte* const packed = axis.scratch(Axis::Scratch::packed, whole.size_bytes());
    std::byte* to = packed;
    for (int rank = 0; rank < axis.size(); ++rank) {
      pack_share(axis, split, rank, whole, to);
      to += counts[static_cast<std::size_t>(rank)] * size_of(whole.dtype);
    }
    whole.data = packed;
  }
  communicator.reduce_scatter(whole, share, counts, sum, axis.call(label));
}

}  // namespace trireme::tensor_parallel
