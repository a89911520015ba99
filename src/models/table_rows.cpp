// SPDX-License-Identifier: Apache-2.0
#include "models/table_rows.hpp"

#include "trireme/base/error.hpp"

#include <algorithm>
#include <limits>
#include <string>
#include <type_traits>

namespace trireme::models {
namespace {

constexpr std::size_t most_rows = std::numeric_limits<int>::max();  // far above what memory holds

void check_count(std::size_t rows) {
  if (rows > most_rows) fail(ErrorCode::invalid_argument, std::to_string(rows) + " rows are too many for one call");
}

void check_offsets(const data::SparseRows& rows) {
  const std::size_t stored = std::min(rows.indices.size(), rows.values.size());
  if (std::is_sorted(rows.offsets.begin(), rows.offsets.end()) && rows.offsets.back() <= stored) return;
  fail(ErrorCode::invalid_argument,
       "the offsets of sparse rows do not ascend within the " + std::to_string(stored) + " elements that are stored");
}

}  // namespace

void check_rows(const data::DenseRows& rows, std::size_t features) {
  if (rows.size() == 0) return;
  check_count(rows.size());
  if (rows.features != features) {
    fail(ErrorCode::invalid_argument,
         "rows of " + std::to_string(rows.features) + " features for a model of " + std::to_string(features));
  }
  if (rows.values.size() != rows.size() * features) {
    fail(ErrorCode::invalid_argument, std::to_string(rows.values.size()) + " features are not " +
                                          std::to_string(rows.size()) + " rows of " + std::to_string(features));
  }
}

void check_rows(const data::SparseRows& rows, std::size_t features) {
  if (rows.size() == 0) return;
  check_count(rows.size());
  if (rows.features > features) {
    fail(ErrorCode::invalid_argument,
         "sparse rows of " + std::to_string(rows.features) + " features for a model of " + std::to_string(features));
  }
  check_offsets(rows);
  const auto stored = rows.indices.subspan(rows.offsets.front(), rows.offsets.back() - rows.offsets.front());
  const auto bad = std::find_if(stored.begin(), stored.end(), [&](std::uint32_t f) { return f >= rows.features; });
  if (bad == stored.end()) return;
  const auto place = rows.offsets.front() + static_cast<std::uint64_t>(bad - stored.begin());
  const auto row = std::upper_bound(rows.offsets.begin(), rows.offsets.end(), place) - rows.offsets.begin() - 1;
  fail(ErrorCode::invalid_argument, "feature " + std::to_string(*bad) + " of row " + std::to_string(row) +
                                        " is not below " + std::to_string(rows.features));
}

template <class T>
const T* aligned_values(const data::DenseRows& rows, data::AlignedBuffer<T>& copy) {
  if constexpr (std::is_same_v<T, float>) {
    if (reinterpret_cast<std::uintptr_t>(rows.values.data()) % data::AlignedBuffer<T>::alignment == 0) {
      return rows.values.data();
    }
  }
  copy.ensure(rows.values.size());
  std::copy(rows.values.begin(), rows.values.end(), copy.data());
  return copy.data();
}

template const float* aligned_values(const data::DenseRows&, data::AlignedBuffer<float>&);
template const double* aligned_values(const data::DenseRows&, data::AlignedBuffer<double>&);

}  // namespace trireme::models
