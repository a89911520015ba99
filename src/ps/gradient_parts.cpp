// SPDX-License-Identifier: Apache-2.0
#include "ps/gradient_parts.hpp"

#include "trireme/base/error.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace trireme::ps {

void GradientParts::add(std::size_t tensor, layout::Interval range, ConstTensorView elements,
                        const std::function<void(Key, Payload)>& complete) {
  const auto [first, last] = plan_.keys_of(tensor);
  const TensorInfo& info = plan_.tensors()[tensor];
  if (range.end > info.count() || range.begin > range.end || elements.count != range.size() ||
      elements.dtype != info.accumulator) {
    fail(ErrorCode::invalid_argument,
         "push(): " + std::to_string(elements.count) + " elements of " + std::string(name_of(elements.dtype)) +
             " for elements " + std::to_string(range.begin) + " to " + std::to_string(range.end) + " of '" + info.name +
             "', which has " + std::to_string(info.count()) + " of " + std::string(name_of(info.accumulator)));
  }
  const std::size_t size = size_of(info.accumulator);
  for (Key k = first; k < last; ++k) {
    const layout::Interval own = plan_.keys()[k].range;
    const layout::Interval both{std::max(range.begin, own.begin), std::min(range.end, own.end)};
    if (both.begin >= both.end && own.size() != 0) continue;
    Part& part = parts_[k];
    if (part.payload.empty()) part.payload.resize(own.size() * size);
    if (own.size() != 0) {
      std::memcpy(part.payload.data() + (both.begin - own.begin) * size,
                  static_cast<const std::byte*>(elements.data) + (both.begin - range.begin) * size, both.size() * size);
      part.filled += both.size();
    }
    if (part.filled > own.size())
      fail(ErrorCode::invalid_argument, "push(): elements of '" + info.name + "' were pushed twice in one step");
    if (part.filled == own.size()) {
      part.filled = 0;
      complete(k, std::exchange(part.payload, {}));
    }
  }
}

std::size_t columns_of(const TensorInfo& tensor) {
  return tensor.count() / static_cast<std::size_t>(tensor.shape.front());
}

std::vector<RowsOfKey> rows_by_key(const KeyPlan& plan, std::size_t tensor, std::span<const std::uint32_t> rows) {
  const auto [first, last] = plan.keys_of(tensor);
  const TensorInfo& info = plan.tensors()[tensor];
  if (!info.row_sparse)
    fail(ErrorCode::invalid_argument, "'" + info.name + "' is not row-sparse: it has no rows to tell");
  const std::size_t all = static_cast<std::size_t>(info.shape.front());
  const bool ascending = std::adjacent_find(rows.begin(), rows.end(), std::greater_equal<>()) == rows.end();
  if (!ascending || (!rows.empty() && rows.back() >= all)) {
    fail(ErrorCode::invalid_argument,
         "rows of '" + info.name + "' must ascend and be among its " + std::to_string(all));
  }
  std::vector<RowsOfKey> parts;
  std::size_t at = 0;
  for (Key k = first; k < last; ++k) {
    RowsOfKey part{.key = k, .first = at, .last = at};
    // Rows without elements have nothing that could travel.
    const std::size_t end = info.count() == 0 ? 0 : plan.keys()[k].range.end / columns_of(info);
    while (part.last < rows.size() && rows[part.last] < end) ++part.last;
    at = part.last;
    parts.push_back(part);
  }
  return parts;
}

void place_mean(const TensorInfo& info, const KeyInfo& key, const Reduced& reduced, std::span<const std::byte> payload,
                const TensorView& mean) {
  const std::size_t size = size_of(info.accumulator), key_bytes = key.range.size() * size;
  const std::size_t row_bytes = reduced.sparse && info.count() != 0 ? columns_of(info) * size : 0;
  const std::size_t expected = reduced.sparse ? reduced.rows.size() * row_bytes : key_bytes;
  if (mean.count != info.count() || mean.dtype != info.accumulator || payload.size() != expected)
    fail(ErrorCode::corrupt, "the mean of '" + info.name + "' is not of the size asked for");
  auto* const all = static_cast<std::byte*>(mean.data);
  if (key_bytes == 0) return;
  if (!reduced.sparse) {
    if (key_bytes != 0) std::memcpy(all + key.range.begin * size, payload.data(), key_bytes);
    return;
  }
  std::fill_n(all + key.range.begin * size, key_bytes, std::byte{0});
  for (std::size_t i = 0; i < reduced.rows.size(); ++i) {
    const std::size_t at = reduced.rows[i] * row_bytes;
    if (at < key.range.begin * size || at + row_bytes > key.range.end * size)
      fail(ErrorCode::corrupt, "the mean of '" + info.name + "' has rows of another key");
    std::memcpy(all + at, payload.data() + i * row_bytes, row_bytes);
  }
}

}  // namespace trireme::ps
