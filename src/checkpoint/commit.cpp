// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/commit.hpp"

#include "checkpoint/check_manifest.hpp"
#include "checkpoint/hash.hpp"
#include "checkpoint/journal.hpp"
#include "checkpoint/names.hpp"
#include "checkpoint/part_writer.hpp"
#include "checkpoint/retention.hpp"

#include <nlohmann/json.hpp>

namespace trireme::checkpoint {

using Json = nlohmann::json;

std::string to_text(const CommitOutcome& outcome) {
  const Json json{static_cast<int>(outcome.code), outcome.problem, outcome.bytes, outcome.removed, outcome.may_stand};
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

CommitOutcome outcome_of(std::span<const std::byte> bytes) {
  const auto* text = reinterpret_cast<const char*>(bytes.data());
  const Json json = Json::parse(text, text + bytes.size());
  return {.code = static_cast<ErrorCode>(json.at(0).get<int>()),
          .problem = json.at(1).get<std::string>(),
          .bytes = json.at(2).get<std::uint64_t>(),
          .removed = json.at(3).get<std::vector<std::string>>(),
          .may_stand = json.at(4).get<bool>()};
}

Commit::Commit(Manifest& manifest) : manifest_(manifest), json_(to_json(manifest)) {
  manifest.json_bytes = json_.size();
  manifest.json_xxh3 = hash_of(std::as_bytes(std::span(json_)));
  check_manifest(manifest, "what the ranks save");
}

void Commit::run(Folder& folder, std::uint64_t keep_last, std::uint64_t keep_every) {
  FileSystem& files = folder.files();
  const std::string step = folder.path() + "/" + step_folder(manifest_.step);
  {
    const auto file = create_in(files, step, folder.path() + "/" + manifest_.json_file);
    has_json_ = true;
    file->write(std::as_bytes(std::span(json_)));
    file->sync();
  }
  files.sync_folder(step);
  files.sync_folder(folder.path());
  Journal journal(files, folder.path());
  try {
    journal.commit(manifest_, folder.is_shared());
  } catch (...) {
    may_stand_ = journal.may_hold(id_of(manifest_));
    throw;
  }
  try {
    removed_ = remove_old(files, folder.path(), keep_last, keep_every);
  } catch (const Exception& failure) {  // no reason to doubt what has just been completed
    not_removed_ = "older checkpoints could not be removed: " + failure.error().message;
  }
}

}  // namespace trireme::checkpoint
