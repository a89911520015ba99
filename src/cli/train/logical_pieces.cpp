// SPDX-License-Identifier: Apache-2.0
#include "cli/train/logical_pieces.hpp"

#include "trireme/base/error.hpp"
#include "trireme/data/aligned_buffer.hpp"

namespace trireme::cli {

std::vector<float> LogicalPieces::cut(std::size_t parameter, std::span<const float> share, std::size_t count) {
  data::AlignedBuffer<float> whole(count);
  shares_->gather(parameter, share, whole.span());
  const layout::Interval mine = own(count);
  const auto kept = whole.span().subspan(mine.begin, mine.size());
  return {kept.begin(), kept.end()};
}

void LogicalPieces::spread(std::size_t parameter, std::span<const float> piece_of_this, std::size_t count,
                           std::span<float> share) {
  if (count == 0) return;
  data::AlignedBuffer<float> whole(count);
  std::vector<std::size_t> counts;
  for (int rank = 0; rank < world_.size(); ++rank) counts.push_back(piece(count, rank).size());
  world_.all_gather(ConstTensorView(piece_of_this), TensorView(whole.span()), counts,
                    {.label = shares_->whole()[parameter].name});
  if (shares_->local(parameter)) shares_->take(parameter, whole.span(), share);
}

std::vector<float> LogicalPieces::read(checkpoint::StateReader& reader, const std::string& name,
                                       std::size_t count) const {
  if (const auto* saved = reader.find(name); saved != nullptr && saved->count != count) {
    fail(ErrorCode::invalid_argument, "tensor '" + name + "' has " + std::to_string(saved->count) +
                                          " elements in the checkpoint, " + std::to_string(count) + " here");
  }
  std::vector<float> room(own(count).size());
  reader.into(name, own(count).begin, TensorView(std::span(room)));
  return room;  // moved: its elements stay where they are
}

}  // namespace trireme::cli
