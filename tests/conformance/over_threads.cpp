// SPDX-License-Identifier: Apache-2.0
#include "conformance/case_world.hpp"

namespace trireme::testing {

std::vector<std::string> places(std::vector<std::string> transports) { return transports; }

std::vector<int> rank_counts(std::vector<int> wanted) { return wanted; }

bool cases_choose_options() { return true; }

bool among_threads(const std::string&) { return true; }

std::vector<std::vector<std::byte>> run_case_packed(int ranks, const RunRanksOptions& options,
                                                    const std::function<std::vector<std::byte>(CaseWorld&)>& body) {
  std::vector<std::vector<std::byte>> found(static_cast<std::size_t>(ranks));
  run_ranks(
      ranks,
      [&](World& world) {
        CaseWorld seen(world.communicator(), world.memory());
        found[static_cast<std::size_t>(world.rank())] = body(seen);
      },
      options);
  return found;
}

}  // namespace trireme::testing
