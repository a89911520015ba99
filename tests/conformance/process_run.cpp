// SPDX-License-Identifier: Apache-2.0
// The World of this process is opened before its first case and left after its last; Catch's main does the rest. Every
// process that the launcher started runs the same cases in the same order.
#include "conformance/over_processes.hpp"

#include <catch2/catch.hpp>

#include <cstdio>
#include <cstdlib>
#include <exception>

namespace trireme::testing {
namespace {

class ProcessRun final : public Catch::TestEventListenerBase {
 public:
  using TestEventListenerBase::TestEventListenerBase;

  void testRunStarting(const Catch::TestRunInfo&) override {
    ProcessWorld::open();
    const World& world = ProcessWorld::get();
    std::printf("engine %s rank %d of %d: %s\n", world.engine().c_str(), world.rank(), world.size(),
                world.communicator().explain(1'000'000).text.c_str());
    std::fflush(stdout);
  }

  /// The last line is for whoever started the processes: an exit status may come from a process that ran nothing.
  void testRunEnded(const Catch::TestRunStats& run) override {
    if (!run.totals.assertions.allOk() || !run.totals.testCases.allOk()) return ProcessWorld::give_up();
    const int rank = ProcessWorld::get().rank();
    try {
      ProcessWorld::close();
    } catch (const std::exception& error) {  // Catch has counted already
      std::fprintf(stderr, "rank %d: %s\n", rank, error.what());
      std::fflush(stdout);
      std::_Exit(1);
    }
    std::printf("rank %d: %zu assertions in %zu cases, none failed\n", rank, run.totals.assertions.passed,
                run.totals.testCases.passed);
    std::fflush(stdout);
  }
};

CATCH_REGISTER_LISTENER(ProcessRun)

}  // namespace
}  // namespace trireme::testing
