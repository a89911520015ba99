// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "engines/nccl/clique.hpp"
#include "engines/nccl/native.hpp"
#include "engines/nccl/scratch.hpp"
#include "engines/nccl/surroundings.hpp"
#include "engines/nccl/vector_view.hpp"
#include "kernels/reduce/reduce.hpp"
#include "trireme/comm/request.hpp"

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace trireme::engines::nccl {

/// Gives collectives to one stream, one after the other: begin(), then, as soon as NCCL has taken what that gave it,
/// go_on(), and then NCCL may take the rest before the next begins. Never waits for the device.
/// Errors: device.
class Collectives {
 public:
  static constexpr std::size_t small_bytes = 8192;  ///< contributions that every rank combines all by itself
  /// How a reduction goes.
  enum class Way { native, whole, blocks };
  static Way way_of(const comm::Request& request, int version);

  Collectives(Surroundings& surroundings, Clique& clique, Stream stream)
      : surroundings_(surroundings),
        clique_(clique),
        queue_{*surroundings.runtime, stream},
        scratch_(surroundings.runtime, surroundings.device),
        sources_(surroundings.ranks()) {}

  void begin(const comm::Request& request);
  void go_on(const comm::Request& request);
  /// A few bytes between every pair of ranks, so that later calls find them connected.
  void connect_pairs();
  /// The same by one collective of each kind: rings and trees. An algorithm that NCCL takes for other sizes alone may still be
  /// connected later.
  void connect_rings();
  std::vector<device::Buffer> release() { return scratch_.release(); }

 private:
  std::size_t ranks() const { return surroundings_.ranks(); }
  std::size_t self() const { return surroundings_.self(); }
  bool is_root(const comm::Request& request) const { return request.root == surroundings_.room.rank; }
  layout::Interval block(std::size_t rank) const { return {edges_[rank], edges_[rank + 1]}; }
  void cut(std::size_t count);
  void cut_equal(std::size_t count);
  void cut_at(std::span<const std::size_t> edges) { edges_.assign(edges.begin(), edges.end()); }

  void begin_reduction(const comm::Request& request);
  void begin_native(const comm::Request& request);
  void begin_whole(const comm::Request& request);
  void begin_blocks(const comm::Request& request);
  void end_native(const comm::Request& request);
  void end_whole(const comm::Request& request);
  void end_blocks(const comm::Request& request);
  void all_gather(const comm::Request& request);
  void gather(const comm::Request& request);
  void scatter(const comm::Request& request);
  void all_to_all(const comm::Request& request);
  void broadcast(const comm::Request& request);

  void combine(const comm::Request& request, std::size_t count, void* destination);
  void copy(void* to, const void* from, std::size_t bytes) {
    if (bytes != 0 && to != from) queue_.runtime.copy(to, from, bytes, queue_.stream);
  }
  void send(const void* data, std::size_t bytes, std::size_t peer);
  void receive(void* data, std::size_t bytes, std::size_t peer);

  Surroundings& surroundings_;
  Clique& clique_;
  device::Queue queue_;
  Scratch scratch_;
  // Of the operation between begin() and go_on().
  Way way_ = Way::blocks;
  std::optional<Native> native_;
  VectorView input_, output_;
  std::vector<std::size_t> edges_;  // of the ranks' blocks
  std::vector<kernels::ReduceSource> sources_;
};

}  // namespace trireme::engines::nccl
