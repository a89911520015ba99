// SPDX-License-Identifier: Apache-2.0
#include "data/csv_record.hpp"

#include "data/number.hpp"
#include "data/text_error.hpp"
#include "trireme/base/error.hpp"

#include <algorithm>
#include <cstring>
#include <string_view>

namespace trireme::data {
namespace {

/// A blank that may stand beside a number.
bool is_blank(char c, char separator) noexcept { return (c == ' ' || c == '\t') && c != separator; }

const char* skip_blanks(const char* p, char separator) noexcept {
  while (is_blank(*p, separator)) ++p;  // a line end stops it
  return p;
}

/// Names a field in errors. A value: made on the way to a failure only.
struct FieldPlace {
  const Record& record;
  const std::string& name;
  const CsvColumns& columns;
  std::size_t column;
  const char* begin;

  [[noreturn]] void refuse(const std::string& what) const {
    std::string text = where(name, record, begin) + ", column " + std::to_string(column + 1);
    if (column < columns.names.size()) text += " (" + excerpt(columns.names[column]) + ")";
    fail(ErrorCode::corrupt, text + ": " + what);
  }
  /// Of a value, which may be a name of a column.
  [[noreturn]] void refuse_value(const std::string& what) const {
    const bool first = record.line == 1 && columns.names.empty();
    refuse(what + (first ? " (does the file have a header line?)" : ""));
  }
};

/// The text of the field that begins at place.begin, quotes resolved, in `text`; where the field ends.
const char* take_field(const FieldPlace& place, char separator, std::string& text) {
  text.clear();
  const char* const end = place.record.end;
  const char* p = place.begin;
  while (p != end && is_blank(*p, separator)) ++p;
  if (p == end || *p != '"') {
    const auto* stop = static_cast<const char*>(std::memchr(p, separator, static_cast<std::size_t>(end - p)));
    if (stop == nullptr) stop = end;
    const char* last = stop;
    while (last != p && is_blank(last[-1], separator)) --last;
    text.assign(p, last);
    if (text.find('"') != std::string::npos) place.refuse("a quote inside a field that does not begin with one");
    return stop;
  }
  for (++p;;) {
    const auto* quote = static_cast<const char*>(std::memchr(p, '"', static_cast<std::size_t>(end - p)));
    if (quote == nullptr) place.refuse("a quote is never closed");
    text.append(p, quote);
    p = quote + 1;
    if (p == end || *p != '"') break;
    text += '"';
    ++p;
  }
  while (p != end && is_blank(*p, separator)) ++p;
  if (p != end && *p != separator) place.refuse("something follows the closing quote of " + excerpt(text));
  return p;
}

/// A field that is not a bare number: quoted, or wrong.
const char* take_unusual(const FieldPlace& place, char separator, float& value) {
  std::string text;
  const char* const stop = take_field(place, separator, text);
  text.erase(text.find_last_not_of(" \t") + 1);
  text.erase(0, text.find_first_not_of(" \t"));
  if (text.empty()) place.refuse_value("a missing value: fill it in or leave the row out");
  const std::size_t size = text.size();
  text += '\n';
  const Number number = parse_f32(text.data(), text.data() + size);
  text.pop_back();
  if (number.status == NumberStatus::too_large) place.refuse_value(excerpt(text) + " is beyond the largest f32");
  if (number.status != NumberStatus::ok || number.end != text.data() + size)
    place.refuse_value(excerpt(text) + " is not a number");
  value = number.value;
  return stop;
}

void require_columns(std::size_t found, const Record& record, const std::string& name, const CsvColumns& columns) {
  if (found == columns.columns) return;
  fail(ErrorCode::corrupt, where(name, record, record.begin) + ": " + std::to_string(found) +
                               " columns, the first line has " + std::to_string(columns.columns));
}

std::size_t count_fields(const Record& record, const std::string& name, char separator) {
  const CsvColumns none;
  std::string text;
  std::size_t count = 0;
  for (const char* p = record.begin;; ++p) {
    p = take_field({record, name, none, count, p}, separator, text);
    ++count;
    if (p == record.end) return count;
  }
}

std::size_t find_label(const CsvColumns& columns, const std::string& label, const std::string& name) {
  const auto& names = columns.names;
  const auto found = std::find(names.begin(), names.end(), label);
  if (found == names.end()) {
    fail(ErrorCode::invalid_argument, name + ": no column is named " + excerpt(label));
  }
  if (std::find(found + 1, names.end(), label) != names.end()) {
    fail(ErrorCode::invalid_argument, name + ": two columns are named " + excerpt(label) + ": give its index");
  }
  return static_cast<std::size_t>(found - names.begin());
}

}  // namespace

CsvColumns csv_columns(const Record& first, const std::string& name, const CsvOptions& options) {
  CsvColumns columns;
  if (options.header) {
    std::string text;
    for (const char* p = first.begin;; ++p) {
      p = take_field({first, name, columns, columns.columns, p}, options.separator, text);
      columns.names.push_back(text);
      if (p == first.end) break;
    }
    columns.columns = columns.names.size();
  } else {
    columns.columns = count_fields(first, name, options.separator);
  }
  if (options.label_name) columns.label = find_label(columns, *options.label_name, name);
  if (options.label_index) {
    if (*options.label_index >= columns.columns) {
      fail(ErrorCode::invalid_argument, name + ": no column " + std::to_string(*options.label_index) +
                                            " (from 0) for the label: there are " + std::to_string(columns.columns));
    }
    columns.label = options.label_index;
  }
  if (columns.features() == 0) fail(ErrorCode::invalid_argument, name + ": no column but the label");
  return columns;
}

void append_csv_row(const Record& record, const std::string& name, const CsvColumns& columns, char separator,
                    DenseTable& out) {
  const std::size_t before = out.values.size();
  out.values.resize(before + columns.features());
  float* feature = out.values.data() + before;
  const std::size_t label = columns.label.value_or(columns.columns);
  std::size_t column = 0;
  for (const char* p = record.begin;; ++p, ++column) {
    if (column == columns.columns) require_columns(count_fields(record, name, separator), record, name, columns);
    Number number = parse_f32(skip_blanks(p, separator), record.end);
    const char* stop = number.end == nullptr ? p : skip_blanks(number.end, separator);
    if (number.status != NumberStatus::ok || (*stop != separator && stop != record.end)) {
      stop = take_unusual({record, name, columns, column, p}, separator, number.value);
    }
    if (column == label) {
      out.labels.push_back(number.value);
    } else {
      *feature++ = number.value;
    }
    if (stop == record.end) break;
    p = stop;
  }
  require_columns(column + 1, record, name, columns);
  ++out.rows;
}

}  // namespace trireme::data
