// SPDX-License-Identifier: Apache-2.0
#include "trireme/checkpoint/manifest.hpp"

#include <nlohmann/json.hpp>

#include <cinttypes>
#include <cstdio>
#include <type_traits>

namespace trireme::checkpoint {
namespace {

std::string hex(std::uint64_t value) {
  char text[17];
  std::snprintf(text, sizeof text, "%016" PRIx64, value);
  return text;
}

nlohmann::ordered_json slice_json(const Slice& slice) {
  nlohmann::ordered_json hashes = nlohmann::ordered_json::array();
  for (const std::uint64_t hash : slice.chunk_xxh3) hashes.push_back(hex(hash));
  return {{"first", slice.first},
          {"count", slice.count},
          {"part", slice.part},
          {"offset", slice.offset},
          {"chunk_xxh3", std::move(hashes)}};
}

nlohmann::ordered_json tensor_json(const TensorRecord& tensor) {
  nlohmann::ordered_json slices = nlohmann::ordered_json::array();
  for (const Slice& slice : tensor.slices) slices.push_back(slice_json(slice));
  return {
      {"name", tensor.name}, {"dtype", name_of(tensor.dtype)}, {"shape", tensor.shape}, {"slices", std::move(slices)}};
}

}  // namespace

std::string text_of(const Value& value) {
  return std::visit(
      [](const auto& each) -> std::string {
        if constexpr (std::is_same_v<std::decay_t<decltype(each)>, std::string>) return each;
        if constexpr (std::is_same_v<std::decay_t<decltype(each)>, std::uint64_t>) return std::to_string(each);
        if constexpr (std::is_same_v<std::decay_t<decltype(each)>, double>) {
          char text[32];
          std::snprintf(text, sizeof text, "%.17g", each);
          return text;
        }
      },
      value);
}

std::string text_of(const Attempt& attempt) {
  return "attempt " + std::to_string(attempt.generation) + " (" + hex(attempt.id).substr(0, 8) + " on " +
         (attempt.host.empty() ? "an unknown host" : attempt.host) + ")";
}

std::size_t TensorRecord::count() const {
  std::size_t count = 1;
  for (const std::int64_t extent : shape) count *= static_cast<std::size_t>(extent);
  return count;
}

std::uint64_t Manifest::bytes() const {
  std::uint64_t sum = 0;
  for (const PartRecord& part : parts) sum += part.bytes;
  return sum;
}

std::string to_json(const Manifest& manifest) {
  nlohmann::ordered_json json{{"step", manifest.step},
                              {"world", manifest.world},
                              {"saved_ms", manifest.saved_ms},
                              {"attempt",
                               {{"generation", manifest.attempt.generation},
                                {"id", hex(manifest.attempt.id)},
                                {"started_ms", manifest.attempt.started_ms},
                                {"host", manifest.attempt.host},
                                {"job", manifest.attempt.job}}},
                              {"parent", nullptr},
                              {"chunk_bytes", manifest.chunk_bytes},
                              {"values", nlohmann::ordered_json::object()},
                              {"parts", nlohmann::ordered_json::array()},
                              {"tensors", nlohmann::ordered_json::array()}};
  if (manifest.parent_generation != 0)
    json["parent"] = {{"generation", manifest.parent_generation}, {"step", manifest.parent_step}};
  for (const auto& [name, value] : manifest.values)
    std::visit([&, &key = name](const auto& each) { json["values"][key] = each; }, value);
  for (const PartRecord& part : manifest.parts)
    json["parts"].push_back({{"file", part.file},
                             {"bytes", part.bytes},
                             {"header_bytes", part.header_bytes},
                             {"header_xxh3", hex(part.header_xxh3)}});
  for (const TensorRecord& tensor : manifest.tensors) json["tensors"].push_back(tensor_json(tensor));
  // Names and texts may hold any bytes.
  return json.dump(1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace trireme::checkpoint
