// SPDX-License-Identifier: Apache-2.0
#include "trireme/checkpoint/memory_tier.hpp"

#include "checkpoint/hash.hpp"
#include "checkpoint/load.hpp"
#include "checkpoint/together.hpp"
#include "trireme/base/error.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

namespace trireme::checkpoint {
namespace {

constexpr std::size_t most_saves = 2;

class MemoryPartSource final : public PartSource {
 public:
  explicit MemoryPartSource(const MemoryTier::Save& save) : save_(save) {}
  void read(std::uint32_t part, std::uint64_t offset, std::span<std::byte> to) override {
    for (const MemoryTier::Share& share : save_.shares) {
      const std::uint64_t header = save_.manifest->parts[part].header_bytes;
      if (share.part != part || offset < header || to.size() > share.data.size() ||
          offset - header > share.data.size() - to.size())
        continue;
      std::memcpy(to.data(), share.data.data() + (offset - header), to.size());
      return;
    }
    fail(ErrorCode::corrupt, "this rank does not hold part " + std::to_string(part) + " in memory");
  }
  bool has(std::uint32_t part) const override {
    return std::any_of(save_.shares.begin(), save_.shares.end(), [&](const auto& each) { return each.part == part; });
  }

 private:
  const MemoryTier::Save& save_;
};

/// What tells one save from another on all ranks; 0 is none.
std::uint64_t key_of(const Manifest& manifest) {
  const std::array<std::uint64_t, 4> numbers{manifest.attempt.generation, manifest.attempt.started_ms,
                                             manifest.attempt.id, manifest.step};
  return hash_of(std::as_bytes(std::span(numbers))) | 1;
}

}  // namespace

void MemoryTier::keep(Save save) {
  saves_.insert(saves_.begin(), std::move(save));
  if (saves_.size() > most_saves) saves_.resize(most_saves);
}

/// Its memory is warm: the next save may have it.
std::vector<MemoryTier::Share> MemoryTier::take_oldest() {
  if (saves_.size() < most_saves) return {};
  std::vector<Share> shares = std::move(saves_.back().shares);
  saves_.pop_back();
  return shares;
}

std::optional<Manifest> MemoryTier::resume(Communicator communicator, const TrainingState& state) const {
  // Who holds what: per save its key, its step and the parts, of which a rank holds two at most.
  constexpr std::size_t fields = 4, own_numbers = fields * most_saves;
  constexpr std::uint64_t no_part = ~std::uint64_t{0};
  std::array<std::uint64_t, own_numbers> mine{};
  for (std::size_t s = 0; s < saves_.size(); ++s) {
    mine[s * fields] = key_of(*saves_[s].manifest);
    mine[s * fields + 1] = saves_[s].manifest->step;
    for (std::size_t i = 0; i < 2; ++i)
      mine[s * fields + 2 + i] = i < saves_[s].shares.size() ? saves_[s].shares[i].part : no_part;
  }
  const auto ranks = static_cast<std::size_t>(communicator.size());
  std::vector<std::uint64_t> all(own_numbers * ranks);
  communicator.all_gather(std::span<const std::uint64_t>(mine), std::span(all), {.label = "checkpoint replicas"});

  for (const std::size_t newest : {std::size_t{0}, std::size_t{1}}) {
    // Candidates are rank 0's: a save that rank 0 does not hold is none of all members.
    const std::uint64_t key = all[newest * fields];
    if (key == 0) continue;
    const auto own =
        std::find_if(saves_.begin(), saves_.end(), [&](const Save& each) { return key_of(*each.manifest) == key; });
    std::int32_t parts = own == saves_.end() ? 0 : static_cast<std::int32_t>(own->manifest->parts.size());
    std::int32_t least = own == saves_.end() ? -1 : 0;
    communicator.all_reduce(std::span(&least, 1), minimum, {.label = "checkpoint replicas"});
    if (least < 0) continue;
    std::vector<std::vector<int>> holders(static_cast<std::size_t>(parts));
    for (std::size_t rank = 0; rank < ranks; ++rank) {
      for (std::size_t s = 0; s < most_saves; ++s) {
        const auto* const theirs = &all[rank * own_numbers + s * fields];
        for (std::size_t i = 2; theirs[0] == key && i < fields; ++i) {
          if (theirs[i] < holders.size()) holders[theirs[i]].push_back(static_cast<int>(rank));
        }
      }
    }
    if (std::any_of(holders.begin(), holders.end(), [](const auto& each) { return each.empty(); })) continue;
    StateReader reader = reader_of(*own->manifest);
    MemoryPartSource source(*own);
    do_together(communicator, "checkpoint replicas", [&] { state.restore(reader); });
    read_targets(communicator, source, *own->manifest, reader.targets(), holders);
    do_together(communicator, "checkpoint replicas", [&] { state.restored(); });
    return *own->manifest;
  }
  return std::nullopt;
}

}  // namespace trireme::checkpoint
