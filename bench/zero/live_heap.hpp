// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace trireme::bench {

/// Bytes that this thread has asked of operator new, in every form, less those of what it has given back: a counting
/// allocator. What another thread frees is not taken off.
std::int64_t live_heap_bytes() noexcept;
/// False under sanitizers, which bring an allocator of their own: then nothing is counted.
bool counts_heap() noexcept;

}  // namespace trireme::bench
