// SPDX-License-Identifier: Apache-2.0
// One tree from the eight lanes of a block to the last tensor: threads add lanes, a group of 32 threads the blocks that they
// have in common, a block of 1024 threads the groups of a tensor, and the last one the tensors. Every cut is at a power of two,
// so the brackets are those of the balanced tree over all.
#include "device/kernel.hpp"
#include "kernels/device_formats.hpp"
#include "kernels/device_pieces.hpp"
#include "kernels/device_runs.hpp"
#include "kernels/norm/norm_device.hpp"
#include "trireme/layout/flat_shards.hpp"

#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <memory>
#include <span>
#include <string>

namespace trireme::kernels {
namespace {

using namespace on_device;

constexpr std::size_t block_elements = layout::reduction_block;
constexpr unsigned group_threads = 32;

/// Neighbouring lanes that one thread adds: as many as it loads at once.
constexpr unsigned lanes_per_thread(std::size_t element_bytes) {
  return element_bytes >= 8 ? 2 : element_bytes == 4 ? 4 : 8;
}
/// Blocks of one group: a power of two.
constexpr std::size_t blocks_per_group(std::size_t element_bytes) {
  return group_threads * lanes_per_thread(element_bytes) / 8;
}
std::size_t groups_of(const TensorView& tensor) {
  const std::size_t elements = block_elements * blocks_per_group(size_of(tensor.dtype));
  return (tensor.count + elements - 1) / elements;
}

struct Squared {
  const void* data;
  std::size_t count;
  std::size_t first_group;  ///< its place among the results
};

/// Of squares, or of the values themselves.
template <class Format, unsigned capacity, bool squares = true>
struct SquaresBody {
  static constexpr const char* name = squares ? "trireme_squares" : "trireme_block_sums";
  static constexpr unsigned threads = group_threads;
  static constexpr unsigned phases = 7;
  using Raw = typename Format::Raw;
  static constexpr unsigned lanes = lanes_per_thread(sizeof(Raw));
  static constexpr unsigned threads_per_block = 8 / lanes;
  /// Few threads have many bytes to read: 16 bytes of 16-bit elements are a row of a block, and 124 million of them only 950
  /// groups, seven for each multiprocessor of a large device.
  static constexpr unsigned rows_at_once = sizeof(Raw) < 4 ? 16 : 8;
  struct Shared {
    double lane[blocks_per_group(sizeof(Raw)) * 8];  // of each block
    double sum[group_threads];
  };

  PieceList<Squared, capacity> list;
  double* groups;

  template <unsigned phase>
  TRIREME_DEVICE void run(device::Place place, Shared& shared) const {
    const auto [which, group] = list.find(place.block);
    const Squared& tensor = list.piece[which];
    const std::size_t first = group * (block_elements * blocks_per_group(sizeof(Raw)));
    const std::size_t left = tensor.count - first;
    if constexpr (phase == 0) {
      const std::size_t begin = place.thread / threads_per_block * block_elements;
      if (begin < left) {
        const std::size_t size = left - begin < block_elements ? left - begin : block_elements;
        add_lanes(static_cast<const Raw*>(tensor.data) + first + begin, size, place.thread % threads_per_block * lanes,
                  shared.lane + place.thread / threads_per_block * 8);
      }
    } else if constexpr (phase == 1) {
      if (place.thread / threads_per_block * block_elements < left)
        shared.sum[place.thread] = tree_of(shared.lane + place.thread * lanes);
    } else {
      // A level of the tree: of lanes first, then of blocks. What has no neighbour goes up as it is.
      constexpr unsigned distance = 1u << (phase - 2);
      const std::size_t blocks = (left + block_elements - 1) / block_elements;
      const std::size_t active = blocks * threads_per_block;
      if (place.thread % (2 * distance) == 0 && place.thread + distance < (active < threads ? active : threads))
        shared.sum[place.thread] = shared.sum[place.thread] + shared.sum[place.thread + distance];
      if (phase == phases - 1 && place.thread == 0) groups[tensor.first_group + group] = shared.sum[0];
    }
  }

