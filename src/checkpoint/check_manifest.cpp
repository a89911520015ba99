// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/check_manifest.hpp"

#include "checkpoint/foreign_text.hpp"
#include "checkpoint/safetensors.hpp"
#include "trireme/base/error.hpp"

#include <algorithm>
#include <limits>
#include <optional>
#include <set>
#include <string_view>
#include <variant>

namespace trireme::checkpoint {
namespace {

constexpr std::size_t longest_name = 512;
constexpr std::uint64_t most_chunk_bytes = std::uint64_t{64} << 20;
constexpr std::uint64_t most_bytes = std::uint64_t{1} << 62;  // of all parts: sums of any of them do not overflow

/// a*b, or nothing beyond 64 bits.
std::optional<std::uint64_t> product(std::uint64_t a, std::uint64_t b) {
  std::uint64_t result = 0;
  if (__builtin_mul_overflow(a, b, &result)) return std::nullopt;
  return result;
}

[[noreturn]] void refuse(const std::string& where, const std::string& what) {
  fail(ErrorCode::corrupt, where + ": " + what);
}

void check_text(const std::string& text, const std::string& where, const char* what) {
  if (!is_utf8(text)) refuse(where, std::string(what) + " " + shown(text) + " is not UTF-8");
}

void check_texts(const Manifest& manifest, const std::string& where) {
  check_attempt(manifest.attempt, where);
  for (const auto& [name, value] : manifest.values) {
    check_text(name, where, "the name of a value");
    if (const auto* text = std::get_if<std::string>(&value)) check_text(*text, where, "a value");
  }
  for (const TensorRecord& tensor : manifest.tensors) check_text(tensor.name, where, "the name of a tensor");
}

/// A name that files of a checkpoint may have: below the folder, and not in the journal, whose entries are nobody's parts.
bool is_file_name(const std::string& name) { return is_below(name) && is_utf8(name) && !name.starts_with("journal/"); }

void check_files(const Manifest& manifest, const std::string& where) {
  std::set<std::string_view> names;
  std::uint64_t sum = 0;
  for (const PartRecord& part : manifest.parts) {
    if (!is_file_name(part.file))
      refuse(where, "a part has a name that leaves the folder, or none: " + shown(part.file));
    if (!names.insert(part.file).second) refuse(where, part.file + " is named twice");
    if (part.bytes > most_bytes - sum) refuse(where, part.file + " is too large");
    sum += part.bytes;
    if (part.header_bytes < 8 || part.header_bytes > part.bytes) refuse(where, part.file + " has no header");
    if (part.header_bytes > most_header_bytes)
      refuse(where, part.file + " has a header of " + std::to_string(part.header_bytes) + " bytes");
  }
  if (!is_file_name(manifest.json_file) || names.contains(manifest.json_file))
    refuse(where, "its JSON has a name that leaves the folder, or none, or a part's: " + shown(manifest.json_file));
}

struct Extent {
  std::uint64_t begin;
  std::uint64_t end;
};

/// The bytes of every slice, by part.
using Extents = std::vector<std::vector<Extent>>;

void check_slice(const Manifest& manifest, const TensorRecord& tensor, const Slice& slice, const std::string& where,
                 Extents& extents) {
  const auto what = [&] { return "tensor " + shown(tensor.name) + ", elements from " + std::to_string(slice.first); };
  if (slice.part >= manifest.parts.size())
    refuse(where,
           what() + ", lies in part " + std::to_string(slice.part) + " of " + std::to_string(manifest.parts.size()));
  const PartRecord& part = manifest.parts[slice.part];
  const auto bytes = product(slice.count, size_of(tensor.dtype));
  if (!bytes || slice.offset < part.header_bytes || slice.offset > part.bytes || *bytes > part.bytes - slice.offset)
    refuse(where, what() + ", does not lie within " + part.file);
  if (slice.chunk_xxh3.size() != *bytes / manifest.chunk_bytes + (*bytes % manifest.chunk_bytes != 0))
    refuse(where, what() + ", has " + std::to_string(slice.chunk_xxh3.size()) + " hashes, which is not one per chunk");
  extents[slice.part].push_back({slice.offset, slice.offset + *bytes});
}

void check_tensor(const Manifest& manifest, const TensorRecord& tensor, const std::string& where, Extents& extents) {
  std::uint64_t count = 1;
  for (const std::int64_t extent : tensor.shape) {
    const auto larger = extent < 0 ? std::nullopt : product(count, static_cast<std::uint64_t>(extent));
    if (!larger || !product(*larger, size_of(tensor.dtype)))
      refuse(where, "tensor " + shown(tensor.name) + " is too large");
    count = *larger;
  }
  std::uint64_t covered = 0;
  for (const Slice& slice : tensor.slices) {
    if (slice.first != covered || slice.count == 0 || slice.count > count - covered)
      refuse(where, "tensor " + shown(tensor.name) + ": its slices do not cover every element once, in order");
    covered += slice.count;
    check_slice(manifest, tensor, slice, where, extents);
  }
  if (covered != count)
    refuse(where, "tensor " + shown(tensor.name) + " has " + std::to_string(count) + " elements, but only " +
                      std::to_string(covered) + " of them are anywhere");
}

/// Every byte of a part behind its header belongs to one slice: so every byte of it has a hash.
void check_cover(const PartRecord& part, std::vector<Extent>& extents, const std::string& where) {
  std::sort(extents.begin(), extents.end(), [](const Extent& a, const Extent& b) { return a.begin < b.begin; });
  std::uint64_t end = part.header_bytes;
  for (const Extent& each : extents) {
    if (each.begin != end)
      refuse(where, part.file + ": its tensors overlap or leave gaps at byte " + std::to_string(end));
    end = each.end;
  }
  if (end != part.bytes)
    refuse(where, part.file + ": nothing is said of its bytes from " + std::to_string(end) + " on");
}

}  // namespace

void check_attempt(const Attempt& attempt, const std::string& where) {
  check_text(attempt.host, where, "the host");
  check_text(attempt.job, where, "the job");
}

bool is_below(const std::string& name) {
  if (name.empty() || name.size() > longest_name || name.front() == '/') return false;
  const auto is_odd = [](char c) { return (c >= 0 && c < ' ') || c == '\x7f' || c == '\\'; };
  if (std::any_of(name.begin(), name.end(), is_odd)) return false;
  std::string_view rest = name;
  while (true) {
    const std::size_t slash = rest.find('/');
    const std::string_view component = rest.substr(0, slash);
    if (component.empty() || component == "." || component == "..") return false;
    if (slash == std::string_view::npos) return true;
    rest.remove_prefix(slash + 1);
  }
}

void check_manifest(const Manifest& manifest, const std::string& where) {
  if (manifest.chunk_bytes == 0 || manifest.chunk_bytes > most_chunk_bytes)
    refuse(where, "chunks of " + std::to_string(manifest.chunk_bytes) + " bytes");
  if (manifest.world == 0) refuse(where, "a world of 0 ranks");
  check_texts(manifest, where);
  check_files(manifest, where);
  std::set<std::string_view> names;
  Extents extents(manifest.parts.size());
  for (const TensorRecord& tensor : manifest.tensors) {
    if (!names.insert(tensor.name).second) refuse(where, "tensor " + shown(tensor.name) + " is named twice");
    check_tensor(manifest, tensor, where, extents);
  }
  for (std::size_t p = 0; p < manifest.parts.size(); ++p) check_cover(manifest.parts[p], extents[p], where);
}

}  // namespace trireme::checkpoint
