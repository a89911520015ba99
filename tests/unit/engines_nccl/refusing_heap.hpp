// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace trireme::testing {

/// This thread's `call`-th call of operator new from now on throws; 0: none does.
void refuse_heap_call(int call) noexcept;

}  // namespace trireme::testing
