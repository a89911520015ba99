// SPDX-License-Identifier: Apache-2.0
// Communicators made of communicators, and byte strings of any length.
#include "support/failures.hpp"
#include "trireme/world/run_ranks.hpp"

#include <catch2/catch.hpp>

#include <array>
#include <cstring>
#include <numeric>

using namespace trireme;
using testing::run_ranks;
using testing::run_ranks_collecting;

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
  const auto transport = GENERATE(as<std::string>{}, "mem", "shm", "tcp");
  std::array<std::string, 4> wrong;
  run_ranks(4,
            [&](World& world) {
              auto communicator = world.communicator();
              const std::array<int, 3> list{3, 0, 2};
              auto part = communicator.subgroup(list);
              auto& complaint = wrong[static_cast<std::size_t>(world.rank())];
              if (part.has_value() != (world.rank() != 1)) complaint = "who is in it";
              if (!part) return;
              if (part->size() != 3 || list[static_cast<std::size_t>(part->rank())] != world.rank())
                complaint = "its order";
              const std::array<int, 1> mine{world.rank()};
              std::array<int, 3> all{};
              part->all_gather(std::span<const int>(mine), std::span<int>(all));
              if (all != list) complaint = "what it gathers";
              // Of the subgroup another: ranks are those of the communicator it is taken from.
              const std::array<int, 2> inner{2, 1};
              auto pair = part->subgroup(inner);
              if (!pair) return;
              std::array<int, 1> sum_of_ranks{world.rank()};
              pair->all_reduce(std::span<int>(sum_of_ranks));
              if (sum_of_ranks[0] != 2 + 0) complaint = "its own subgroup";
            },
            {.transport = transport});
  REQUIRE(std::accumulate(wrong.begin(), wrong.end(), std::string()) == "");
}

TEST_CASE("a list that is wrong or not the same everywhere is refused on all ranks") {
  std::array<ErrorCode, 3> twice{}, outside{}, different{};
  run_ranks(3, [&](World& world) {
    auto communicator = world.communicator();
    const auto rank = static_cast<std::size_t>(world.rank());
    twice[rank] = testing::code_of([&] { communicator.subgroup(std::array{0, 0}); });
    outside[rank] = testing::code_of([&] { communicator.subgroup(std::array{0, 3}); });
    different[rank] = testing::code_of([&] { communicator.subgroup(std::array{0, world.rank() == 2 ? 1 : 2}); });
  });
  for (std::size_t rank = 0; rank < 3; ++rank) {
    REQUIRE(twice[rank] == ErrorCode::invalid_argument);
    REQUIRE(outside[rank] == ErrorCode::invalid_argument);
    REQUIRE(different[rank] == ErrorCode::mismatch);
  }
}

TEST_CASE("byte strings of any length arrive whole, and only where they are wanted") {
  const auto transport = GENERATE(as<std::string>{}, "mem", "tcp");
  const int ranks = GENERATE(1, 2, 4);
  std::vector<std::string> wrong(static_cast<std::size_t>(ranks));
  run_ranks(ranks,
            [&](World& world) {
              auto communicator = world.communicator();
              auto& complaint = wrong[static_cast<std::size_t>(world.rank())];
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
            },
            {.transport = transport});
  REQUIRE(std::accumulate(wrong.begin(), wrong.end(), std::string()) == "");
}
