// SPDX-License-Identifier: Apache-2.0
#include "multiprocess/launched.hpp"
#include "trireme/checkpoint/folder.hpp"
#include "trireme/checkpoint/local_files.hpp"
#include "trireme/checkpoint/saver.hpp"
#include "trireme/world/run_ranks.hpp"
#include "unit/checkpoint/toy_state.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>

using namespace trireme::testing;
using Catch::Matchers::Contains;
using nlohmann::json;

namespace {

namespace checkpoint = trireme::checkpoint;

/// One attempt of two ranks; it keeps the states of steps 10 and 20, or none.
void begin_job(const std::string& path, bool saves = true) {
  run_ranks(2, [&](trireme::World& world) {
    const auto files = checkpoint::local_files();
    auto folder = checkpoint::Folder::open(world.communicator(), *files, {.path = path});
    folder.take_over();
    if (!saves) return;
    checkpoint::Saver saver(folder);
    ToyState toy(world.rank(), world.size());
    checkpoint::TrainingState state;
    state.add("toy", toy);
    for (const std::uint64_t step : {10u, 20u}) {
      toy.fill(step);
      saver.save(step, state);
      if (!saver.finish()->is_complete) throw std::logic_error("a save is complete");
    }
  });
}

std::string part_of_step_20(const std::string& path) {
  for (const auto& each : std::filesystem::directory_iterator(path + "/step-00000020")) {
    if (each.path().string().ends_with("-rank-0-of-2.safetensors")) return each.path().string();
  }
  return "";
}

}  // namespace

