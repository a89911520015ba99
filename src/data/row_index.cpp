// SPDX-License-Identifier: Apache-2.0
#include "data/row_index.hpp"

#include "trireme/base/error.hpp"

#include <array>
#include <string>

namespace trireme::data {

RowIndex::RowIndex(const std::filesystem::path& path) : file_(path) {
  std::array<char, 2> magic{};
  if (file_.size() >= magic.size()) file_.read(0, magic);
  compressed_ = magic[0] == '\x1f' && magic[1] == '\x8b';
}

void RowIndex::require_range(std::size_t first, std::size_t count) const {
  if (first > size() || count > size() - first) {
    fail(ErrorCode::invalid_argument, name() + ": no rows " + std::to_string(first) + " to " + std::to_string(first) +
                                          " + " + std::to_string(count) + ": there are " + std::to_string(size()));
  }
}

void RowIndex::read(std::size_t count, const std::function<std::uint64_t(std::size_t)>& sample_at,
                    const std::function<void(const Record&)>& visit) const {
  constexpr std::uint64_t run_bytes = std::uint64_t{1} << 20;
  if (compressed_) {
    fail(ErrorCode::unsupported,
         name() + ": rows of a gzip file cannot be read by number: unpack it, or load it whole");
  }
  for (std::size_t i = 0; i < count; ++i) {
    if (sample_at(i) >= size()) {
      fail(ErrorCode::invalid_argument,
           name() + ": no sample " + std::to_string(sample_at(i)) + ": there are " + std::to_string(size()));
    }
  }
  require_unchanged();
  std::vector<char> bytes;
  for (std::size_t i = 0; i < count;) {
    const std::uint64_t first = sample_at(i);
    const std::uint64_t begin = offsets_[first];
    std::size_t run = 1;
    while (i + run < count && sample_at(i + run) == first + run && end_of(first + run) - begin <= run_bytes) ++run;
    const std::uint64_t size = end_of(first + run - 1) - begin;
    bytes.resize(size + 1);
    file_.read(begin, {bytes.data(), size});
    bytes[size] = '\n';  // where the last line lacks it
    for (std::size_t k = 0; k < run; ++k) {
      Record record;
      record.begin = bytes.data() + (offsets_[first + k] - begin);
      record.end = bytes.data() + (end_of(first + k) - begin);
      record.number = first + k;
      record.offset = offsets_[first + k];
      visit(record);
    }
    i += run;
  }
}

}  // namespace trireme::data
