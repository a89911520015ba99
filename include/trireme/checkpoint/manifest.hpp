// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/dtype.hpp"
#include "trireme/checkpoint/value.hpp"

#include <compare>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace trireme::checkpoint {

/// One start of a job. Of two that write to one folder, the later one alone may go on.
struct Attempt {
  std::uint64_t generation = 0;
  std::uint64_t id = 0;          ///< random
  std::uint64_t started_ms = 0;  ///< Unix time
  std::string host{};            ///< of rank 0
  std::string job{};             ///< what trains, for people

  /// Earlier attempts are less.
  friend std::strong_ordering operator<=>(const Attempt& a, const Attempt& b) {
    if (const auto by = a.generation <=> b.generation; by != 0) return by;
    if (const auto by = a.started_ms <=> b.started_ms; by != 0) return by;
    return a.id <=> b.id;
  }
  friend bool operator==(const Attempt& a, const Attempt& b) { return (a <=> b) == 0; }
};

/// "attempt 2 (7f00aa12 on host-a)".
std::string text_of(const Attempt& attempt);

/// Consecutive elements of a logical tensor, in row-major order, as they lie in a part.
struct Slice {
  std::uint64_t first = 0;
  std::uint64_t count = 0;
  std::uint32_t part = 0;
  std::uint64_t offset = 0;                 ///< bytes from the begin of the part's file
  std::vector<std::uint64_t> chunk_xxh3{};  ///< of every Manifest::chunk_bytes of it; the last chunk may be short
};

/// A tensor as the whole world knows it.
struct TensorRecord {
  std::string name;
  DType dtype = DType::f32;
  std::vector<std::int64_t> shape;
  std::vector<Slice> slices;  ///< all elements once, in order
  std::size_t count() const;
};

/// A safetensors file.
struct PartRecord {
  std::string file;  ///< below the checkpoint folder
  std::uint64_t bytes = 0;
  std::uint64_t header_bytes = 0;  ///< the 8 bytes of its length included
  std::uint64_t header_xxh3 = 0;
};

/// All there is to know of one checkpoint. A checkpoint is complete when its manifest and every file it names are there
/// and are what it says.
struct Manifest {
  Attempt attempt{};
  std::uint64_t step = 0;
  std::uint32_t world = 1;  ///< ranks that saved it
  std::uint64_t saved_ms = 0;
  std::uint64_t chunk_bytes = 0;
  std::uint64_t parent_generation = 0;  ///< of the checkpoint the attempt went on from; 0: it began anew
  std::uint64_t parent_step = 0;
  Values values{};
  std::vector<TensorRecord> tensors{};
  std::vector<PartRecord> parts{};
  std::string json_file{};  ///< the same for people and other programs
  std::uint64_t json_bytes = 0;
  std::uint64_t json_xxh3 = 0;

  std::uint64_t bytes() const;  ///< of all parts
};

/// Later ones are greater: an attempt beats all before it, whatever their steps.
struct CheckpointId {
  Attempt attempt{};
  std::uint64_t step = 0;
  friend auto operator<=>(const CheckpointId&, const CheckpointId&) = default;
};
inline CheckpointId id_of(const Manifest& manifest) { return {manifest.attempt, manifest.step}; }

/// As JSON, but for its own name, size and hash.
std::string to_json(const Manifest& manifest);

}  // namespace trireme::checkpoint
