// SPDX-License-Identifier: Apache-2.0
#include "multiprocess/idx_folder.hpp"
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
  // 24 layers: 42.7 million parameters, with the state of AdamW 513 MB, and 684 MB with gradients.
  constexpr std::uint64_t limit = 480 * mib;
  const Result refused = train_within(limit, 4, 24, {"--zero", "0"});
  INFO(refused.err);
  CHECK(refused.exit_code == 2);
  CHECK(refused.out.empty());
  CHECK_THAT(refused.err, Contains("the model does not fit: its 42689280 parameters"));
  CHECK_THAT(refused.err, Contains("may have 503316480 bytes of address space (ulimit -v)"));
  CHECK_THAT(refused.err, Contains("share them out with --zero 3"));
  CHECK(std::count(refused.err.begin(), refused.err.end(), '\n') <= 2);  // the launcher's own line
  // Over TCP as on four hosts: in shared memory each would map the others' parts as well.
  const Result trained = train_within(limit, 4, 24, {"--zero", "3"}, {{"TRIREME_TRANSPORT", "tcp"}});
  INFO(trained.err);
  REQUIRE(trained.exit_code == 0);
  CHECK(value(result_of(trained), "steps") == "2");
}

TEST_CASE(
    "A GPT larger than each process's memory trains on a mesh that shares it, and is refused in one line on others",
    "[.full]") {
  if (is_sanitized) return;
  // All 24 layers have 683 MB of values, gradients and state, an eighth 85 MB.
  constexpr std::uint64_t limit = 480 * mib;
  const Result refused = train_within(limit, 8, 24, {"--mesh", "data=8", "--micro-batches", "2", "--batch-size", "16"});
  INFO(refused.err);
  CHECK(refused.exit_code == 2);
  CHECK(refused.out.empty());
  CHECK_THAT(refused.err, Contains("the model does not fit: its share of ") &&
                              Contains(" bytes on a rank of mesh tensor=1,pipeline=1,data=8 (values ") &&
                              Contains("activations and messages ") &&
                              Contains("may have 503316480 bytes of address space (ulimit -v)") &&
                              Contains("give --mesh more pipeline or tensor ranks") &&
                              Contains("--zero 1 (at least ") && Contains("--recompute"));
  CHECK(std::count(refused.err.begin(), refused.err.end(), '\n') <= 2);  // the launcher's own line
  const Result trained = train_within(limit, 8, 24, {"--mesh", "pipeline=4,tensor=2", "--sample-tokens", "9"},
                                      {{"TRIREME_TRANSPORT", "tcp"}});
  INFO(trained.err);
  REQUIRE(trained.exit_code == 0);
  CHECK(value(result_of(trained), "steps") == "2");
  CHECK_THAT(trained.out, Contains("sample: none: there is no memory for the whole model"));
}

TEST_CASE("A GPT that cannot fit a process's address space is refused before it is made, with the bytes it wants") {
  if (is_sanitized) return;
  const Result refused = train_within(256 * mib, 2, 24, {"--optimizer", "adamw"});
  INFO(refused.err);
  CHECK(refused.exit_code == 2);
  CHECK(refused.out.empty());
  CHECK_THAT(refused.err, Contains("parameters take at least ") && Contains(" bytes on each rank (values ") &&
                              Contains("gradients ") && Contains("state of adamw ") &&
                              Contains("--zero 3 (at least ") && Contains("or start more ranks") &&
                              Contains("--offload DIR"));
}

TEST_CASE("An MLP that cannot fit a process's address space is refused with its parameters and the bytes they take") {
  if (is_sanitized) return;
  const IdxFolder data(90, 40);
  const Result refused =
      run_trireme({"run", "-n", "1", "--", "/bin/sh", "-c", "ulimit -v 400000; exec \"$@\"", "sh", TRIREME_PROGRAM,
                   "train", "--data-dir", data.path(), "--hidden", "8192,8192", "--steps", "1"});
  INFO(refused.err);
  CHECK(refused.exit_code == 2);
  CHECK_THAT(refused.err, Contains("the model does not fit: its ") && Contains(" parameters take at least ") &&
                              Contains("may have 409600000 bytes of address space (ulimit -v)"));
}

TEST_CASE("Memory that runs out all the same ends in one line with what was wanted") {
  if (is_sanitized) return;
  // 4 layers want 115 MB, which are there; the first gradients, twice for a moment, and activations are not.
  const Result ended = train_within(170 * mib, 1, 4, {"--batch-size", "64", "--context", "8"});
  INFO(ended.err);
  CHECK(ended.exit_code != 0);
  CHECK(ended.exit_code < 128);
  CHECK_THAT(ended.err, !Contains("bad_alloc") && !Contains("terminate"));
  CHECK_THAT(ended.err, Contains("trireme train: "));
}
