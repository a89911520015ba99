// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/bytes.hpp"
#include "trireme/data/byte_source.hpp"
#include "trireme/data/rows.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace trireme::data {

/// The most bytes a table in memory may take unless the caller says otherwise.
inline constexpr Bytes table_limit{std::uint64_t{16} << 30};

struct CsvOptions {
  char separator = ',';
  bool header = true;                        ///< the first line names the columns
  std::optional<std::string> label_name{};   ///< the column that is the label; needs the header
  std::optional<std::size_t> label_index{};  ///< the same by place, from 0; at most one of the two
  Bytes longest_record{std::uint64_t{16} << 20};
  Bytes read_at_a_time{std::uint64_t{256} << 10};
};

/// What the columns of a CSV file are.
struct CsvColumns {
  std::vector<std::string> names;    ///< of all columns, the label's too; empty without a header
  std::size_t columns = 0;           ///< of the file, the label's too
  std::optional<std::size_t> label;  ///< which of them it is
  std::size_t features() const { return columns - (label ? 1 : 0); }
};

/// One pass over a CSV file in blocks of bounded size, for files larger than memory, from any bytes, plain or gzip.
/// Every column holds decimal numbers; features are the columns but the label's, in their order.
/// Quotes, line ends (either kind, the last may be missing) and doubled quotes are those of RFC 4180; blanks beside a
/// number and a byte order mark are allowed. A line without a character is left out, unless the file has one column.
/// Cost:    memory for a block, a piece of read_at_a_time and the longest record.
/// Errors:  all name the file. corrupt with line and column (from 1, by name where it has one): a missing value, what
///          is no finite number or is beyond f32, another number of columns than the first line has, a misplaced or
///          unclosed quote, a record longer than longest_record; without: no line at all, damaged gzip.
///          invalid_argument: no such file, a separator that numbers or quotes use, a label column that is not there,
///          is named twice or is the only one.
/// Threads: one at a time.
class CsvReader {
 public:
  /// Reads the first line. `source` must outlive the reader; `name` is how errors call it.
  CsvReader(ByteSource& source, std::string_view name, const CsvOptions& options = {});
  explicit CsvReader(const std::filesystem::path& path, const CsvOptions& options = {});
  CsvReader(CsvReader&&) noexcept;
  CsvReader& operator=(CsvReader&&) noexcept;
  ~CsvReader();

  const CsvColumns& columns() const;

  /// Puts the next rows into `block`, in place of what it held: as many as take at most `most` bytes of features and
  /// labels, one at least. False, and an empty block, at the end.
  bool next(DenseTable& block, Bytes most = Bytes{std::uint64_t{1} << 20});
  /// Where the next row begins in the (unpacked) bytes; none at the end.
  std::optional<std::uint64_t> next_offset();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// A whole CSV file in memory.
/// Errors: those of CsvReader; corrupt naming the file when it holds no row; invalid_argument naming it when it takes
///         more than `limit`.
DenseTable load_csv(const std::filesystem::path& path, const CsvOptions& options = {}, Bytes limit = table_limit);
DenseTable load_csv(ByteSource& source, std::string_view name, const CsvOptions& options = {},
                    Bytes limit = table_limit);

/// A CSV file that stays on disk, with the place of every row, so that samples are read by number as DistributedSampler
/// gives them. Opening it reads it once and so finds every error of the file before training begins.
/// Cost:    8 bytes of memory for each row. A read is one system call for each run of consecutive samples up to 1 MiB.
/// Errors:  opening: those of load_csv. read(): invalid_argument for a sample that is not there; unsupported for gzip,
///          which has no places to jump to (passes and load_csv read it); corrupt when the file has changed.
/// Threads: any number may read at a time, each into a table of its own.
class CsvFile {
 public:
  explicit CsvFile(const std::filesystem::path& path, const CsvOptions& options = {});
  CsvFile(CsvFile&&) noexcept;
  CsvFile& operator=(CsvFile&&) noexcept;
  ~CsvFile();

  std::size_t size() const;
  const CsvColumns& columns() const;
  /// False for gzip.
  bool random_access() const;

  /// Puts rows samples[0], samples[1], … into `out`, in place of what it held.
  void read(std::span<const std::uint32_t> samples, DenseTable& out) const;
  /// Puts rows first to first + count - 1 there.
  void read(std::size_t first, std::size_t count, DenseTable& out) const;
  /// A new pass from the first row.
  CsvReader pass() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace trireme::data