  /// The sums of `lanes` lanes of a block, to their places in `sums`. Where the block begins between two vectors, its first
  /// `head` elements are apart, and thread `first` / lanes has the lanes from `head` + `first` on, counted round: in that way
  /// whole vectors are read wherever a tensor begins. A lane's elements come in ascending order in any case.
  TRIREME_DEVICE static void add_lanes(const Raw* block, std::size_t size, unsigned first, double* sums) {
    const unsigned head = (0 - static_cast<unsigned>(reinterpret_cast<std::uintptr_t>(block) / sizeof(Raw))) % lanes;
    double sum[lanes] = {};
    if (first == 8 - lanes) {
      TRIREME_UNROLL
      for (unsigned l = 0; l < lanes; ++l) {
        const unsigned element = head + l - lanes;  // of the head, or far behind it
        if (element < head && element < size) add_term(sum[l], block[element]);
      }
    }
    const std::size_t behind = size > head ? size - head : 0;
    const Raw* const mine = block + head + first;
    const std::size_t rows = behind / 8;
    std::size_t row = 0;
    for (; row + rows_at_once <= rows; row += rows_at_once) {
      Run<Raw, lanes> loaded[rows_at_once];
      TRIREME_UNROLL
      for (unsigned r = 0; r < rows_at_once; ++r) loaded[r] = load_run<lanes>(mine + (row + r) * 8);
      TRIREME_UNROLL
      for (unsigned r = 0; r < rows_at_once; ++r) {
        TRIREME_UNROLL
        for (unsigned l = 0; l < lanes; ++l) add_term(sum[l], loaded[r].element[l]);
      }
    }
    for (; row < rows; ++row) {
      const Run<Raw, lanes> loaded = load_run<lanes>(mine + row * 8);
      TRIREME_UNROLL
      for (unsigned l = 0; l < lanes; ++l) add_term(sum[l], loaded.element[l]);
    }
    TRIREME_UNROLL
    for (unsigned l = 0; l < lanes; ++l) {
      if (rows * 8 + first + l < behind) add_term(sum[l], mine[rows * 8 + l]);
      sums[(head + first + l) % 8] = sum[l];
    }
  }
  TRIREME_DEVICE static double tree_of(const double* sum) {
    if constexpr (lanes == 2) return sum[0] + sum[1];
    if constexpr (lanes == 4) return (sum[0] + sum[1]) + (sum[2] + sum[3]);
    if constexpr (lanes == 8) return ((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7]));
  }
  TRIREME_DEVICE static void add_term(double& sum, Raw raw) {
    const auto value = static_cast<double>(Format::widen(raw));
    sum = sum + (squares ? value * value : value);
  }
};

// --- the tree over any number of values, by one block of threads ----------------------------------------------------------

constexpr unsigned tree_threads = 1024;
constexpr unsigned tree_phases = 11;
struct TreeShared {
  double sum[tree_threads];
};

/// Values of one thread: a power of two, so that threads have whole subtrees.
TRIREME_DEVICE std::size_t tree_share(std::size_t count) {
  std::size_t share = 1;
  while (share * tree_threads < count) share *= 2;
  return share;
}

/// Phase 0: each thread the subtree of its values, as TreeSum adds them. Phases 1 to 10: the levels above. Then sum[0] is the
/// sum, if there was a value.
template <unsigned phase>
TRIREME_DEVICE void tree_phase(const double* values, std::size_t count, unsigned thread, TreeShared& shared) {
  const std::size_t share = tree_share(count);
  if constexpr (phase == 0) {
    const std::size_t begin = thread * share;
    if (begin >= count) return;
    const std::size_t size = count - begin < share ? count - begin : share;
    double partials[48];
    unsigned depth = 0;
    for (std::size_t k = 0; k < size; ++k) {
      double value = values[begin + k];
      for (std::size_t n = k; (n & 1u) != 0; n >>= 1) value = partials[--depth] + value;
      partials[depth++] = value;
    }
    double sum = partials[--depth];
    while (depth != 0) sum = partials[--depth] + sum;
    shared.sum[thread] = sum;
  } else {
    constexpr unsigned distance = 1u << (phase - 1);
    const std::size_t active = (count + share - 1) / share;
    if (thread % (2 * distance) == 0 && thread + distance < active)
      shared.sum[thread] = shared.sum[thread] + shared.sum[thread + distance];
  }
}

/// The sums of consecutive stretches of `values`: one block of threads each.
struct TreesBody {
  static constexpr const char* name = "trireme_tree_sums";
  static constexpr unsigned threads = tree_threads;
  static constexpr unsigned phases = tree_phases;
  using Shared = TreeShared;
  static constexpr unsigned most = 4096;

