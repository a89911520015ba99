// SPDX-License-Identifier: Apache-2.0
#include "trireme/checkpoint/inspect.hpp"

#include "checkpoint/foreign_text.hpp"
#include "checkpoint/hash.hpp"
#include "checkpoint/journal.hpp"
#include "checkpoint/names.hpp"
#include "checkpoint/safetensors.hpp"
#include "trireme/base/error.hpp"

#include <algorithm>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <utility>
#include <variant>

namespace trireme::checkpoint {
namespace {

constexpr std::uint64_t inspected_window = std::uint64_t{4} << 20;

/// The slices of one part, in the order of their bytes.
struct Placed {
  const TensorRecord* tensor;
  const Slice* slice;
};

/// Reads the files of one checkpoint, in windows, and says what is wrong with them.
class Verification {
 public:
  Verification(const FileSystem& files, const std::string& folder, const Manifest& manifest)
      : files_(files), folder_(folder), manifest_(manifest), by_part_(manifest.parts.size()) {
    for (const TensorRecord& tensor : manifest.tensors) {
      for (const Slice& slice : tensor.slices) by_part_[slice.part].push_back({&tensor, &slice});
    }
    for (auto& part : by_part_)
      std::sort(part.begin(), part.end(),
                [](const Placed& a, const Placed& b) { return a.slice->offset < b.slice->offset; });
  }

  std::vector<std::string> run() {
    for (std::size_t p = 0; p < by_part_.size(); ++p)
      guarded(manifest_.parts[p].file, [&] { check_part(manifest_.parts[p], by_part_[p]); });
    guarded(manifest_.json_file, [&] { check_json(); });
    return std::move(problems_);
  }

 private:
  template <class Check>
  void guarded(const std::string& file, Check check) {
    try {
      check();
    } catch (const Exception& failure) {
      problems_.push_back(file + " cannot be read: " + failure.error().message);
    }
  }

  /// The file, when it is there at its size.
  std::unique_ptr<InputFile> open(const std::string& file, std::uint64_t bytes) {
    const auto size = files_.size(folder_ + "/" + file);
    if (size == bytes) return files_.open(folder_ + "/" + file);
    problems_.push_back(size ? file + " has " + std::to_string(*size) + " bytes instead of " + std::to_string(bytes)
                             : file + " is missing");
    return nullptr;
  }

  std::span<std::byte> room(std::uint64_t bytes) {
    if (window_.size() < bytes) window_.resize(bytes);
    return std::span(window_).first(bytes);
  }

  void check_part(const PartRecord& part, const std::vector<Placed>& slices) {
    const auto file = open(part.file, part.bytes);
    if (file == nullptr) return;
    check_header(*file, part);
    for (const Placed& each : slices) check_slice(*file, part, each);
  }

  void check_header(const InputFile& file, const PartRecord& part) {
    std::vector<std::byte> header(part.header_bytes);
    file.read(0, header);
    if (hash_of(header) != part.header_xxh3) {
      problems_.push_back(part.file + " is damaged: its header is not what was saved");
      return;
    }
    try {
      parse_safetensors(header, part.bytes, part.file);
    } catch (const Exception& failure) {
      problems_.push_back(failure.error().message);
    }
  }

  void check_slice(const InputFile& file, const PartRecord& part, const Placed& placed) {
    const Slice& slice = *placed.slice;
    const std::uint64_t chunk_bytes = manifest_.chunk_bytes;
    const std::uint64_t chunks_at_once = std::max<std::uint64_t>(inspected_window / chunk_bytes, 1);
    const std::uint64_t bytes = slice.count * size_of(placed.tensor->dtype);
    std::optional<std::uint64_t> first_bad;
    std::uint64_t bad = 0;
    for (std::uint64_t chunk = 0; chunk * chunk_bytes < bytes; chunk += chunks_at_once) {
      const std::uint64_t begin = chunk * chunk_bytes;
      const auto window = room(std::min(chunks_at_once * chunk_bytes, bytes - begin));
      file.read(slice.offset + begin, window);
      const std::vector<std::uint64_t> hashes = chunk_hashes(window, chunk_bytes);
      for (std::size_t i = 0; i < hashes.size(); ++i) {
        if (hashes[i] == slice.chunk_xxh3[chunk + i]) continue;
        if (!first_bad) first_bad = chunk + i;
        ++bad;
      }
    }
    if (!first_bad) return;
    const std::uint64_t element = slice.first + *first_bad * chunk_bytes / size_of(placed.tensor->dtype);
    problems_.push_back(part.file + " is damaged: tensor " + shown(placed.tensor->name) + ", " + std::to_string(bad) +
                        " of " + std::to_string(slice.chunk_xxh3.size()) +
                        " chunks are not what was saved, the first " + "at element " + std::to_string(element));
  }

