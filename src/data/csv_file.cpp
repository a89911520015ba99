// SPDX-License-Identifier: Apache-2.0
#include "data/csv_record.hpp"
#include "data/row_index.hpp"
#include "trireme/base/error.hpp"
#include "trireme/data/csv.hpp"

#include <functional>
#include <limits>
#include <string>

namespace trireme::data {

struct CsvFile::State {
  explicit State(const std::filesystem::path& place, const CsvOptions& wanted)
      : path(place), options(wanted), index(place) {}

  void read(std::size_t count, const std::function<std::uint64_t(std::size_t)>& sample_at, DenseTable& out) const {
    out.clear();
    out.features = columns.features();
    index.read(count, sample_at, [&](Record record) {
      // Behind a row there can be empty lines only.
      while (record.end != record.begin && (record.end[-1] == '\n' || record.end[-1] == '\r')) --record.end;
      append_csv_row(record, index.name(), columns, options.separator, out);
    });
  }

  std::filesystem::path path;
  CsvOptions options;
  RowIndex index;
  CsvColumns columns;
};

CsvFile::CsvFile(const std::filesystem::path& path, const CsvOptions& options)
    : state_(std::make_unique<State>(path, options)) {
  CsvReader reader = pass();
  state_->columns = reader.columns();
  DenseTable row;
  while (const auto offset = reader.next_offset()) {
    reader.next(row, Bytes{0});
    state_->index.add(*offset);
  }
  if (size() == 0) fail(ErrorCode::corrupt, state_->index.name() + ": a CSV file without a row");
  state_->index.require_unchanged();
}

CsvFile::CsvFile(CsvFile&&) noexcept = default;
CsvFile& CsvFile::operator=(CsvFile&&) noexcept = default;
CsvFile::~CsvFile() = default;

std::size_t CsvFile::size() const { return state_->index.size(); }
const CsvColumns& CsvFile::columns() const { return state_->columns; }
bool CsvFile::random_access() const { return state_->index.random_access(); }
CsvReader CsvFile::pass() const { return CsvReader(state_->path, state_->options); }

void CsvFile::read(std::span<const std::uint32_t> samples, DenseTable& out) const {
  state_->read(
      samples.size(), [&](std::size_t i) { return samples[i]; }, out);
}

void CsvFile::read(std::size_t first, std::size_t count, DenseTable& out) const {
  state_->index.require_range(first, count);
  state_->read(
      count, [&](std::size_t i) { return first + i; }, out);
}

}  // namespace trireme::data
