// SPDX-License-Identifier: Apache-2.0
#include "cli/train/mesh_state.hpp"

#include "cli/train/training_position.hpp"
#include "trireme/base/error.hpp"

#include <utility>

namespace trireme::cli {
namespace {

using checkpoint::StateReader;
using checkpoint::StateWriter;

std::span<const float> floats_of(const std::vector<std::byte>& bytes) {
  return {reinterpret_cast<const float*>(bytes.data()), bytes.size() / sizeof(float)};
}

std::span<const float> floats_of(const ConstTensorView& view) {
  return {static_cast<const float*>(view.data), view.count};
}

}  // namespace

void MeshParameterState::save(StateWriter& writer) const {
  kept_.clear();
  const std::vector<Parameter>& whole = pieces_.shares().whole();
  for (std::size_t p = 0; p < whole.size(); ++p) {
    const Parameter* const own = pieces_.local(local_, p);
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
    kept_.push_back(pieces_.read(reader, each.name, each.value.count));
    if (reader.find(each.name)->shape != each.shape)
      fail(ErrorCode::invalid_argument, "'" + each.name + "' has another shape in the checkpoint than here");
  }
}

void MeshParameterState::restored() {
  const std::vector<Parameter>& whole = pieces_.shares().whole();
  for (std::size_t p = 0; p < whole.size(); ++p) {
    const Parameter* const own = pieces_.local(local_, p);
    pieces_.spread(p, kept_[p], whole[p].value.count, own == nullptr ? std::span<float>() : own->value.as<float>());
  }
  kept_.clear();
}

void MeshAverageState::save(StateWriter& writer) const {
  kept_.clear();
  writer.value("updates", average_.updates());
  if (average_.updates() == 0) return;
  const std::vector<Parameter>& whole = pieces_.shares().whole();
  for (std::size_t p = 0; p < whole.size(); ++p) {
    const std::size_t count = whole[p].value.count;
    const bool is_here = pieces_.local(local_, p) != nullptr;
    kept_.push_back(
        pieces_.cut(p, is_here ? floats_of(average_.average(whole[p].name)) : std::span<const float>(), count));
    writer.shard(whole[p].name, LogicalPieces::flat(count), pieces_.own(count).begin,
                 ConstTensorView(std::span(kept_.back())));
  }
}

void MeshAverageState::restore(StateReader& reader) {
  kept_.clear();
  incoming_updates_ = reader.whole("updates");
  if (incoming_updates_ == 0) return;
  for (const Parameter& each : pieces_.shares().whole())
    kept_.push_back(pieces_.read(reader, each.name, each.value.count));
}

void MeshAverageState::restored() {
  std::vector<std::vector<float>> shares;
  std::vector<std::pair<std::string, ConstTensorView>> averages;
  shares.reserve(kept_.size());
  for (std::size_t p = 0; p < kept_.size(); ++p) {
    const Parameter& whole = pieces_.shares().whole()[p];
    const Parameter* const own = pieces_.local(local_, p);
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
    writer.shard("values/" + std::to_string(p), LogicalPieces::flat(count * sizeof(float)),
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