TEST_CASE("doctor --checkpoint shows a good folder, and changes nothing there") {
  const TemporaryFolder folder;
  begin_job(folder.path());
  auto result = run_trireme({"doctor", "--checkpoint", folder.path(), "--json"});
  REQUIRE(result.exit_code == 0);
  REQUIRE(result.err.empty());
  const auto whole = json::parse(result.out);
  REQUIRE(whole.size() == 1);
  const auto& said = whole["checkpoint"];
  REQUIRE(said["path"] == folder.path());
  REQUIRE(said["newest"] == 20);
  REQUIRE(said["leftovers"].empty());
  REQUIRE(said["damaged"].empty());
  REQUIRE(said["checkpoints"].size() == 2);
  const auto& newest = said["checkpoints"][0];
  REQUIRE(newest["step"] == 20);
  REQUIRE(newest["generation"] == 1);
  REQUIRE(newest["attempt"].get<std::string>().size() == 16);
  REQUIRE(newest["world"] == 2);
  REQUIRE(newest["saved_ms"].get<std::uint64_t>() > 1'700'000'000'000);
  REQUIRE(newest["tensors"] == 7);
  REQUIRE(newest["bytes"].get<std::uint64_t>() > 100'000);
  REQUIRE(newest["complete"] == true);
  REQUIRE(newest["problems"].empty());
  REQUIRE(newest["values"]["toy/number"] == 20);
  REQUIRE(newest["values"]["toy/text"] == "salt 20");
  REQUIRE_FALSE(newest.contains("tensor_list"));

  // The environment of a job does not matter, and the folder is as it was.
  const auto again = run_trireme({"doctor", "--checkpoint", folder.path(), "--json"}, {{"RANK", "1"}});
  REQUIRE(again.exit_code == 0);
  REQUIRE(again.out == result.out);

  result = run_trireme({"doctor", "--checkpoint", folder.path()});
  REQUIRE(result.exit_code == 0);
  REQUIRE(std::count(result.out.begin(), result.out.end(), '\n') == 3);
  REQUIRE_THAT(result.out, Contains("step") && Contains("ranks") && Contains("KiB") && Contains(" UTC") &&
                               Contains("ok") && !Contains("damaged"));
  REQUIRE(result.out.find("\n20 ") < result.out.find("\n10 "));
}

TEST_CASE("doctor --checkpoint --tensors names every tensor, its dtype and its shape") {
  const TemporaryFolder folder;
  begin_job(folder.path());
  auto result = run_trireme({"doctor", "--checkpoint", folder.path(), "--tensors"});
  REQUIRE(result.exit_code == 0);
  REQUIRE_THAT(result.out, Contains("    'toy/half' bf16 [4097, 1]\n") && Contains("    'toy/scalar' f64 []\n"));
  result = run_trireme({"doctor", "--checkpoint", folder.path(), "--tensors", "--json"});
  const auto said = json::parse(result.out)["checkpoint"]["checkpoints"][0];
  REQUIRE(said["tensors"] == 7);
  REQUIRE(said["tensor_list"].size() == 7);
  REQUIRE(said["tensor_list"][0] == json{{"name", "toy/weight"}, {"dtype", "f32"}, {"shape", {37, 128}}});
}

TEST_CASE("doctor --checkpoint ends with 1 when anything is damaged, naming file and tensor, and says what is left") {
  const TemporaryFolder folder;
  begin_job(folder.path());
  const std::string part = part_of_step_20(folder.path());
  {
    std::fstream file(part, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(std::filesystem::file_size(part)) - 1);
    file.put('\x55');
    file.seekp(static_cast<std::streamoff>(std::filesystem::file_size(part)) - 2);
    file.put('\x55');
  }
  std::ofstream(folder.path() + "/step-00000020/g0001-rest") << "x";
  std::ofstream(folder.path() + "/journal/00000099") << "x";
  auto result = run_trireme({"doctor", "--checkpoint", folder.path(), "--json"});
  REQUIRE(result.exit_code == 1);
  REQUIRE(result.err.empty());
  const auto said = json::parse(result.out)["checkpoint"];
  REQUIRE(said["newest"] == 10);
  REQUIRE(said["checkpoints"][0]["complete"] == false);
  REQUIRE(said["checkpoints"][0]["problems"].size() == 1);
  REQUIRE_THAT(said["checkpoints"][0]["problems"][0].get<std::string>(),
               Contains("-rank-0-of-2.safetensors") && Contains("tensor 'toy/"));
  REQUIRE(said["checkpoints"][1]["complete"] == true);
  REQUIRE(said["leftovers"] == json{"step-00000020/g0001-rest"});
  REQUIRE(said["damaged"].size() == 1);
  REQUIRE(said["damaged"][0]["file"] == "journal/00000099");

  result = run_trireme({"doctor", "--checkpoint", folder.path()});
  REQUIRE(result.exit_code == 1);
  REQUIRE_THAT(result.out, Contains("not complete, or damaged") && Contains("tensor 'toy/") &&
                               Contains("damaged journal/00000099: ") &&
                               Contains("of no checkpoint: step-00000020/g0001-rest"));
}

TEST_CASE("doctor --checkpoint ends with 1 when there is no checkpoint yet") {
  const TemporaryFolder folder;
  begin_job(folder.path(), false);
  auto result = run_trireme({"doctor", "--checkpoint", folder.path(), "--json"});
  REQUIRE(result.exit_code == 1);
  REQUIRE(json::parse(result.out)["checkpoint"]["newest"].is_null());
  REQUIRE(json::parse(result.out)["checkpoint"]["checkpoints"].empty());
  result = run_trireme({"doctor", "--checkpoint", folder.path()});
  REQUIRE_THAT(result.out, Contains("no checkpoint in ") && Contains("1 attempt began"));
}

TEST_CASE("doctor --checkpoint refuses what is no checkpoint folder, in one line") {
  const TemporaryFolder folder;
  std::ofstream(folder.path() + "/file") << "x";
  for (const std::string& path : {folder.path(), folder.path() + "/none", folder.path() + "/file"}) {
    const auto result = run_trireme({"doctor", "--checkpoint", path, "--json"});
    CAPTURE(path, result.err);
    REQUIRE(result.exit_code == 2);
    REQUIRE(result.out.empty());
    REQUIRE_THAT(result.err, Contains(path) && Contains("checkpoint folder"));
    REQUIRE(result.err.find('\n') == result.err.size() - 1);
  }
  REQUIRE(run_trireme({"doctor", "--checkpoint", ""}).exit_code == 2);
  const auto alone = run_trireme({"doctor", "--tensors"});
  REQUIRE(alone.exit_code == 2);
  REQUIRE_THAT(alone.err, Contains("--checkpoint"));
}
