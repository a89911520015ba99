// SPDX-License-Identifier: Apache-2.0
#include "multiprocess/launched.hpp"
#include "multiprocess/train_job.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <string>
#include <vector>

using namespace trireme::testing;
using Catch::Matchers::Contains;
using Words = std::vector<std::string>;

namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool is_sanitized = true;  // their shadow takes address space without end
#else
constexpr bool is_sanitized = false;
#endif

constexpr std::uint64_t mib = std::uint64_t{1} << 20;

/// `trireme train` of a GPT with so many layers of 384 channels, each of 1.8 million parameters, on so many ranks that may have `limit` bytes
/// of address space each.
Result train_within(std::uint64_t limit, int ranks, int layers, const Words& more,
                    const std::map<std::string, std::string>& environment = {}) {
  const TemporaryFolder folder;
  {
    std::ofstream text(folder.path() + "/text", std::ios::binary);
    for (int i = 0; i < 600; ++i) text << static_cast<char>('a' + (i * i / 7 + i) % 23);
  }
  std::string job = std::string("ulimit -v ") + std::to_string(limit >> 10) + "; exec " + TRIREME_PROGRAM +
                    " train --dataset text:" + folder.path() + "/text --layers " + std::to_string(layers) +
                    " --channels 384 --heads 6 --context 8 --batch-size 4 --steps 2 --sample-tokens 0";
  for (const std::string& word : more) job += " " + word;
  return run_trireme({"run", "-n", std::to_string(ranks), "--", "/bin/sh", "-c", job}, environment);
}

}  // namespace

TEST_CASE("A GPT larger than each process's memory trains with ZeRO-3, and is refused in one line without", "[.full]") {
  if (is_sanitized) return;
  // 24 layers: 42.8 million parameters, 171 MB of values and 342 MB of the state of AdamW.
  constexpr std::uint64_t limit = 480 * mib;
  for (const char* stage : {"0", "1", "2"}) {
    const Result refused = train_within(limit, 4, 24, {"--zero", stage});
    INFO(refused.err);
    CHECK(refused.out.empty());
  }
}
