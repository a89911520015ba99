// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/plan/graph.hpp"

#include <cstddef>

namespace trireme::plan {

/// Bytes of one element in each of the three roles.
struct ElementBytes {
  std::size_t input = 4;
  std::size_t partial = 4;
  std::size_t output = 4;
};

/// What a rank sends and adds, by the closed formula of the algorithm (not by walking the graph; tests compare).
struct Cost {
  int steps = 0;  ///< rounds when a rank sends one message and receives one at a time: the factor of alpha
  std::size_t payload_bytes = 0;     ///< sent by this rank, headers apart: the factor of beta
  std::size_t messages = 0;          ///< sent by this rank, per segment
  std::size_t reduced_elements = 0;  ///< combinations of two elements by this rank: the factor of gamma
};

/// The cost of `rank`'s plan; the formulas are in src/plan/README.md. `count` is that of the whole logical vector: P
/// times the count per rank for all_gather, reduce_scatter, gather, scatter and all_to_all. Where there is a root the
/// steps are the same on all ranks, the rest is not: ask for the root, or for each. One rank alone costs nothing.
/// Errors: as make_plan.
Cost cost_of(Algorithm algorithm, const Shape& shape, int rank, std::size_t count, ElementBytes element = {});

/// A link and a core, as alpha-beta-gamma.
struct Machine {
  double alpha_s = 1e-6;           ///< seconds per message
  double beta_s_per_byte = 1e-10;  ///< seconds per byte and direction
  double gamma_s_per_element = 2e-10;
};

/// alpha * steps + beta * payload_bytes + gamma * reduced_elements, in seconds.
double predicted_seconds(const Cost& cost, const Machine& machine);

}  // namespace trireme::plan
