// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/compute_device.hpp"
#include "cli/perf/operation.hpp"
#include "trireme/base/bytes.hpp"
#include "trireme/base/dtype.hpp"
#include "trireme/base/op.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace trireme::cli {

/// What `trireme perf --compare` was asked for, checked.
struct CompareOptions {
  std::string peer{};  ///< mpi, mpich, gloo or bound
  int ranks = 2;
  std::uint64_t rounds = 9;
  bool near = true;  ///< count only what was measured while the processors were near each other
  std::vector<std::string> peer_arguments{};  ///< more for the peer's launcher
  std::optional<std::string> peers_dir{};     ///< where the peers' programs are; unset: beside this program
};

/// What `trireme perf` was asked for, checked.
struct PerfOptions {
  const PerfOperation* operation = nullptr;  ///< never null
  Bytes min_bytes{4};
  Bytes max_bytes{std::uint64_t{256} << 20};
  std::uint64_t factor = 4;
  DType dtype = DType::f32;
  ReduceOp op = sum;
  int root = 0;
  ReductionOrder order = ReductionOrder::canonical;
  ComputeDevice device = ComputeDevice::cpu;   ///< whose memory is measured
  bool device_given = false;                   ///< by a flag
  std::optional<std::string> engine{};         ///< unset: TRIREME_ENGINE
  std::optional<std::string> device_engine{};  ///< of device memory; unset: TRIREME_DEVICE_ENGINE
  std::optional<bool> nested{};  ///< of device memory: --in-place or not; unset: as the operation does by itself
  std::optional<std::string> algorithm{};     ///< unset: TRIREME_ALGORITHM, or chosen by predicted time
  std::optional<std::string> transport{};     ///< unset: TRIREME_TRANSPORT, or the best there is
  bool arena = true;                          ///< memory of the world's arena, or foreign memory
  std::optional<std::string> json{};          ///< file to write
  std::optional<std::uint64_t> iterations{};  ///< timed ones; unset: by size
  std::uint64_t warmup = 3;                   ///< untimed ones before them; verified as well
  bool cold = true;  ///< inputs rewritten before every call, in buffers used in turn; or one buffer, written once
  bool explain = false;
  std::optional<CompareOptions> compare{};  ///< next to other software, instead of as a rank of a world

  bool on_device() const { return device != ComputeDevice::cpu; }

  /// Whether the result replaces the input, or one lies in the other.
  bool in_place() const {
    if (nested) return *nested;
    return operation->place == PerfPlace::in_place || (operation->place == PerfPlace::in_place_if_rewritten && cold);
  }

  /// Timed iterations for a vector of this size: about 1 GiB in all, between 8 and 200.
  std::uint64_t iterations_for(Bytes size) const;
};

/// Nothing when --help was asked for and printed.
/// Errors: invalid_argument, unsupported in one line naming the flag.
std::optional<PerfOptions> parse_perf_options(const std::vector<std::string>& arguments);

/// Elements per block of every row: sizes min, min*factor, … up to max, in whole elements and at least one, none twice.
/// One row of 0 where nothing is moved.
std::vector<std::size_t> perf_counts(const PerfOptions& options, int ranks);

}  // namespace trireme::cli
