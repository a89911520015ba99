// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/names.hpp"

#include <algorithm>
#include <charconv>
#include <cinttypes>
#include <cstdio>
#include <system_error>

namespace trireme::checkpoint {
namespace {

constexpr std::string_view step_prefix = "step-";

}  // namespace

std::string step_folder(std::uint64_t step) {
  char text[32];
  std::snprintf(text, sizeof text, "%s%08" PRIu64, step_prefix.data(), step);
  return text;
}

bool is_step_folder(std::string_view name) {
  if (!name.starts_with(step_prefix) || name.size() == step_prefix.size()) return false;
  return std::all_of(name.begin() + step_prefix.size(), name.end(), [](char c) { return c >= '0' && c <= '9'; });
}

std::string attempt_tag(const Attempt& attempt) {
  char text[64];
  std::snprintf(text, sizeof text, "g%04" PRIu64 "-%08" PRIx64, attempt.generation, attempt.id >> 32);
  return text;
}

std::optional<std::uint64_t> tagged_generation(std::string_view name) {
  if (!name.starts_with("g")) return std::nullopt;
  std::uint64_t generation = 0;
  const char* const end = name.data() + name.size();
  const auto parsed = std::from_chars(name.data() + 1, end, generation);
  if (parsed.ec != std::errc{} || parsed.ptr == end || *parsed.ptr != '-') return std::nullopt;
  return generation;
}

std::string part_file(const Attempt& attempt, std::uint64_t step, int rank, int ranks) {
  return step_folder(step) + "/" + attempt_tag(attempt) + "-rank-" + std::to_string(rank) + "-of-" +
         std::to_string(ranks) + ".safetensors";
}

std::string json_file(const Attempt& attempt, std::uint64_t step) {
  return step_folder(step) + "/" + attempt_tag(attempt) + "-manifest.json";
}

}  // namespace trireme::checkpoint
