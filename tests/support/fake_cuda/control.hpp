// SPDX-License-Identifier: Apache-2.0
// What tests ask of the fake CUDA beyond CUDA's own functions.
#pragma once

#include "support/fake_cuda/ptx/machine.hpp"

#include <map>
#include <string>

namespace trireme::testing {

/// So many kernels run, and the next one reads where it must not. Then no call of CUDA succeeds any more in this process.
void fail_after_kernels(int kernels);

/// From now on what kernels move is counted, which takes several times as long.
void count_traffic();
/// What each kernel moved since then, once the streams were synchronized; counting ends.
std::map<std::string, ptx::Traffic> counted_traffic();

}  // namespace trireme::testing
