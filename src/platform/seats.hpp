// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "platform/processor_list.hpp"

#include <span>

namespace trireme::platform {

/// Whether each of these ranks of one machine can have a processor to itself, of those it may run on: a matching that
/// leaves no rank out. An empty list is a rank that may run on any processor; of these there are as many as the lists
/// name together, or `otherwise` when all are empty.
/// Cost: ranks times processors where the ranks may run anywhere; times ranks again where the search must go back.
bool each_has_a_processor(std::span<const ProcessorList> ranks, int otherwise);

}  // namespace trireme::platform
