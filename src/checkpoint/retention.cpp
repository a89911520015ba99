// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/retention.hpp"

#include "checkpoint/journal.hpp"

#include <algorithm>
#include <utility>

namespace trireme::checkpoint {
namespace {

/// Whether the attempt of `newest` went on from one before `old`: then `old` was no good to it.
bool is_passed_over(const Manifest& old, const Manifest& newest) {
  return newest.parent_generation != 0 && old.attempt != newest.attempt &&
         std::pair(old.attempt.generation, old.step) > std::pair(newest.parent_generation, newest.parent_step);
}

}  // namespace

std::vector<std::string> remove_old(FileSystem& files, const std::string& folder, std::uint64_t keep_last,
                                    std::uint64_t keep_every) {
  Journal journal(files, folder);
  const Journal::Contents contents = journal.read();
  std::vector<const Journal::Item*> checkpoints;
  for (const Journal::Item& item : contents.items) {
    if (std::holds_alternative<Manifest>(item.entry)) checkpoints.push_back(&item);
  }
  const auto manifest = [](const Journal::Item* item) -> const Manifest& { return std::get<Manifest>(item->entry); };
  std::sort(checkpoints.begin(), checkpoints.end(),
            [&](const auto* a, const auto* b) { return id_of(manifest(b)) < id_of(manifest(a)); });
  // A storage that repeats requests may have a manifest twice: it is one checkpoint.
  checkpoints.erase(std::unique(checkpoints.begin(), checkpoints.end(),
                                [&](const auto* a, const auto* b) { return id_of(manifest(a)) == id_of(manifest(b)); }),
                    checkpoints.end());
  std::vector<std::string> names;
  std::uint64_t kept = 0;
  for (const Journal::Item* each : checkpoints) {
    const Manifest& old = manifest(each);
    if (kept < keep_last) {
      kept += is_passed_over(old, manifest(checkpoints.front())) ? 0 : 1;
      continue;
    }
    if (keep_every != 0 && old.step % keep_every == 0) continue;
    journal.remove(each->file);
    for (const PartRecord& part : old.parts) names.push_back(part.file);
    names.push_back(old.json_file);
  }
  if (names.empty()) return names;
  files.sync_folder(journal.folder());
  remove_files(files, folder, names);
  return names;
}

void remove_files(FileSystem& files, const std::string& folder, const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    files.remove(folder + "/" + name);
    files.remove_folder(folder + "/" + name.substr(0, name.rfind('/')));
  }
}

}  // namespace trireme::checkpoint
