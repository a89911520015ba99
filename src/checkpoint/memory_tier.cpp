// SPDX-License-Identifier: Apache-2.0
#include "trireme/checkpoint/memory_tier.hpp"

#include "checkpoint/entry.hpp"
#include "checkpoint/hash.hpp"
#include "checkpoint/load.hpp"
#include "checkpoint/together.hpp"
#include "trireme/base/error.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>

namespace trireme::checkpoint {
namespace {

constexpr std::size_t most_saves = 2;

class MemoryPartSource final : public PartSource {
 public:
  explicit MemoryPartSource(const MemoryTier::Save& save) : save_(save) {}
  void read(std::uint32_t part, std::uint64_t offset, std::span<std::byte> to) override {
    for (const MemoryTier::Share& share : save_.shares) {
      if (share.part != part) continue;
      const std::uint64_t header = save_.manifest->parts[part].header_bytes;
      if (offset < header || to.size() > share.data.size() || offset - header > share.data.size() - to.size()) continue;
      std::memcpy(to.data(), share.data.data() + (offset - header), to.size());
      return;
    }
    fail(ErrorCode::corrupt, "this rank does not hold part " + std::to_string(part) + " in memory");
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

constexpr std::uint64_t no_part = ~std::uint64_t{0};

/// What a rank tells of a save that it holds; all zeros: of none.
struct Held {
  std::uint64_t key = 0;
  std::uint64_t generation = 0;
  std::uint64_t started_ms = 0;
  std::uint64_t step = 0;
  std::uint64_t part_count = 0;
  std::array<std::uint64_t, 2> parts{no_part, no_part};  ///< that this rank has: its own and its neighbour's

  auto age() const { return std::tuple(generation, started_ms, step, key); }
};

Held held(const MemoryTier::Save& save) {
  const Manifest& manifest = *save.manifest;
  Held result{.key = key_of(manifest),
              .generation = manifest.attempt.generation,
              .started_ms = manifest.attempt.started_ms,
              .step = manifest.step,
              .part_count = manifest.parts.size()};
  for (std::size_t i = 0; i < std::min(save.shares.size(), result.parts.size()); ++i)
    result.parts[i] = save.shares[i].part;
  return result;
}

template <class H>
auto numbers_of(std::span<H> held) {
  static_assert(sizeof(Held) % sizeof(std::uint64_t) == 0);
  using Number = std::conditional_t<std::is_const_v<H>, const std::uint64_t, std::uint64_t>;
  return std::span<Number>(reinterpret_cast<Number*>(held.data()), held.size_bytes() / sizeof(Number));
}

/// The manifest of a save; ranks that do not have it, new ones, hear it from the first that does.
Manifest told(Communicator& communicator, const MemoryTier::Save& save, const std::vector<bool>& has_manifest) {
  if (std::find(has_manifest.begin(), has_manifest.end(), false) == has_manifest.end()) return *save.manifest;
  const auto root = std::find(has_manifest.begin(), has_manifest.end(), true) - has_manifest.begin();
  std::vector<std::byte> mine;
  if (communicator.rank() == static_cast<int>(root)) mine = encode(Entry(*save.manifest));
  const auto bytes = communicator.broadcast_bytes(mine, static_cast<int>(root), {.label = "checkpoint replicas"});
  return std::get<Manifest>(decode(bytes, "rank " + std::to_string(root) + "'s manifest"));
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
  std::array<Held, most_saves> mine{};
  for (std::size_t s = 0; s < saves_.size(); ++s) mine[s] = held(saves_[s]);
  const auto ranks = static_cast<std::size_t>(communicator.size());
  std::vector<Held> all(mine.size() * ranks);
  communicator.all_gather(numbers_of(std::span<const Held>(mine)), numbers_of(std::span(all)),
                          {.label = "checkpoint replicas"});

  // Every rank knows the same and decides alike: the newest save of which every part is with somebody.
  std::vector<Held> candidates = all;
  std::sort(candidates.begin(), candidates.end(), [](const Held& a, const Held& b) { return a.age() > b.age(); });
  std::uint64_t former = 0;
  for (const Held& candidate : candidates) {
    if (candidate.key == former || candidate.key == 0) continue;
    former = candidate.key;
    std::vector<std::vector<int>> holders(candidate.part_count);
    std::vector<bool> has_manifest(ranks);
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (all[i].key != candidate.key) continue;
      const std::size_t rank = i / most_saves;
      has_manifest[rank] = true;
      for (const std::uint64_t part : all[i].parts) {
        if (part < holders.size()) holders[part].push_back(static_cast<int>(rank));
      }
    }
    if (std::any_of(holders.begin(), holders.end(), [](const auto& each) { return each.empty(); })) continue;
    const auto own =
        std::find_if(saves_.begin(), saves_.end(), [&](const Save& each) { return key_of(*each.manifest) == former; });
    const Save none;
    const Save& save = own != saves_.end() ? *own : none;
    const Manifest manifest = told(communicator, save, has_manifest);
    StateReader reader = reader_of(manifest);
    MemoryPartSource source(save);
    do_together(communicator, "checkpoint replicas", [&] { state.restore(reader); });
    read_targets(communicator, source, manifest, reader.targets(), holders);
    do_together(communicator, "checkpoint replicas", [&] {
      reader.deliver();
      state.restored();
    });
    return manifest;
  }
  return std::nullopt;
}

}  // namespace trireme::checkpoint
