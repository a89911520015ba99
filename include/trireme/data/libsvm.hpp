// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/bytes.hpp"
#include "trireme/data/byte_source.hpp"
#include "trireme/data/csv.hpp"
#include "trireme/data/rows.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

namespace trireme::data {

struct LibsvmOptions {
  /// Indices above it are refused; 0: as many as the largest index says. Give it where a model has a fixed width, or
  /// where a test set may know less features than the training set.
  std::size_t features = 0;
  Bytes longest_record{std::uint64_t{64} << 20};
  Bytes read_at_a_time{std::uint64_t{256} << 10};
};

/// One pass over a file in LibSVM's format, in blocks of bounded size, from any bytes, plain or gzip: a sample for each
/// line, `label index:value index:value …`, indices from 1 and ascending, what is not named is 0; `#` begins a comment,
/// lines without a sample are left out. Indices are kept from 0, values that are written as 0 are kept.
/// Cost:    memory for a block, a piece of read_at_a_time and the longest line.
/// Errors:  all name the file. corrupt with line and column (from 1, in bytes): a label, index or value that is no
///          number or no finite f32, an index of 0, beyond 2^32 - 1 or `features`, or not above the one before it,
///          something else than a blank between two; a line longer than longest_record, damaged gzip.
///          invalid_argument: no such file; more than 2^32 - 1 features asked for.
/// Threads: one at a time.
/// Source:  C.-C. Chang, C.-J. Lin, "LIBSVM: a library for support vector machines", its README.
class LibsvmReader {
 public:
  /// `source` must outlive the reader; `name` is how errors call it.
  LibsvmReader(ByteSource& source, std::string_view name, const LibsvmOptions& options = {});
  explicit LibsvmReader(const std::filesystem::path& path, const LibsvmOptions& options = {});
  LibsvmReader(LibsvmReader&&) noexcept;
  LibsvmReader& operator=(LibsvmReader&&) noexcept;
  ~LibsvmReader();

  /// Puts the next rows into `block`, in place of what it held: as many as take at most `most` bytes by an estimate
  /// from above (a line of n bytes has at most n/4 + 1 features), one at least. False, and an empty block, at the end.
  /// `block.features` is LibsvmOptions::features or the largest index so far.
  bool next(SparseTable& block, Bytes most = Bytes{std::uint64_t{1} << 20});
  /// Of LibsvmOptions, or the largest index so far.
  std::size_t features() const;
  /// Where the next row begins in the (unpacked) bytes; none at the end.
  std::optional<std::uint64_t> next_offset();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// A whole file in memory.
/// Errors: those of LibsvmReader; corrupt naming the file when it holds no sample; invalid_argument naming it when it
///         takes more than `limit`.
SparseTable load_libsvm(const std::filesystem::path& path, const LibsvmOptions& options = {},
                        Bytes limit = table_limit);
SparseTable load_libsvm(ByteSource& source, std::string_view name, const LibsvmOptions& options = {},
                        Bytes limit = table_limit);

/// A file that stays on disk, with the place of every row: see CsvFile, whose cost, errors and threads it shares.
class LibsvmFile {
 public:
  explicit LibsvmFile(const std::filesystem::path& path, const LibsvmOptions& options = {});
  LibsvmFile(LibsvmFile&&) noexcept;
  LibsvmFile& operator=(LibsvmFile&&) noexcept;
  ~LibsvmFile();

  std::size_t size() const;
  std::size_t features() const;
  /// False for gzip.
  bool random_access() const;

  /// Puts rows samples[0], samples[1], … into `out`, in place of what it held.
  void read(std::span<const std::uint32_t> samples, SparseTable& out) const;
  /// Puts rows first to first + count - 1 there.
  void read(std::size_t first, std::size_t count, SparseTable& out) const;
  /// A new pass from the first row; its blocks have features() features.
  LibsvmReader pass() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace trireme::data
