// SPDX-License-Identifier: Apache-2.0
#include "trireme/plan/cost.hpp"

#include "plan/algorithms.hpp"
#include "plan/table.hpp"

namespace trireme::plan {

std::size_t CostQuery::share(int block) const {
  return elements_of({wrap(block, shape.ranks), 1}, count, shape.ranks).size();
}

Cost cost_of(Algorithm algorithm, const Shape& shape, int rank, std::size_t count, ElementBytes element) {
  const TableRow& row = row_for(algorithm, shape, rank);
  if (shape.ranks == 1) return {};
  return row.cost({.shape = shape, .rank = rank, .count = count, .element = element});
}

double predicted_seconds(const Cost& cost, const Machine& machine) {
  return machine.alpha_s * static_cast<double>(cost.steps) +
         machine.beta_s_per_byte * static_cast<double>(cost.payload_bytes) +
         machine.gamma_s_per_element * static_cast<double>(cost.reduced_elements);
}

}  // namespace trireme::plan
