// SPDX-License-Identifier: Apache-2.0
#include "trireme/checkpoint/folder.hpp"

#include "checkpoint/agreement.hpp"
#include "checkpoint/journal.hpp"
#include "checkpoint/load.hpp"
#include "checkpoint/names.hpp"
#include "checkpoint/together.hpp"
#include "trireme/base/error.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <random>
#include <set>
#include <span>
#include <string_view>

namespace trireme::checkpoint {
namespace {

std::uint64_t unix_ms() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(now).count());
}

std::uint64_t random_id() {
  std::random_device device;
  return std::uint64_t{device()} << 32 | device();
}

constexpr std::string_view probe_prefix = "probe-";
constexpr int most_probes = 100;

/// Every file that a manifest names.
std::set<std::string> names_in(const Journal::Contents& contents) {
  std::set<std::string> names;
  for (const Journal::Item& item : contents.items) {
    const auto* manifest = std::get_if<Manifest>(&item.entry);
    if (manifest == nullptr) continue;
    for (const PartRecord& part : manifest->parts) names.insert(part.file);
    names.insert(manifest->json_file);
  }
  return names;
}

/// The newest manifest that can be read, complete or not.
const Manifest* newest(const Journal::Contents& contents) {
  const Manifest* newest = nullptr;
  for (const Journal::Item& item : contents.items) {
    const auto* manifest = std::get_if<Manifest>(&item.entry);
    if (manifest != nullptr && (newest == nullptr || id_of(*newest) < id_of(*manifest))) newest = manifest;
  }
  return newest;
}

}  // namespace

Folder Folder::open(Communicator communicator, FileSystem& files, const FolderOptions& options) {
  Folder folder(std::move(communicator), files, options);
  do_together(folder.communicator_, "checkpoint folder", [&] {
    if (options.path.empty()) fail(ErrorCode::invalid_argument, "the name of the checkpoint folder is empty");
    files.make_folder(options.path);
    if (folder.communicator_.rank() != 0 || !options.accept) return;
    const Journal::Contents contents = Journal(files, options.path).read();
    if (const Manifest* manifest = newest(contents)) options.accept(*manifest);
  });
  folder.find_whether_shared();
  folder.check_writable();
  return folder;
}

/// Rank 0 has just shown that it can write.
void Folder::check_writable() {
  do_together(communicator_, "checkpoint folder", [&] {
    if (communicator_.rank() == 0) return;
    const std::string path =
        options_.path + "/" + std::string(probe_prefix) + attempt_tag({.generation = 0, .id = random_id()});
    files_->create(path)->sync();
    files_->remove(path);
  });
}

const Attempt& Folder::attempt() const {
  if (!attempt_) fail(ErrorCode::invalid_argument, "the checkpoint folder " + options_.path + " is not taken over yet");
  return *attempt_;
}

/// Every rank looks for a file that rank 0 has just written. Its name says before which attempt it was there, for tidy().
void Folder::find_whether_shared() {
  const bool is_first = communicator_.rank() == 0;
  std::int32_t is_sure = 0;
  for (int tries = 0; is_sure == 0; ++tries) {
    if (tries == most_probes)
      fail(ErrorCode::system,
           options_.path + ": others keep removing what is written there; is one job started again and again?");
    std::string name;
    do_together(communicator_, "checkpoint probe", [&] {
      if (!is_first) return;
      const auto latest = Journal(*files_, options_.path).read().latest();
      name = std::string(probe_prefix) +
             attempt_tag({.generation = latest ? latest->generation + 1 : 1, .id = random_id()});
      files_->create(options_.path + "/" + name)->sync();
    });
    const auto told = communicator_.broadcast_bytes(std::as_bytes(std::span(name)), 0, {.label = "checkpoint probe"});
    name.assign(reinterpret_cast<const char*>(told.data()), told.size());
    const std::string path = options_.path + "/" + name;
    std::int32_t sees = 0;
    do_together(communicator_, "checkpoint probe", [&] { sees = files_->size(path) ? 1 : 0; });
    communicator_.all_reduce(std::span(&sees, 1), minimum, {.label = "checkpoint probe"});
    is_shared_ = sees != 0;
    // Another attempt that tidies up may have taken it away before all had looked.
    do_together(communicator_, "checkpoint probe", [&] { is_sure = !is_first || files_->remove(path) ? 1 : 0; });
    communicator_.all_reduce(std::span(&is_sure, 1), minimum, {.label = "checkpoint probe"});
  }
}

void Folder::take_over() {
  if (attempt_) return;
  std::vector<std::byte> claimed;
  do_together(communicator_, "checkpoint attempt", [&] {
    if (communicator_.rank() != 0) return;
    Attempt attempt{.generation = options_.restart_count + 1,
                    .id = random_id(),
                    .started_ms = unix_ms(),
                    .host = options_.host,
                    .job = options_.job};
    Journal(*files_, options_.path).claim(attempt, is_shared_);
    claimed = encode(attempt);
  });
  claimed = communicator_.broadcast_bytes(claimed, 0, {.label = "checkpoint attempt"});
  attempt_ = std::get<Attempt>(decode(claimed, "rank 0's attempt"));
}

std::vector<Manifest> Folder::complete() { return find(false); }