  void check_json() {
    const auto file = open(manifest_.json_file, manifest_.json_bytes);
    if (file == nullptr) return;
    Hash hash;
    for (std::uint64_t begin = 0; begin < manifest_.json_bytes; begin += inspected_window) {
      const auto window = room(std::min(inspected_window, manifest_.json_bytes - begin));
      file->read(begin, window);
      hash.add(window);
    }
    if (hash.value() != manifest_.json_xxh3)
      problems_.push_back(manifest_.json_file + " is damaged: it is not what was saved");
  }

  const FileSystem& files_;
  const std::string& folder_;
  const Manifest& manifest_;
  std::vector<std::vector<Placed>> by_part_;
  std::vector<std::byte> window_;
  std::vector<std::string> problems_;
};

/// Files that savers write: in the folders of steps, drafts of the journal, probes.
std::vector<std::string> written_files(const FileSystem& files, const std::string& path,
                                       const std::vector<std::string>& top) {
  std::vector<std::string> written;
  for (const std::string& name : top) {
    if (name.starts_with("probe-")) written.push_back(name);
    if (!is_step_folder(name) || files.size(path + "/" + name)) continue;
    for (const std::string& file : files.list(path + "/" + name)) written.push_back(name + "/" + file);
  }
  for (const std::string& file : files.list(path + "/journal")) {
    if (file.starts_with("draft-")) written.push_back("journal/" + file);
  }
  return written;
}

InspectedCheckpoint without_files(const Manifest& manifest, const std::string& entry) {
  InspectedCheckpoint result{.entry = entry,
                             .attempt = manifest.attempt,
                             .step = manifest.step,
                             .world = manifest.world,
                             .saved_ms = manifest.saved_ms,
                             .bytes = manifest.bytes(),
                             .values = manifest.values};
  for (const TensorRecord& each : manifest.tensors) result.tensors.push_back({each.name, each.dtype, each.shape});
  return result;
}

}  // namespace

const InspectedCheckpoint* Inspection::newest_good() const {
  const auto found =
      std::find_if(checkpoints.begin(), checkpoints.end(), [](const auto& each) { return each.is_good(); });
  return found == checkpoints.end() ? nullptr : &*found;
}

Inspection inspect(FileSystem& files, const std::string& path) {
  if (files.size(path)) fail(ErrorCode::invalid_argument, path + " is a file, and no checkpoint folder");
  const std::vector<std::string> top = files.list(path);
  if (std::find(top.begin(), top.end(), "journal") == top.end())
    fail(ErrorCode::invalid_argument, path + " is no checkpoint folder, or not there: it has no journal");
  // Files before the journal: those of a save that completes in between are then in the journal, and no leftovers.
  const std::vector<std::string> written = written_files(files, path, top);
  const Journal journal(files, path);
  Journal::Contents contents = journal.read();

  Inspection result;
  for (const Journal::Damage& each : contents.damaged) result.damaged.push_back({"journal/" + each.file, each.what});
  std::set<std::string> named;
  for (const Journal::Item& item : contents.items) {
    const auto* manifest = std::get_if<Manifest>(&item.entry);
    if (manifest == nullptr) {
      result.attempts.push_back(std::get<Attempt>(item.entry));
      continue;
    }
    for (const PartRecord& part : manifest->parts) named.insert(part.file);
    named.insert(manifest->json_file);
    InspectedCheckpoint checkpoint = without_files(*manifest, item.file);
    checkpoint.problems = Verification(files, path, *manifest).run();
    if (checkpoint.is_good() || files.size(journal.path(item.file)))
      result.checkpoints.push_back(std::move(checkpoint));
  }
  std::stable_sort(result.checkpoints.begin(), result.checkpoints.end(), [](const auto& a, const auto& b) {
    return CheckpointId{b.attempt, b.step} < CheckpointId{a.attempt, a.step};
  });
  std::sort(result.attempts.begin(), result.attempts.end());
  for (const std::string& file : written) {
    if (!named.contains(file) && files.size(path + "/" + file)) result.leftovers.push_back(file);
  }
  return result;
}

}  // namespace trireme::checkpoint
