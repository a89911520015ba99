// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "data/record_buffer.hpp"
#include "data/regular_file.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

namespace trireme::data {

/// Where each row of a text file begins, so that rows are read by number.
/// Cost:    8 bytes for each row.
/// Threads: any number may read at a time.
class RowIndex {
 public:
  /// Errors: those of RegularFile.
  explicit RowIndex(const std::filesystem::path& path);

  /// The next row begins at `offset`.
  void add(std::uint64_t offset) { offsets_.push_back(offset); }
  std::size_t size() const { return offsets_.size(); }
  /// False for gzip, whose bytes cannot be jumped to.
  bool random_access() const { return !compressed_; }
  /// Errors: corrupt naming the file when it changed since the index was begun.
  void require_unchanged() const { file_.require_unchanged(); }
  /// Errors: invalid_argument naming the file and the range when it does not lie in the rows.
  void require_range(std::size_t first, std::size_t count) const;
  const std::string& name() const { return file_.name(); }

  /// Calls `visit` with each of the `count` rows sample_at(0), sample_at(1), … as a record that begins with it and ends
  /// before the next row's: lines between two rows are at its end.
  /// Errors: invalid_argument, unsupported, corrupt as CsvFile::read says; those of `visit`.
  void read(std::size_t count, const std::function<std::uint64_t(std::size_t)>& sample_at,
            const std::function<void(const Record&)>& visit) const;

 private:
  std::uint64_t end_of(std::uint64_t row) const { return row + 1 < offsets_.size() ? offsets_[row + 1] : file_.size(); }

  RegularFile file_;
  bool compressed_ = false;
  std::vector<std::uint64_t> offsets_;
};

}  // namespace trireme::data
