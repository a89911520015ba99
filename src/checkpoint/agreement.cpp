// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/agreement.hpp"

#include "checkpoint/entry.hpp"
#include "checkpoint/hash.hpp"
#include "trireme/base/error.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstddef>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string_view>
#include <utility>

namespace trireme::checkpoint {
namespace {

using Json = nlohmann::json;

constexpr std::size_t most_told = 4;  // problems in one message

std::string to_text(const std::vector<Sighting>& sightings) {
  Json json = Json::array();
  for (const Sighting& each : sightings) {
    const Attempt& attempt = each.id.attempt;
    json.push_back({attempt.generation, attempt.started_ms, attempt.id, attempt.host, each.id.step, each.digest,
                    each.problem, each.is_damage});
  }
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::vector<Sighting> from_text(std::span<const std::byte> bytes) {
  const auto* text = reinterpret_cast<const char*>(bytes.data());
  std::vector<Sighting> sightings;
  for (const Json& each : Json::parse(text, text + bytes.size())) {
    Sighting sighting;
    each.at(0).get_to(sighting.id.attempt.generation);
    each.at(1).get_to(sighting.id.attempt.started_ms);
    each.at(2).get_to(sighting.id.attempt.id);
    each.at(3).get_to(sighting.id.attempt.host);
    each.at(4).get_to(sighting.id.step);
    each.at(5).get_to(sighting.digest);
    each.at(6).get_to(sighting.problem);
    each.at(7).get_to(sighting.is_damage);
    sightings.push_back(std::move(sighting));
  }
  return sightings;
}

std::string checkpoint_text(const CheckpointId& id) {
  return "the checkpoint of step " + std::to_string(id.step) + " of " + text_of(id.attempt);
}

/// Why a checkpoint is not complete on all ranks; empty when it is.
std::string problem_of(const CheckpointId& id, const std::vector<std::vector<Sighting>>& all) {
  std::optional<std::uint64_t> digest;
  for (std::size_t rank = 0; rank < all.size(); ++rank) {
    const std::string where = checkpoint_text(id) + " is not complete: on rank " + std::to_string(rank) + " ";
    const auto seen = std::find_if(all[rank].begin(), all[rank].end(),
                                   [&](const Sighting& each) { return !each.is_damage && each.id == id; });
    if (seen == all[rank].end()) return where + "there is no manifest of it";
    if (!seen->problem.empty()) return where + seen->problem;
    if (digest.value_or(seen->digest) != seen->digest) return where + "its manifest is another one";
    digest = seen->digest;
  }
  return "";
}

}  // namespace

Sighting Sighting::of(const Manifest& manifest, std::string problem) {
  return {.id = id_of(manifest), .digest = hash_of(encode(manifest)), .problem = std::move(problem)};
}

Sighting Sighting::of_damage(std::string what) {
  return {.id{}, .digest = 0, .problem = std::move(what), .is_damage = true};
}

Agreement agree(Communicator& communicator, const std::vector<Sighting>& mine, const std::string& folder) {
  const std::string text = to_text(mine);
  const auto gathered = communicator.all_gather_bytes(std::as_bytes(std::span(text)), {.label = "checkpoints"});
  std::vector<std::vector<Sighting>> all;
  std::vector<CheckpointId> ids;
  std::set<std::string> damaged;
  Agreement agreement;
  for (std::size_t rank = 0; rank < gathered.size(); ++rank) {
    all.push_back(from_text(gathered[rank]));
    for (const Sighting& each : all.back()) {
      if (!each.is_damage)
        ids.push_back(each.id);
      else if (damaged.insert(each.problem).second)  // of a folder that is shared, every rank says the same
        agreement.problems.push_back("rank " + std::to_string(rank) + ": " + each.problem);
    }
  }
  std::sort(ids.begin(), ids.end(), [](const CheckpointId& a, const CheckpointId& b) { return b < a; });
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  for (const CheckpointId& id : ids) {
    std::string problem = problem_of(id, all);
    if (problem.empty())
      agreement.complete.push_back(id);
    else if (agreement.complete.empty())
      agreement.problems.push_back(std::move(problem));
  }
  if (!agreement.complete.empty() || agreement.problems.empty()) return agreement;
  std::string told;
  for (std::size_t i = 0; i < std::min(most_told, agreement.problems.size()); ++i)
    told += (i == 0 ? "" : "; ") + agreement.problems[i];
  fail(
      ErrorCode::invalid_argument,
      folder + " holds checkpoints, but none that every rank can read: " + told +
          ". Give all hosts one folder, or one each that is filled from all hosts' files; or name another to begin anew");
}

std::string missing_file(const FileSystem& files, const std::string& folder, const Manifest& manifest) {
  const auto check = [&](const std::string& file, std::uint64_t bytes) -> std::string {
    const auto size = files.size(folder + "/" + file);
    if (!size) return file + " is missing";
    if (*size != bytes) return file + " has " + std::to_string(*size) + " bytes instead of " + std::to_string(bytes);
    return "";
  };
  for (const PartRecord& part : manifest.parts) {
    if (std::string problem = check(part.file, part.bytes); !problem.empty()) return problem;
  }
  return check(manifest.json_file, manifest.json_bytes);
}

}  // namespace trireme::checkpoint