  const double* values;
  double* sums;
  std::uint32_t begin[most + 1];

  template <unsigned phase>
  TRIREME_DEVICE void run(device::Place place, Shared& shared) const {
    const std::size_t count = begin[place.block + 1] - begin[place.block];
    if (count != 0) tree_phase<phase>(values + begin[place.block], count, place.thread, shared);
    if (phase == phases - 1 && place.thread == 0) sums[place.block] = count == 0 ? 0.0 : shared.sum[0];
  }
};

/// The sum of all of them.
struct TreeBody {
  static constexpr const char* name = "trireme_tree_sum";
  static constexpr unsigned threads = tree_threads;
  static constexpr unsigned phases = tree_phases;
  using Shared = TreeShared;

  const double* values;
  std::size_t count;
  double* result;

  template <unsigned phase>
  TRIREME_DEVICE void run(device::Place place, Shared& shared) const {
    if (count != 0) tree_phase<phase>(values, count, place.thread, shared);
    if (phase == phases - 1 && place.thread == 0) *result = count == 0 ? 0.0 : shared.sum[0];
  }
};

struct StepNormBody {
  static constexpr const char* name = "trireme_step_norm";
  static constexpr unsigned threads = tree_threads;
  static constexpr unsigned phases = tree_phases;
  using Shared = TreeShared;

  const double* sums;
  std::size_t count;
  StepNormOptions options;
  StepNorm* result;

  template <unsigned phase>
  TRIREME_DEVICE void run(device::Place place, Shared& shared) const {
    if (count != 0) tree_phase<phase>(sums, count, place.thread, shared);
    if (phase != phases - 1 || place.thread != 0) return;
    const double norm = std::sqrt(count == 0 ? 0.0 : shared.sum[0]) * options.gradient_scale;
    constexpr std::uint64_t exponent = 0x7ff0000000000000u;
    const bool finite = (std::bit_cast<std::uint64_t>(norm) & exponent) != exponent;
    const bool clips = options.clip_norm > 0 && finite && norm > options.clip_norm;
    const double clip = clips ? options.clip_norm / norm : 1.0;
    result->step.gradient_scale = options.gradient_scale * clip;
    result->step.skip = options.skip_nonfinite && !finite ? 1 : 0;
    result->norm = norm;
    result->finite = finite ? 1 : 0;
  }
};

// --- lists ----------------------------------------------------------------------------------------------------------------

constexpr unsigned few = 64;
constexpr unsigned many = 1024;

template <class Format, unsigned capacity>
void launch_squares(std::span<const TensorView> tensors, double* groups, device::Queue queue) {
  using Body = SquaresBody<Format, capacity>;
  const auto body = std::make_unique<Body>();  // too large for some threads' stacks
  body->groups = groups;
  std::size_t first = 0;
  for (const TensorView& tensor : tensors) {
    const std::size_t parts = groups_of(tensor);
    if (tensor.dtype == Format::dtype && parts != 0) {
      const Squared squared{tensor.data, tensor.count, first};
      if (!body->list.add(squared, parts)) {
        device::launch(queue, *body, body->list.parts_in_all());
        body->list.size = 0;
        if (!body->list.add(squared, parts)) fail(ErrorCode::invalid_argument, "a tensor is too large for a norm");
      }
    }
    first += parts;
  }
  device::launch(queue, *body, body->list.parts_in_all());
}

template <class Format>
void squares_of(std::span<const TensorView> tensors, double* groups, device::Queue queue) {
  tensors.size() <= few ? launch_squares<Format, few>(tensors, groups, queue)
                        : launch_squares<Format, many>(tensors, groups, queue);
}

}  // namespace

