// SPDX-License-Identifier: Apache-2.0
#include "platform/processor_list.hpp"

#include <charconv>
#include <memory>

#include <sched.h>

namespace trireme::platform {

std::string to_text(const ProcessorList& processors) {
  std::string text;
  for (std::size_t i = 0; i < processors.size();) {
    std::size_t last = i;
    while (last + 1 < processors.size() && processors[last + 1] == processors[last] + 1) ++last;
    if (!text.empty()) text += ',';
    text += std::to_string(processors[i]);
    if (last != i) text += '-' + std::to_string(processors[last]);
    i = last + 1;
  }
  return text;
}

std::optional<ProcessorList> parse_processors(std::string_view text) {
  ProcessorList processors;
  const char* at = text.data();
  const char* const end = at + text.size();
  const auto number = [&](int& value) {
    const auto [after, error] = std::from_chars(at, end, value);
    if (error != std::errc() || value < 0 || value >= most_processors) return false;
    at = after;
    return true;
  };
  while (at != end) {
    int first = 0;
    if (!number(first)) return std::nullopt;
    int last = first;
    if (at != end && *at == '-' && (++at, !number(last))) return std::nullopt;
    if (last < first || (!processors.empty() && first <= processors.back())) return std::nullopt;
    for (int each = first; each <= last; ++each) processors.push_back(each);
    if (at == end) break;
    if (*at != ',' || ++at == end) return std::nullopt;
  }
  return processors;
}

ProcessorList allowed_processors() {
  const std::unique_ptr<cpu_set_t, void (*)(cpu_set_t*)> set(CPU_ALLOC(most_processors),
                                                             [](cpu_set_t* each) { CPU_FREE(each); });
  const std::size_t bytes = CPU_ALLOC_SIZE(most_processors);
  if (!set) return {};
  CPU_ZERO_S(bytes, set.get());
  if (::sched_getaffinity(0, bytes, set.get()) != 0) return {};
  ProcessorList processors;
  for (int i = 0; i < most_processors; ++i) {
    if (CPU_ISSET_S(static_cast<std::size_t>(i), bytes, set.get())) processors.push_back(i);
  }
  return processors;
}

}  // namespace trireme::platform
