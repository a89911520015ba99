// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/plan/graph.hpp"

namespace trireme::plan::proof {

/// One rank's graph taken by itself, as the memory model sees it: input and output are one memory (two in all_to_all,
/// which is never in place), a send reads its source until it is complete. Together with the matching of messages this
/// makes the result independent of timing. Throws Broken unless
/// - every step stays inside the buffers, in dtypes that fit, the input is never written, every output block is;
/// - every scratch slot is used, and written before it is read;
/// - of two steps that touch the same memory, one of them writing, the later depends on the earlier;
/// - no entry of depends_on can be left out.
void check_graph(const Plan& plan);

}  // namespace trireme::plan::proof