std::size_t norm_workspace_bytes(std::span<const TensorView> tensors) {
  std::size_t doubles = tensors.size();
  for (const TensorView& tensor : tensors) doubles += groups_of(tensor);
  return doubles * sizeof(double);
}

void sums_of_squares(std::span<const TensorView> tensors, double* sums, void* workspace, device::Queue queue) {
  auto* const groups = static_cast<double*>(workspace);
  std::array<bool, dtype_count> present{};
  for (const TensorView& tensor : tensors) {
    if (!is_floating(tensor.dtype))
      fail(ErrorCode::invalid_argument,
           "a norm on a device is of floating types, not " + std::string(name_of(tensor.dtype)));
    present[static_cast<std::size_t>(tensor.dtype)] = true;
  }
  for (const DType dtype : {DType::f64, DType::f32, DType::f16, DType::bf16, DType::f8e4m3, DType::f8e5m2}) {
    if (!present[static_cast<std::size_t>(dtype)]) continue;
    with_floating_format(dtype, [&]<class Format>(Format) { squares_of<Format>(tensors, groups, queue); });
  }
  const auto body = std::make_unique<TreesBody>();
  std::size_t next = 0;
  for (std::size_t begin = 0; begin < tensors.size(); begin += TreesBody::most) {
    const auto some = tensors.subspan(begin, std::min<std::size_t>(TreesBody::most, tensors.size() - begin));
    body->values = groups + next;
    body->sums = sums + begin;
    std::uint32_t place = 0;
    for (std::size_t t = 0; t < some.size(); ++t) {
      body->begin[t] = place;
      place += static_cast<std::uint32_t>(groups_of(some[t]));
    }
    body->begin[some.size()] = place;
    next += place;
    device::launch(queue, *body, static_cast<unsigned>(some.size()));
  }
}

std::size_t sum_workspace_bytes(std::size_t count) { return groups_of({nullptr, count, DType::f64}) * sizeof(double); }

void sum(const double* data, std::size_t count, double* result, void* workspace, device::Queue queue) {
  using Body = SquaresBody<F64, 1, false>;
  const std::size_t parts = groups_of({nullptr, count, DType::f64});
  Body body{};
  body.groups = static_cast<double*>(workspace);
  if (!body.list.add({data, count, 0}, parts)) fail(ErrorCode::invalid_argument, "an array is too large for a sum");
  device::launch(queue, body, static_cast<unsigned>(parts));
  device::launch(queue, TreeBody{body.groups, parts, result}, 1);
}

void step_norm(const double* sums, std::size_t count, const StepNormOptions& options, StepNorm* result,
               device::Queue queue) {
  device::launch(queue, StepNormBody{sums, count, options, result}, 1);
}

void gradient_norm(std::span<const TensorView> gradients, const StepNormOptions& options, StepNorm* result,
                   void* workspace, device::Queue queue) {
  auto* const sums = static_cast<double*>(workspace);
  sums_of_squares(gradients, sums, sums + gradients.size(), queue);
  step_norm(sums, gradients.size(), options, result, queue);
}

void norm_kernels(std::vector<const device::KernelEntry*>& kernels) {
  for (const DType dtype : {DType::f64, DType::f32, DType::f16, DType::bf16, DType::f8e4m3, DType::f8e5m2}) {
    with_floating_format(dtype, [&]<class Format>(Format) {
      kernels.push_back(&device::entry_of<SquaresBody<Format, few>>());
      kernels.push_back(&device::entry_of<SquaresBody<Format, many>>());
    });
  }
  kernels.push_back(&device::entry_of<SquaresBody<F64, 1, false>>());
  kernels.push_back(&device::entry_of<TreeBody>());
  kernels.push_back(&device::entry_of<TreesBody>());
  kernels.push_back(&device::entry_of<StepNormBody>());
}

}  // namespace trireme::kernels
