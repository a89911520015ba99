// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/entry.hpp"

#include "checkpoint.pb.h"
#include "checkpoint/check_manifest.hpp"
#include "checkpoint/foreign_text.hpp"
#include "checkpoint/hash.hpp"
#include "trireme/base/error.hpp"

#include <array>
#include <cstring>
#include <limits>

namespace trireme::checkpoint {
namespace {

constexpr std::array<char, 8> magic{'T', 'R', 'I', 'R', 'E', 'M', 'E', '\n'};
constexpr std::size_t head_bytes = magic.size() + 2 * sizeof(std::uint64_t);

/// Protobuf would write other bytes as well, and then refuse to read them.
const std::string& utf8(const std::string& text, const char* what) {
  if (!is_utf8(text))
    fail(ErrorCode::invalid_argument, std::string(what) + " " + shown(text) + " of a checkpoint is not UTF-8");
  return text;
}

void put(const Attempt& from, proto::Attempt& to) {
  to.set_generation(from.generation);
  to.set_id(from.id);
  to.set_started_ms(from.started_ms);
  to.set_host(utf8(from.host, "the host"));
  to.set_job(utf8(from.job, "the job"));
}

Attempt attempt_of(const proto::Attempt& from) {
  return {.generation = from.generation(),
          .id = from.id(),
          .started_ms = from.started_ms(),
          .host = from.host(),
          .job = from.job()};
}

void put(const std::string& name, const Value& from, proto::Value& to) {
  to.set_name(utf8(name, "the name of a value"));
  if (const auto* whole = std::get_if<std::uint64_t>(&from)) to.set_whole(*whole);
  if (const auto* real = std::get_if<double>(&from)) to.set_real(*real);
  if (const auto* text = std::get_if<std::string>(&from)) to.set_text(utf8(*text, "a value"));
}

void put(const TensorRecord& from, proto::Tensor& to) {
  to.set_name(utf8(from.name, "the name of a tensor"));
  to.set_dtype(std::string(name_of(from.dtype)));
  for (const std::int64_t extent : from.shape) to.add_shape(static_cast<std::uint64_t>(extent));
  for (const Slice& slice : from.slices) {
    proto::Slice& one = *to.add_slices();
    one.set_first(slice.first);
    one.set_count(slice.count);
    one.set_part(slice.part);
    one.set_offset(slice.offset);
    one.mutable_chunk_xxh3()->Add(slice.chunk_xxh3.begin(), slice.chunk_xxh3.end());
  }
}

void put(const Manifest& from, proto::Manifest& to) {
  to.set_version(manifest_version);
  put(from.attempt, *to.mutable_attempt());
  to.set_step(from.step);
  to.set_world(from.world);
  to.set_saved_ms(from.saved_ms);
  to.set_chunk_bytes(from.chunk_bytes);
  to.set_parent_generation(from.parent_generation);
  to.set_parent_step(from.parent_step);
  for (const auto& [name, value] : from.values) put(name, value, *to.add_values());
  for (const TensorRecord& tensor : from.tensors) put(tensor, *to.add_tensors());
  for (const PartRecord& part : from.parts) {
    proto::Part& one = *to.add_parts();
    one.set_file(utf8(part.file, "a file"));
    one.set_bytes(part.bytes);
    one.set_header_bytes(part.header_bytes);
    one.set_header_xxh3(part.header_xxh3);
  }
  to.set_json_file(utf8(from.json_file, "the JSON"));
  to.set_json_bytes(from.json_bytes);
  to.set_json_xxh3(from.json_xxh3);
}

Value value_of(const proto::Value& from, const std::string& where) {
  switch (from.value_case()) {
    case proto::Value::kWhole: return from.whole();
    case proto::Value::kReal: return from.real();
    case proto::Value::kText: return from.text();
    case proto::Value::VALUE_NOT_SET: break;
  }
  fail(ErrorCode::corrupt, where + ": " + shown(from.name()) + " has no value");
}

TensorRecord tensor_of(const proto::Tensor& from, const std::string& where) {
  TensorRecord tensor{.name = from.name(), .dtype = DType::f32, .shape{}, .slices{}};
  if (!parse_dtype(from.dtype(), tensor.dtype))
    fail(ErrorCode::corrupt,
         where + ": tensor " + shown(tensor.name) + " has the dtype " + shown(from.dtype()) + ", which is none");
  for (const std::uint64_t extent : from.shape()) {
    if (extent > std::numeric_limits<std::int64_t>::max())
      fail(ErrorCode::corrupt,
           where + ": tensor " + shown(tensor.name) + " has an extent of " + std::to_string(extent));
    tensor.shape.push_back(static_cast<std::int64_t>(extent));
  }
  for (const proto::Slice& slice : from.slices())
    tensor.slices.push_back({.first = slice.first(),
                             .count = slice.count(),
                             .part = slice.part(),
                             .offset = slice.offset(),
                             .chunk_xxh3{slice.chunk_xxh3().begin(), slice.chunk_xxh3().end()}});
  return tensor;
}

Manifest manifest_of(const proto::Manifest& from, const std::string& where) {
  if (from.version() == 0 || from.version() > manifest_version) {
    fail(from.version() == 0 ? ErrorCode::corrupt : ErrorCode::unsupported,
         where + " is a manifest of version " + std::to_string(from.version()) + "; this program reads up to " +
             std::to_string(manifest_version));
  }
  Manifest manifest{.attempt = attempt_of(from.attempt()),
                    .step = from.step(),
                    .world = from.world(),
                    .saved_ms = from.saved_ms(),
                    .chunk_bytes = from.chunk_bytes(),
                    .parent_generation = from.parent_generation(),
                    .parent_step = from.parent_step(),
                    .json_file = from.json_file(),
                    .json_bytes = from.json_bytes(),
                    .json_xxh3 = from.json_xxh3()};
  for (const proto::Value& value : from.values()) {
    if (!manifest.values.emplace(value.name(), value_of(value, where)).second)
      fail(ErrorCode::corrupt, where + ": " + shown(value.name()) + " has two values");
  }
  for (const proto::Tensor& tensor : from.tensors()) manifest.tensors.push_back(tensor_of(tensor, where));
  for (const proto::Part& part : from.parts())
    manifest.parts.push_back({part.file(), part.bytes(), part.header_bytes(), part.header_xxh3()});
  return manifest;
}

}  // namespace

std::vector<std::byte> encode(const Entry& entry) {
  proto::Entry message;
  if (const auto* claim = std::get_if<Attempt>(&entry)) put(*claim, *message.mutable_claim());
  if (const auto* manifest = std::get_if<Manifest>(&entry)) put(*manifest, *message.mutable_manifest());
  const std::uint64_t length = message.ByteSizeLong();
  if (length > most_entry_bytes - head_bytes) {
    fail(ErrorCode::invalid_argument, "a manifest of " + std::to_string(length) + " bytes; the most is " +
                                          std::to_string(most_entry_bytes - head_bytes));
  }
  std::vector<std::byte> bytes(head_bytes + length);
  if (!message.SerializeToArray(bytes.data() + head_bytes, static_cast<int>(length)))
    fail(ErrorCode::system, "a manifest could not be put into bytes");
  const std::uint64_t hash = hash_of(std::span(bytes).subspan(head_bytes));
  std::memcpy(bytes.data(), magic.data(), magic.size());
  std::memcpy(bytes.data() + magic.size(), &length, sizeof length);
  std::memcpy(bytes.data() + magic.size() + sizeof length, &hash, sizeof hash);
  return bytes;
}

Entry decode(std::span<const std::byte> bytes, const std::string& where) {
  if (bytes.size() < head_bytes || bytes.size() > most_entry_bytes ||
      std::memcmp(bytes.data(), magic.data(), magic.size()) != 0)
    fail(ErrorCode::corrupt, where + " is no entry of a checkpoint journal, or was cut off");
  std::uint64_t length = 0, hash = 0;
  std::memcpy(&length, bytes.data() + magic.size(), sizeof length);
  std::memcpy(&hash, bytes.data() + magic.size() + sizeof length, sizeof hash);
  const auto body = bytes.subspan(head_bytes);
  if (body.size() != length || hash_of(body) != hash)
    fail(ErrorCode::corrupt, where + " is damaged: its bytes are not those it was written with");
  proto::Entry message;
  if (!message.ParseFromArray(body.data(), static_cast<int>(body.size())))
    fail(ErrorCode::corrupt, where + " holds no entry of a checkpoint journal");
  if (message.has_claim()) {
    Attempt attempt = attempt_of(message.claim());
    check_attempt(attempt, where);
    return attempt;
  }
  if (message.has_manifest()) {
    Manifest manifest = manifest_of(message.manifest(), where);
    check_manifest(manifest, where);
    return manifest;
  }
  fail(ErrorCode::corrupt, where + " says neither that an attempt begins nor that a checkpoint is complete");
}

std::vector<std::byte> encode_share(const Manifest& share) {
  proto::Manifest message;
  put(share, message);
  std::vector<std::byte> bytes(message.ByteSizeLong());
  if (bytes.size() > most_entry_bytes)
    fail(ErrorCode::invalid_argument, "a rank's share of a manifest has " + std::to_string(bytes.size()) + " bytes");
  if (!message.SerializeToArray(bytes.data(), static_cast<int>(bytes.size())))
    fail(ErrorCode::system, "a rank's share of a manifest could not be put into bytes");
  return bytes;
}

Manifest decode_share(std::span<const std::byte> bytes) {
  proto::Manifest message;
  if (bytes.size() > most_entry_bytes || !message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())))
    fail(ErrorCode::corrupt, "a rank's share of a manifest cannot be read");
  return manifest_of(message, "a rank's share of a manifest");
}

}  // namespace trireme::checkpoint
