// SPDX-License-Identifier: Apache-2.0
#include "data/record_buffer.hpp"

#include "trireme/base/error.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace trireme::data {

RecordBuffer::RecordBuffer(ByteSource& source, std::string name, const RecordRules& rules)
    : source_(source), name_(std::move(name)), rules_(rules) {
  rules_.at_a_time.value = std::clamp<std::uint64_t>(rules_.at_a_time.value, 16, std::uint64_t{1} << 30);
}

bool RecordBuffer::refill() {
  if (finished_) return false;
  if (begin_ > 0) {
    std::memmove(bytes_.data(), bytes_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  // Twice what is there: a long record is moved a few times, not once for every piece of it.
  const std::size_t wanted = std::max<std::size_t>(rules_.at_a_time.value, end_);
  if (bytes_.size() < end_ + wanted + 1) bytes_.resize(end_ + wanted + 1);
  const std::size_t got = source_.read({reinterpret_cast<std::uint8_t*>(bytes_.data()) + end_, wanted});
  end_ += got;
  if (got < wanted) finished_ = true;
  bytes_[end_] = '\n';
  return got > 0;
}

std::optional<Record> RecordBuffer::next() {
  if (!started_) {
    started_ = true;
    refill();
    if (end_ >= 3 && std::memcmp(bytes_.data(), "\xef\xbb\xbf", 3) == 0) {
      begin_ = 3;
      offset_ = 3;
    }
  }
  std::size_t looked = 0;  // bytes of the record that hold no end of it
  std::uint64_t inner_lines = 0;
  bool quoted = false;
  for (;;) {
    const char* const from = bytes_.data() + begin_ + looked;
    const std::size_t left = end_ - begin_ - looked;
    const auto* const found = left == 0 ? nullptr : static_cast<const char*>(std::memchr(from, '\n', left));
    const char* const stop = found != nullptr ? found : from + left;
    if (rules_.quote != 0) {
      for (const char* p = from; p != stop; ++p) {
        p = static_cast<const char*>(std::memchr(p, rules_.quote, static_cast<std::size_t>(stop - p)));
        if (p == nullptr) break;
        quoted = !quoted;
      }
    }
    looked += static_cast<std::size_t>(stop - from);
    if (looked > rules_.longest.value) {
      fail(ErrorCode::corrupt, name_ + ", line " + std::to_string(line_) + ": longer than the limit of " +
                                   std::to_string(rules_.longest.value) +
                                   (quoted ? " bytes: is a quote never closed?" : " bytes"));
    }
    if (found != nullptr && quoted) {
      ++looked;
      ++inner_lines;
      continue;
    }
    if (found == nullptr && refill()) continue;
    if (found == nullptr && quoted) {
      fail(ErrorCode::corrupt, name_ + ", line " + std::to_string(line_) + ": a quote is never closed");
    }
    if (found == nullptr && looked == 0) return std::nullopt;
    Record record;
    record.begin = bytes_.data() + begin_;
    record.end = record.begin + looked;
    if (record.end != record.begin && record.end[-1] == '\r') --record.end;
    record.line = line_;
    record.offset = offset_;
    const std::size_t taken = looked + (found != nullptr ? 1 : 0);
    begin_ += taken;
    offset_ += taken;
    line_ += inner_lines + 1;
    return record;
  }
}

}  // namespace trireme::data
