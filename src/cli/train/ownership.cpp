// SPDX-License-Identifier: Apache-2.0
#include "cli/train/ownership.hpp"

#include "cli/train/mesh_optimizer_state.hpp"
#include "cli/train/mesh_state.hpp"

#include <string_view>
#include <utility>

namespace trireme::cli {

Ownership::Ownership(DataParallel& data_parallel, int stage, int shard_group, std::optional<LogicalPieces> pieces)
    : data_parallel_(data_parallel), stage_(stage), shard_group_(shard_group), pieces_(std::move(pieces)) {}

checkpoint::OwnedElements Ownership::elements() const {
  return [&data_parallel = data_parallel_](std::string_view parameter) { return data_parallel.owned(parameter); };
}

checkpoint::SavesOwned Ownership::saves() const {
  const bool is_first_group = shard_group_ == 0 || data_parallel_.communicator().rank() < shard_group_;
  return is_first_group ? checkpoint::SavesOwned::yes : checkpoint::SavesOwned::no;
}

std::vector<Parameter> Ownership::values() const {
  return of_values() ? data_parallel_.owned_parameters() : data_parallel_.parameters();
}

std::vector<std::size_t> Ownership::firsts() const {
  std::vector<std::size_t> firsts;
  for (std::size_t p = 0; p < data_parallel_.parameters().size(); ++p) {
    const layout::Interval part = of_values() ? data_parallel_.owned(p) : layout::Interval{};
    firsts.push_back(part.size() == 0 ? 0 : part.begin);
  }
  return firsts;
}

Ownership::State Ownership::values_state() const {
  if (pieces_) return std::make_unique<MeshParameterState>(*pieces_, data_parallel_.parameters());
  if (!of_values()) return std::make_unique<checkpoint::ParameterState>(data_parallel_.parameters());
  return std::make_unique<checkpoint::ParameterState>(values(), elements(), saves());
}

Ownership::State Ownership::optimizer_state(Optimizer& optimizer) const {
  if (pieces_) {
    StateSharing sharing;
    if (of_state()) {
      sharing.owned = [&data_parallel = data_parallel_](std::size_t p) { return data_parallel.owned(p); };
      sharing.replicas = data_parallel_.communicator();
    }
    return std::make_unique<MeshOptimizerState>(*pieces_, optimizer, data_parallel_.parameters(), std::move(sharing));
  }
  return std::make_unique<checkpoint::OptimizerState>(optimizer, data_parallel_.ownership());
}

Ownership::State Ownership::average_state(WeightAverage& average) const {
  if (pieces_) return std::make_unique<MeshAverageState>(*pieces_, average, data_parallel_.parameters());
  if (!of_values()) return std::make_unique<checkpoint::WeightAverageState>(average);
  return std::make_unique<checkpoint::WeightAverageState>(average, elements(), saves());
}

Ownership::State Ownership::selection_state(Selection& selection) const {
  if (pieces_) return std::make_unique<MeshSelectionState>(*pieces_, selection, data_parallel_.parameters());
  if (!of_values()) return std::make_unique<SelectionState>(selection);
  std::vector<SelectionState::Part> parts;
  for (std::size_t p = 0; p < data_parallel_.parameters().size(); ++p) {
    const TensorView& whole = data_parallel_.parameters()[p].value;
    const layout::Interval owned = data_parallel_.owned(p);
    const std::size_t bytes = size_of(whole.dtype);
    parts.push_back({.first = owned.size() == 0 ? 0 : owned.begin * bytes,
                     .bytes = owned.size() * bytes,
                     .whole = whole.count * bytes});
  }
  return std::make_unique<SelectionState>(selection, std::move(parts), saves() == checkpoint::SavesOwned::yes);
}

}  // namespace trireme::cli
