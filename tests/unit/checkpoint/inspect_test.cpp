// SPDX-License-Identifier: Apache-2.0
#include "trireme/checkpoint/inspect.hpp"

#include "support/failures.hpp"
#include "support/require.hpp"
#include "support/temporary_folder.hpp"
#include "trireme/checkpoint/folder.hpp"
#include "trireme/checkpoint/local_files.hpp"
#include "trireme/checkpoint/saver.hpp"
#include "trireme/world/run_ranks.hpp"
#include "unit/checkpoint/toy_state.hpp"

#include <catch2/catch.hpp>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace {

using namespace trireme;
using testing::code_of;
using testing::has;

/// One attempt of two ranks that keeps the states of steps 10 and 20.
void keep_two(const std::string& path) {
  testing::run_ranks(2, [&](World& world) {
    const auto files = checkpoint::local_files();
    auto folder =
        checkpoint::Folder::open(world.communicator(), *files, {.path = path, .job = "toy", .host = "host-a"});
    checkpoint::Saver saver(folder);
    testing::ToyState toy(world.rank(), world.size());
    checkpoint::TrainingState state;
    state.add("toy", toy);
    for (const std::uint64_t step : {10u, 20u}) {
      toy.fill(step);
      saver.save(step, state);
      const auto report = saver.finish();
      testing::require(report && report->is_complete, "a save is complete");
    }
  });
}

checkpoint::Inspection inspected(const std::string& path) {
  const auto files = checkpoint::local_files();
  return checkpoint::inspect(*files, path);
}

/// The file of a step whose name ends so.
std::string file_of(const std::string& path, const std::string& step, const std::string& ending) {
  for (const auto& each : std::filesystem::directory_iterator(path + "/" + step)) {
    if (each.path().string().ends_with(ending)) return each.path().string();
  }
  return "";
}

void change_byte(const std::string& file, std::streamoff at) {
  std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
  stream.seekg(at);
  const int byte = stream.get();
  stream.seekp(at);
  stream.put(static_cast<char>(byte ^ 0x40));
  REQUIRE(stream.good());
}

TEST_CASE("An inspection tells of every checkpoint, newest first, and claims nothing") {
  const testing::TemporaryFolder folder;
  keep_two(folder.path());
  const checkpoint::Inspection result = inspected(folder.path());
  REQUIRE(result.checkpoints.size() == 2);
  CHECK(result.damaged.empty());
  CHECK(result.leftovers.empty());
  REQUIRE(result.attempts.size() == 1);
  CHECK(result.attempts[0].job == "toy");
  const checkpoint::InspectedCheckpoint& newest = result.checkpoints[0];
  CHECK(result.newest_good() == &newest);
  CHECK(newest.step == 20);
  CHECK(result.checkpoints[1].step == 10);
  CHECK(newest.attempt == result.attempts[0]);
  CHECK(newest.world == 2);
  CHECK(newest.saved_ms >= newest.attempt.started_ms);
  CHECK(newest.is_good());
  CHECK(std::get<std::uint64_t>(newest.values.at("toy/number")) == 20);
  REQUIRE(newest.tensors.size() == 7);
  CHECK(newest.tensors[1].name == "toy/half");
  CHECK(newest.tensors[1].dtype == DType::bf16);
  CHECK(newest.tensors[1].shape == std::vector<std::int64_t>{4097, 1});
  std::uint64_t bytes = 0;
  for (const char* rank : {"rank-0-of-2.safetensors", "rank-1-of-2.safetensors"})
    bytes += std::filesystem::file_size(file_of(folder.path(), "step-00000020", rank));
  CHECK(newest.bytes == bytes);
  CHECK(inspected(folder.path()).attempts.size() == 1);
}

TEST_CASE("A changed byte anywhere in a checkpoint is found, and named by file and tensor") {
  const testing::TemporaryFolder folder;
  keep_two(folder.path());
  const std::string part = file_of(folder.path(), "step-00000020", "rank-1-of-2.safetensors");
  const auto bytes = static_cast<std::streamoff>(std::filesystem::file_size(part));
  for (std::streamoff at = 0; at < bytes; at += bytes / 41) {
    change_byte(part, at);
    const checkpoint::Inspection result = inspected(folder.path());
    REQUIRE(result.checkpoints.size() == 2);
    REQUIRE(result.checkpoints[0].problems.size() == 1);
    CHECK(has(result.checkpoints[0].problems[0], "rank-1-of-2.safetensors is damaged"));
    CHECK(has(result.checkpoints[0].problems[0], at < 8 ? "its header" : at > bytes / 2 ? "tensor 'toy/" : ""));
    REQUIRE(result.newest_good() != nullptr);
    CHECK(result.newest_good()->step == 10);
    change_byte(part, at);
  }
  CHECK(inspected(folder.path()).checkpoints[0].is_good());

  change_byte(file_of(folder.path(), "step-00000020", "manifest.json"), 100);
  const checkpoint::Inspection result = inspected(folder.path());
  REQUIRE(result.checkpoints[0].problems.size() == 1);
  CHECK(has(result.checkpoints[0].problems[0], "manifest.json is damaged"));
}

TEST_CASE("Missing and cut files are all named") {
  const testing::TemporaryFolder folder;
  keep_two(folder.path());
  std::filesystem::remove(file_of(folder.path(), "step-00000020", "rank-0-of-2.safetensors"));
  std::filesystem::resize_file(file_of(folder.path(), "step-00000020", "rank-1-of-2.safetensors"), 1000);
  std::filesystem::remove(file_of(folder.path(), "step-00000020", "manifest.json"));
  const auto problems = inspected(folder.path()).checkpoints[0].problems;
  REQUIRE(problems.size() == 3);
  CHECK(has(problems[0], "rank-0-of-2.safetensors is missing"));
  CHECK(has(problems[1], "rank-1-of-2.safetensors has 1000 bytes instead of"));
  CHECK(has(problems[2], "manifest.json is missing"));
}

TEST_CASE("Damaged entries of the journal and files of no checkpoint are told apart") {
  const testing::TemporaryFolder folder;
  keep_two(folder.path());
  const std::string entry = inspected(folder.path()).checkpoints[0].entry;
  change_byte(folder.path() + "/journal/" + entry, 50);
  for (const char* name : {"/step-00000020/g0001-other", "/journal/draft-1", "/probe-7", "/notes.txt"})
    std::ofstream(folder.path() + name) << "x";
  const checkpoint::Inspection result = inspected(folder.path());
  REQUIRE(result.damaged.size() == 1);
  CHECK(result.damaged[0].file == "journal/" + entry);
  CHECK(has(result.damaged[0].what, "damaged"));
  REQUIRE(result.checkpoints.size() == 1);
  CHECK(result.checkpoints[0].step == 10);
  // Without its manifest step 20 is no checkpoint: its three files are left over too. What no saver writes is nobody's business.
  CHECK(result.leftovers.size() == 6);
}

TEST_CASE("What is no checkpoint folder is refused") {
  const testing::TemporaryFolder folder;
  CHECK(code_of([&] { inspected(folder.path()); }) == ErrorCode::invalid_argument);
  CHECK(code_of([&] { inspected(folder.path() + "/none"); }) == ErrorCode::invalid_argument);
  std::ofstream(folder.path() + "/file") << "x";
  CHECK(code_of([&] { inspected(folder.path() + "/file"); }) == ErrorCode::invalid_argument);
  std::filesystem::create_directory(folder.path() + "/journal");
  const checkpoint::Inspection empty = inspected(folder.path());
  CHECK(empty.checkpoints.empty());
  CHECK(empty.newest_good() == nullptr);
}

}  // namespace
