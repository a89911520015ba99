// SPDX-License-Identifier: Apache-2.0
#include "kernels/cast/cast_device.hpp"
#include "kernels/device_elements.hpp"
#include "kernels/device_runs.hpp"

#include <array>

namespace trireme::kernels {
namespace {

using namespace on_device;

/// Every pair of types, element by element, through f64, which holds all of them.
struct PlainCast {
  static constexpr const char* name = "trireme_cast_plain";
  static constexpr unsigned threads = 256;
  static constexpr unsigned phases = 1;
  struct Shared {};

  void* destination;
  const void* source;
  std::size_t count;
  DType to;
  DType from;

  template <unsigned phase>
  TRIREME_DEVICE void run(device::Place place, Shared&) const {
    const std::size_t step = std::size_t{place.blocks} * threads;
    for (std::size_t i = std::size_t{place.block} * threads + place.thread; i < count; i += step)
      store_element(destination, to, i, load_element<double>(source, from, i));
  }
};

template <class To, class From>
struct Cast {
  static constexpr const char* name = "trireme_cast";
  static constexpr unsigned width = run_width<typename To::Raw, typename From::Raw>;
  static constexpr unsigned unroll = 4;

  typename To::Raw* destination;
  const typename From::Raw* source;

  template <unsigned n>
  TRIREME_DEVICE Run<typename From::Raw, n> load(std::size_t index) const {
    return load_run<n>(source + index);
  }
  template <unsigned n>
  TRIREME_DEVICE void finish(std::size_t index, const Run<typename From::Raw, n>& loaded) const {
    Run<typename To::Raw, n> result;
    TRIREME_UNROLL
    for (unsigned e = 0; e < n; ++e) result.element[e] = round_to<To>(From::widen(loaded.element[e]));
    store_run(destination + index, result);
  }
};

template <class To, class From>
void cast_fast(void* destination, const void* source, std::size_t count, device::Queue queue) {
  const std::array<RunOperand, 2> operands{RunOperand{destination, sizeof(typename To::Raw)},
                                           RunOperand{source, sizeof(typename From::Raw)}};
  launch_runs(
      queue,
      Cast<To, From>{static_cast<typename To::Raw*>(destination), static_cast<const typename From::Raw*>(source)},
      count, std::span<const RunOperand>(operands));
}

struct Entry {
  DType to;
  DType from;
  void (*run)(void* destination, const void* source, std::size_t count, device::Queue queue);
  const device::KernelEntry& (*kernel)();
};
template <class To, class From>
constexpr Entry entry{To::dtype, From::dtype, &cast_fast<To, From>, &device::entry_of<RunBody<Cast<To, From>>>};

/// The pairs that training makes, and every narrow type to and from f32. Others are plain.
constexpr Entry fast_pairs[] = {
    entry<F32, F64>,     entry<F64, F32>,     entry<F32, F16>,     entry<F16, F32>,     entry<F32, BF16>,
    entry<BF16, F32>,    entry<F32, F8E4M3>,  entry<F8E4M3, F32>,  entry<F32, F8E5M2>,  entry<F8E5M2, F32>,
    entry<BF16, F64>,    entry<F16, F64>,     entry<F64, BF16>,    entry<F64, F16>,     entry<BF16, F16>,
    entry<F16, BF16>,    entry<F8E4M3, BF16>, entry<F8E4M3, F16>,  entry<F8E5M2, BF16>, entry<F8E5M2, F16>,
    entry<BF16, F8E4M3>, entry<F16, F8E4M3>,  entry<BF16, F8E5M2>, entry<F16, F8E5M2>,
};

}  // namespace

bool cast(void* destination, DType to, const void* source, DType from, std::size_t count, device::Queue queue,
          Rung rung) {
  if (to == from) {
    queue.runtime.copy(destination, source, count * size_of(to), queue.stream);
    return true;
  }
  if (!is_floating(to) || !is_floating(from)) return false;
  if (rung == Rung::fast) {
    for (const Entry& pair : fast_pairs) {
      if (pair.to != to || pair.from != from) continue;
      pair.run(destination, source, count, queue);
      return true;
    }
  }
  device::launch(queue, PlainCast{destination, source, count, to, from},
                 device::blocks_for(count, PlainCast::threads, 4));
  return true;
}

void cast_kernels(std::vector<const device::KernelEntry*>& kernels) {
  kernels.push_back(&device::entry_of<PlainCast>());
  for (const Entry& pair : fast_pairs) kernels.push_back(&pair.kernel());
}

}  // namespace trireme::kernels
