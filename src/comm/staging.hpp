// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "comm/scratch_pool.hpp"
#include "trireme/base/tensor_view.hpp"
#include "trireme/comm/request.hpp"

#include <cstddef>
#include <span>
#include <vector>

namespace trireme::comm {

/// Whether `request` is done on a copy of its input.
inline bool needs_copy(const Request& request) {
  if (request.on_device()) return false;  // its engine sees to it
  if (!request.pieces.empty()) return true;
  if (reduces(request.collective)) return request.op.kind == ReduceKind::premultiplied_sum;
  return request.collective == plan::Collective::all_to_all && request.ranks > 1 &&
         request.input.data == request.output.data && request.input.count != 0;
}

/// What some calls need before and after any engine: a copy of their input in arena memory. A pre-multiplied sum is the
/// sum of products that are made here; a group of tensors is one vector that is put together and taken apart here; an
/// all_to_all in place reads from a copy. Part of a pooled operation; under the progress lock.
class Staging {
 public:
  /// What a communicator of `ranks` usually needs is set aside.
  explicit Staging(std::size_t ranks) {
    blocks_.reserve(2 * (ranks + 1));
    pieces_.reserve(64);
  }
  Staging() = default;

  /// Turns the caller's request into what the engine shall do: block sizes become edges, which are kept here, and what
  /// needs a copy gets one.
  /// Errors: system when the arena is exhausted.
  void take_in(Request& request, ScratchPool& pool) {
    if (request.uneven || needs_copy(request) || !request.pieces.empty())
      copy_in(request, pool);  // device memory: edges only
  }
  /// After success: the results of a group go to its tensors.
  void bring_out(const Request& request) const noexcept;
  /// Lets go of the copy.
  void give_back(ScratchPool& pool) noexcept {
    if (!memory_.empty() || !pieces_.empty()) let_go(pool);
  }

 private:
  void copy_in(Request& request, ScratchPool& pool);
  void let_go(ScratchPool& pool) noexcept;
  void keep_blocks(Request& request);
  std::vector<std::size_t> blocks_;
  std::vector<TensorView> pieces_;
  std::span<std::byte> memory_{};
};

}  // namespace trireme::comm
