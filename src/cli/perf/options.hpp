// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/bytes.hpp"
#include "trireme/base/dtype.hpp"
#include "trireme/base/op.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace trireme::cli {

/// What `trireme perf` was asked for, checked.
struct PerfOptions {
  std::string operation = "all_reduce";
  Bytes min_bytes{4};
  Bytes max_bytes{std::uint64_t{256} << 20};
  std::uint64_t factor = 4;
  DType dtype = DType::f32;
  ReduceOp op = sum;
  ReductionOrder order = ReductionOrder::canonical;
  std::optional<std::string> algorithm{};     ///< unset: TRIREME_ALGORITHM, or chosen by predicted time
  std::optional<std::string> transport{};     ///< unset: TRIREME_TRANSPORT, or the best there is
  bool arena = true;                          ///< memory of the world's arena, or foreign memory
  std::optional<std::string> json{};          ///< file to write
  std::optional<std::uint64_t> iterations{};  ///< timed ones; unset: by size
  std::uint64_t warmup = 3;                   ///< untimed ones before them; verified as well
  bool explain = false;

  /// Timed iterations for a vector of this size: about 1 GiB in all, between 8 and 200.
  std::uint64_t iterations_for(Bytes size) const;
};

/// Nothing when --help was asked for and printed.
/// Errors: invalid_argument, unsupported in one line naming the flag.
std::optional<PerfOptions> parse_perf_options(const std::vector<std::string>& arguments);

/// Elements of every row: sizes min, min*factor, … up to max, in whole elements and at least one, none twice.
std::vector<std::size_t> perf_counts(const PerfOptions& options);

}  // namespace trireme::cli
