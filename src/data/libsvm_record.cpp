// SPDX-License-Identifier: Apache-2.0
#include "data/libsvm_record.hpp"

#include "data/number.hpp"
#include "data/text_error.hpp"
#include "trireme/base/error.hpp"

#include <string_view>

namespace trireme::data {
namespace {

bool is_gap(char c) noexcept { return c == ' ' || c == '\t'; }

const char* skip_gaps(const char* p) noexcept {
  while (is_gap(*p)) ++p;  // a line end stops it
  return p;
}

/// The word at `p`, for a message.
std::string word(const Record& record, const char* p) {
  const char* stop = p;
  while (stop != record.end && !is_gap(*stop)) ++stop;
  return excerpt({p, static_cast<std::size_t>(stop - p)});
}

[[noreturn]] void refuse(const Record& record, const std::string& name, const char* at, const std::string& what) {
  fail(ErrorCode::corrupt, where(name, record, at) + ", column " + std::to_string(at - record.begin + 1) + ": " + what);
}

bool ends_word(const Record& record, const char* p) noexcept { return p == record.end || is_gap(*p) || *p == '#'; }

[[noreturn]] void refuse_number(const Record& record, const std::string& name, const char* at, NumberStatus status,
                                const char* what) {
  if (status == NumberStatus::too_large) {
    refuse(record, name, at, std::string("the ") + what + " " + word(record, at) + " is beyond the largest f32");
  }
  if (ends_word(record, at)) refuse(record, name, at, std::string("a ") + what + " is missing");
  refuse(record, name, at, std::string("the ") + what + " " + word(record, at) + " is not a number");
}

}  // namespace

bool is_libsvm_row(const Record& record) noexcept {
  const char* const p = skip_gaps(record.begin);
  return p != record.end && *p != '#';
}

void append_libsvm_row(const Record& record, const std::string& name, std::size_t most, SparseTable& out) {
  const char* p = skip_gaps(record.begin);
  const Number label = parse_f32(p, record.end);
  if (label.status != NumberStatus::ok || !ends_word(record, label.end)) {
    refuse_number(record, name, p, label.status, "label");
  }
  // Room for as many as the line can hold ("1:2 " each), then cut to what it does.
  const std::size_t before = out.indices.size();
  const auto room = static_cast<std::size_t>(record.end - label.end) / 4 + 1;
  out.indices.resize(before + room);
  out.values.resize(before + room);
  std::uint32_t* index = out.indices.data() + before;
  float* value = out.values.data() + before;
  std::uint64_t last = 0;
  for (p = skip_gaps(label.end); p != record.end && *p != '#'; p = skip_gaps(p)) {
    const char* const begin = p;
    std::uint64_t number = 0;
    for (unsigned d; (d = static_cast<unsigned>(static_cast<unsigned char>(*p)) - unsigned{'0'}) < 10 && p - begin < 18;
         ++p) {
      number = 10 * number + d;
    }
    if (p == begin) {
      refuse(record, name, begin, word(record, begin) + " does not begin with the index of a feature");
    }
    if (*p != ':') {
      refuse(record, name, begin, word(record, begin) + " is not index:value");
    }
    if (number <= last) {
      refuse(record, name, begin,
             number == 0
                 ? "index 0: indices begin at 1"
                 : "index " + std::to_string(number) + " is not above the one before it, " + std::to_string(last));
    }
    if (number > most) {
      refuse(record, name, begin,
             "index " + std::to_string(number) + " is beyond the largest allowed, " + std::to_string(most));
    }
    last = number;
    const Number parsed = parse_f32(++p, record.end);
    if (parsed.status != NumberStatus::ok || !ends_word(record, parsed.end)) {
      refuse_number(record, name, p, parsed.status, "value");
    }
    p = parsed.end;
    *index++ = static_cast<std::uint32_t>(number - 1);
    *value++ = parsed.value;
  }
  const auto found = static_cast<std::size_t>(index - (out.indices.data() + before));
  out.indices.resize(before + found);
  out.values.resize(before + found);
  out.offsets.push_back(before + found);
  out.labels.push_back(label.value);
  if (last > out.features) out.features = static_cast<std::size_t>(last);
}

}  // namespace trireme::data
