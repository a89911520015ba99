// SPDX-License-Identifier: Apache-2.0
#include "cli/train/tasks/known_features.hpp"

#include <cstdint>

namespace trireme::cli {

void drop_features_from(data::SparseTable& table, std::size_t features) {
  if (table.features <= features) return;
  std::size_t kept = 0;
  std::uint64_t begin = 0;
  for (std::size_t row = 0; row < table.size(); ++row) {
    const std::uint64_t end = table.offsets[row + 1];
    for (std::uint64_t k = begin; k < end; ++k) {
      if (table.indices[k] >= features) continue;
      table.indices[kept] = table.indices[k];
      table.values[kept++] = table.values[k];
    }
    begin = end;
    table.offsets[row + 1] = kept;
  }
  table.indices.resize(kept);
  table.values.resize(kept);
  table.features = features;
}

}  // namespace trireme::cli
