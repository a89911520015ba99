// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace trireme::kernels {

/// The instruction sets a CPU kernel is compiled for, each better than the one before: `portable` is plain C++ for the
/// baseline of the architecture, avx2 stands for AVX2 with F16C and FMA, avx512 for AVX-512 F, BW, VL and DQ. A kernel that is
/// not compiled for the one asked for takes the next lower.
enum class Isa : unsigned char { portable, avx2, avx512 };

std::string_view name_of(Isa isa) noexcept;

/// The best this CPU and its operating system have. Found once; immutable.
Isa best_isa() noexcept;

}  // namespace trireme::kernels
