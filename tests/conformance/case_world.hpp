// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "conformance/device_communicator.hpp"
#include "conformance/packed.hpp"
#include "trireme/comm/communicator.hpp"
#include "trireme/comm/memory.hpp"
#include "trireme/world/run_ranks.hpp"

#include <functional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

// The suites run in three programs. In one, ranks are threads: a World per rank and case, over the transport the case names
// (over_threads.cpp). In another a launcher started the ranks as processes, which have one World for all cases, of the
// engine that the environment names (over_processes.cpp). In the third, for which they are compiled again, ranks are threads with
// devices, and what a case gives goes over device memory (over_devices.cpp).
namespace trireme::testing {

#ifdef TRIREME_CASES_ON_DEVICES
using CaseCommunicator = DeviceCommunicator;
#else
using CaseCommunicator = Communicator;
#endif

/// What the ranks of one case see of their world, whose first ranks they are.
class CaseWorld {
 public:
  CaseWorld(CaseCommunicator communicator, Memory memory)
      : communicator_(std::move(communicator)), memory_(std::move(memory)) {}
  int rank() const { return communicator_.rank(); }
  int size() const { return communicator_.size(); }
  CaseCommunicator communicator() const { return communicator_; }
  Memory memory() const { return memory_; }

 private:
  CaseCommunicator communicator_;
  Memory memory_;
};

/// The transports a case runs over; where ranks are processes the one engine they have; with devices who serves their memory.
std::vector<std::string> places(std::vector<std::string> transports);

/// The numbers of ranks a case runs on; where ranks are processes those there are enough for, naming the others once.
std::vector<int> rank_counts(std::vector<int> wanted);

/// Whether a case may choose how its World is opened: transport, algorithm, sizes.
bool cases_choose_options();

/// For cases that make no sense among processes: false there, and says once which case is skipped and why. False with devices,
/// too: such cases open their worlds themselves.
bool among_threads(const std::string& why_not_among_processes);

/// See run_case.
std::vector<std::vector<std::byte>> run_case_packed(int ranks, const RunRanksOptions& options,
                                                    const std::function<std::vector<std::byte>(CaseWorld&)>& body);

/// Runs `body` on `ranks` ranks and returns what each of them returned, in their order: the same on all processes, so that
/// what a test asserts about it holds or fails on all of them, and they go on together.
/// Errors: rethrows what the lowest failing rank threw; among processes what this one threw or was told.
template <class Body>
auto run_case(int ranks, const RunRanksOptions& options, const Body& body) {
  using Found = std::invoke_result_t<const Body&, CaseWorld&>;
  std::vector<Found> found;
  const auto in_bytes = run_case_packed(ranks, options, [&](CaseWorld& world) { return packed<Found>(body(world)); });
  for (const auto& each : in_bytes) found.push_back(unpacked<Found>(each));
  return found;
}

template <class Body>
auto run_case(int ranks, const Body& body) {
  return run_case(ranks, RunRanksOptions{}, body);
}

}  // namespace trireme::testing
