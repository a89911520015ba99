// SPDX-License-Identifier: Apache-2.0
#include "ps/partial_pushes.hpp"

#include "trireme/base/error.hpp"

#include <algorithm>
#include <string>

namespace trireme::ps {

std::vector<PartialPushes::Whole> PartialPushes::add(std::size_t tensor, std::uint64_t step, layout::Interval range,
                                                     std::span<const std::byte> elements) {
  const TensorInfo& info = plan_.tensors()[tensor];
  const std::size_t size = size_of(info.accumulator);
  const auto refuse = [&](const std::string& why) {
    fail(ErrorCode::invalid_argument, "elements " + std::to_string(range.begin) + " to " + std::to_string(range.end) +
                                          " of '" + info.name + "' in step " + std::to_string(step) + " " + why);
  };
  if (range.begin > range.end || range.end > info.count()) refuse("do not exist");
  if (elements.size() != range.size() * size) refuse("are not as many as were given");
  std::vector<Whole> whole;
  const auto [first, last] = plan_.keys_of(tensor);
  for (Key key = first; key < last; ++key) {
    const layout::Interval all = plan_.keys()[key].range;
    const layout::Interval part{std::max(all.begin, range.begin), std::min(all.end, range.end)};
    if (part.begin >= part.end) continue;
    auto& pieces = pieces_[{key, step}];
    const auto next = pieces.lower_bound(part.begin);
    if ((next != pieces.end() && next->second.range.begin < part.end) ||
        (next != pieces.begin() && std::prev(next)->second.range.end > part.begin))
      refuse("come twice");
    pieces[part.begin] = {part, elements.subspan((part.begin - range.begin) * size, part.size() * size)};
    std::size_t covered = 0;
    for (const auto& [begin, piece] : pieces) covered += piece.range.size();
    if (covered != all.size()) continue;
    Whole complete{.key = key, .pieces{}};
    for (const auto& [begin, piece] : pieces) complete.pieces.push_back(piece.bytes);
    whole.push_back(std::move(complete));
    pieces_.erase({key, step});
  }
  return whole;
}

bool PartialPushes::is_open(std::size_t tensor, std::uint64_t step) const {
  const auto [first, last] = plan_.keys_of(tensor);
  for (Key key = first; key < last; ++key) {
    if (pieces_.count({key, step}) != 0) return true;
  }
  return false;
}

}  // namespace trireme::ps
