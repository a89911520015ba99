// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/train/options.hpp"
#include "trireme/data/rows.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace trireme::cli {

/// Rows of a table by number, wherever they are: in memory, in a file, or made up.
template <class Table>
class RowSource {
 public:
  virtual ~RowSource() = default;
  /// Of the features, where the data names them.
  const std::vector<std::string>& names() const { return names_; }
  void set_names(std::vector<std::string> names) { names_ = std::move(names); }
  virtual std::size_t size() const = 0;
  virtual std::size_t features() const = 0;
  /// Puts rows samples[0], samples[1], … into `out`, in place of what it held.
  virtual void read(std::span<const std::uint32_t> samples, Table& out) const = 0;

 private:
  std::vector<std::string> names_;
};

/// Files up to this size are read into memory, larger ones stay where they are; a compressed file has no places to jump to
/// and is read into memory whatever its size.
inline constexpr std::uint64_t most_bytes_in_memory = std::uint64_t{256} << 20;

/// CSV or synthetic samples. The files of a folder are one table, by name; each begins with its header, if any has one.
/// Errors: those of data::CsvFile, load_csv and Synthetic; invalid_argument for files of different columns.
std::unique_ptr<RowSource<data::DenseTable>> open_dense(const DatasetSpec& spec, const TableOptions& options,
                                                        std::uint64_t most_in_memory = most_bytes_in_memory);
/// LibSVM's format; of a folder likewise.
/// Errors: those of data::LibsvmFile and load_libsvm; corrupt for a file without a feature.
std::unique_ptr<RowSource<data::SparseTable>> open_sparse(const DatasetSpec& spec,
                                                          std::uint64_t most_in_memory = most_bytes_in_memory);

}  // namespace trireme::cli
