// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/journal.hpp"

#include "trireme/base/error.hpp"

#include <algorithm>
#include <charconv>
#include <cinttypes>
#include <cstdio>
#include <string_view>

namespace trireme::checkpoint {
namespace {

constexpr std::size_t digits = 8;
constexpr int most_tries = 1000;  // at a number that others keep taking

std::string id_text(const Attempt& attempt) {
  char text[17];
  std::snprintf(text, sizeof text, "%016" PRIx64, attempt.id);
  return text;
}

/// "00000012" or "00000012-7f00aa1200bc55de"; nothing for other names, such as those of files not finished.
std::optional<std::uint64_t> number_of(std::string_view file) {
  if (file.size() < digits) return std::nullopt;
  std::uint64_t number = 0;
  const char* const end = file.data() + std::min(file.find('-'), file.size());
  const auto parsed = std::from_chars(file.data(), end, number);
  if (parsed.ec != std::errc{} || parsed.ptr != end || number == 0) return std::nullopt;
  return number;
}

}  // namespace

std::string journal_number(std::uint64_t number) {
  std::string text = std::to_string(number);
  if (text.size() < digits) text.insert(0, digits - text.size(), '0');
  return text;
}

std::optional<Attempt> Journal::Contents::latest() const {
  std::optional<Attempt> latest;
  for (const Item& item : items) {
    const auto* claim = std::get_if<Attempt>(&item.entry);
    const Attempt& attempt = claim != nullptr ? *claim : std::get<Manifest>(item.entry).attempt;
    if (!latest || *latest < attempt) latest = attempt;
  }
  return latest;
}

Journal::Contents Journal::read() const {
  Contents contents;
  for (const std::string& file : files_.list(folder())) {
    const auto number = number_of(file);
    if (!number) continue;
    contents.last_number = std::max(contents.last_number, *number);
    try {
      contents.items.push_back({*number, file, decode(read_file(files_, path(file), most_entry_bytes), path(file))});
    } catch (const Exception& error) {
      // Another rank may have removed an old one since it was listed.
      if (files_.size(path(file))) contents.damaged.push_back({file, error.error().message});
    }
  }
  std::stable_sort(contents.items.begin(), contents.items.end(),
                   [](const Item& a, const Item& b) { return a.number < b.number; });
  return contents;
}

/// False when the number is taken.
bool Journal::append(std::uint64_t number, const Entry& entry, const Attempt& by, bool is_shared) {
  const std::string name = path(journal_number(number) + (is_shared ? "" : "-" + id_text(by)));
  const std::vector<std::byte> bytes = encode(entry);
  const auto write = [&](const std::string& to) {
    const auto file = files_.create(to);
    file->write(bytes);
    file->sync();
  };
  const std::string draft = path("draft-" + id_text(by) + "-" + journal_number(number));
  files_.remove(draft);  // of a try that failed
  write(draft);
  const std::optional<bool> linked = files_.link(draft, name);
  files_.remove(draft);
  if (!linked) {  // object stores: a file is there once it is closed, and whole
    if (files_.size(name)) return false;
    write(name);
  } else if (!*linked) {
    return false;
  }
  files_.sync_folder(folder());
  return true;
}

void Journal::claim(Attempt& attempt, bool is_shared) {
  files_.make_folder(folder());
  const std::uint64_t least = std::max<std::uint64_t>(attempt.generation, 1);
  for (int tries = 0; tries < most_tries; ++tries) {
    const Contents contents = read();
    const auto latest = contents.latest();
    attempt.generation = std::max(least, latest ? latest->generation + 1 : 1);
    if (append(contents.last_number + 1, attempt, attempt, is_shared)) return;
  }
  fail(ErrorCode::system, folder() + ": others take every number of the journal; is one job started again and again?");
}

void Journal::commit(const Manifest& manifest, bool is_shared) {
  for (int tries = 0; tries < most_tries; ++tries) {
    const Contents contents = read();
    if (const auto latest = contents.latest(); latest && manifest.attempt < *latest) {
      fail(ErrorCode::closed, folder_ + " now belongs to " + text_of(*latest) + ", which began after this " +
                                  text_of(manifest.attempt) + ": what this one goes on to compute is not kept");
    }
    if (append(contents.last_number + 1, manifest, manifest.attempt, is_shared)) return;
  }
  fail(ErrorCode::system, folder() + ": others take every number of the journal");
}

void Journal::remove(const std::string& file) { files_.remove(path(file)); }

}  // namespace trireme::checkpoint
