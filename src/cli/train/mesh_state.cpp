// SPDX-License-Identifier: Apache-2.0
#include "cli/train/mesh_state.hpp"

#include "cli/train/training_position.hpp"
#include "trireme/base/error.hpp"

#include <algorithm>
#include <cstring>
#include <string_view>
#include <utility>

namespace trireme::cli {
namespace {

using checkpoint::StateReader;
using checkpoint::StateWriter;

const Parameter* local_of(const LogicalPieces& pieces, const std::vector<Parameter>& local, std::size_t parameter) {
  const auto place = pieces.shares().local(parameter);
  return place ? &local[*place] : nullptr;
}

std::span<const float> floats_of(const ConstTensorView& view) {
  return {static_cast<const float*>(view.data), view.count};
}

std::span<const float> floats_of(const std::vector<std::byte>& bytes) {
  return {reinterpret_cast<const float*>(bytes.data()), bytes.size() / sizeof(float)};
}

std::vector<std::int64_t> flat_shape(std::size_t count) { return {static_cast<std::int64_t>(count)}; }

/// A tensor of the checkpoint that has this many elements there, into this rank's piece.
std::vector<float> read_piece(StateReader& reader, const LogicalPieces& pieces, const std::string& name,
                              std::size_t count) {
  if (const auto* saved = reader.find(name); saved != nullptr && saved->count != count) {
    fail(ErrorCode::invalid_argument, "tensor '" + name + "' has " + std::to_string(saved->count) +
                                          " elements in the checkpoint, " + std::to_string(count) + " here");
  }
  std::vector<float> piece(pieces.own(count).size());
  reader.into(name, pieces.own(count).begin, TensorView(std::span(piece)));
  return piece;  // moved: its elements stay where they are
}

}  // namespace

void MeshParameterState::save(StateWriter& writer) const {
  kept_.clear();
  const std::vector<Parameter>& whole = pieces_.shares().whole();
  for (std::size_t p = 0; p < whole.size(); ++p) {
    const Parameter* const own = local_of(pieces_, local_, p);
    const std::size_t count = whole[p].value.count;
    kept_.push_back(pieces_.cut(p, own == nullptr ? std::span<const float>() : floats_of(own->value), count));
    writer.shard(whole[p].name, whole[p].shape, pieces_.own(count).begin, ConstTensorView(std::span(kept_.back())));
  }
}

void MeshParameterState::restore(StateReader& reader) {
  kept_.clear();
  const std::vector<Parameter>& whole = pieces_.shares().whole();
  if (const auto saved = reader.tensors(); saved.size() != whole.size()) {
    fail(ErrorCode::invalid_argument, "the checkpoint has " + std::to_string(saved.size()) +
                                          " tensors of the model, which has " + std::to_string(whole.size()) +
                                          ": it is another model's");
  }
  for (const Parameter& each : whole) {
    kept_.push_back(read_piece(reader, pieces_, each.name, each.value.count));
    if (reader.find(each.name)->shape != each.shape)
      fail(ErrorCode::invalid_argument, "'" + each.name + "' has another shape in the checkpoint than here");
  }
}

void MeshParameterState::restored() {
  const std::vector<Parameter>& whole = pieces_.shares().whole();
  for (std::size_t p = 0; p < whole.size(); ++p) {
    const Parameter* const own = local_of(pieces_, local_, p);
    pieces_.spread(p, kept_[p], whole[p].value.count, own == nullptr ? std::span<float>() : own->value.as<float>());
  }
  kept_.clear();
}

TensorShape MeshOptimizerState::shape_of(const Parameter& parameter) const {
  return optimizer_.shape_for(parameter.name, TensorShape::of(parameter.shape));
}

/// All of this rank's share of a state tensor, of `count` elements, of which replicas may have a part each.
std::vector<float> MeshOptimizerState::share(const Optimizer::SavedState& saved, std::size_t state,
                                             std::size_t count) const {
  const std::span<const float> part = floats_of(saved.tensors[state].second);
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
    const Parameter* const own = local_of(pieces_, local_, p);
    std::optional<Optimizer::SavedState> saved;
    if (own != nullptr) saved = optimizer_.saved(name);
    for (std::size_t i = 0; i < optimizer_.state_names().size(); ++i) {
      const std::size_t count = optimizer_.state_count(i, shape);
      const std::vector<float> mine =
          saved ? share(*saved, i, optimizer_.state_count(i, shape_of(*own))) : std::vector<float>();
      kept_.push_back(pieces_.cut(p, mine, count));
      writer.shard(name + "/" + optimizer_.state_names()[i], flat_shape(count), pieces_.own(count).begin,
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
    const Parameter* const own = local_of(pieces_, local_, p);
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
                           .piece = read_piece(reader, pieces_, name + "/" + optimizer_.state_names()[i], count),
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

void MeshAverageState::save(StateWriter& writer) const {
  kept_.clear();
  writer.value("updates", average_.updates());
  if (average_.updates() == 0) return;
  const std::vector<Parameter>& whole = pieces_.shares().whole();
  for (std::size_t p = 0; p < whole.size(); ++p) {
    const std::size_t count = whole[p].value.count;
    const bool is_here = local_of(pieces_, local_, p) != nullptr;
    kept_.push_back(
        pieces_.cut(p, is_here ? floats_of(average_.average(whole[p].name)) : std::span<const float>(), count));
    writer.shard(whole[p].name, flat_shape(count), pieces_.own(count).begin, ConstTensorView(std::span(kept_.back())));
  }
}

void MeshAverageState::restore(StateReader& reader) {
  kept_.clear();
  incoming_updates_ = reader.whole("updates");
  if (incoming_updates_ == 0) return;
  for (const Parameter& each : pieces_.shares().whole())
    kept_.push_back(read_piece(reader, pieces_, each.name, each.value.count));
}

void MeshAverageState::restored() {
  std::vector<std::vector<float>> shares;
  std::vector<std::pair<std::string, ConstTensorView>> averages;
  shares.reserve(kept_.size());
  for (std::size_t p = 0; p < kept_.size(); ++p) {
    const Parameter& whole = pieces_.shares().whole()[p];
    const Parameter* const own = local_of(pieces_, local_, p);
    shares.emplace_back(own == nullptr ? 0 : own->value.count);
    pieces_.spread(p, kept_[p], whole.value.count, shares.back());
    if (own != nullptr) averages.emplace_back(whole.name, ConstTensorView(std::span(std::as_const(shares.back()))));
  }
  average_.restore(incoming_updates_, averages);
  kept_.clear();
}

void MeshSelectionState::save(StateWriter& writer) const {
  kept_.clear();
  save_scores(writer, selection_);
  if (selection_.values().empty()) return;
  const std::vector<Parameter>& whole = pieces_.shares().whole();
  for (std::size_t p = 0; p < whole.size(); ++p) {
    const std::size_t count = whole[p].value.count;
    const auto place = pieces_.shares().local(p);
    kept_.push_back(pieces_.cut(p, place ? floats_of(selection_.values()[*place]) : std::span<const float>(), count));
    const ConstTensorView bytes(kept_.back().data(), kept_.back().size() * sizeof(float), DType::u8);
    writer.shard("values/" + std::to_string(p), flat_shape(count * sizeof(float)),
                 pieces_.own(count).begin * sizeof(float), bytes);
  }
}

void MeshSelectionState::restore(StateReader& reader) {
  kept_.clear();
  if (!reader.has_section()) {
    selection_.restore_best(0, {}, 0, {});
    return;
  }
  std::vector<std::size_t> sizes;
  if (!reader.tensors().empty()) {
    for (const Parameter& each : local_) sizes.push_back(each.value.size_bytes());
  }
  restore_scores(reader, selection_, sizes);
  if (sizes.empty() || selection_.values().empty()) return;
  const std::vector<Parameter>& whole = pieces_.shares().whole();
  for (std::size_t p = 0; p < whole.size(); ++p) {
    const layout::Interval mine = pieces_.own(whole[p].value.count);
    kept_.emplace_back(mine.size());
    reader.into("values/" + std::to_string(p), mine.begin * sizeof(float),
                TensorView(kept_.back().data(), mine.size() * sizeof(float), DType::u8));
  }
}

void MeshSelectionState::restored() {
  for (std::size_t p = 0; p < kept_.size(); ++p) {
    const auto place = pieces_.shares().local(p);
    std::span<float> to;
    if (place) {
      std::vector<std::byte>& bytes = selection_.values()[*place];
      to = {reinterpret_cast<float*>(bytes.data()), bytes.size() / sizeof(float)};
    }
    pieces_.spread(p, kept_[p], pieces_.shares().whole()[p].value.count, to);
  }
  kept_.clear();
}

}  // namespace trireme::cli
