// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/update/update.hpp"

namespace trireme::kernels::reference {

// As kernels::update and kernels::measure, one element after the other.
void update(const UpdateSpan& span, const SgdRule& rule) noexcept;
void update(const UpdateSpan& span, const AdamRule& rule) noexcept;
void update(const UpdateSpan& span, const NadamRule& rule) noexcept;
void update(const UpdateSpan& span, const RmspropRule& rule) noexcept;
void update(const UpdateSpan& span, const AdagradRule& rule) noexcept;
void update(const UpdateSpan& span, const AdadeltaRule& rule) noexcept;
void update(const UpdateSpan& span, const LionRule& rule) noexcept;
void update(const UpdateSpan& span, const LambRule& rule) noexcept;
void measure(const UpdateSpan& span, const LambRule& rule, double* block_sums) noexcept;

}  // namespace trireme::kernels::reference
