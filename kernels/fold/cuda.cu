// SPDX-License-Identifier: Apache-2.0
#include "kernels/device_elements.hpp"
#include "kernels/device_runs.hpp"
#include "kernels/fold/fold_device.hpp"

#include <array>

namespace trireme::kernels {
namespace {

using namespace on_device;

enum class Fold { scale, scale_add, scale_divide };

/// Every type and fold, element by element, accumulated in A.
template <class A>
struct PlainFold {
  static constexpr const char* name = "trireme_fold_plain";
  static constexpr unsigned threads = 256;
  static constexpr unsigned phases = 1;
  struct Shared {};

  A* destination;
  const void* source;
  A weight;
  A divisor;
  std::size_t count;
  DType dtype;
  Fold fold;

  template <unsigned phase>
  TRIREME_DEVICE void run(device::Place place, Shared&) const {
    const std::size_t step = std::size_t{place.blocks} * threads;
    for (std::size_t i = std::size_t{place.block} * threads + place.thread; i < count; i += step) {
      const A scaled = load_element<A>(source, dtype, i) * weight;
      if (fold == Fold::scale) destination[i] = scaled;
      if (fold == Fold::scale_add) destination[i] = destination[i] + scaled;
      if (fold == Fold::scale_divide) destination[i] = scaled / divisor;
    }
  }
};

template <class Format, Fold fold>
struct FoldRuns {
  static constexpr const char* name = "trireme_fold";
  using Source = typename Format::Raw;
  using Value = typename Format::Value;
  static constexpr unsigned width = run_width<Source, Value>;
  static constexpr unsigned unroll = 4;

  Value* destination;
  const Source* source;
  Value weight;
  Value divisor;

  template <unsigned n>
  struct Loaded {
    Run<Source, n> source;
    Run<Value, n> before;
  };
  template <unsigned n>
  TRIREME_DEVICE Loaded<n> load(std::size_t index) const {
    Loaded<n> loaded{};
    loaded.source = load_run<n>(source + index);
    if constexpr (fold == Fold::scale_add) loaded.before = load_run<n, Value>(destination + index);
    return loaded;
  }
  template <unsigned n>
  TRIREME_DEVICE void finish(std::size_t index, const Loaded<n>& loaded) const {
    Run<Value, n> result;
    TRIREME_UNROLL
    for (unsigned e = 0; e < n; ++e) {
      const Value scaled = Format::widen(loaded.source.element[e]) * weight;
      if constexpr (fold == Fold::scale) result.element[e] = scaled;
      if constexpr (fold == Fold::scale_add) result.element[e] = loaded.before.element[e] + scaled;
      if constexpr (fold == Fold::scale_divide) result.element[e] = scaled / divisor;
    }
    store_run(destination + index, result);
  }
};

template <class T>
struct Fill {
  static constexpr const char* name = "trireme_fill";
  static constexpr unsigned width = run_width<T>;
  static constexpr unsigned unroll = 4;
  struct Nothing {};

  T* destination;
  T value;