/// A folder without a journal is a new one, or one that has lost what says which of its files belong together.
void Folder::refuse_without_journal(bool has_entries) {
  std::array<std::int32_t, 2> entries_files{has_entries ? 1 : 0, 0};
  do_together(communicator_, "checkpoint journal", [&] {
    const auto names = files_->list(options_.path);
    entries_files[1] = std::any_of(names.begin(), names.end(), is_step_folder) ? 1 : 0;
  });
  communicator_.all_reduce(std::span<std::int32_t>(entries_files), maximum, {.label = "checkpoint journal"});
  if (entries_files[0] != 0 || entries_files[1] == 0) return;
  fail(
      ErrorCode::invalid_argument,
      options_.path +
          " holds files of checkpoints, but its journal is gone: bring the folder journal back from where the rest came "
          "from, or name another folder to begin anew");
}

std::vector<Manifest> Folder::find(bool warns) {
  Journal::Contents contents;
  do_together(communicator_, "checkpoint journal", [&] { contents = Journal(*files_, options_.path).read(); });
  refuse_without_journal(contents.last_number != 0);
  std::vector<Sighting> mine;
  for (const Journal::Damage& each : contents.damaged) mine.push_back(Sighting::of_damage(each.what));
  std::vector<const Manifest*> manifests;
  for (const Journal::Item& item : contents.items) {
    const auto* manifest = std::get_if<Manifest>(&item.entry);
    if (manifest == nullptr) continue;
    manifests.push_back(manifest);
    mine.push_back(Sighting::of(*manifest, missing_file(*files_, options_.path, *manifest)));
  }
  const Agreement agreement = agree(communicator_, mine, options_.path);
  if (warns) {
    for (const std::string& problem : agreement.problems) warn(problem);
  }
  std::vector<Manifest> complete;
  for (const CheckpointId& id : agreement.complete) {
    const auto found =
        std::find_if(manifests.begin(), manifests.end(), [&](const Manifest* each) { return id_of(*each) == id; });
    complete.push_back(**found);
  }
  return complete;
}

std::optional<Manifest> Folder::resume(const TrainingState& state) {
  const auto accept = [&](const Manifest& manifest) {
    if (communicator_.rank() == 0 && options_.accept) options_.accept(manifest);
  };
  if (!attempt_) {
    // Who cannot go on must not stop who does.
    if (const auto found = find(false); !found.empty()) {
      do_together(communicator_, "checkpoint form", [&] {
        accept(found.front());
        StateReader reader = reader_of(found.front());
        state.restore(reader);
      });
    }
    take_over();
  }
  std::optional<Error> last;
  for (Manifest& manifest : find(true)) {
    do_together(communicator_, "checkpoint form", [&] { accept(manifest); });
    try {
      load(communicator_, *files_, options_.path, manifest, state);
      tidy();
      return std::move(manifest);
    } catch (const Exception& failure) {
      // Storage that cannot be read at this moment takes nothing back: the next start may find it well.
      if (failure.error().code != ErrorCode::corrupt) throw;
      last = failure.error();
      warn("the checkpoint of step " + std::to_string(manifest.step) + " is damaged: " + last->message);
    }
  }
  if (last)
    fail(ErrorCode::corrupt, options_.path + ": no checkpoint there is good; the last one tried: " + last->message);
  tidy();
  return std::nullopt;
}

void Folder::tidy() {
  // Where folders are not shared, a rank's parts may be named in another rank's journal alone.
  std::set<std::string> named;
  bool is_readable = false;
  do_together(communicator_, "checkpoint leftovers", [&] {
    const Journal::Contents contents = Journal(*files_, options_.path).read();
    is_readable = contents.damaged.empty();  // else it may be the manifest of what would be removed
    named = names_in(contents);
  });
  std::string mine = is_readable ? "+" : "-";
  for (const std::string& name : named) mine += name + '\n';
  for (const auto& each :
       communicator_.all_gather_bytes(std::as_bytes(std::span(mine)), {.label = "checkpoint leftovers"})) {
    std::string_view theirs(reinterpret_cast<const char*>(each.data()), each.size());
    is_readable = is_readable && theirs.starts_with('+');
    theirs.remove_prefix(1);
    for (std::size_t end = 0; (end = theirs.find('\n')) != std::string_view::npos; theirs.remove_prefix(end + 1))
      named.emplace(theirs.substr(0, end));
  }
  if (!is_readable) return;
  do_together(communicator_, "checkpoint leftovers", [&] {
    if (!is_shared_ || communicator_.rank() == 0) remove_leftovers(named);
  });
}

/// Only what carries the mark of an attempt before this one: a later one may be writing at this moment.
void Folder::remove_leftovers(const std::set<std::string>& named) {
  const auto is_old = [&](std::string_view name) {
    const auto generation = tagged_generation(name);
    return generation && *generation < attempt().generation;
  };
  const auto remove_old = [&](const std::string& folder, std::string_view prefix) {
    for (const std::string& file : files_->list(folder)) {
      if (file.starts_with(prefix) && is_old(std::string_view(file).substr(prefix.size())))
        files_->remove(folder + "/" + file);
    }
  };
  remove_old(options_.path, probe_prefix);
  remove_old(Journal(*files_, options_.path).folder(), draft_prefix);
  for (const std::string& step : files_->list(options_.path)) {
    if (!is_step_folder(step)) continue;
    for (const std::string& file : files_->list(options_.path + "/" + step)) {
      if (is_old(file) && !named.contains(step + "/" + file)) files_->remove(options_.path + "/" + step + "/" + file);
    }
    files_->remove_folder(options_.path + "/" + step);
  }
}

}  // namespace trireme::checkpoint
