// SPDX-License-Identifier: Apache-2.0
#include "cli/train/checkpoints.hpp"
#include "support/require.hpp"
#include "support/temporary_folder.hpp"
#include "trireme/world/run_ranks.hpp"

#include <catch2/catch.hpp>

#include <string>

using namespace trireme;

TEST_CASE("A job that is stopped before its first step leaves a checkpoint of step 0 and goes on from it") {
  const testing::TemporaryFolder folder;
  testing::run_ranks(2, [&](World& world) {
    for (const bool again : {false, true}) {
      cli::CheckpointChoice choice;
      choice.folder = folder.path();
      cli::Checkpoints checkpoints(world, choice,
                                   cli::SettingsRecord(cli::SettingsRecord::Settings{{"--model", "mlp"}}), "job",
                                   [](const std::string&) {});
      const auto from = checkpoints.resume(2);
      testing::require(from.has_value() == again && from.value_or(0) == 0, "the second start finds step 0");
      testing::require(checkpoints.save_last(0), "it is complete");
    }
  });
}
