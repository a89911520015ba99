// SPDX-License-Identifier: Apache-2.0
#include "trireme/plan/graph.hpp"

namespace trireme::plan {

std::string_view name_of(Collective collective) noexcept {
  switch (collective) {
    case Collective::all_reduce: return "all_reduce";
    case Collective::reduce_scatter: return "reduce_scatter";
    case Collective::all_gather: return "all_gather";
    case Collective::broadcast: return "broadcast";
    case Collective::barrier: return "barrier";
    case Collective::send_recv: return "send_recv";
    case Collective::reduce: return "reduce";
    case Collective::gather: return "gather";
    case Collective::scatter: return "scatter";
    case Collective::all_to_all: return "all_to_all";
  }
  return "?";
}

std::string_view name_of(Algorithm algorithm) noexcept {
  switch (algorithm) {
    case Algorithm::direct: return "direct";
    case Algorithm::recursive_doubling: return "recursive_doubling";
    case Algorithm::tree: return "tree";
    case Algorithm::ring: return "ring";
    case Algorithm::halving_doubling: return "halving_doubling";
    case Algorithm::rooted: return "rooted";
    case Algorithm::double_tree: return "double_tree";
    case Algorithm::bruck: return "bruck";
  }
  return "?";
}

bool parse_algorithm(std::string_view name, Algorithm& algorithm) noexcept {
  for (int value = 0; value < algorithm_count; ++value) {
    const auto candidate = static_cast<Algorithm>(value);
    if (name == name_of(candidate)) {
      algorithm = candidate;
      return true;
    }
  }
  return false;
}

}  // namespace trireme::plan
