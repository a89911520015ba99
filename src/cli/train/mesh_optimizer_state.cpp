// SPDX-License-Identifier: Apache-2.0
#include "cli/train/mesh_optimizer_state.hpp"

#include "trireme/base/error.hpp"

#include <algorithm>
#include <cstring>

namespace trireme::cli {

using checkpoint::StateReader;
using checkpoint::StateWriter;

TensorShape MeshOptimizerState::shape_of(const Parameter& parameter) const {
  return optimizer_.shape_for(parameter.name, TensorShape::of(parameter.shape));
}

/// All of this rank's share of a state tensor, of `count` elements, of which replicas may have a part each.
std::vector<float> MeshOptimizerState::share(const Optimizer::SavedState& saved, std::size_t state,
                                             std::size_t count) const {
  const std::span<const float> part = {static_cast<const float*>(saved.tensors[state].second.data),
                                       saved.tensors[state].second.count};
  if (!sharing_.replicas || sharing_.replicas->size() == 1) return {part.begin(), part.end()};
  const std::uint64_t first = part.size() == count ? 0 : saved.first;
  std::vector<std::byte> mine(sizeof first + part.size_bytes());
  std::memcpy(mine.data(), &first, sizeof first);
  if (!part.empty()) std::memcpy(mine.data() + sizeof first, part.data(), part.size_bytes());
  std::vector<float> all(count);
  for (const auto& theirs : sharing_.replicas->all_gather_bytes(mine, {.label = "optimizer state"})) {
    std::uint64_t begin = 0;
    std::memcpy(&begin, theirs.data(), sizeof begin);
    const std::size_t bytes = theirs.size() - sizeof begin;
    if (bytes != 0) std::memcpy(all.data() + begin, theirs.data() + sizeof begin, bytes);
  }
  return all;
}

void MeshOptimizerState::save(StateWriter& writer) const {
  kept_.clear();
  writer.value("name", std::string(optimizer_.name()));
  if (optimizer_.states().empty()) return;  // on all ranks alike: every step updates all parameters
  const std::uint64_t steps = optimizer_.states().begin()->second.steps;
  const std::vector<Parameter>& whole = pieces_.shares().whole();
  for (std::size_t p = 0; p < whole.size(); ++p) {
    const std::string& name = whole[p].name;
    const TensorShape shape = shape_of(whole[p]);
    writer.value(name + "/steps", steps);
    writer.value(name + "/dtype", std::string(name_of(DType::f32)));
    writer.value(name + "/rows", std::uint64_t{shape.rows});
    writer.value(name + "/columns", std::uint64_t{shape.columns});
    const Parameter* const own = pieces_.local(local_, p);
    std::optional<Optimizer::SavedState> saved;
    if (own != nullptr) saved = optimizer_.saved(name);
    for (std::size_t i = 0; i < optimizer_.state_names().size(); ++i) {
      const std::size_t count = optimizer_.state_count(i, shape);
      const std::vector<float> mine =
          saved ? share(*saved, i, optimizer_.state_count(i, shape_of(*own))) : std::vector<float>();
      kept_.push_back(pieces_.cut(p, mine, count));
      writer.shard(name + "/" + optimizer_.state_names()[i], LogicalPieces::flat(count), pieces_.own(count).begin,
                   ConstTensorView(std::span(kept_.back())));
    }
  }
}

void MeshOptimizerState::restore(StateReader& reader) {
  optimizer_.forget();
  incoming_.clear();
  if (const std::string name = reader.text("name"); name != optimizer_.name()) {
    fail(ErrorCode::invalid_argument, "the checkpoint has the state of the optimizer '" + name + "'; this is '" +
                                          std::string(optimizer_.name()) + "'");
  }
  const std::vector<Parameter>& whole = pieces_.shares().whole();
  for (std::size_t p = 0; p < whole.size(); ++p) {
    const std::string& name = whole[p].name;
    if (!reader.find_value(name + "/steps")) continue;
    const TensorShape shape = shape_of(whole[p]);
    if (reader.whole(name + "/rows") != shape.rows || reader.whole(name + "/columns") != shape.columns ||
        reader.text(name + "/dtype") != name_of(DType::f32)) {
      fail(ErrorCode::invalid_argument,
           "the optimizer's state of '" + name + "' is of another shape or dtype in the checkpoint than here");
    }
    const Parameter* const own = pieces_.local(local_, p);
    std::vector<std::pair<std::string, TensorView>> room;
    Optimizer::SavedState saved{.steps = reader.whole(name + "/steps"), .dtype = DType::f32, .tensors{}};
    if (own != nullptr) {
      saved.shape = shape_of(*own);
      const layout::Interval part =
          sharing_.owned ? sharing_.owned(*pieces_.shares().local(p)) : layout::Interval{0, own->value.count};
      saved.first = part.size() == 0 ? 0 : part.begin;
      saved.count = part.size();
      room = optimizer_.make_room(name, saved);
    }
    for (std::size_t i = 0; i < optimizer_.state_names().size(); ++i) {
      const std::size_t count = optimizer_.state_count(i, shape);
      incoming_.push_back({.parameter = p,
                           .count = count,
                           .local_count = own == nullptr ? 0 : optimizer_.state_count(i, saved.shape),
                           .piece = pieces_.read(reader, name + "/" + optimizer_.state_names()[i], count),
                           .first = saved.first,
                           .to = own == nullptr ? TensorView() : room[i].second});
    }
  }
  if (const std::size_t saved = reader.tensors().size(); saved != incoming_.size()) {
    fail(ErrorCode::invalid_argument, "the checkpoint has " + std::to_string(saved) + " tensors of the optimizer '" +
                                          std::string(optimizer_.name()) + "', which with these settings keeps " +
                                          std::to_string(incoming_.size()));
  }
}

void MeshOptimizerState::restored() {
  for (const Incoming& each : incoming_) {
    std::vector<float> mine(each.local_count);
    pieces_.spread(each.parameter, each.piece, each.count, mine);
    if (each.to.count == 0) continue;
    const std::size_t first = each.to.count == each.local_count ? 0 : each.first;
    std::copy_n(mine.begin() + static_cast<std::ptrdiff_t>(first), each.to.count, static_cast<float*>(each.to.data));
  }
  incoming_.clear();
}

}  // namespace trireme::cli
