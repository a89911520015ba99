// SPDX-License-Identifier: Apache-2.0
#include "ps/pending_sums.hpp"

#include "trireme/base/error.hpp"

#include <algorithm>
#include <cstring>
#include <string>

namespace trireme::ps {

PendingSums::Sum& PendingSums::at(std::size_t tensor, std::uint64_t step) {
  const auto [entry, is_new] = sums_.try_emplace({tensor, step});
  if (is_new) {
    const auto [first, last] = plan_.keys_of(tensor);
    entry->second.parts.resize(last - first);
    entry->second.missing = last - first;
  }
  return entry->second;
}

void PendingSums::finished(std::uint32_t tensor, std::uint64_t step) {
  if (const auto entry = sums_.find({tensor, step}); entry != sums_.end()) --entry->second.pushes;
}

void PendingSums::want(std::size_t tensor, std::uint64_t step, TensorView mean) {
  Sum& sum = at(tensor, step);
  sum.mean = mean;
  for (auto& part : sum.parts) {
    if (part) lay_out(mean, *part);
  }
}

std::span<std::byte> PendingSums::memory_of(const TensorView& mean, Key key) const {
  const layout::Interval range = plan_.keys()[key].range;
  const std::size_t size = size_of(mean.dtype);
  return {static_cast<std::byte*>(mean.data) + range.begin * size, range.size() * size};
}

std::span<std::byte> PendingSums::place(const Reduced& reduced, std::uint64_t payload_bytes) {
  if (reduced.key >= plan_.keys().size() || payload_bytes == 0 || reduced.sparse) return {};
  const KeyInfo& key = plan_.keys()[reduced.key];
  const auto entry = sums_.find({key.tensor, reduced.step});
  if (entry == sums_.end() || !entry->second.mean || entry->second.mean->count == 0) return {};
  if (entry->second.parts[reduced.key - plan_.keys_of(key.tensor).first]) return {};  // it came before
  const auto memory = memory_of(*entry->second.mean, reduced.key);
  if (memory.size() != payload_bytes) fail(ErrorCode::corrupt, "a mean of another length than its key");
  entry->second.placed.insert(reduced.key);
  return memory;
}

void PendingSums::arrived(Reduced reduced, Payload payload) {
  if (reduced.key >= plan_.keys().size()) return;
  const KeyInfo& key = plan_.keys()[reduced.key];
  if (reduced.step <= taken_[key.tensor]) return;
  Sum& sum = at(key.tensor, reduced.step);
  auto& part = sum.parts[reduced.key - plan_.keys_of(key.tensor).first];
  if (part) return;
  part = Part{.reduced = std::move(reduced), .payload = std::move(payload)};
  part->is_placed = sum.placed.erase(part->reduced.key) != 0;
  --sum.missing;
  if (sum.mean) lay_out(*sum.mean, *part);
}

bool PendingSums::has_come(Key key, std::uint64_t step) const {
  const std::uint32_t tensor = plan_.keys()[key].tensor;
  if (step <= taken_[tensor]) return true;
  const auto entry = sums_.find({tensor, step});
  return entry != sums_.end() && entry->second.parts[key - plan_.keys_of(tensor).first].has_value();
}

/// What was kept goes to the caller's memory.
void PendingSums::lay_out(const TensorView& mean, Part& part) const {
  if (mean.count == 0 || part.is_placed) return;
  part.is_placed = true;
  const auto memory = memory_of(mean, part.reduced.key);
  if (part.reduced.sparse) {
    const KeyInfo& key = plan_.keys()[part.reduced.key];
    const TensorInfo& tensor = plan_.tensors()[key.tensor];
    const std::size_t rows = tensor.shape.empty() ? 1 : static_cast<std::size_t>(tensor.shape[0]);
    const std::size_t width = tensor.count() / std::max<std::size_t>(rows, 1);
    const std::size_t row_bytes = width * size_of(mean.dtype);
    if (part.payload.size() != part.reduced.rows.size() * row_bytes)
      fail(ErrorCode::corrupt, "rows of a mean of '" + tensor.name + "' are not as long as they must be");
    std::fill(memory.begin(), memory.end(), std::byte{});  // +0 of every dtype
    for (std::size_t i = 0; i < part.reduced.rows.size(); ++i) {
      const std::size_t row = part.reduced.rows[i];
      if (row * width < key.range.begin || (row + 1) * width > key.range.end)
        fail(ErrorCode::corrupt, "a mean of '" + tensor.name + "' has rows of another key");
      std::memcpy(memory.data() + (row * width - key.range.begin) * size_of(mean.dtype),
                  part.payload.data() + i * row_bytes, row_bytes);
    }
  } else if (part.reduced.total_weight == 0.0) {
    std::fill(memory.begin(), memory.end(), std::byte{});  // nobody had anything to sum
  } else if (part.payload.size() != memory.size()) {
    fail(ErrorCode::corrupt,
         "a mean has " + std::to_string(part.payload.size()) + " bytes, its key " + std::to_string(memory.size()));
  } else {
    if (!memory.empty()) std::memcpy(memory.data(), part.payload.data(), memory.size());
  }
  part.payload = Payload();
}

bool PendingSums::is_complete(std::size_t tensor, std::uint64_t step) const {
  const auto entry = sums_.find({tensor, step});
  return entry != sums_.end() && entry->second.missing == 0 && entry->second.pushes == 0;
}

Client::Sum PendingSums::take(std::size_t tensor, std::uint64_t step) {
  Client::Sum result;
  const auto entry = sums_.find({tensor, step});
  for (const auto& part : entry->second.parts) {
    result.total_weight = part->reduced.total_weight;
    result.used = result.used || part->reduced.used_by != 0;
    result.block_sums.insert(result.block_sums.end(), part->reduced.block_sums.begin(), part->reduced.block_sums.end());
  }
  sums_.erase(entry);
  taken_[tensor] = std::max(taken_[tensor], step);
  return result;
}

void PendingSums::forget_until(std::uint64_t step) {
  std::erase_if(sums_, [&](const auto& each) { return each.first.second <= step; });
  for (std::uint64_t& taken : taken_) taken = std::max(taken, step);
}

}  // namespace trireme::ps
