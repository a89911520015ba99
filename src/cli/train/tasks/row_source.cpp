// SPDX-License-Identifier: Apache-2.0
#include "cli/train/tasks/row_source.hpp"

#include "trireme/base/error.hpp"
#include "trireme/data/csv.hpp"
#include "trireme/data/libsvm.hpp"
#include "trireme/data/synthetic.hpp"

#include <charconv>
#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace trireme::cli {
namespace {

void append(const data::DenseTable& from, std::size_t row, data::DenseTable& out) {
  const auto values = from.view().row(row);
  out.values.insert(out.values.end(), values.begin(), values.end());
  out.labels.push_back(from.labels[row]);
  ++out.rows;
}

void append(const data::SparseTable& from, std::size_t row, data::SparseTable& out) {
  const auto view = from.view();
  const auto indices = view.row_indices(row);
  const auto values = view.row_values(row);
  out.indices.insert(out.indices.end(), indices.begin(), indices.end());
  out.values.insert(out.values.end(), values.begin(), values.end());
  out.offsets.push_back(out.indices.size());
  out.labels.push_back(from.labels[row]);
}

template <class Table>
class InMemory final : public RowSource<Table> {
 public:
  explicit InMemory(Table table) : table_(std::move(table)) {}
  std::size_t size() const override { return table_.size(); }
  std::size_t features() const override { return table_.features; }
  void read(std::span<const std::uint32_t> samples, Table& out) const override {
    out.clear();
    out.features = table_.features;
    for (const std::uint32_t sample : samples) append(table_, sample, out);
  }

 private:
  Table table_;
};

std::size_t features_of(const data::CsvFile& file) { return file.columns().features(); }
std::size_t features_of(const data::LibsvmFile& file) { return file.features(); }

template <class File, class Table>
class OnDisk final : public RowSource<Table> {
 public:
  explicit OnDisk(File file) : file_(std::move(file)) {}
  std::size_t size() const override { return file_.size(); }
  std::size_t features() const override { return features_of(file_); }
  void read(std::span<const std::uint32_t> samples, Table& out) const override { file_.read(samples, out); }

 private:
  File file_;
};

class MadeUp final : public RowSource<data::DenseTable> {
 public:
  MadeUp(const data::SyntheticOptions& options, std::size_t size) : rows_(options), size_(size) {}
  std::size_t size() const override { return size_; }
  std::size_t features() const override { return rows_.options().features; }
  void read(std::span<const std::uint32_t> samples, data::DenseTable& out) const override { rows_.read(samples, out); }

 private:
  data::Synthetic rows_;
  std::size_t size_;
};

data::SyntheticOptions synthetic_options(const std::string& kind, const TableOptions& options) {
  return {.kind = kind == "linear"     ? data::SyntheticKind::linear
                  : kind == "logistic" ? data::SyntheticKind::logistic
                                       : data::SyntheticKind::blobs,
          .features = options.features,
          .classes = options.classes,
          .noise = options.noise};
}

bool is_small(const std::string& path, std::uint64_t most_bytes) {
  std::error_code error;
  const auto bytes = std::filesystem::file_size(path, error);
  return error || bytes <= most_bytes;  // what is no file the reader says better
}

void check_features(std::size_t features, const std::string& path) {
  if (features == 0) fail(ErrorCode::corrupt, path + " has labels, but no feature");
}

/// As the reader of the rows means it: with blanks beside it and a sign + too.
bool is_number(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return false;
  text = text.substr(first, text.find_last_not_of(" \t") + 1 - first);
  if (text.front() == '+') text.remove_prefix(1);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

/// The first line names the columns unless all it holds are numbers.
bool has_header(const std::string& path, char separator) {
  const data::CsvReader reader{std::filesystem::path(path), {.separator = separator, .header = true}};
  for (const std::string& name : reader.columns().names) {
    if (!is_number(name)) return true;
  }
  return false;
}

/// A name, or a place from 0; the last column unless said.
data::CsvOptions csv_options(const std::string& path, const TableOptions& options) {
  data::CsvOptions csv{.separator = options.separator, .header = has_header(path, options.separator)};
  std::size_t place = 0;
  const std::string& label = options.label;
  const auto [end, error] = std::from_chars(label.data(), label.data() + label.size(), place);
  if (label.empty()) {
    const data::CsvReader reader{std::filesystem::path(path), csv};
    csv.label_index = reader.columns().columns - 1;
  } else if (error == std::errc() && end == label.data() + label.size()) {
    csv.label_index = place;
  } else if (csv.header) {
    csv.label_name = label;
  } else {
    fail(ErrorCode::invalid_argument,
         "--label is '" + label + "', but the first line of " + path + " names no columns: give its place, from 0");
  }
  return csv;
}

std::unique_ptr<RowSource<data::DenseTable>> open_csv(const std::filesystem::path& path, const data::CsvOptions& csv,
                                                      std::uint64_t most_in_memory) {
  if (!is_small(path, most_in_memory)) {
    if (data::CsvFile file(path, csv); file.random_access()) {
      return std::make_unique<OnDisk<data::CsvFile, data::DenseTable>>(std::move(file));
    }
  }
  return std::make_unique<InMemory<data::DenseTable>>(data::load_csv(path, csv));
}

std::vector<std::string> feature_names(const std::filesystem::path& path, const data::CsvOptions& csv) {
  const data::CsvReader reader{path, csv};
  std::vector<std::string> names = reader.columns().names;
  if (!names.empty() && reader.columns().label) {
    names.erase(names.begin() + static_cast<std::ptrdiff_t>(*reader.columns().label));
  }
  return names;
}

}  // namespace

std::unique_ptr<RowSource<data::DenseTable>> open_dense(const DatasetSpec& spec, const TableOptions& options,
                                                        std::uint64_t most_in_memory) {
  if (spec.kind == DatasetKind::synthetic) {
    return std::make_unique<MadeUp>(synthetic_options(spec.path, options), options.samples);
  }
  const data::CsvOptions csv = csv_options(spec.path, options);
  auto source = open_csv(spec.path, csv, most_in_memory);
  source->set_names(feature_names(spec.path, csv));
  return source;
}

std::unique_ptr<RowSource<data::SparseTable>> open_sparse(const DatasetSpec& spec, std::uint64_t most_in_memory) {
  const std::filesystem::path path(spec.path);
  if (!is_small(spec.path, most_in_memory)) {
    if (data::LibsvmFile file(path); file.random_access()) {
      check_features(file.features(), spec.path);
      return std::make_unique<OnDisk<data::LibsvmFile, data::SparseTable>>(std::move(file));
    }
  }
  data::SparseTable table = data::load_libsvm(path);
  check_features(table.features, spec.path);
  return std::make_unique<InMemory<data::SparseTable>>(std::move(table));
}

}  // namespace trireme::cli