  template <unsigned n>
  TRIREME_DEVICE Nothing load(std::size_t) const {
    return {};
  }
  template <unsigned n>
  TRIREME_DEVICE void finish(std::size_t index, const Nothing&) const {
    Run<T, n> result;
    TRIREME_UNROLL
    for (unsigned e = 0; e < n; ++e) result.element[e] = value;
    store_run(destination + index, result);
  }
};

template <class Format, Fold fold>
void fold_fast(void* destination, const void* source, double weight, double divisor, std::size_t count,
               device::Queue queue) {
  using Value = typename Format::Value;
  const std::array<RunOperand, 2> operands{RunOperand{destination, sizeof(Value)},
                                           RunOperand{source, sizeof(typename Format::Raw)}};
  launch_runs(queue,
              FoldRuns<Format, fold>{static_cast<Value*>(destination), static_cast<const typename Format::Raw*>(source),
                                     static_cast<Value>(weight), static_cast<Value>(divisor)},
              count, std::span<const RunOperand>(operands));
}

template <class A>
void fold_plainly(void* destination, const void* source, DType dtype, Fold fold, double weight, double divisor,
                  std::size_t count, device::Queue queue) {
  using Body = PlainFold<A>;
  device::launch(
      queue,
      Body{static_cast<A*>(destination), source, static_cast<A>(weight), static_cast<A>(divisor), count, dtype, fold},
      device::blocks_for(count, Body::threads, 4));
}

template <Fold fold>
void run(void* destination, const void* source, DType dtype, double weight, double divisor, std::size_t count,
         device::Queue queue, Rung rung) {
  if (rung == Rung::plain && is_floating(dtype)) {
    return dtype == DType::f64 ? fold_plainly<double>(destination, source, dtype, fold, weight, divisor, count, queue)
                               : fold_plainly<float>(destination, source, dtype, fold, weight, divisor, count, queue);
  }
  with_floating_format(dtype, [&]<class Format>(Format) {
    fold_fast<Format, fold>(destination, source, weight, divisor, count, queue);
  });
}

template <class T>
void fill(void* memory, T value, std::size_t count, device::Queue queue) {
  const RunOperand operand{memory, sizeof(T)};
  launch_runs(queue, Fill<T>{static_cast<T*>(memory), value}, count, std::span<const RunOperand>(&operand, 1));
}

void check_accumulator(DType dtype, const char* what) {
  if (dtype == DType::f32 || dtype == DType::f64) return;
  fail(ErrorCode::invalid_argument,
       std::string(what) + " on a device takes f32 or f64, not " + std::string(name_of(dtype)));
}

}  // namespace

void scale(void* destination, const void* source, DType source_dtype, double weight, std::size_t count,
           device::Queue queue, Rung rung) {
  run<Fold::scale>(destination, source, source_dtype, weight, 1.0, count, queue, rung);
}
void scale_add(void* destination, const void* source, DType source_dtype, double weight, std::size_t count,
               device::Queue queue, Rung rung) {
  run<Fold::scale_add>(destination, source, source_dtype, weight, 1.0, count, queue, rung);
}
void scale_divide(void* destination, const void* source, DType source_dtype, double weight, double divisor,
                  std::size_t count, device::Queue queue, Rung rung) {
  run<Fold::scale_divide>(destination, source, source_dtype, weight, divisor, count, queue, rung);
}

void add(void* left, const void* right, DType dtype, std::size_t count, device::Queue queue, Rung rung) {
  check_accumulator(dtype, "add");
  run<Fold::scale_add>(left, right, dtype, 1.0, 1.0, count, queue, rung);  // times 1 is exact
}

void fill_negative_zero(void* memory, DType dtype, std::size_t count, device::Queue queue) {
  check_accumulator(dtype, "fill_negative_zero");
  dtype == DType::f64 ? fill(memory, -0.0, count, queue) : fill(memory, -0.0f, count, queue);
}

void fold_kernels(std::vector<const device::KernelEntry*>& kernels) {
  kernels.push_back(&device::entry_of<PlainFold<double>>());
  kernels.push_back(&device::entry_of<PlainFold<float>>());
  kernels.push_back(&device::entry_of<RunBody<Fill<double>>>());
  kernels.push_back(&device::entry_of<RunBody<Fill<float>>>());
  for (const DType dtype : {DType::f64, DType::f32, DType::f16, DType::bf16, DType::f8e4m3, DType::f8e5m2}) {
    with_floating_format(dtype, [&]<class Format>(Format) {
      kernels.push_back(&device::entry_of<RunBody<FoldRuns<Format, Fold::scale>>>());
      kernels.push_back(&device::entry_of<RunBody<FoldRuns<Format, Fold::scale_add>>>());
      kernels.push_back(&device::entry_of<RunBody<FoldRuns<Format, Fold::scale_divide>>>());
    });
  }
}

}  // namespace trireme::kernels
