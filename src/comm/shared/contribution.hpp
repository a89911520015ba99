// SPDX-License-Identifier: Apache-2.0
// What of a request's memory the ranks need of each other. Inline: the fastest operation takes 300 ns.
#pragma once

#include "comm/shared/cell.hpp"
#include "comm/shared/work.hpp"
#include "trireme/comm/request.hpp"

#include <algorithm>
#include <cstddef>

namespace trireme::comm::shared {

/// Bytes of the contribution that a rank shows the others; the same on all ranks: of the largest, where sizes differ.
inline std::size_t contribution_bytes(const Request& request) {
  const auto ranks = static_cast<std::size_t>(request.ranks);
  switch (request.collective) {
    case plan::Collective::broadcast: return request.output.size_bytes();
    case plan::Collective::scatter: return request.output.size_bytes() * ranks;
    case plan::Collective::barrier:
    case plan::Collective::send_recv: return 0;
    case plan::Collective::all_gather:
      if (request.uneven) return elements_of_block(request) * size_of(request.input.dtype);
      break;
    default: break;
  }
  return request.input.size_bytes();
}

/// Those that `rank` has.
inline std::size_t contribution_bytes(const Request& request, std::size_t rank) {
  const bool own_size = request.uneven && request.collective == plan::Collective::all_gather;
  return own_size ? block_of(request, rank).size() * size_of(request.input.dtype) : contribution_bytes(request);
}

inline const std::byte* contribution(const Request& request) {
  return static_cast<const std::byte*>(request.collective == plan::Collective::broadcast ? request.output.data
                                                                                         : request.input.data);
}

/// Of an element of it.
inline std::size_t input_size(const Request& request) {
  return size_of(request.collective == plan::Collective::broadcast ? request.output.dtype : request.input.dtype);
}

/// Whether the others need memory of `rank`.
inline bool shows_memory(const Request& request, std::size_t rank) {
  const bool root_alone =
      request.collective == plan::Collective::broadcast || request.collective == plan::Collective::scatter;
  if (request.uneven) return contribution_bytes(request, rank) != 0;  // an empty block may lie anywhere
  return !root_alone || static_cast<std::size_t>(request.root) == rank;
}

/// Whether a contribution has one block for each rank.
inline bool has_blocks(const Request& request) {
  return request.collective == plan::Collective::reduce_scatter || request.collective == plan::Collective::scatter ||
         request.collective == plan::Collective::all_to_all;
}

/// Whether the others write into the output of `rank`, and how much.
inline bool is_written(const Request& request, std::size_t rank) {
  return request.collective == plan::Collective::all_reduce ||
         (request.collective == plan::Collective::reduce && static_cast<std::size_t>(request.root) == rank);
}

inline std::size_t written_bytes(const Request& request) {
  return elements_of_block(request) * size_of(request.output.dtype);
}

/// Elements of a piece where memory passes through the staging.
inline std::size_t staged_count(const Request& request, std::size_t ranks) {
  const std::size_t in = size_of(request.input.dtype);
  const std::size_t out = size_of(request.output.dtype);
  std::size_t element = in;
  if (request.collective == plan::Collective::broadcast) element = out;
  if (has_blocks(request)) element = in * ranks;
  if (is_written(request, static_cast<std::size_t>(request.root)) && in != out) element = in + out;
  const std::size_t room = piece_bytes / element;
  return room > 64 ? room / 64 * 64 : std::max<std::size_t>(room, 1);
}

}  // namespace trireme::comm::shared
