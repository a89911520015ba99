// SPDX-License-Identifier: Apache-2.0
#include "trireme/data/csv.hpp"

#include "data/csv_record.hpp"
#include "data/record_buffer.hpp"
#include "trireme/base/error.hpp"

#include <algorithm>
#include <string>
#include <utility>

namespace trireme::data {
namespace {

const CsvOptions& checked(const CsvOptions& options, const std::string& name) {
  if (std::string_view("\"\r\n+-.0123456789eE").find(options.separator) != std::string_view::npos ||
      options.separator == '\0') {
    fail(ErrorCode::invalid_argument, name + ": a separator of CSV cannot be a quote, a line end or a part of numbers");
  }
  if (options.label_name && options.label_index) {
    fail(ErrorCode::invalid_argument, name + ": the label column is given by name and by index: give one");
  }
  if (options.label_name && !options.header) {
    fail(ErrorCode::invalid_argument, name + ": a label column by name needs a header line: give its index");
  }
  return options;
}

}  // namespace

struct CsvReader::State {
  State(std::unique_ptr<FileSource> opened, ByteSource& source, std::string_view called, const CsvOptions& wanted)
      : name(called),
        options(checked(wanted, name)),
        file(std::move(opened)),
        content(gunzip_if_compressed(source, name)),
        records(*content, name,
                {.quote = '"', .longest = options.longest_record, .at_a_time = options.read_at_a_time}) {
    pending = records.next();
    while (pending && pending->begin == pending->end) pending = records.next();
    if (!pending) fail(ErrorCode::corrupt, name + ": a CSV file without a line");
    columns = csv_columns(*pending, name, options);
    if (options.header) pending.reset();
  }

  /// The next record that is a row.
  bool advance() {
    if (!pending) pending = records.next();
    while (pending && pending->begin == pending->end && columns.columns > 1) pending = records.next();
    return pending.has_value();
  }

  std::string name;
  CsvOptions options;
  std::unique_ptr<FileSource> file;
  std::unique_ptr<ByteSource> content;
  RecordBuffer records;
  std::optional<Record> pending;  ///< read, but not yet a row of a block
  CsvColumns columns;
};

CsvReader::CsvReader(ByteSource& source, std::string_view name, const CsvOptions& options)
    : state_(std::make_unique<State>(nullptr, source, name, options)) {}

CsvReader::CsvReader(const std::filesystem::path& path, const CsvOptions& options) {
  auto file = std::make_unique<FileSource>(path);
  ByteSource& source = *file;
  state_ = std::make_unique<State>(std::move(file), source, path.string(), options);
}

CsvReader::CsvReader(CsvReader&&) noexcept = default;
CsvReader& CsvReader::operator=(CsvReader&&) noexcept = default;
CsvReader::~CsvReader() = default;

const CsvColumns& CsvReader::columns() const { return state_->columns; }

bool CsvReader::next(DenseTable& block, Bytes most) {
  State& state = *state_;
  block.clear();
  block.features = state.columns.features();
  const std::uint64_t rows = std::max<std::uint64_t>(1, most.value / (sizeof(float) * state.columns.columns));
  while (block.rows < rows && state.advance()) {
    append_csv_row(*state.pending, state.name, state.columns, state.options.separator, block);
    state.pending.reset();
  }
  return block.rows > 0;
}

std::optional<std::uint64_t> CsvReader::next_offset() {
  return state_->advance() ? std::optional(state_->pending->offset) : std::nullopt;
}

namespace {

DenseTable load(CsvReader reader, const std::string& name, Bytes limit) {
  DenseTable table;
  table.features = reader.columns().features();
  DenseTable block;
  while (reader.next(block)) {
    const std::uint64_t row_bytes = sizeof(float) * reader.columns().columns;
    if ((table.rows + block.rows) > limit.value / row_bytes) {
      fail(ErrorCode::invalid_argument,
           name + ": more than the limit of " + std::to_string(limit.value) + " bytes in memory: read it in blocks");
    }
    table.values.insert(table.values.end(), block.values.begin(), block.values.end());
    table.labels.insert(table.labels.end(), block.labels.begin(), block.labels.end());
    table.rows += block.rows;
  }
  if (table.rows == 0) fail(ErrorCode::corrupt, name + ": a CSV file without a row");
  return table;
}

}  // namespace

DenseTable load_csv(const std::filesystem::path& path, const CsvOptions& options, Bytes limit) {
  return load(CsvReader(path, options), path.string(), limit);
}

DenseTable load_csv(ByteSource& source, std::string_view name, const CsvOptions& options, Bytes limit) {
  return load(CsvReader(source, name, options), std::string(name), limit);
}

}  // namespace trireme::data
