// SPDX-License-Identifier: Apache-2.0
#include "comm/staging.hpp"

#include "kernels/float_environment.hpp"
#include "kernels/fold/fold.hpp"

#include <cstring>
#include <utility>

namespace trireme::comm {
namespace {

constexpr std::size_t operations_ahead = 8;  // of one shape in flight, for which memory is made at its first

}  // namespace

void Staging::keep_blocks(Request& request) {
  const auto input = request.input_blocks;
  const auto output = request.output_blocks;
  const auto size = static_cast<std::size_t>(request.ranks) + 1;
  blocks_.assign(2 * size, 0);
  for (std::size_t r = 0; r + 1 < size; ++r) {
    blocks_[r + 1] = blocks_[r] + input[r];
    blocks_[size + r + 1] = blocks_[size + r] + output[r];
  }
  request.input_blocks = std::span<const std::size_t>(blocks_).first(size);
  request.output_blocks = std::span<const std::size_t>(blocks_).last(size);
}

void Staging::copy_in(Request& request, ScratchPool& pool) {
  if (request.uneven) keep_blocks(request);
  if (request.on_device() && !request.pieces.empty()) {  // the caller's list may go
    pieces_.assign(request.pieces.begin(), request.pieces.end());
    request.pieces = pieces_;
  }
  if (!needs_copy(request)) return;
  const bool multiply = reduces(request.collective) && request.op.kind == ReduceKind::premultiplied_sum;
  const DType from = request.input.dtype;
  const DType to = multiply ? accumulator_of(from) : from;
  // A group's result replaces what was put together, unless its type is another one.
  const bool apart = !request.pieces.empty() && to != request.output.dtype;
  const std::size_t in_bytes = (request.input.count * size_of(to) + 127) / 128 * 128;
  const std::size_t bytes = in_bytes + (apart ? request.output.size_bytes() : 0);
  if (bytes != 0) {
    pool.prepare(bytes, 0, operations_ahead);
    memory_ = pool.acquire(bytes);
  }

  pieces_.assign(request.pieces.begin(), request.pieces.end());
  request.pieces = pieces_;
  const kernels::FloatEnvironment environment;
  std::byte* place = memory_.data();
  const auto copy = [&](const void* data, std::size_t count) {
    if (count == 0) return;
    if (multiply) {
      kernels::scale(place, data, from, request.op.scalar, count);
    } else {
      std::memcpy(place, data, count * size_of(from));
    }
    place += count * size_of(to);
  };
  if (pieces_.empty()) {
    copy(request.input.data, request.input.count);
  } else {
    for (const TensorView& piece : pieces_) copy(piece.data, piece.count);
  }
  request.input = {memory_.data(), request.input.count, to};
  if (!pieces_.empty()) {
    request.output = {memory_.data() + (apart ? in_bytes : 0), request.output.count, request.output.dtype};
  }
  if (multiply) request.op = sum;
}

void Staging::bring_out(const Request& request) const noexcept {
  if (request.on_device()) return;
  const auto* place = static_cast<const std::byte*>(request.output.data);
  for (const TensorView& piece : pieces_) {
    if (piece.count != 0) std::memcpy(piece.data, place, piece.size_bytes());
    place += piece.size_bytes();
  }
}

void Staging::let_go(ScratchPool& pool) noexcept {
  pieces_.clear();
  pool.release(std::exchange(memory_, {}));
}

}  // namespace trireme::comm
