// SPDX-License-Identifier: Apache-2.0
#include "engines/device/peer/itinerary.hpp"

#include <catch2/catch.hpp>

#include <memory>
#include <vector>

namespace trireme::engines::device::peer {
namespace {

comm::Request all_reduce_of(std::size_t count, DType dtype, int ranks) {
  static std::uint64_t somewhere;
  comm::Request request;
  request.collective = plan::Collective::all_reduce;
  request.input = {&somewhere, count, dtype};
  request.output = {&somewhere, count, dtype};
  request.ranks = request.leaves = ranks;
  return request;
}

}  // namespace

TEST_CASE("Every element is staged, reduced by one rank and brought to all, once, within the slots") {
  for (const int ranks : {1, 2, 3, 8, 32}) {
    for (const std::size_t count : {0u, 1u, 31u, 4096u, 65537u}) {
      for (const DType dtype : {DType::f32, DType::u8, DType::f64}) {
        constexpr std::uint64_t slot = 32768 * 4;
        std::vector<int> reduced(count, 0), brought(count, 0);
        std::uint64_t rounds = 0;
        for (int rank = 0; rank < ranks; ++rank) {
          const Itinerary itinerary(
              all_reduce_of(count, dtype, ranks),
              {.rank = rank, .ranks = ranks, .slot_bytes = slot, .one_shot_bytes = 8192, .blocks = 4});
          if (rank == 0) rounds = itinerary.rounds();
          CHECK(itinerary.rounds() == rounds);
          REQUIRE(itinerary.rounds() >= 1);
          const auto round = std::make_unique<Round>();
          std::uint64_t staged = 0;
          for (std::uint64_t index = 0; index < rounds; ++index) {
            itinerary.fill(*round, index);
            for (std::uint32_t k = 0; k < round->staged; ++k) {
              CHECK(round->stage[k].slot % 16 == 0);
              CHECK(round->stage[k].slot + round->stage[k].count * size_of(dtype) <= slot);
              staged += round->stage[k].count;
            }
            if (!round->second) {
              REQUIRE(round->reduces);
              for (std::uint64_t i = 0; rank == 0 && i < round->reduce.count; ++i) ++brought[round->reduce.begin + i];
              continue;
            }
            const Span& own = round->bring[rank];
            CHECK(own.count == round->reduce.count);
            for (std::uint64_t i = 0; i < own.count; ++i) ++reduced[own.begin + i];
            for (std::uint32_t k = 0; rank == 0 && k < round->brought; ++k) {
              for (std::uint64_t i = 0; i < round->bring[k].count; ++i) ++brought[round->bring[k].begin + i];
            }
          }
          CHECK(staged == count);
          if (itinerary.two_shot() && rank == ranks - 1) CHECK(reduced == std::vector<int>(count, 1));
        }
        CHECK(brought == std::vector<int>(count, 1));
      }
    }
  }
}

}  // namespace trireme::engines::device::peer
