// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/update/constants.hpp"
#include "kernels/update/update.hpp"

namespace trireme::kernels {

// One definition per instruction set, from the same simd.cpp. The gradient is of the span's dtype; `copy` is not looked at.
#define TRIREME_KERNELS_UPDATE_LOOPS                                                           \
  void update(const UpdateSpan& span, const SgdConstants& constants) noexcept;                 \
  void update(const UpdateSpan& span, const AdamConstants& constants) noexcept;                \
  void update(const UpdateSpan& span, const NadamConstants& constants) noexcept;               \
  void update(const UpdateSpan& span, const RmspropConstants& constants) noexcept;             \
  void update(const UpdateSpan& span, const AdagradConstants& constants) noexcept;             \
  void update(const UpdateSpan& span, const AdadeltaConstants& constants) noexcept;            \
  void update(const UpdateSpan& span, const LionConstants& constants) noexcept;                \
  void update(const UpdateSpan& span, const LambConstants& constants) noexcept;                \
  /* m and v move; the directions go to `directions`, which has the span's dtype and count. */ \
  void lamb_directions(const UpdateSpan& span, const LambConstants& constants, void* directions) noexcept;
namespace portable {
TRIREME_KERNELS_UPDATE_LOOPS
}
namespace avx2 {
TRIREME_KERNELS_UPDATE_LOOPS
}
#undef TRIREME_KERNELS_UPDATE_LOOPS

}  // namespace trireme::kernels
