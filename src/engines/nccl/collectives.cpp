// SPDX-License-Identifier: Apache-2.0
#include "engines/nccl/collectives.hpp"

#include "kernels/fold/fold_device.hpp"
#include "kernels/reduce/reduce_device.hpp"

#include <algorithm>
#include <array>

namespace trireme::engines::nccl {

using comm::Request;
using plan::Collective;

namespace {

std::byte* input_of(const Request& request) {  // the calls take what they only read as const
  return static_cast<std::byte*>(const_cast<void*>(request.input.data));
}
std::byte* output_of(const Request& request) { return static_cast<std::byte*>(request.output.data); }

}  // namespace

Collectives::Way Collectives::way_of(const Request& request, int version) {
  if (native_of(request, version)) return Way::native;
  const bool one_vector = request.collective == Collective::all_reduce || request.collective == Collective::reduce;
  const std::size_t element = request.op.kind == ReduceKind::premultiplied_sum
                                  ? size_of(accumulator_of(request.input.dtype))
                                  : size_of(request.input.dtype);
  return one_vector && request.logical_count() * element <= small_bytes ? Way::whole : Way::blocks;
}

void Collectives::cut(std::size_t count) {
  edges_.resize(ranks() + 1);
  for (std::size_t r = 0; r <= ranks(); ++r) edges_[r] = count / ranks() * r + std::min(r, count % ranks());
}

void Collectives::cut_equal(std::size_t count) {
  edges_.resize(ranks() + 1);
  for (std::size_t r = 0; r <= ranks(); ++r) edges_[r] = r * count;
}

void Collectives::send(const void* data, std::size_t bytes, std::size_t peer) {
  if (bytes == 0) return;
  clique_.check(
      clique_.calls().send(data, bytes, api::int8, static_cast<int>(peer), clique_.get(), queue_.stream.pointer),
      "ncclSend");
}

void Collectives::receive(void* data, std::size_t bytes, std::size_t peer) {
  if (bytes == 0) return;
  clique_.check(
      clique_.calls().recv(data, bytes, api::int8, static_cast<int>(peer), clique_.get(), queue_.stream.pointer),
      "ncclRecv");
}

void Collectives::begin(const Request& request) {
  scratch_.begin();
  switch (request.collective) {
    case Collective::all_reduce:
    case Collective::reduce:
    case Collective::reduce_scatter: return begin_reduction(request);
    case Collective::all_gather: return all_gather(request);
    case Collective::gather: return gather(request);
    case Collective::scatter: return scatter(request);
    case Collective::all_to_all: return all_to_all(request);
    case Collective::broadcast: return broadcast(request);
    case Collective::barrier:
    case Collective::send_recv: break;  // others serve them
  }
}

void Collectives::go_on(const Request& request) {
  if (!comm::reduces(request.collective)) return;
  switch (way_) {
    case Way::native: return end_native(request);
    case Way::whole: return end_whole(request);
    case Way::blocks: return end_blocks(request);
  }
}

void Collectives::connect_pairs() {
  scratch_.begin();
  std::byte* from = scratch_.take(ranks() * sizeof(float));
  std::byte* to = scratch_.take(ranks() * sizeof(float));
  queue_.runtime.fill(from, std::byte{0}, ranks() * sizeof(float), queue_.stream);
  CallGroup group(clique_);
  for (std::size_t r = 0; r < ranks(); ++r) {
    if (r == self()) continue;
    send(from + r * sizeof(float), sizeof(float), r);
    receive(to + r * sizeof(float), sizeof(float), r);
  }
  group.end();
}

void Collectives::connect_rings() {
  scratch_.begin();
  std::byte* one = scratch_.take(sizeof(float));
  std::byte* result = scratch_.take(sizeof(float));
  std::byte* all = scratch_.take(ranks() * sizeof(float));
  queue_.runtime.fill(one, std::byte{0}, sizeof(float), queue_.stream);
  queue_.runtime.fill(all, std::byte{0}, ranks() * sizeof(float), queue_.stream);
  const api::Calls& calls = clique_.calls();
  const api::Comm comm = clique_.get();
  void* const stream = queue_.stream.pointer;
  CallGroup group(clique_);
  clique_.check(calls.all_reduce(one, result, 1, api::float32, api::sum, comm, stream), "ncclAllReduce");
  clique_.check(calls.reduce(one, result, 1, api::float32, api::sum, 0, comm, stream), "ncclReduce");
  clique_.check(calls.broadcast(one, result, 1, api::float32, 0, comm, stream), "ncclBroadcast");
  clique_.check(calls.all_gather(one, all, 1, api::float32, comm, stream), "ncclAllGather");
  clique_.check(calls.reduce_scatter(all, result, 1, api::float32, api::sum, comm, stream), "ncclReduceScatter");
  group.end();
}

// ---------------------------------------------------------------------------------------------------------- reductions

void Collectives::begin_reduction(const Request& request) {
  way_ = way_of(request, surroundings_.nccl->version());
  native_ = native_of(request, surroundings_.nccl->version());
  output_ = request.pieces.empty() ? VectorView(output_of(request), request.output.dtype)
                                   : VectorView(request.pieces, request.output.dtype);
  input_ = request.pieces.empty() ? VectorView(input_of(request), request.input.dtype) : output_;
  const std::size_t count = request.logical_count();
  if (request.op.kind == ReduceKind::premultiplied_sum && !native_ && count != 0) {
    const DType product = accumulator_of(request.input.dtype);
    std::byte* scaled = scratch_.take(count * size_of(product));
    const VectorView to(scaled, product);
    std::size_t done = 0;
    input_.each({0, count}, [&](std::byte* from, std::size_t bytes, std::size_t) {
      const std::size_t elements = bytes / input_.element();
      kernels::scale(to.at(done), from, request.input.dtype, request.op.scalar, elements, queue_);
      done += elements;
    });
    for (auto& source : sources_) source.dtype = product;
    input_ = to;
  } else {
    for (auto& source : sources_) source.dtype = request.input.dtype;
  }
  switch (way_) {
    case Way::native: return begin_native(request);
    case Way::whole: return begin_whole(request);
    case Way::blocks: return begin_blocks(request);
  }
}

/// destination = the contributions, whose places are in sources_, in the canonical brackets.
void Collectives::combine(const Request& request, std::size_t count, void* destination) {
  if (count == 0) return;
  const bool adds = request.op.kind == ReduceKind::average || request.op.kind == ReduceKind::premultiplied_sum;
  kernels::reduce({.kind = adds ? ReduceKind::sum : request.op.kind,
                   .accumulator = accumulator_of(request.output.dtype),
                   .destination = destination,
                   .output = request.output.dtype,
                   .count = count,
                   .sources = sources_,
                   .program = surroundings_.programs.of(request.leaves),
                   .divisor = comm::divisor_of(request)},
                  queue_);
}

void Collectives::begin_native(const Request& request) {
  const api::Calls& calls = clique_.calls();
  const api::Op op =
      native_->premultiplied ? clique_.premultiplied(request.op.scalar, request.output.dtype) : native_->op;
  const std::size_t element = output_.element();
  CallGroup group(clique_);
  switch (request.collective) {
    case Collective::all_reduce:
      if (output_.contiguous()) {
        clique_.check(calls.all_reduce(input_of(request), output_of(request), request.output.count, native_->type, op,
                                       clique_.get(), queue_.stream.pointer),
                      "ncclAllReduce");
        break;
      }
      output_.each({0, request.logical_count()}, [&](std::byte* data, std::size_t bytes, std::size_t) {
        clique_.check(
            calls.all_reduce(data, data, bytes / element, native_->type, op, clique_.get(), queue_.stream.pointer),
            "ncclAllReduce");
      });
      break;
    case Collective::reduce:
      clique_.check(calls.reduce(input_of(request), output_of(request), request.input.count, native_->type, op,
                                 request.root, clique_.get(), queue_.stream.pointer),
                    "ncclReduce");
      break;
    default:
      if (request
              .uneven) {  // NCCL's own has blocks of one size only: a reduction to each block's owner, all in one group
        cut_at(request.input_blocks);
        for (std::size_t r = 0; r < ranks(); ++r) {
          const layout::Interval to = block(r);
          if (to.size() == 0) continue;
          clique_.check(
              calls.reduce(input_of(request) + to.begin * element, r == self() ? output_of(request) : nullptr,
                           to.size(), native_->type, op, static_cast<int>(r), clique_.get(), queue_.stream.pointer),
              "ncclReduce");
        }
        break;
      }
      clique_.check(calls.reduce_scatter(input_of(request), output_of(request), request.output.count, native_->type, op,
                                         clique_.get(), queue_.stream.pointer),
                    "ncclReduceScatter");
      break;
  }
  group.end();
}

/// An average is divided once, behind the sum.
void Collectives::end_native(const Request& request) {
  const double divisor = comm::divisor_of(request);
  if (divisor == 1.0 || (request.collective == Collective::reduce && !is_root(request))) return;
  static constexpr std::array<std::int16_t, 1> itself{0};
  const auto divide = [&](std::byte* data, std::size_t bytes, std::size_t) {
    const std::array<kernels::ReduceSource, 1> source{{{data, request.output.dtype}}};
    kernels::reduce({.kind = ReduceKind::sum,
                     .accumulator = accumulator_of(request.output.dtype),
                     .destination = data,
                     .output = request.output.dtype,
                     .count = bytes / output_.element(),
                     .sources = source,
                     .program = itself,
                     .divisor = divisor},
                    queue_);
  };
  const bool scatters = request.collective == Collective::reduce_scatter;
  output_.each({0, scatters ? request.output.count : request.logical_count()}, divide);
}

/// Everybody (the root) gets every contribution as a whole.
void Collectives::begin_whole(const Request& request) {
  const std::size_t count = request.logical_count(), bytes = count * input_.element();
  if (count == 0) return;
  std::byte* mine = nullptr;
  if (input_.contiguous()) {
    mine = input_.at(0);
  } else {
    mine = scratch_.take(bytes);
    input_.each({0, count},
                [&](std::byte* from, std::size_t part, std::size_t before) { copy(mine + before, from, part); });
  }
  const bool everywhere = request.collective == Collective::all_reduce;
  std::byte* all = everywhere || is_root(request) ? scratch_.take(bytes * ranks()) : nullptr;
  for (std::size_t r = 0; r < ranks(); ++r) sources_[r].data = all + r * bytes;
  CallGroup group(clique_);
  if (everywhere) {
    clique_.check(clique_.calls().all_gather(mine, all, bytes, api::int8, clique_.get(), queue_.stream.pointer),
                  "ncclAllGather");
  } else if (is_root(request)) {
    sources_[self()].data = mine;
    for (std::size_t r = 0; r < ranks(); ++r) {
      if (r != self()) receive(all + r * bytes, bytes, r);
    }
  } else {
    send(mine, bytes, static_cast<std::size_t>(request.root));
  }
  group.end();
}

void Collectives::end_whole(const Request& request) {
  const std::size_t count = request.logical_count();
  if (count == 0 || (request.collective == Collective::reduce && !is_root(request))) return;
  if (output_.contiguous()) return combine(request, count, output_.at(0));
  std::byte* result = scratch_.take(count * output_.element());
  combine(request, count, result);
  output_.each({0, count},
               [&](std::byte* to, std::size_t part, std::size_t before) { copy(to, result + before, part); });
}

/// Everybody gets everybody's contribution to its own block.
void Collectives::begin_blocks(const Request& request) {
  if (request.collective != Collective::reduce_scatter) {
    cut(request.logical_count());
  } else {
    request.uneven ? cut_at(request.input_blocks) : cut_equal(request.output.count);
  }
  const layout::Interval mine = block(self());
  const std::size_t bytes = mine.size() * input_.element();
  std::byte* contributions = scratch_.take(bytes * ranks());
  for (std::size_t r = 0; r < ranks(); ++r) sources_[r].data = contributions + r * bytes;
  if (input_.contiguous()) {
    sources_[self()].data = input_.at(mine.begin);
  } else {
    std::byte* own = contributions + self() * bytes;
    input_.each(mine, [&](std::byte* from, std::size_t part, std::size_t before) { copy(own + before, from, part); });
  }
  CallGroup group(clique_);
  for (std::size_t r = 0; r < ranks(); ++r) {
    if (r == self()) continue;
    input_.each(block(r), [&](std::byte* from, std::size_t part, std::size_t) { send(from, part, r); });
    std::byte* place = contributions + r * bytes;
    input_.each(mine, [&](std::byte*, std::size_t part, std::size_t before) { receive(place + before, part, r); });
  }
  group.end();
}

void Collectives::end_blocks(const Request& request) {
  const layout::Interval mine = block(self());
  if (request.collective == Collective::reduce_scatter) return combine(request, mine.size(), output_of(request));
  const std::size_t bytes = mine.size() * output_.element();
  const bool everywhere = request.collective == Collective::all_reduce;
  const bool in_place = output_.contiguous() && (everywhere || is_root(request));
  std::byte* result = in_place ? output_.at(mine.begin) : scratch_.take(bytes);
  combine(request, mine.size(), result);
  if (everywhere && !output_.contiguous()) {
    output_.each(mine, [&](std::byte* to, std::size_t part, std::size_t before) { copy(to, result + before, part); });
  }
  CallGroup group(clique_);
  if (!everywhere) {
    const auto root = static_cast<std::size_t>(request.root);
    if (self() != root) send(result, bytes, root);
    for (std::size_t r = 0; self() == root && r < ranks(); ++r) {
      if (r != self()) receive(output_.at(edges_[r]), block(r).size() * output_.element(), r);
    }
  } else if (output_.contiguous() && request.output.count % ranks() == 0) {
    if (bytes != 0) {
      clique_.check(
          clique_.calls().all_gather(result, output_.at(0), bytes, api::int8, clique_.get(), queue_.stream.pointer),
          "ncclAllGather");
    }
  } else {
    for (std::size_t r = 0; r < ranks(); ++r) {
      if (r == self()) continue;
      output_.each(mine, [&](std::byte* from, std::size_t part, std::size_t) { send(from, part, r); });
      output_.each(block(r), [&](std::byte* to, std::size_t part, std::size_t) { receive(to, part, r); });
    }
  }
  group.end();
}

// -------------------------------------------------------------------------------------------------------------- the rest

void Collectives::all_gather(const Request& request) {
  const std::size_t element = size_of(request.input.dtype);
  if (!request.uneven) {
    if (request.input.count == 0) return;
    CallGroup group(clique_);
    clique_.check(clique_.calls().all_gather(input_of(request), output_of(request), request.input.size_bytes(),
                                             api::int8, clique_.get(), queue_.stream.pointer),
                  "ncclAllGather");
    return group.end();
  }
  cut_at(request.output_blocks);
  copy(output_of(request) + edges_[self()] * element, input_of(request), request.input.size_bytes());
  CallGroup group(clique_);
  for (std::size_t r = 0; r < ranks(); ++r) {
    if (r == self()) continue;
    send(input_of(request), request.input.size_bytes(), r);
    receive(output_of(request) + edges_[r] * element, block(r).size() * element, r);
  }
  group.end();
}

void Collectives::gather(const Request& request) {
  const std::size_t element = size_of(request.input.dtype);
  if (!request.uneven && clique_.calls().gather != nullptr) {
    if (request.input.count == 0) return;
    CallGroup group(clique_);
    clique_.check(clique_.calls().gather(input_of(request), output_of(request), request.input.size_bytes(), api::int8,
                                         request.root, clique_.get(), queue_.stream.pointer),
                  "ncclGather");
    return group.end();
  }
  request.uneven ? cut_at(request.output_blocks) : cut_equal(request.input.count);
  if (is_root(request))
    copy(output_of(request) + edges_[self()] * element, input_of(request), request.input.size_bytes());
  CallGroup group(clique_);
  if (!is_root(request)) send(input_of(request), request.input.size_bytes(), static_cast<std::size_t>(request.root));
  for (std::size_t r = 0; is_root(request) && r < ranks(); ++r) {
    if (r != self()) receive(output_of(request) + edges_[r] * element, block(r).size() * element, r);
  }
  group.end();
}

void Collectives::scatter(const Request& request) {
  const std::size_t element = size_of(request.output.dtype);
  if (!request.uneven && clique_.calls().scatter != nullptr) {
    if (request.output.count == 0) return;
    CallGroup group(clique_);
    clique_.check(clique_.calls().scatter(input_of(request), output_of(request), request.output.size_bytes(), api::int8,
                                          request.root, clique_.get(), queue_.stream.pointer),
                  "ncclScatter");
    return group.end();
  }
  request.uneven ? cut_at(request.input_blocks) : cut_equal(request.output.count);
  if (is_root(request))
    copy(output_of(request), input_of(request) + edges_[self()] * element, request.output.size_bytes());
  CallGroup group(clique_);
  if (!is_root(request))
    receive(output_of(request), request.output.size_bytes(), static_cast<std::size_t>(request.root));
  for (std::size_t r = 0; is_root(request) && r < ranks(); ++r) {
    if (r != self()) send(input_of(request) + edges_[r] * element, block(r).size() * element, r);
  }
  group.end();
}

void Collectives::all_to_all(const Request& request) {
  const std::size_t element = size_of(request.input.dtype);
  const std::byte* input = input_of(request);
  if (request.input.data == request.output.data && request.input.count != 0) {
    std::byte* kept = scratch_.take(request.input.size_bytes());
    copy(kept, input, request.input.size_bytes());
    input = kept;
  }
  const std::size_t each = request.input.count / ranks();
  if (!request.uneven && clique_.calls().all_to_all != nullptr) {
    if (each == 0) return;
    CallGroup group(clique_);
    clique_.check(clique_.calls().all_to_all(input, output_of(request), each * element, api::int8, clique_.get(),
                                             queue_.stream.pointer),
                  "ncclAlltoAll");
    return group.end();
  }
  const auto place = [&](std::span<const std::size_t> blocks, std::size_t rank) {
    return request.uneven ? layout::Interval{blocks[rank], blocks[rank + 1]}
                          : layout::Interval{rank * each, (rank + 1) * each};
  };
  const layout::Interval from = place(request.input_blocks, self()), to = place(request.output_blocks, self());
  copy(output_of(request) + to.begin * element, input + from.begin * element,
       std::min(from.size(), to.size()) * element);
  CallGroup group(clique_);
  for (std::size_t r = 0; r < ranks(); ++r) {
    if (r == self()) continue;
    const layout::Interval out = place(request.input_blocks, r), in = place(request.output_blocks, r);
    send(input + out.begin * element, out.size() * element, r);
    receive(output_of(request) + in.begin * element, in.size() * element, r);
  }
  group.end();
}

void Collectives::broadcast(const Request& request) {
  const VectorView data = request.pieces.empty() ? VectorView(output_of(request), request.output.dtype)
                                                 : VectorView(request.pieces, request.output.dtype);
  CallGroup group(clique_);
  data.each({0, request.output.count}, [&](std::byte* part, std::size_t bytes, std::size_t) {
    clique_.check(
        clique_.calls().broadcast(part, part, bytes, api::int8, request.root, clique_.get(), queue_.stream.pointer),
        "ncclBroadcast");
  });
  group.end();
}

}  // namespace trireme::engines::nccl
