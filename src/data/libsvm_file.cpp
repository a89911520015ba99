// SPDX-License-Identifier: Apache-2.0
#include "data/libsvm_record.hpp"
#include "data/row_index.hpp"
#include "trireme/base/error.hpp"
#include "trireme/data/libsvm.hpp"

#include <cstring>
#include <functional>
#include <string>

namespace trireme::data {

struct LibsvmFile::State {
  explicit State(const std::filesystem::path& place, const LibsvmOptions& wanted)
      : path(place), options(wanted), index(place) {}

  void read(std::size_t count, const std::function<std::uint64_t(std::size_t)>& sample_at, SparseTable& out) const {
    out.clear();
    out.features = options.features;
    index.read(count, sample_at, [&](Record record) {
      const auto* stop = static_cast<const char*>(
          std::memchr(record.begin, '\n', static_cast<std::size_t>(record.end - record.begin)));
      if (stop != nullptr) record.end = stop;
      if (record.end != record.begin && record.end[-1] == '\r') --record.end;
      append_libsvm_row(record, index.name(), options.features, out);
    });
  }

  std::filesystem::path path;
  LibsvmOptions options;
  RowIndex index;
};

LibsvmFile::LibsvmFile(const std::filesystem::path& path, const LibsvmOptions& options)
    : state_(std::make_unique<State>(path, options)) {
  LibsvmReader reader = pass();
  SparseTable row;
  while (const auto offset = reader.next_offset()) {
    reader.next(row, Bytes{0});
    state_->index.add(*offset);
  }
  if (size() == 0) fail(ErrorCode::corrupt, state_->index.name() + ": no line holds a sample");
  state_->index.require_unchanged();
  state_->options.features = reader.features();
}

LibsvmFile::LibsvmFile(LibsvmFile&&) noexcept = default;
LibsvmFile& LibsvmFile::operator=(LibsvmFile&&) noexcept = default;
LibsvmFile::~LibsvmFile() = default;

std::size_t LibsvmFile::size() const { return state_->index.size(); }
std::size_t LibsvmFile::features() const { return state_->options.features; }
bool LibsvmFile::random_access() const { return state_->index.random_access(); }
LibsvmReader LibsvmFile::pass() const { return LibsvmReader(state_->path, state_->options); }

void LibsvmFile::read(std::span<const std::uint32_t> samples, SparseTable& out) const {
  state_->read(
      samples.size(), [&](std::size_t i) { return samples[i]; }, out);
}

void LibsvmFile::read(std::size_t first, std::size_t count, SparseTable& out) const {
  state_->index.require_range(first, count);
  state_->read(
      count, [&](std::size_t i) { return first + i; }, out);
}

}  // namespace trireme::data
