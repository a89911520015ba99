// SPDX-License-Identifier: Apache-2.0
#include "trireme/parallel/convert.hpp"

#include "trireme/base/error.hpp"
#include "trireme/plan/plans.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <numeric>
#include <utility>
#include <vector>

namespace trireme {
namespace {

using layout::ConversionKind;
using layout::ConversionStep;
using layout::Interval;

std::string name_of_tensor(const Conversion& conversion) {
  return "convert: tensor '" + conversion.from().tensor() + "'";
}

void check_view(const Conversion& conversion, const ConstTensorView& view, const TensorLayout& layout, int rank,
                const char* what) {
  const std::string name = name_of_tensor(conversion) + ": " + what;
  if (view.device.kind != DeviceKind::cpu)
    fail(ErrorCode::unsupported, name + " is device memory; copy it to the host");
  if (const std::size_t count = layout.local_count(rank); view.count != count) {
    fail(ErrorCode::invalid_argument, name + " has " + std::to_string(view.count) + " elements, but rank " +
                                          std::to_string(rank) + " holds " + std::to_string(count) + " of " +
                                          to_text(layout));
  }
  if (view.data == nullptr && view.count != 0)
    fail(ErrorCode::invalid_argument, name + " is null but has " + std::to_string(view.count) + " elements");
}

void check(const Conversion& conversion, const ConstTensorView& in, const TensorView& out, int rank) {
  check_view(conversion, in, conversion.from(), rank, "the local input");
  check_view(conversion, out, conversion.to(), rank, "the local output");
  if (in.dtype != out.dtype) {
    fail(ErrorCode::invalid_argument, name_of_tensor(conversion) + ": the input is " + std::string(name_of(in.dtype)) +
                                          ", the output " + std::string(name_of(out.dtype)));
  }
  const auto* a = static_cast<const std::byte*>(in.data);
  const auto* b = static_cast<const std::byte*>(out.data);
  if (in.count != 0 && out.count != 0 && std::less<>()(a, b + out.size_bytes()) &&
      std::less<>()(b, a + in.size_bytes())) {
    fail(ErrorCode::invalid_argument, name_of_tensor(conversion) + ": input and output overlap; give disjoint memory");
  }
}

std::size_t total(std::span<const std::size_t> counts) {
  return std::accumulate(counts.begin(), counts.end(), std::size_t{0});
}

std::size_t total_size(std::span<const Interval> ranges) {
  std::size_t size = 0;
  for (const Interval range : ranges) size += range.size();
  return size;
}

bool all_equal(std::span<const std::size_t> counts) {
  return std::adjacent_find(counts.begin(), counts.end(), std::not_equal_to<>()) == counts.end();
}

/// Whether the ranges are all of a tensor of `count` elements, in order.
bool is_whole(std::span<const Interval> ranges, std::size_t count) {
  return count == 0 ? ranges.empty() : ranges.size() == 1 && ranges.front() == Interval{0, count};
}

void pack(const std::byte* from, std::span<const Interval> ranges, std::size_t element, std::byte* to) {
  for (const Interval range : ranges) {
    std::memcpy(to, from + range.begin * element, range.size() * element);
    to += range.size() * element;
  }
}

void unpack(const std::byte* from, std::span<const Interval> ranges, std::size_t element, std::byte* to) {
  for (const Interval range : ranges) {
    std::memcpy(to + range.begin * element, from, range.size() * element);
    from += range.size() * element;
  }
}

/// x + identity is x for every x: -0 of floating types, whose sign is the highest bit; 0 of integers.
void fill_identity(std::byte* to, DType dtype, std::size_t count) {
  const std::size_t element = size_of(dtype);
  std::memset(to, 0, count * element);
  if (!is_floating(dtype)) return;
  for (std::size_t i = 0; i < count; ++i) to[(i + 1) * element - 1] = std::byte{0x80};
}

/// Elements given to the collective of all ranks of the group; 0: there is nothing to do.
std::size_t moved(const ConversionStep& step) {
  if (step.kind == ConversionKind::all_gather || step.kind == ConversionKind::reduce_scatter) return total(step.counts);
  return step.input_count;
}

void local_step(const ConversionStep& step, DType dtype, const std::byte* in, std::byte* out) {
  const std::size_t element = size_of(dtype);
  if (step.fill_rest && !is_whole(step.unpack, step.output_count)) fill_identity(out, dtype, step.output_count);
  // Both lists name as many elements, in runs of their own lengths.
  std::size_t i = 0, j = 0, used_i = 0, used_j = 0;
  while (i < step.pack.size() && j < step.unpack.size()) {
    const Interval from = step.pack[i], to = step.unpack[j];
    const std::size_t size = std::min(from.size() - used_i, to.size() - used_j);
    std::memcpy(out + (to.begin + used_j) * element, in + (from.begin + used_i) * element, size * element);
    used_i += size;
    used_j += size;
    if (used_i == from.size()) {
      ++i;
      used_i = 0;
    }
    if (used_j == to.size()) {
      ++j;
      used_j = 0;
    }
  }
}

void collective(Communicator communicator, const ConversionStep& step, ConstTensorView given, TensorView taken,
                const CallOptions& options) {
  switch (step.kind) {
    case ConversionKind::all_gather:
      if (all_equal(step.counts)) {
        communicator.all_gather(given, taken, options);
      } else {
        communicator.all_gather(given, taken, step.counts, options);
      }
      break;
    case ConversionKind::all_reduce: communicator.all_reduce(given, taken, sum, options); break;
    case ConversionKind::reduce_scatter:
      if (all_equal(step.counts)) {
        communicator.reduce_scatter(given, taken, sum, options);
      } else {
        communicator.reduce_scatter(given, taken, step.counts, sum, options);
      }
      break;
    case ConversionKind::all_to_all:
      if (step.equal_blocks) {
        communicator.all_to_all(given, taken, options);
      } else {
        communicator.all_to_all(given, step.counts, taken, step.receive_counts, options);
      }
      break;
    case ConversionKind::local: break;
  }
}

void run_step(const Communicator& communicator, const ConversionStep& step, DType dtype, const std::byte* in,
              std::byte* out, const CallOptions& options) {
  if (step.kind == ConversionKind::local) {
    local_step(step, dtype, in, out);
    return;
  }
  const bool group_knows_counts = step.kind != ConversionKind::all_to_all || step.equal_blocks;
  if (group_knows_counts && moved(step) == 0) return;  // the same on all ranks of the group
  const std::size_t element = size_of(dtype);
  const std::size_t given_count = total_size(step.pack), taken_count = total_size(step.unpack);
  ConstTensorView given(in, given_count, dtype);
  TensorView taken(out, taken_count, dtype);
  ArenaBuffer packed, unpacked;
  if (!is_whole(step.pack, step.input_count)) {
    packed = communicator.memory().allocate(Bytes{given_count * element});
    pack(in, step.pack, element, packed.bytes().data());
    given.data = packed.bytes().data();
  }
  const bool in_place = is_whole(step.unpack, step.output_count);
  if (!in_place) {
    unpacked = communicator.memory().allocate(Bytes{taken_count * element});
    taken.data = unpacked.bytes().data();
  }
  collective(communicator, step, given, taken, options);
  if (!in_place) unpack(unpacked.bytes().data(), step.unpack, element, out);
}

/// `rank` of the layouts; `along(axis)`: the communicator of an axis.
template <class Along>
void run(const Conversion& conversion, int rank, Along along, const Memory& memory, ConstTensorView in, TensorView out,
         CallOptions options) {
  check(conversion, in, out, rank);
  if (options.label.empty()) options.label = conversion.from().tensor();
  const std::size_t element = size_of(in.dtype);
  const auto* source = static_cast<const std::byte*>(in.data);
  if (conversion.steps() == 0 && in.count != 0) std::memcpy(out.data, source, in.size_bytes());
  ArenaBuffer held;
  for (std::size_t i = 0; i < conversion.steps(); ++i) {
    const auto step = conversion.step(i, rank);
    ArenaBuffer next;
    auto* target = static_cast<std::byte*>(out.data);
    if (i + 1 < conversion.steps()) {
      next = memory.allocate(Bytes{std::max<std::size_t>(1, step.output_count) * element});
      target = next.bytes().data();
    }
    run_step(along(step.axis), step, in.dtype, source, target, options);
    held = std::move(next);
    source = target;
  }
}

/// This rank among those of the layouts: its coordinates on their axes.
int rank_in(const Mesh& mesh, const Conversion& conversion) {
  const auto& shape = conversion.from().mesh();
  std::vector<int> place;
  for (const auto& axis : shape.axes()) {
    if (const int size = mesh.size(axis.name); size != axis.size) {
      fail(ErrorCode::invalid_argument, name_of_tensor(conversion) + ": axis '" + axis.name + "' has " +
                                            std::to_string(axis.size) + " ranks in its layout, but " +
                                            std::to_string(size) + " in the mesh " + to_text(mesh));
    }
    place.push_back(mesh.coordinate(axis.name));
  }
  return shape.rank_at(place);
}

void check_ranks(const Communicator& communicator, const Conversion& conversion) {
  const auto& mesh = conversion.from().mesh();
  if (mesh.axes().size() != 1 || mesh.ranks() != communicator.size()) {
    fail(ErrorCode::invalid_argument, name_of_tensor(conversion) + " lies on " + to_text(mesh) +
                                          ", but the communicator is one axis of " +
                                          std::to_string(communicator.size()) + " ranks; give a mesh with these axes");
  }
}

std::size_t wire_bytes(plan::Role role, DType dtype) {
  return size_of(role == plan::Role::partial ? accumulator_of(dtype) : dtype);
}

/// Payload that this rank sends in one step, by the plan that the communicator takes.
std::uint64_t bytes_of_step(const Communicator& communicator, const ConversionStep& step, DType dtype) {
  const std::uint64_t direct = step.sent * size_of(dtype);
  plan::Collective collective = plan::Collective::all_reduce;
  switch (step.kind) {
    case ConversionKind::local: return 0;
    case ConversionKind::all_to_all:
      if (!step.equal_blocks) return direct;
      collective = plan::Collective::all_to_all;
      break;
    case ConversionKind::all_reduce: break;
    case ConversionKind::all_gather: collective = plan::Collective::all_gather; break;
    case ConversionKind::reduce_scatter: collective = plan::Collective::reduce_scatter; break;
  }
  const std::size_t count = moved(step);
  if (count == 0) return 0;
  const auto explanation = communicator.explain(collective, count, dtype);
  if (explanation.algorithm == "shared_memory") return 0;
  if (step.kind == ConversionKind::all_to_all) return direct;
  plan::Algorithm algorithm{};
  if (!plan::parse_algorithm(explanation.algorithm, algorithm)) return direct;
  const auto plan = plan::make_plan(
      algorithm, {.collective = collective, .ranks = communicator.size(), .leaves = communicator.size()},
      communicator.rank());
  std::vector<std::size_t> edges(1, 0);  // where blocks begin, if they are not cut evenly
  for (const std::size_t each : step.counts) edges.push_back(edges.back() + each);
  std::uint64_t bytes = 0;
  for (const auto& each : plan.mine.steps) {
    if (each.kind != plan::StepKind::send) continue;
    const auto first = static_cast<std::size_t>(each.blocks.first);
    const auto last = static_cast<std::size_t>(each.blocks.first + each.blocks.count);
    const std::size_t elements =
        step.counts.empty() ? plan::elements_of(each.blocks, count, plan.blocks).size() : edges[last] - edges[first];
    bytes += elements * wire_bytes(each.wire, dtype);
  }
  return bytes;
}

template <class Along>
std::uint64_t predicted(const Conversion& conversion, int rank, Along along, DType dtype) {
  std::uint64_t bytes = 0;
  for (std::size_t i = 0; i < conversion.steps(); ++i)
    bytes += bytes_of_step(along(conversion.axis(i)), conversion.step(i, rank), dtype);
  return bytes;
}

}  // namespace

void convert(const Mesh& mesh, const Conversion& conversion, ConstTensorView local_in, TensorView local_out,
             const CallOptions& options) {
  const auto along = [&](std::size_t axis) -> const Communicator& {
    return mesh.axis(conversion.from().mesh().axes()[axis].name);
  };
  run(conversion, rank_in(mesh, conversion), along, mesh.communicator().memory(), local_in, local_out, options);
}

void convert(Communicator communicator, const Conversion& conversion, ConstTensorView local_in, TensorView local_out,
             const CallOptions& options) {
  check_ranks(communicator, conversion);
  run(
      conversion, communicator.rank(), [&](std::size_t) -> const Communicator& { return communicator; },
      communicator.memory(), local_in, local_out, options);
}

void convert(const Mesh& mesh, ConstTensorView local_in, const TensorLayout& from, TensorView local_out,
             const TensorLayout& to, const CallOptions& options) {
  convert(mesh, Conversion(from, to), local_in, local_out, options);
}

void convert(Communicator communicator, ConstTensorView local_in, const Placement& from, TensorView local_out,
             const Placement& to, std::span<const std::int64_t> shape, const CallOptions& options) {
  const std::string name(options.label);
  const int ranks = communicator.size();
  convert(std::move(communicator),
          Conversion(TensorLayout(name, shape, ranks, from), TensorLayout(name, shape, ranks, to)), local_in, local_out,
          options);
}

std::uint64_t predicted_bytes(const Mesh& mesh, const Conversion& conversion, DType dtype) {
  const auto along = [&](std::size_t axis) -> const Communicator& {
    return mesh.axis(conversion.from().mesh().axes()[axis].name);
  };
  return predicted(conversion, rank_in(mesh, conversion), along, dtype);
}

std::uint64_t predicted_bytes(const Communicator& communicator, const Conversion& conversion, DType dtype) {
  check_ranks(communicator, conversion);
  return predicted(
      conversion, communicator.rank(), [&](std::size_t) -> const Communicator& { return communicator; }, dtype);
}

}  // namespace trireme
