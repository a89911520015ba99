// SPDX-License-Identifier: Apache-2.0
#include "cli/train/tasks/row_source.hpp"

#include "cli/train/tasks/data_files.hpp"
#include "trireme/base/error.hpp"
#include "trireme/data/csv.hpp"
#include "trireme/data/libsvm.hpp"
#include "trireme/data/synthetic.hpp"

#include <algorithm>
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

/// Several files as one table, a file after the other. Features that only some name are there in all.
template <class Table>
class Joined final : public RowSource<Table> {
 public:
  void add(std::unique_ptr<RowSource<Table>> part) {
    features_ = std::max(features_, part->features());
    ends_.push_back(size() + part->size());
    parts_.push_back(std::move(part));
  }
  std::size_t size() const override { return ends_.empty() ? 0 : ends_.back(); }
  std::size_t features() const override { return features_; }
  void read(std::span<const std::uint32_t> samples, Table& out) const override {
    out.clear();
    out.features = features_;
    Table rows;
    std::vector<std::uint32_t> numbers;
    for (std::size_t i = 0; i < samples.size();) {  // as many at a time as are of one file
      const auto part =
          static_cast<std::size_t>(std::upper_bound(ends_.begin(), ends_.end(), samples[i]) - ends_.begin());
      const std::size_t first = part == 0 ? 0 : ends_[part - 1];
      numbers.clear();
      for (; i < samples.size() && samples[i] >= first && samples[i] < ends_[part]; ++i)
        numbers.push_back(static_cast<std::uint32_t>(samples[i] - first));
      parts_[part]->read(numbers, rows);
      for (std::size_t row = 0; row < numbers.size(); ++row) append(rows, row, out);
    }
  }

 private:
  std::vector<std::unique_ptr<RowSource<Table>>> parts_;
  std::vector<std::size_t> ends_;
  std::size_t features_ = 0;
};

data::SyntheticOptions synthetic_options(const std::string& kind, const TableOptions& options) {
  return {.kind = kind == "linear"     ? data::SyntheticKind::linear
                  : kind == "logistic" ? data::SyntheticKind::logistic
                                       : data::SyntheticKind::blobs,
          .features = options.features,
          .classes = options.classes,
          .noise = options.noise};
}

constexpr std::uint64_t always_small = std::uint64_t{1} << 20;  // many such files would be as many descriptors

std::uint64_t size_of(const std::filesystem::path& path) {
  std::error_code error;
  const auto bytes = std::filesystem::file_size(path, error);
  return error ? 0 : bytes;  // what is no file the reader says better
}

/// Up to which size a file is read into memory, when all of them are to take no more than `most_in_memory`.
std::uint64_t most_of_each(const std::vector<std::filesystem::path>& files, std::uint64_t most_in_memory) {
  std::uint64_t all = 0;
  for (const auto& each : files) all += size_of(each);
  return files.size() == 1 || all <= most_in_memory ? most_in_memory : std::min(most_in_memory, always_small);
}

bool is_small(const std::filesystem::path& path, std::uint64_t most_bytes) { return size_of(path) <= most_bytes; }

void check_features(std::size_t features, const std::string& path) {
  if (features == 0) fail(ErrorCode::corrupt, path + " has labels, but no feature");
}

/// As the reader of the rows means it: with blanks beside it and a sign + too. One beyond any range is a number as well; nan and inf,
/// which may be names, are none.
bool is_number(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return false;
  text = text.substr(first, text.find_last_not_of(" \t") + 1 - first);
  if (text.front() == '+') text.remove_prefix(1);
  if (text.find_first_of("0123456789") == std::string_view::npos) return false;
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error != std::errc::invalid_argument && end == text.data() + text.size();
}

/// Only where the columns are more than the label's.
std::vector<std::string> first_line(const std::string& path, char separator) {
  const data::CsvReader reader{std::filesystem::path(path), {.separator = separator, .header = true}};
  if (reader.columns().columns > 1) return reader.columns().names;
  const std::string between = separator == '\t' ? "tab" : std::string("'") + separator + "'";
  fail(ErrorCode::invalid_argument, path + ": no column but the label: no " + between +
                                        " stands in its first line; say with --separator what is between columns");
}

/// The first line names the columns when no cell of it is a number, or --label names one of them. In any other the reader refuses what
/// is no number.
bool is_header(const std::vector<std::string>& line, const std::string& label) {
  return std::none_of(line.begin(), line.end(), is_number) ||
         (!label.empty() && !is_number(label) && std::find(line.begin(), line.end(), label) != line.end());
}

/// A name, or a place from 0; the last column unless said.
data::CsvOptions csv_options(const std::string& path, const TableOptions& options) {
  const std::vector<std::string> line = first_line(path, options.separator);
  const std::string& label = options.label;
  data::CsvOptions csv{.separator = options.separator, .header = is_header(line, label)};
  std::size_t place = 0;
  const auto [end, error] = std::from_chars(label.data(), label.data() + label.size(), place);
  if (label.empty()) {
    csv.label_index = line.size() - 1;
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
  const auto files = files_of(spec);
  const std::uint64_t most = most_of_each(files, most_in_memory);
  const auto open_one = [&](const std::filesystem::path& path) {
    const data::CsvOptions csv = csv_options(path.string(), options);
    auto source = open_csv(path, csv, most);
    source->set_names(feature_names(path, csv));
    return source;
  };
  if (files.size() == 1) return open_one(files.front());
  auto joined = std::make_unique<Joined<data::DenseTable>>();
  for (const auto& path : files) {
    auto part = open_one(path);
    if (joined->size() == 0) joined->set_names(part->names());
    if (joined->size() != 0 && (part->features() != joined->features() || part->names() != joined->names())) {
      fail(ErrorCode::invalid_argument, path.string() + " has other columns than " + files.front().string() + ": " +
                                            std::to_string(part->features()) + " features, not " +
                                            std::to_string(joined->features()) + ", or others");
    }
    joined->add(std::move(part));
  }
  return joined;
}

std::unique_ptr<RowSource<data::SparseTable>> open_sparse(const DatasetSpec& spec, std::uint64_t most_in_memory) {
  const auto files = files_of(spec);
  const std::uint64_t most = most_of_each(files, most_in_memory);
  const auto open_one = [&](const std::filesystem::path& path) -> std::unique_ptr<RowSource<data::SparseTable>> {
    if (!is_small(path, most)) {
      if (data::LibsvmFile file(path); file.random_access())
        return std::make_unique<OnDisk<data::LibsvmFile, data::SparseTable>>(std::move(file));
    }
    return std::make_unique<InMemory<data::SparseTable>>(data::load_libsvm(path));
  };
  if (files.size() == 1) {
    auto source = open_one(files.front());
    check_features(source->features(), spec.path);
    return source;
  }
  auto joined = std::make_unique<Joined<data::SparseTable>>();
  for (const auto& path : files) joined->add(open_one(path));
  check_features(joined->features(), spec.path);
  return joined;
}

}  // namespace trireme::cli
