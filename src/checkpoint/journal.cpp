// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/journal.hpp"

#include "checkpoint/names.hpp"
#include "trireme/base/error.hpp"

#include <algorithm>
#include <charconv>
#include <cinttypes>
#include <cstdio>
#include <string_view>
#include <utility>

namespace trireme::checkpoint {
namespace {

constexpr std::size_t digits = 8;
constexpr int most_tries = 1000;  // at a number that others keep taking

std::string id_text(const Attempt& attempt) {
  char text[17];
  std::snprintf(text, sizeof text, "%016" PRIx64, attempt.id);
  return text;
}

constexpr std::uint64_t most_number = 999'999'999'999;  // a file of a higher one is none of ours
constexpr std::uint64_t most_generation = std::uint64_t{1} << 62;

const Attempt& attempt_in(const Entry& entry) {
  const auto* claim = std::get_if<Attempt>(&entry);
  return claim != nullptr ? *claim : std::get<Manifest>(entry).attempt;
}

/// "00000012" or "00000012-7f00aa1200bc55de"; nothing for other names, such as those of files not finished.
std::optional<std::uint64_t> number_of(std::string_view file) {
  if (file.size() < digits) return std::nullopt;
  std::uint64_t number = 0;
  const char* const end = file.data() + std::min(file.find('-'), file.size());
  const auto parsed = std::from_chars(file.data(), end, number);
  if (parsed.ec != std::errc{} || parsed.ptr != end || number == 0 || number > most_number) return std::nullopt;
  return number;
}

}  // namespace

std::string journal_number(std::uint64_t number) {
  std::string text = std::to_string(number);
  if (text.size() < digits) text.insert(0, digits - text.size(), '0');
  return text;
}

std::string draft_name(const Attempt& by, std::uint64_t number) {
  return std::string(draft_prefix) + attempt_tag(by) + "-" + journal_number(number);
}

std::optional<Attempt> Journal::Contents::latest() const {
  std::optional<Attempt> latest;
  for (const Item& item : items) {
    const Attempt& attempt = attempt_in(item.entry);
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
      Entry entry = decode(read_file(files_, path(file), most_entry_bytes), path(file));
      if (attempt_in(entry).generation > most_generation)
        fail(ErrorCode::corrupt, path(file) + " is of an attempt behind which no other can be");
      contents.items.push_back({*number, file, std::move(entry)});
    } catch (const Exception& error) {
      // Another rank may have removed an old one since it was listed.
      if (!files_.size(path(file))) continue;
      if (error.error().code == ErrorCode::system) throw;  // which may pass: nothing is known of the entry
      contents.damaged.push_back({*number, file, error.error().message});
    }
  }
  std::stable_sort(contents.items.begin(), contents.items.end(),
                   [](const Item& a, const Item& b) { return a.number < b.number; });
  return contents;
}

void Journal::write(const std::string& path, const Entry& entry) {
  const std::vector<std::byte> bytes = encode(entry);
  auto file = files_.create(path);
  try {
    file->write(bytes);
    file->sync();
  } catch (...) {
    file.reset();  // object stores make it when it is closed
    try {
      files_.remove(path);
    } catch (const Exception&) {  // the first failure is the one to tell of
    }
    throw;
  }
}

/// No when the number is taken; beside others where the name is this attempt's own, whoever else took the number.
Journal::Appended Journal::append(std::uint64_t number, const Entry& entry, const Attempt& by, bool is_shared) {
  const std::string own_name = path(journal_number(number) + "-" + id_text(by));
  const std::string name = is_shared ? path(journal_number(number)) : own_name;
  const std::string draft = path(draft_name(by, number));
  files_.remove(draft);  // of a try that failed
  write(draft, entry);
  std::optional<bool> linked;
  try {
    linked = files_.link(draft, name);
  } catch (const Exception&) {
    if (files_.size(draft)) throw;
    return Appended::no;  // a later attempt has tidied up: who it is will show
  }
  try {
    files_.remove(draft);
  } catch (const Exception&) {  // a draft that stays is none of the journal
  }
  if (!linked) {  // object stores: a file is there once it is closed, and whole
    if (files_.size(own_name)) return Appended::no;
    write(own_name, entry);
  } else if (!*linked) {
    return Appended::no;
  }
  files_.sync_folder(folder());
  return is_shared && linked ? Appended::alone : Appended::beside_others;
}

void Journal::claim(Attempt& attempt, bool is_shared) {
  files_.make_folder(folder());
  files_.sync_folder(folder_);  // who made it may have ended before it was durable
  const std::uint64_t least = std::max<std::uint64_t>(attempt.generation, 1);
  for (int tries = 0; tries < most_tries; ++tries) {
    const Contents contents = read();
    // A storage that repeats a request may say that a number is taken by what it has just put there itself.
    for (const Item& item : contents.items) {
      const auto* claim = std::get_if<Attempt>(&item.entry);
      if (claim != nullptr && claim->id == attempt.id) return files_.sync_folder(folder());
    }
    const auto latest = contents.latest();
    // What cannot be read may be the claims of others.
    attempt.generation = std::max(least, (latest ? latest->generation : 0) + contents.damaged.size() + 1);
    if (append(contents.last_number + 1, attempt, attempt, is_shared) != Appended::no) return;
  }
  fail(ErrorCode::system, folder() + ": others take every number of the journal; is one job started again and again?");
}

void Journal::refuse_if_followed(const Attempt& attempt, const Contents& contents) const {
  if (const auto latest = contents.latest(); latest && attempt < *latest) {
    fail(ErrorCode::closed, folder_ + " now belongs to " + text_of(*latest) + ", which began after this " +
                                text_of(attempt) + ": what this one goes on to compute is not kept");
  }
}

void Journal::commit(const Manifest& manifest, bool is_shared) {
  for (int tries = 0; tries < most_tries; ++tries) {
    const Contents contents = read();
    refuse_if_followed(manifest.attempt, contents);
    std::uint64_t claimed = 0;
    for (const Item& item : contents.items) {
      if (const auto* own = std::get_if<Manifest>(&item.entry); own != nullptr && id_of(*own) == id_of(manifest))
        return files_.sync_folder(folder());  // see claim()
      if (const auto* claim = std::get_if<Attempt>(&item.entry); claim != nullptr && *claim == manifest.attempt)
        claimed = item.number;
    }
    for (const Damage& each : contents.damaged) {
      if (each.number > claimed)
        fail(ErrorCode::corrupt, "whether another attempt has begun cannot be told: " + each.what);
    }
    const Appended appended = append(contents.last_number + 1, manifest, manifest.attempt, is_shared);
    if (appended == Appended::no) continue;
    // An attempt that claims at this instant sees this commit after its claim, or else its claim is seen here.
    if (appended == Appended::beside_others) refuse_if_followed(manifest.attempt, read());
    return;
  }
  fail(ErrorCode::system, folder() + ": others take every number of the journal");
}

bool Journal::may_hold(const CheckpointId& id) const {
  try {
    const Contents contents = read();
    return !contents.damaged.empty() ||
           std::any_of(contents.items.begin(), contents.items.end(), [&](const Item& item) {
             const auto* manifest = std::get_if<Manifest>(&item.entry);
             return manifest != nullptr && id_of(*manifest) == id;
           });
  } catch (const Exception&) {
    return true;
  }
}

void Journal::remove(const std::string& file) { files_.remove(path(file)); }

}  // namespace trireme::checkpoint
