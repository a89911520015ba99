// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/bytes.hpp"
#include "trireme/data/byte_source.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace trireme::data {

/// One record of a text file, without its line end ("\n" or "\r\n"; the last may lack it).
/// Shape: *end is readable and a line end, so that a parser of digits stops there by itself.
struct Record {
  const char* begin = nullptr;
  const char* end = nullptr;
  std::uint64_t line = 0;    ///< from 1: where it begins; 0 where that is not known
  std::uint64_t number = 0;  ///< the row, from 0; where `line` is 0
  std::uint64_t offset = 0;  ///< of its first byte in the file
};

struct RecordRules {
  /// A character between two of which a line end is a part of the record; 0: none, a record is a line.
  char quote = 0;
  Bytes longest;    ///< the most bytes a record may have
  Bytes at_a_time;  ///< asked of the source
};

/// Bytes cut into records, one in memory at a time. A byte order mark (UTF-8) in front is skipped.
/// Cost: memory for `at_a_time` and the longest record. No copy but of a record that lies on the edge of a piece.
class RecordBuffer {
 public:
  /// `source` must outlive it; `name` is how errors call it.
  RecordBuffer(ByteSource& source, std::string name, const RecordRules& rules);

  /// The next record, valid until the next call; none at the end.
  /// Errors: corrupt naming the line: a record longer than the limit, a quote never closed; those of the source.
  std::optional<Record> next();

 private:
  /// Whether bytes were added.
  bool refill();

  ByteSource& source_;
  std::string name_;
  RecordRules rules_;
  std::vector<char> bytes_;
  std::size_t begin_ = 0;  ///< of what is not handed out yet
  std::size_t end_ = 0;    ///< of what was read; one more byte is there
  std::uint64_t offset_ = 0;
  std::uint64_t line_ = 1;
  bool started_ = false;
  bool finished_ = false;
};

}  // namespace trireme::data
