// SPDX-License-Identifier: Apache-2.0
// A case on P ranks runs on the first P processes, over a communicator made for it. What they found goes to all processes
// by messages, which travel over the transports whatever the engine is: not by what is under test.
#include "conformance/over_processes.hpp"

#include "conformance/case_world.hpp"

#include <catch2/catch.hpp>

#include <cstdio>
#include <functional>
#include <numeric>
#include <optional>
#include <set>
#include <stdexcept>

namespace trireme::testing {
namespace {

std::optional<World> the_world;

/// What goes before a rank's findings: processes that are not at the same case must not take them for those of their own.
struct Heading {
  std::uint64_t case_number;
  std::uint64_t name;  ///< hashed, as all processes of one program do
  std::uint64_t bytes;
};

std::string case_name() { return Catch::getResultCapture().getCurrentTestName(); }

/// One line, once per case, and by rank 0 only.
void skipped(const std::string& what) {
  static std::set<std::string> said;
  const std::string line = "skipped: '" + case_name() + "' " + what + "\n";
  if (ProcessWorld::get().rank() != 0 || !said.insert(line).second) return;
  std::fputs(line.c_str(), stdout);
  std::fflush(stdout);
}

/// The findings of the first `ranks` processes, on all processes.
std::vector<std::vector<std::byte>> brought_to_all(int ranks, const std::vector<std::byte>& own) {
  static std::uint64_t cases = 0;
  World& world = ProcessWorld::get();
  auto everybody = world.communicator();
  const Heading heading{++cases, std::hash<std::string>{}(case_name()), own.size()};
  const std::span<const std::uint8_t> findings(reinterpret_cast<const std::uint8_t*>(own.data()), own.size());
  const std::span<const std::uint8_t> above(reinterpret_cast<const std::uint8_t*>(&heading), sizeof heading);
  std::vector<Work> sending;
  for (int peer = 0; peer < world.size() && world.rank() < ranks; ++peer) {
    if (peer == world.rank()) continue;
    sending.push_back(everybody.send_async(above, peer));
    if (!own.empty()) sending.push_back(everybody.send_async(findings, peer));
  }
  std::vector<std::vector<std::byte>> found(static_cast<std::size_t>(ranks));
  for (int peer = 0; peer < ranks; ++peer) {
    auto& theirs = found[static_cast<std::size_t>(peer)];
    if (peer == world.rank()) {
      theirs = own;
      continue;
    }
    Heading got{};
    everybody.recv(std::span<std::uint8_t>(reinterpret_cast<std::uint8_t*>(&got), sizeof got), peer);
    if (got.case_number != heading.case_number || got.name != heading.name)
      throw std::runtime_error("rank " + std::to_string(peer) + " is at another case than rank " +
                               std::to_string(world.rank()) + ", which is at '" + case_name() + "'");
    theirs.resize(got.bytes);
    if (!theirs.empty())
      everybody.recv(std::span<std::uint8_t>(reinterpret_cast<std::uint8_t*>(theirs.data()), theirs.size()), peer);
  }
  for (Work& each : sending) each.wait();
  return found;
}

}  // namespace

void ProcessWorld::open() { the_world.emplace(World::open()); }

World& ProcessWorld::get() {
  if (!the_world) throw std::runtime_error("this process has given up its world");
  return *the_world;
}

void ProcessWorld::close() {
  get().close();
  the_world.reset();
}

void ProcessWorld::give_up() {
  if (!the_world) return;
  try {
    const World leaving = std::move(*the_world);
    the_world.reset();
    throw std::runtime_error("given up");  // a World that an exception destroys has failed
  } catch (const std::runtime_error&) {
  }
}

std::vector<std::string> places(std::vector<std::string>) { return {ProcessWorld::get().engine()}; }

std::vector<int> rank_counts(std::vector<int> wanted) {
  const int there = ProcessWorld::get().size();
  std::vector<int> possible;
  std::string impossible;
  for (const int ranks : wanted) {
    if (ranks <= there)
      possible.push_back(ranks);
    else
      impossible += (impossible.empty() ? "" : ", ") + std::to_string(ranks);
  }
  if (!impossible.empty())
    skipped("on " + impossible + " ranks: the launcher started " + std::to_string(there) + " processes");
  if (possible.empty()) throw std::runtime_error("the case runs on " + impossible + " ranks only");
  return possible;
}

bool cases_choose_options() { return false; }

bool among_threads(const std::string& why_not_among_processes) {
  skipped("where ranks are processes: " + why_not_among_processes);
  return false;
}

std::vector<std::vector<std::byte>> run_case_packed(int ranks, const RunRanksOptions&,
                                                    const std::function<std::vector<std::byte>(CaseWorld&)>& body) {
  World& world = ProcessWorld::get();
  if (ranks > world.size())
    throw std::runtime_error("the case needs " + std::to_string(ranks) + " ranks, and the launcher started " +
                             std::to_string(world.size()) + " processes");
  try {
    std::vector<int> first(static_cast<std::size_t>(ranks));
    std::iota(first.begin(), first.end(), 0);
    std::vector<std::byte> own;
    if (auto communicator = world.communicator().subgroup(first)) {
      CaseWorld seen(*communicator, world.memory());
      own = body(seen);
    }
    return brought_to_all(ranks, own);
  } catch (...) {
    ProcessWorld::give_up();  // the others may wait for this rank
    throw;
  }
}

}  // namespace trireme::testing
