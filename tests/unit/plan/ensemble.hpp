// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/plan/graph.hpp"
#include "trireme/plan/plans.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace trireme::plan::proof {

/// The graphs of all ranks as one graph: every send is matched with the recv that meets it.
struct Ensemble {
  struct Node {
    int rank = 0;
    int index = 0;  ///< in the rank's list
    const Step* step = nullptr;
    int partner = -1;             ///< the node at the other end of the message
    int before_on_edge = -1;      ///< the previous message in this direction between these ranks, same end
    std::vector<int> successors;  ///< nodes whose depends_on names this one
  };

  Shape shape;
  std::vector<Plan> plans;
  std::vector<Node> nodes;
  std::vector<int> first;  ///< of each rank, in nodes

  /// Errors: Broken when a message has one end only, or its ends disagree about blocks or dtype, or ranks about how the
  /// data is cut.
  explicit Ensemble(std::vector<Plan> plans);
  Ensemble(Algorithm algorithm, const Shape& shape);
  Ensemble(const Ensemble&) = delete;  // nodes point into plans
  Ensemble& operator=(const Ensemble&) = delete;

  int blocks() const { return plans.front().blocks; }
  std::string describe(int node) const;

 private:
  void match();
};

/// "tree all_reduce of 3 ranks, 8 leaves"
std::string describe(Algorithm algorithm, const Shape& shape);

/// Rounds until all is done when each rank has at most one send and one receipt at a time, each in the order of its
/// list, and local work takes no time.
/// Errors: Broken when it gets stuck.
int one_port_rounds(const Ensemble& ensemble);

/// For each rank the set of ranks (as bits) whose entry precedes its last step, by depends_on and messages alone.
std::vector<std::uint64_t> known_at_the_end(const Ensemble& ensemble);

}  // namespace trireme::plan::proof
