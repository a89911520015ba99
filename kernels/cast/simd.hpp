// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/dtype.hpp"

#include <cstddef>

// One definition per instruction set, from the same simd.cpp. Two different floating types.
namespace trireme::kernels::portable {
bool cast(void* destination, DType to, const void* source, DType from, std::size_t count) noexcept;
}
namespace trireme::kernels::avx2 {
bool cast(void* destination, DType to, const void* source, DType from, std::size_t count) noexcept;
}
namespace trireme::kernels::avx512 {
bool cast(void* destination, DType to, const void* source, DType from, std::size_t count) noexcept;
}
