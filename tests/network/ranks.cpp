// SPDX-License-Identifier: Apache-2.0
#include "network/ranks.hpp"

#include <catch2/catch.hpp>

namespace trireme::testing {

bool can_make_lab() {
  const std::string obstacle = Lab::obstacle();
  if (obstacle.empty()) return true;
  WARN(obstacle << ": skipped");
  return false;
}

std::vector<std::unique_ptr<Launched>> start_ranks(const Lab& lab, const std::string& program,
                                                   const std::vector<std::string>& arguments,
                                                   const std::map<std::string, std::string>& more) {
  std::vector<std::unique_ptr<Launched>> ranks;
  for (int rank = 0; rank < lab.hosts(); ++rank) {
    // The hosts are the test's own: nobody else can have the port.
    std::map<std::string, std::string> environment{{"RANK", std::to_string(rank)},
                                                   {"WORLD_SIZE", std::to_string(lab.hosts())},
                                                   {"LOCAL_RANK", "0"},
                                                   {"LOCAL_WORLD_SIZE", "1"},
                                                   {"MASTER_ADDR", lab.address(0)},
                                                   {"MASTER_PORT", "29500"},
                                                   {"TRIREME_JOB_KEY", "a key for these tests"}};
    environment.insert(more.begin(), more.end());
    ranks.push_back(lab.start(rank, program, arguments, environment));
  }
  return ranks;
}

}  // namespace trireme::testing
