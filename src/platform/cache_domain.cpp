// SPDX-License-Identifier: Apache-2.0
#include "platform/cache_domain.hpp"

#include <algorithm>
#include <fstream>
#include <string>
#include <system_error>
#include <utility>

namespace trireme::platform {
namespace {

namespace fs = std::filesystem;

std::optional<std::string> first_line(const fs::path& path) {
  std::ifstream file(path);
  std::string line;
  if (!std::getline(file, line)) return std::nullopt;
  return line;
}

/// The processors of a list file; none if it is not there or is garbage.
ProcessorList list_in(const fs::path& path) {
  return parse_processors(first_line(path).value_or("")).value_or(ProcessorList());
}

/// Of a file that holds one.
std::optional<int> number_in(const fs::path& path) {
  const auto list = list_in(path);
  return list.size() == 1 ? std::optional<int>(list.front()) : std::nullopt;
}

bool contains(const ProcessorList& list, int processor) {
  return std::binary_search(list.begin(), list.end(), processor);
}

/// The folders of `parent` that are called `prefix` and a number, with it.
template <class Each>
void for_numbered(const fs::path& parent, const std::string& prefix, Each each) {
  std::error_code none;
  for (fs::directory_iterator it(parent, none), end; !none && it != end; it.increment(none)) {
    const auto name = it->path().filename().string();
    if (name.compare(0, prefix.size(), prefix) != 0) continue;
    const auto number = parse_processors(std::string_view(name).substr(prefix.size()));
    if (number && number->size() == 1) each(number->front(), it->path());
  }
}

fs::path folder_of(int processor, const fs::path& system) {
  return system / "cpu" / ("cpu" + std::to_string(processor));
}

/// Who shares the last-level cache of `processor`; none if that is unknown.
ProcessorList sharers_of_cache(int processor, const fs::path& system) {
  ProcessorList sharers;
  int highest = 0;
  for_numbered(folder_of(processor, system) / "cache", "index", [&](int, const fs::path& cache) {
    const auto level = number_in(cache / "level");
    if (!level || *level <= highest || first_line(cache / "type") == "Instruction") return;
    highest = *level;
    sharers = list_in(cache / "shared_cpu_list");  // unknown at the highest level is unknown
  });
  if (!contains(sharers, processor)) sharers.clear();
  return sharers;
}

struct Node {
  int number = 0;
  ProcessorList processors{};  ///< none: not known
};

Node node_of(int processor, const fs::path& system) {
  Node node;
  for_numbered(system / "node", "node", [&](int number, const fs::path& folder) {
    auto list = list_in(folder / "cpulist");
    if (contains(list, processor)) node = {number, std::move(list)};
  });
  return node;
}

bool has_nodes(const fs::path& system) {
  std::error_code none;
  return fs::exists(system / "node", none);
}

}  // namespace

ProcessorPlace place_of(int processor, const fs::path& system) {
  ProcessorPlace place{processor, processor, std::nullopt};
  const auto core = list_in(folder_of(processor, system) / "topology" / "thread_siblings_list");
  if (contains(core, processor)) place.core = core.front();
  place.domain = domain_of({processor}, system);
  return place;
}

std::optional<CacheDomain> domain_of(const ProcessorList& processors, const fs::path& system) {
  if (processors.empty()) return std::nullopt;
  // Whom one of them shares with says it for all: no file of the others need be read.
  const auto within = [&](const ProcessorList& list) {
    return std::includes(list.begin(), list.end(), processors.begin(), processors.end());
  };
  const auto sharers = sharers_of_cache(processors.front(), system);
  if (!within(sharers)) return std::nullopt;
  const auto node = node_of(processors.front(), system);
  if (node.processors.empty() ? has_nodes(system) : !within(node.processors)) return std::nullopt;
  return CacheDomain{node.number, sharers.front()};
}

}  // namespace trireme::platform
