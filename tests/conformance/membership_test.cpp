// SPDX-License-Identifier: Apache-2.0
// Communicators made of communicators, and byte strings of any length.
#include "conformance/case_world.hpp"
#include "conformance/complaints.hpp"
#include "support/failures.hpp"

#include <catch2/catch.hpp>

#include <array>
#include <cstring>

using namespace trireme;
using testing::CaseWorld;
using testing::joined;
using testing::places;
using testing::rank_counts;
using testing::run_case;

namespace {

std::vector<std::byte> bytes_of(const std::string& text) {
  std::vector<std::byte> bytes(text.size());
  if (!text.empty()) std::memcpy(bytes.data(), text.data(), text.size());
  return bytes;
}

std::string text_of(const std::vector<std::byte>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

TEST_CASE("a subgroup has the ranks of its list in that order, on every transport") {
  const auto transport = GENERATE(from_range(places({"mem", "shm", "tcp"})));
  const auto wrong = run_case(4, {.transport = transport}, [&](CaseWorld& world) {
    auto communicator = world.communicator();
    const std::array<int, 3> list{3, 0, 2};
    auto part = communicator.subgroup(list);
    std::string complaint;
    if (part.has_value() != (world.rank() != 1)) complaint = "who is in it";
    if (!part) return complaint;
    if (part->size() != 3 || list[static_cast<std::size_t>(part->rank())] != world.rank()) complaint = "its order";
    const std::array<int, 1> mine{world.rank()};
    std::array<int, 3> all{};
    part->all_gather(std::span<const int>(mine), std::span<int>(all));
    if (all != list) complaint = "what it gathers";
    // Of the subgroup another: ranks are those of the communicator it is taken from.
    const std::array<int, 2> inner{2, 1};
    auto pair = part->subgroup(inner);
    if (!pair) return complaint;
    std::array<int, 1> sum_of_ranks{world.rank()};
    pair->all_reduce(std::span<int>(sum_of_ranks));
    if (sum_of_ranks[0] != 2 + 0) complaint = "its own subgroup";
    return complaint;
  });
  REQUIRE(joined(wrong) == "");
}

TEST_CASE("a list that is wrong or not the same everywhere is refused on all ranks") {
  const auto codes = run_case(3, [&](CaseWorld& world) {
    auto communicator = world.communicator();
    const auto twice = testing::code_of([&] { communicator.subgroup(std::array{0, 0}); });
    const auto outside = testing::code_of([&] { communicator.subgroup(std::array{0, 3}); });
    const auto different = testing::code_of([&] { communicator.subgroup(std::array{0, world.rank() == 2 ? 1 : 2}); });
    return std::array{twice, outside, different};
  });
  for (const auto& [twice, outside, different] : codes) {
    REQUIRE(twice == ErrorCode::invalid_argument);
    REQUIRE(outside == ErrorCode::invalid_argument);
    REQUIRE(different == ErrorCode::mismatch);
  }
}

TEST_CASE("byte strings of any length arrive whole, and only where they are wanted") {
  const auto transport = GENERATE(from_range(places({"mem", "tcp"})));
  const int ranks = GENERATE(from_range(rank_counts({1, 2, 4})));
  const auto wrong = run_case(ranks, {.transport = transport}, [&](CaseWorld& world) {
    auto communicator = world.communicator();
    std::string complaint;
    // Rank r has r * 40 000 + 3 r bytes: none, few and many.
    const auto of = [](int rank) {
      return std::string(static_cast<std::size_t>(rank) * 40003, static_cast<char>('a' + rank));
    };
    const int root = ranks - 1;
    const auto mine = bytes_of(of(world.rank()));
    if (text_of(communicator.broadcast_bytes(mine, root)) != of(root)) complaint += "broadcast ";
    const auto gathered = communicator.gather_bytes(mine, root);
    if (gathered.size() != static_cast<std::size_t>(world.rank() == root ? ranks : 0)) complaint += "gather ";
    const auto everywhere = communicator.all_gather_bytes(mine);
    for (int r = 0; r < ranks; ++r) {
      const auto index = static_cast<std::size_t>(r);
      if (world.rank() == root && text_of(gathered[index]) != of(r)) complaint += "gathered ";
      if (text_of(everywhere.at(index)) != of(r)) complaint += "all_gather ";
    }
    return complaint;
  });
  REQUIRE(joined(wrong) == "");
}
