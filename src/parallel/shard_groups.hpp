// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

namespace trireme::parallel {

/// How many leaves the ranks of each group have, when every group of `group_size` consecutive ranks is a node of the tree of
/// `leaves` leaves contracted at `ranks` ranks: then sums inside the groups, and those across them, are the brackets of the
/// whole tree. Else empty.
/// Shape: group_size divides ranks <= leaves.  Example: 6 ranks and leaves: groups of 2: {2, 2, 2}; of 3 (4 + 2 leaves): {}.
std::vector<int> leaves_of_groups(int leaves, int ranks, int group_size);

}  // namespace trireme::parallel
