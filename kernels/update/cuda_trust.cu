// SPDX-License-Identifier: Apache-2.0
#include "kernels/update/device_batch.hpp"
#include "kernels/update/trust.hpp"
#include "kernels/update/update_device.hpp"
#include "trireme/layout/flat_shards.hpp"

#define TRIREME_KERNELS_ISA on_device
#define TRIREME_RULE TRIREME_DEVICE
#include "kernels/update/rules.hpp"

namespace trireme::kernels {
namespace {

using namespace on_device;

static_assert(chunk == layout::reduction_block);

/// Moves the moments and gives LAMB's direction.
template <class T>
struct LambMeasure {
  static constexpr int states = 2;
  explicit LambMeasure(const LambConstants& c) : moments(c), direction(c) {}
  TRIREME_DEVICE T operator()(T p, T g, T& m, T& v) const {
    moments.move(g, m, v);
    return direction.of(p, m, v);
  }
  Moments<T> moments;
  LambDirection<T> direction;
};

template <class T>
struct LarsMeasure {
  static constexpr int states = 0;
  TRIREME_DEVICE T operator()(T, T g, T&, T&) const { return g; }
};

/// One chunk per block, a quarter of it at a time: all threads compute, then 16 of them add, for lanes add in order.
template <class T, class Measure>
struct MeasureBody {
  static constexpr const char* name = "trireme_measure";
  static constexpr unsigned threads = 256;
  static constexpr unsigned phases = 9;
  static constexpr unsigned group = 4 * threads;
  struct Shared {
    T parameter[group];
    T direction[group];
    double lanes[2][8];
  };

  Measure measure;
  double* block_sums;
  Batch batch;

  TRIREME_DEVICE void compute(const BatchTensor& tensor, const Four& at, Shared& shared, unsigned thread) const {
    using Format = typename FormatOf<T>::Format;
    const Scalars<T> scalars(tensor, batch.scale, 1.0);
    T p[4], g[4], s[2][4] = {};
    read<Format>(tensor.parameter, at, p);
    if constexpr (Measure::states > 0) read<Format>(tensor.state[0], at, s[0]);
    if constexpr (Measure::states > 1) read<Format>(tensor.state[1], at, s[1]);
    read_gradient(tensor, at, g);
    for (unsigned k = 0; k < 4; ++k) {
      const unsigned to = at.whole ? 4 * thread + k : thread + k * threads;
      shared.parameter[to] = p[k];
      shared.direction[to] = measure(p[k], scalars.gradient(g[k], p[k]), s[0][k], s[1][k]);
    }
    if constexpr (Measure::states > 0) write<Format>(tensor.state[0], at, s[0]);
    if constexpr (Measure::states > 1) write<Format>(tensor.state[1], at, s[1]);
  }

  template <unsigned phase>
  TRIREME_DEVICE void run(device::Place place, Shared& shared) const {
    if (batch.scale != nullptr && batch.scale->skip != 0) return;
    const BatchTensor& tensor = tensor_of(batch, place.block);
    const std::size_t in_tensor = place.block - tensor.first_chunk;
    if constexpr (phase == 8) {
      if (place.thread >= 2) return;
      const double* l = shared.lanes[place.thread];
      block_sums[2 * (tensor.place + in_tensor) + place.thread] =
          ((l[0] + l[1]) + (l[2] + l[3])) + ((l[4] + l[5]) + (l[6] + l[7]));
      return;
    }
    const std::size_t begin = in_tensor * chunk + phase / 2 * group;
    const std::size_t chunk_end = (in_tensor + 1) * chunk;
    const std::size_t end = tensor.count < chunk_end ? tensor.count : chunk_end;
    if constexpr (phase % 2 == 0) {
      if (begin >= end) return;
      const bool whole = tensor.aligned && end - begin >= group;
      const std::size_t first = whole ? begin + 4 * std::size_t{place.thread} : begin + place.thread;
      compute(tensor, Four{first, threads, end, whole}, shared, place.thread);
    } else {
      if (place.thread >= 16) return;
      const unsigned which = place.thread / 8, lane = place.thread % 8;
      const T* values = which == 0 ? shared.parameter : shared.direction;
      const std::size_t here = begin >= end ? 0 : end - begin < group ? end - begin : group;
      double sum = phase == 1 ? 0.0 : shared.lanes[which][lane];
      for (std::size_t i = lane; i < here; i += 8) {
        const auto value = static_cast<double>(values[i]);
        sum += value * value;
      }
      shared.lanes[which][lane] = sum;
    }
  }
};

/// The sum of every other of `count` values along the balanced tree, on one thread.
TRIREME_DEVICE double tree_sum(const double* values, std::size_t count) {
  double waiting[32];
  unsigned depth = 0;
  for (std::size_t i = 0; i < count; ++i) {
    double sum = values[2 * i];
    for (std::size_t n = i; (n & 1u) != 0; n >>= 1) sum = waiting[--depth] + sum;
    waiting[depth++] = sum;
  }
  double sum = waiting[depth - 1];
  for (unsigned k = depth - 1; k > 0; --k) sum = waiting[k - 1] + sum;
  return sum;
}

struct TrustTensor {
  std::uint32_t first_block, blocks, place;
};

/// One block per tensor. Each thread sums an aligned segment of a power of two of the blocks, which is a subtree; then the
/// segments' sums meet level by level, and what has no partner waits: the balanced tree.
struct TrustBody {
  static constexpr const char* name = "trireme_trust";
  static constexpr unsigned threads = 512;
  static constexpr unsigned segments = 256;
  static constexpr unsigned phases = 10;
  static constexpr unsigned most = 1024;
  struct Shared {
    double sums[2][segments];
  };

