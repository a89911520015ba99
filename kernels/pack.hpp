// SPDX-License-Identifier: Apache-2.0
// Elements of a format as a whole register of f32, where compilers do not find the instructions by themselves. Included
// by convert.hpp; see formats.hpp for why it is closed in itself.
#pragma once

#include "kernels/formats.hpp"

namespace trireme::kernels::TRIREME_KERNELS_ISA {
namespace {

/// `pack_width` elements as they lie in memory (Packed), widened to f32 (Vector) and narrowed: the bits of the format's own
/// widen and narrow, NaN as a class. Where no instruction set has it, there are no others.
template <class Format>
struct Pack {
  static constexpr bool exists = false;
};

}  // namespace
}  // namespace trireme::kernels::TRIREME_KERNELS_ISA

#if defined(__AVX512BW__) && defined(__AVX512VL__)
#include "kernels/pack_avx512.hpp"
#define TRIREME_KERNELS_PACKS
#elif defined(__AVX2__) && defined(__F16C__)
#include "kernels/pack_avx2.hpp"
#define TRIREME_KERNELS_PACKS
#endif

#if defined(TRIREME_KERNELS_PACKS)
namespace trireme::kernels::TRIREME_KERNELS_ISA {
namespace {

template <class Format>
Vector load(const typename Format::Raw* elements) {
  typename Pack<Format>::Packed packed;
  __builtin_memcpy(&packed, elements, sizeof packed);
  return Pack<Format>::widen(packed);
}

template <class Format>
void store(typename Format::Raw* elements, typename Pack<Format>::Packed packed) {
  __builtin_memcpy(elements, &packed, sizeof packed);
}

}  // namespace
}  // namespace trireme::kernels::TRIREME_KERNELS_ISA
#endif
