// SPDX-License-Identifier: Apache-2.0
#include "device/kernel.hpp"
#include "kernels/device_formats.hpp"
#include "kernels/fold/fold_device.hpp"

namespace trireme::kernels {
namespace {

using namespace on_device;

enum class Fold { scale, scale_add, scale_divide };

template <class Format, Fold fold>
struct FoldBody {
  static constexpr const char* name = "trireme_fold";
  static constexpr unsigned threads = 256;
  static constexpr unsigned phases = 1;
  struct Shared {};
  using Value = typename Format::Value;

  Value* destination;
  const typename Format::Raw* source;
  Value weight;
  Value divisor;
  std::size_t count;

  template <unsigned phase>
  TRIREME_DEVICE void run(device::Place place, Shared&) const {
    const std::size_t step = std::size_t{place.blocks} * threads;
    for (std::size_t i = std::size_t{place.block} * threads + place.thread; i < count; i += step) {
      const Value scaled = Format::widen(source[i]) * weight;
      if constexpr (fold == Fold::scale) destination[i] = scaled;
      if constexpr (fold == Fold::scale_add) destination[i] = destination[i] + scaled;
      if constexpr (fold == Fold::scale_divide) destination[i] = scaled / divisor;
    }
  }
};

template <Fold fold>
void run(void* destination, const void* source, DType dtype, double weight, double divisor, std::size_t count,
         device::Queue queue) {
  with_floating_format(dtype, [&]<class Format>(Format) {
    using Body = FoldBody<Format, fold>;
    using Value = typename Format::Value;
    device::launch(queue,
                   Body{static_cast<Value*>(destination), static_cast<const typename Format::Raw*>(source),
                        static_cast<Value>(weight), static_cast<Value>(divisor), count},
                   device::blocks_for(count, Body::threads, 4));
  });
}

}  // namespace

void scale(void* destination, const void* source, DType source_dtype, double weight, std::size_t count,
           device::Queue queue) {
  run<Fold::scale>(destination, source, source_dtype, weight, 1.0, count, queue);
}
void scale_add(void* destination, const void* source, DType source_dtype, double weight, std::size_t count,
               device::Queue queue) {
  run<Fold::scale_add>(destination, source, source_dtype, weight, 1.0, count, queue);
}
void scale_divide(void* destination, const void* source, DType source_dtype, double weight, double divisor,
                  std::size_t count, device::Queue queue) {
  run<Fold::scale_divide>(destination, source, source_dtype, weight, divisor, count, queue);
}

void fold_kernels(std::vector<const device::KernelEntry*>& kernels) {
  for (const DType dtype : {DType::f64, DType::f32, DType::f16, DType::bf16, DType::f8e4m3, DType::f8e5m2}) {
    with_floating_format(dtype, [&]<class Format>(Format) {
      kernels.push_back(&device::entry_of<FoldBody<Format, Fold::scale>>());
      kernels.push_back(&device::entry_of<FoldBody<Format, Fold::scale_add>>());
      kernels.push_back(&device::entry_of<FoldBody<Format, Fold::scale_divide>>());
    });
  }
}

}  // namespace trireme::kernels
