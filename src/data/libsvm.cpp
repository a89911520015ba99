// SPDX-License-Identifier: Apache-2.0
#include "trireme/data/libsvm.hpp"

#include "data/libsvm_record.hpp"
#include "data/record_buffer.hpp"
#include "trireme/base/error.hpp"

#include <string>
#include <utility>

namespace trireme::data {
namespace {

constexpr std::size_t most_features = 0xffffffff;

std::size_t checked_features(const LibsvmOptions& options, const std::string& name) {
  if (options.features > most_features) {
    fail(ErrorCode::invalid_argument,
         name + ": " + std::to_string(options.features) + " features asked for: there can be at most 2^32 - 1");
  }
  return options.features;
}

}  // namespace

struct LibsvmReader::State {
  State(std::unique_ptr<FileSource> opened, ByteSource& source, std::string_view called, const LibsvmOptions& options)
      : name(called),
        features(checked_features(options, name)),
        most(features == 0 ? most_features : features),
        file(std::move(opened)),
        content(gunzip_if_compressed(source, name)),
        records(*content, name, {.longest = options.longest_record, .at_a_time = options.read_at_a_time}) {}

  /// The next line that holds a sample.
  bool advance() {
    if (!pending) {
      do pending = records.next();
      while (pending && !is_libsvm_row(*pending));
    }
    return pending.has_value();
  }

  std::string name;
  std::size_t features;
  std::size_t most;
  std::unique_ptr<FileSource> file;
  std::unique_ptr<ByteSource> content;
  RecordBuffer records;
  std::optional<Record> pending;  ///< read, but not yet a row of a block
};

LibsvmReader::LibsvmReader(ByteSource& source, std::string_view name, const LibsvmOptions& options)
    : state_(std::make_unique<State>(nullptr, source, name, options)) {}

LibsvmReader::LibsvmReader(const std::filesystem::path& path, const LibsvmOptions& options) {
  auto file = std::make_unique<FileSource>(path);
  ByteSource& source = *file;
  state_ = std::make_unique<State>(std::move(file), source, path.string(), options);
}

LibsvmReader::LibsvmReader(LibsvmReader&&) noexcept = default;
LibsvmReader& LibsvmReader::operator=(LibsvmReader&&) noexcept = default;
LibsvmReader::~LibsvmReader() = default;

std::size_t LibsvmReader::features() const { return state_->features; }

std::optional<std::uint64_t> LibsvmReader::next_offset() {
  return state_->advance() ? std::optional(state_->pending->offset) : std::nullopt;
}

bool LibsvmReader::next(SparseTable& block, Bytes most) {
  constexpr std::uint64_t row_bytes = sizeof(std::uint64_t) + sizeof(float);
  constexpr std::uint64_t feature_bytes = sizeof(std::uint32_t) + sizeof(float);
  State& state = *state_;
  block.clear();
  block.features = state.features;
  while (state.advance()) {
    const auto line = static_cast<std::uint64_t>(state.pending->end - state.pending->begin);
    const std::uint64_t bytes = row_bytes * (block.size() + 1) + feature_bytes * (block.indices.size() + line / 4 + 1);
    if (bytes > most.value && block.size() > 0) break;
    append_libsvm_row(*state.pending, state.name, state.most, block);
    state.pending.reset();
  }
  state.features = block.features;
  return block.size() > 0;
}

namespace {

SparseTable load(LibsvmReader reader, const std::string& name, Bytes limit) {
  SparseTable table;
  SparseTable block;
  while (reader.next(block)) {
    const std::uint64_t shift = table.indices.size();
    const std::uint64_t bytes = 12 * (table.size() + block.size()) + 8 * (shift + block.indices.size());
    if (bytes > limit.value) {
      fail(ErrorCode::invalid_argument,
           name + ": more than the limit of " + std::to_string(limit.value) + " bytes in memory: read it in blocks");
    }
    for (std::size_t i = 1; i < block.offsets.size(); ++i) table.offsets.push_back(shift + block.offsets[i]);
    table.indices.insert(table.indices.end(), block.indices.begin(), block.indices.end());
    table.values.insert(table.values.end(), block.values.begin(), block.values.end());
    table.labels.insert(table.labels.end(), block.labels.begin(), block.labels.end());
  }
  table.features = reader.features();
  if (table.size() == 0) fail(ErrorCode::corrupt, name + ": no line holds a sample");
  return table;
}

}  // namespace

SparseTable load_libsvm(const std::filesystem::path& path, const LibsvmOptions& options, Bytes limit) {
  return load(LibsvmReader(path, options), path.string(), limit);
}

SparseTable load_libsvm(ByteSource& source, std::string_view name, const LibsvmOptions& options, Bytes limit) {
  return load(LibsvmReader(source, name, options), std::string(name), limit);
}

}  // namespace trireme::data
