// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace trireme::kernels {

/// The instruction sets a CPU kernel is compiled for. `portable` is plain C++ for the baseline of the architecture.
enum class Isa : unsigned char { portable, avx2 };

std::string_view name_of(Isa isa) noexcept;

/// The best this CPU has: avx2 stands for AVX2 with F16C. Found once; immutable.
Isa best_isa() noexcept;

}  // namespace trireme::kernels
