// SPDX-License-Identifier: Apache-2.0
#include "support/failures.hpp"
#include "support/require.hpp"
#include "support/stride.hpp"
#include "support/volatile_files.hpp"
#include "trireme/base/error.hpp"
#include "trireme/world/run_ranks.hpp"
#include "unit/checkpoint/one_attempt.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cstring>

namespace {

using namespace trireme;
using testing::has;
using testing::OneAttempt;
using testing::require;
using testing::VolatileFiles;

using Bytes = std::vector<std::byte>;

/// What a file is to a checkpoint.
struct Role {
  std::uint64_t step = 0;  ///< 0: an attempt's claim
  std::uint64_t header_bytes = 0;
  bool is_part = false;
};

Role role_of(const std::string& path, const Bytes& bytes, const std::vector<std::uint64_t>& steps) {
  // 1: the claim; then a manifest for every step.
  if (has(path, "/journal/")) {
    const auto number = std::stoull(path.substr(path.rfind('/') + 1));
    return {.step = number == 1 ? 0 : steps.at(number - 2)};
  }
  Role role{.step = std::stoull(path.substr(path.find("step-") + 5, 8))};
  role.is_part = path.ends_with(".safetensors");
  if (role.is_part) {
    std::memcpy(&role.header_bytes, bytes.data(), sizeof role.header_bytes);
    role.header_bytes += sizeof role.header_bytes;
  }
  return role;
}

/// Resumes from damaged files: never wrong bits, the newest good step or a refusal that names the file.
void resume_from(World& world, VolatileFiles& files, const std::string& path, const Role& role,
                 const std::vector<std::uint64_t>& steps, bool is_tensor_data, const std::string& what) {
  const std::string name = path.substr(path.find('/', 1) + 1);
  const bool is_newest = role.step == steps.back();
  const bool is_journal = has(path, "/journal/");
  OneAttempt attempt(world, files);
  std::uint64_t resumed = 0;
  const Error error = testing::error_of([&] { resumed = attempt.resume(); });
  if (is_newest && steps.size() == 1) {
    require(error.code == ErrorCode::corrupt || error.code == ErrorCode::invalid_argument,
            what + ": the only checkpoint is damaged, and it is said: " + error.message);
    require(has(error.message, name), what + ": " + error.message + " names the file");
    return;
  }
  require(error.code == ErrorCode::none, what + ": " + error.message);
  require(resumed == (is_newest ? steps[steps.size() - 2] : steps.back()) && attempt.salt() == resumed,
          what + ": the newest good step is resumed");
  if (!is_newest && !is_journal) return;  // nobody looks at what is older
  const auto names_it = [&](const std::string& line) {
    return has(line, name) && (!is_tensor_data || has(line, "tensor '"));
  };
  const auto& warnings = attempt.warnings();
  require(std::any_of(warnings.begin(), warnings.end(), names_it),
          what + ": a warning names the file: " + (warnings.empty() ? "there is none" : warnings.front()));
}

void damage_everything(const std::vector<std::uint64_t>& steps) {
  testing::run_ranks(1, [&](World& world) {
    VolatileFiles base;
    {
      OneAttempt attempt(world, base);
      for (const std::uint64_t step : steps) attempt.must_save(step);
    }
    std::size_t flips = 0;
    for (const auto& [path, bytes] : base.contents()) {
      const Role role = role_of(path, bytes, steps);
      const auto try_with = [&, &path = path](Bytes damaged, bool is_tensor_data, const std::string& what) {
        const auto files = base.clone();
        files->put(path, std::move(damaged));
        resume_from(world, *files, path, role, steps, is_tensor_data, path + " " + what);
      };
      for (std::size_t i = 0; i < bytes.size(); i += testing::stride) {
        if (path.ends_with(".json") && i % 7 != 0) continue;  // one hash over all of it
        Bytes damaged = bytes;
        damaged[i] ^= std::byte{static_cast<unsigned char>(1u << (i % 8))};
        try_with(std::move(damaged), role.is_part && i >= role.header_bytes, "flipped at " + std::to_string(i));
        ++flips;
      }
      for (std::size_t size = 0; size < bytes.size(); size += 1 + bytes.size() / 40)
        try_with({bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size)}, false,
                 "cut off at " + std::to_string(size));
      for (const std::size_t more : {1, 64, 4096}) {
        Bytes longer = bytes;
        longer.resize(bytes.size() + more);
        try_with(std::move(longer), false, "with " + std::to_string(more) + " bytes more");
      }
      Bytes zeros(bytes.size());
      try_with(std::move(zeros), false, "as zeros");
    }
    require(flips > 1000 / testing::stride, "there was something to flip");
  });
}

TEST_CASE("A flipped, lost or added byte anywhere is found, and the older checkpoint taken") {
  damage_everything({10, 20});
}

TEST_CASE("Where the only checkpoint is damaged, it is refused by the name of the file") { damage_everything({10}); }

TEST_CASE("A journal that cannot be read stops a commit: another attempt may have begun") {
  testing::run_ranks(1, [&](World& world) {
    VolatileFiles files;
    OneAttempt old(world, files);
    old.must_save(10);
    OneAttempt later(world, files);
    const std::string claim = std::string(VolatileFiles::root) + "/journal/00000003";
    const Bytes good = files.contents().at(claim);
    files.put(claim, Bytes(good.begin(), good.end() - 1));
    const auto report = old.save(20);
    require(!report.is_complete && has(report.problem, "00000003"), "it names what it cannot read: " + report.problem);
    files.put(claim, good);
    later.resume();
    later.must_save(20);
  });
}

TEST_CASE("A damaged checkpoint is none of the last ones that are kept") {
  testing::run_ranks(1, [&](World& world) {
    VolatileFiles files;
    const auto damage = [&](const std::string& step) {
      for (const auto& [path, bytes] : files.contents()) {
        if (!has(path, step) || !path.ends_with(".safetensors")) continue;
        Bytes damaged = bytes;
        damaged.back() ^= std::byte{1};
        files.put(path, damaged);
      }
    };
    {
      OneAttempt attempt(world, files, {.keep_last = 2});
      attempt.must_save(10);
      attempt.must_save(20);
    }
    damage("step-00000020");
    {
      OneAttempt attempt(world, files, {.keep_last = 2});
      require(attempt.resume() == 10, "the good one is resumed");
      attempt.must_save(30);
    }
    {
      const auto worse = files.clone();
      for (const auto& [path, bytes] : files.contents()) {
        if (has(path, "step-00000030") && path.ends_with(".safetensors")) worse->put(path, Bytes(bytes.size()));
      }
      OneAttempt attempt(world, *worse);
      require(attempt.resume() == 10, "two good ones are kept");
    }
    OneAttempt attempt(world, files, {.keep_last = 2});
    require(attempt.resume() == 30, "the newest is resumed");
    attempt.must_save(40);
    for (const auto& [path, bytes] : files.contents())
      require(!has(path, "step-00000020") && !has(path, "step-00000010"),
              path + " is gone once there are two newer ones");
  });
}

TEST_CASE("While some of the journal cannot be read, nothing is tidied up") {
  testing::run_ranks(1, [&](World& world) {
    VolatileFiles files;
    OneAttempt(world, files).must_save(10);
    const std::string manifest = std::string(VolatileFiles::root) + "/journal/00000002";
    const Bytes good = files.contents().at(manifest);
    files.put(manifest, Bytes(good.size()));
    OneAttempt next(world, files);
    next.folder().tidy();
    files.put(manifest, good);
    require(next.resume() == 10, "the checkpoint whose manifest came back is there");
  });
}

}  // namespace
