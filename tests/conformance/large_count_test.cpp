// SPDX-License-Identifier: Apache-2.0
// Counts beyond 31 bits, once.
#include "conformance/case_world.hpp"
#include "conformance/complaints.hpp"
#include "support/exact_inputs.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <array>
#include <cstring>
#include <fstream>

using namespace trireme;

namespace {

#ifdef TRIREME_SANITIZED
constexpr bool is_sanitized = true;
#else
constexpr bool is_sanitized = false;
#endif
constexpr std::size_t large_count = (std::size_t{1} << 31) + 100'003;
constexpr std::size_t edge = 5000;  // elements that differ, at both ends and around 2^31

std::size_t available_bytes() {
  std::ifstream file("/proc/meminfo");
  for (std::string line; std::getline(file, line);) {
    if (line.rfind("MemAvailable:", 0) == 0) return std::stoull(line.substr(13)) << 10;
  }
  return 0;
}

/// Where the elements are told apart: their beginnings.
constexpr std::array<std::size_t, 4> edges{0, large_count / 2 - edge / 2, (std::size_t{1} << 31) - edge / 2,
                                           large_count - edge};

std::int8_t edge_value(int rank, std::size_t element) {
  return static_cast<std::int8_t>(testing::mix(element * 2 + static_cast<std::size_t>(rank)) % 256);
}

/// Where the sums are not what they should be; between the edges all are alike.
std::string first_difference(std::span<const std::int8_t> data) {
  static const std::vector<std::int8_t> alike(1u << 20, 3);
  std::size_t at = 0;
  const auto check_alike = [&](std::size_t end) {
    for (; at < end; at += std::min(alike.size(), end - at)) {
      if (std::memcmp(data.data() + at, alike.data(), std::min(alike.size(), end - at)) != 0)
        return "among the " + std::to_string(alike.size()) + " elements from " + std::to_string(at);
    }
    return std::string();
  };
  for (const std::size_t begin : edges) {  // the last ends where the data does
    if (const auto wrong = check_alike(begin); !wrong.empty()) return wrong;
    for (at = begin; at < begin + edge; ++at) {
      if (data[at] != static_cast<std::int8_t>(edge_value(0, at) + edge_value(1, at)))
        return "element " + std::to_string(at);
    }
  }
  return "";
}

}  // namespace

TEST_CASE("more than 2^31 elements are all reduced, also around the 2^31st", "[.large]") {
  if (is_sanitized) {
    WARN("not under sanitizers: skipped");
    return;
  }
  if (available_bytes() < (std::size_t{8} << 30)) {
    WARN("less than 8 GiB of memory available: skipped");
    return;
  }
  const auto transport = GENERATE(from_range(testing::places({"shm", "tcp"})));
  const auto wrong =
      testing::run_case(2, {.transport = transport, .world = {.arena_reserve = Bytes{std::uint64_t{5} << 30}}},
                        [&](testing::CaseWorld& world) {
                          auto buffer = world.memory().allocate<std::int8_t>(large_count);
                          const auto data = buffer.as<std::int8_t>().first(large_count);
                          std::memset(data.data(), world.rank() + 1, data.size());
                          for (const std::size_t begin : edges) {
                            for (std::size_t i = begin; i < begin + edge; ++i) data[i] = edge_value(world.rank(), i);
                          }
                          world.communicator().all_reduce(data);
                          return first_difference(data);
                        });
  CAPTURE(transport);
  REQUIRE(testing::joined(wrong) == "");
}