  const double* block_sums;
  double* factors;
  const StepScale* scale;
  TrustRule rule;
  std::array<TrustTensor, most> tensors;

  template <unsigned phase>
  TRIREME_DEVICE void run(device::Place place, Shared& shared) const {
    if (scale != nullptr && scale->skip != 0) return;
    const TrustTensor tensor = tensors[place.block];
    std::size_t size = 1;
    while (size * segments < tensor.blocks) size *= 2;
    const std::size_t used = (tensor.blocks + size - 1) / size;
    const unsigned which = place.thread / segments, at = place.thread % segments;
    if constexpr (phase == 0) {
      if (at >= used) return;
      const std::size_t begin = at * size;
      const std::size_t here = tensor.blocks - begin < size ? tensor.blocks - begin : size;
      shared.sums[which][at] = tree_sum(block_sums + 2 * (tensor.first_block + begin) + which, here);
    } else if constexpr (phase < 9) {
      constexpr unsigned step = 1u << (phase - 1);
      if (at % (2 * step) == 0 && at + step < used)
        shared.sums[which][at] = shared.sums[which][at] + shared.sums[which][at + step];
    } else {
      if (place.thread != 0) return;
      const double p = shared.sums[0][0], u = shared.sums[1][0];
      factors[tensor.place] = rule.local ? local_rate(p, u, rule.trust, rule.weight_decay, rule.epsilon)
                                         : rule.learning_rate * trust_ratio(p, u, rule.max_trust);
    }
  }
};

template <class T, class Measure>
void give(std::span<const UpdateSpan> spans, const Measure& measure, double* block_sums, device::Queue queue,
          const StepScale* scale) {
  MeasureBody<T, Measure> body{measure, block_sums, {}};
  body.batch.scale = scale;
  body.batch.factors = nullptr;
  for_batches(spans, dtype_of<T>, true, body.batch,
              [&](const Batch& batch) { device::launch(queue, body, batch.chunks); });
}

}  // namespace

void measure(std::span<const UpdateSpan> spans, const LambRule& rule, double* block_sums, device::Queue queue,
             const StepScale* scale) {
  check_dtypes(spans);
  const LambConstants constants = constants_of(rule);
  give<float>(spans, LambMeasure<float>(constants), block_sums, queue, scale);
  give<double>(spans, LambMeasure<double>(constants), block_sums, queue, scale);
}

void measure(std::span<const UpdateSpan> spans, double* block_sums, device::Queue queue, const StepScale* scale) {
  check_dtypes(spans);
  give<float>(spans, LarsMeasure<float>(), block_sums, queue, scale);
  give<double>(spans, LarsMeasure<double>(), block_sums, queue, scale);
}

void trust(std::span<const UpdateSpan> spans, const TrustRule& rule, const double* block_sums, double* factors,
           device::Queue queue, const StepScale* scale) {
  TrustBody body{block_sums, factors, scale, rule, {}};
  unsigned used = 0;
  std::uint32_t block = 0;
  for (std::size_t i = 0; i < spans.size(); ++i) {
    const auto blocks = static_cast<std::uint32_t>((spans[i].count + chunk - 1) / chunk);
    if (blocks != 0) body.tensors[used++] = {block, blocks, static_cast<std::uint32_t>(i)};
    block += blocks;
    if (used != TrustBody::most && i + 1 != spans.size()) continue;
    device::launch(queue, body, used);
    used = 0;
  }
}

void trust_kernels(std::vector<const device::KernelEntry*>& kernels) {
  kernels.push_back(&device::entry_of<MeasureBody<float, LambMeasure<float>>>());
  kernels.push_back(&device::entry_of<MeasureBody<double, LambMeasure<double>>>());
  kernels.push_back(&device::entry_of<MeasureBody<float, LarsMeasure<float>>>());
  kernels.push_back(&device::entry_of<MeasureBody<double, LarsMeasure<double>>>());
  kernels.push_back(&device::entry_of<TrustBody>());
}

}  // namespace trireme::kernels
