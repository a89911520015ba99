// SPDX-License-Identifier: Apache-2.0
// How the ranks of a communicator come to reach each other's windows. Whatever fails on one rank, it takes part to the
// end, so that all come to the same answer.
#include "engines/device/peer/parts.hpp"
#include "engines/device/peer/peer_engine.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace trireme::engines::device {
namespace {

using peer::Window;
using peer::Windows;

/// What a rank tells of itself.
struct Card {
  std::uint64_t boot;        ///< of the host
  std::uint64_t namespace_;  ///< of process ids
  std::uint64_t process;
  char uuid[64];
  std::int32_t device;
  std::uint32_t willing;
  std::uint64_t slot_bytes;
  std::uint64_t one_shot_bytes;
  std::uint32_t blocks;  ///< 0: as many as fit
  std::uint32_t multiprocessors;
  bool same_host(const Card& other) const { return boot == other.boot; }
  bool same_process(const Card& other) const {
    return same_host(other) && namespace_ == other.namespace_ && process == other.process;
  }
};

/// How a rank's windows are reached.
struct Offer {
  std::uint64_t shown;  ///< address of a Shown, for ranks of the same process
  trireme::device::SharedAllocation shared[Windows::channels];
  std::uint32_t made;
};

using OfRank = std::array<std::shared_ptr<Window>, Windows::channels>;

/// A rank's windows, as others of its process find them. It goes with the last look; where a rank never looks, because its world has
/// failed before, these few words are left behind. The windows themselves go with their owner, even before others look.
struct Shown {
  std::array<std::weak_ptr<Window>, Windows::channels> windows;
  std::atomic<std::size_t> looks;  ///< to come
};

/// Null: of a rank that has left.
OfRank look(std::uint64_t address) {
  auto* const shown = reinterpret_cast<Shown*>(address);
  OfRank windows;
  for (std::size_t channel = 0; channel < windows.size(); ++channel) windows[channel] = shown->windows[channel].lock();
  if (shown->looks.fetch_sub(1, std::memory_order_acq_rel) == 1) delete shown;
  return windows;
}

std::uint64_t boot_id() {
  char text[64] = {};
  const int file = ::open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
  if (file >= 0) {
    if (::read(file, text, sizeof text - 1) < 0) text[0] = '\0';
    ::close(file);
  }
  return std::hash<std::string>()(text);
}

std::uint64_t process_namespace() {
  struct stat status {};
  return ::stat("/proc/self/ns/pid", &status) == 0 ? static_cast<std::uint64_t>(status.st_ino) : 0;
}

template <class T>
std::vector<T> exchanged(const comm::DeviceRoom& room, const T& mine) {
  const auto all = room.exchange(std::as_bytes(std::span<const T>(&mine, 1)));
  std::vector<T> result(all.size());
  for (std::size_t r = 0; r < all.size(); ++r) {
    if (all[r].size() != sizeof(T))
      fail(ErrorCode::corrupt, "peer engine: rank " + std::to_string(r) + " sent a card of another size");
    std::memcpy(&result[r], all[r].data(), sizeof(T));
  }
  return result;
}

/// Whether `what` succeeds. Errors of devices are a no, as all ranks will hear.
template <class What>
bool succeeds(const What& what) {
  try {
    what();
    return true;
  } catch (const Exception&) {
    return false;
  } catch (const std::bad_alloc&) {
    return false;
  }
}

Card card_of(const comm::DeviceRoom& room, const PeerOptions& options) {
  Card card{};
  card.boot = boot_id();
  card.namespace_ = process_namespace();
  card.process = static_cast<std::uint64_t>(::getpid());
  card.device = room.device.index;
  card.slot_bytes = options.slot_bytes;
  card.one_shot_bytes = std::min(options.one_shot_bytes, options.slot_bytes);
  card.blocks = options.blocks;
  card.willing = room.everywhere && room.runtime != nullptr && room.room.members.size() <= peer::most_ranks;
  if (card.willing == 0) return card;
  card.willing = succeeds([&] {
    const auto properties = room.runtime->properties(room.device.index);
    properties.uuid.copy(card.uuid, sizeof card.uuid - 1);
    card.multiprocessors = static_cast<std::uint32_t>(properties.multiprocessors);
  });
  return card;
}

/// Blocks of a launch such that those of all ranks of a device are there at once, with half of it to spare.
std::uint32_t blocks_of(const std::vector<Card>& cards) {
  std::uint32_t least = peer::most_blocks;
  for (const Card& card : cards) {
    const auto sharing = static_cast<std::uint32_t>(std::count_if(cards.begin(), cards.end(), [&](const Card& other) {
      return card.same_host(other) && std::strncmp(card.uuid, other.uuid, sizeof card.uuid) == 0;
    }));
    const std::uint32_t fitting = card.blocks != 0 ? card.blocks : card.multiprocessors / sharing / 2;
    least = std::min(least, std::max<std::uint32_t>(fitting, 1));
  }
  return least;
}

bool reaches_all(const comm::DeviceRoom& room, const std::vector<Card>& cards, const Card& mine) {
  auto& runtime = *room.runtime;
  for (const Card& card : cards) {
    if (!card.same_process(mine)) continue;  // importing will tell
    if (!runtime.reaches(mine.device, card.device)) return false;
    if (card.device != mine.device) runtime.reach(mine.device, card.device);
  }
  return true;
}

}  // namespace

std::unique_ptr<PeerEngine> make_peer_engine(comm::DeviceRoom room, const PeerOptions& options) {
  const std::uint64_t ranks = room.room.members.size();
  if (options.slot_bytes < 4096 * ranks || options.slot_bytes % 4096 != 0 ||
      options.slot_bytes > std::uint64_t{1} << 32)
    fail(ErrorCode::invalid_argument,
         "PeerOptions: slot_bytes must be a multiple of 4096, at least one per rank and at "
         "most 4 GiB, not " +
             std::to_string(options.slot_bytes));
  if (options.blocks > peer::most_blocks)
    fail(ErrorCode::invalid_argument, "PeerOptions: blocks must be at most " + std::to_string(peer::most_blocks));
  const Card mine = card_of(room, options);
  const std::vector<Card> cards = exchanged(room, mine);
  const auto willing = [&](const Card& card) { return card.willing != 0 && card.same_host(cards.front()); };
  if (!std::all_of(cards.begin(), cards.end(), willing)) return nullptr;  // so do all

  peer::WindowLayout layout{
      .ranks = static_cast<std::uint32_t>(ranks), .blocks = blocks_of(cards), .slot_bytes = mine.slot_bytes};
  std::uint64_t one_shot_bytes = mine.one_shot_bytes;
  for (const Card& card : cards) {
    layout.slot_bytes = std::min(layout.slot_bytes, card.slot_bytes);
    one_shot_bytes = std::min(one_shot_bytes, card.one_shot_bytes);
  }
  const bool across =
      std::any_of(cards.begin(), cards.end(), [&](const Card& card) { return !card.same_process(mine); });

  std::unique_ptr<PeerEngine::Parts> parts;
  auto shown = std::make_unique<Shown>();
  shown->looks = static_cast<std::size_t>(
      std::count_if(cards.begin(), cards.end(), [&](const Card& card) { return card.same_process(mine); }));
  std::vector<OfRank> of_rank(cards.size());
  Offer offer{};
  offer.shown = reinterpret_cast<std::uint64_t>(shown.get());
  offer.made = succeeds([&] {
    parts = std::make_unique<PeerEngine::Parts>(room);
    auto& runtime = *room.runtime;
    std::vector<const trireme::device::KernelEntry*> kernels;
    peer::peer_kernels(kernels);
    runtime.load(kernels);
    if (!reaches_all(room, cards, mine)) fail(ErrorCode::unsupported, "a peer's device is out of reach");
    for (std::size_t channel = 0; channel < Windows::channels; ++channel) {
      auto& window = parts->windows.own[channel];
      window = std::make_shared<Window>(room.runtime, room.device.index, layout);
      runtime.fill(window->memory.data(), std::byte{0}, layout.slots(), parts->stream.get());
      shown->windows[channel] = window;
      if (across) offer.shared[channel] = runtime.share(room.device.index, window->memory.data(), layout.bytes());
    }
    parts->stream.synchronize();
  });
  static_cast<void>(shown.release());
  const std::vector<Offer> offers = exchanged(room, offer);
  for (std::size_t r = 0; r < cards.size(); ++r) {
    if (cards[r].same_process(mine)) of_rank[r] = look(offers[r].shown);
  }

  std::uint32_t connected = std::all_of(offers.begin(), offers.end(), [](const Offer& each) { return each.made != 0; });
  if (connected != 0) {
    connected = succeeds([&] {
      for (std::size_t channel = 0; channel < Windows::channels; ++channel) {
        auto& reached = parts->windows.of_rank[channel];
        for (std::size_t r = 0; r < cards.size(); ++r) {
          if (cards[r].same_process(mine)) {
            if (!of_rank[r][channel]) fail(ErrorCode::closed, "a rank of this process has left");
            parts->windows.of_this_process.push_back(std::move(of_rank[r][channel]));
            reached.push_back(parts->windows.of_this_process.back()->memory.data());
          } else {
            parts->windows.of_others.emplace_back(room.runtime, room.device.index, offers[r].shared[channel]);
            reached.push_back(parts->windows.of_others.back().data());
          }
        }
      }
    });
  }
  const auto answers = exchanged(room, connected);
  if (!std::all_of(answers.begin(), answers.end(), [](std::uint32_t yes) { return yes != 0; })) return nullptr;

  parts->layout = layout;
  parts->one_shot_bytes = one_shot_bytes;
  for (std::size_t channel = 0; channel < Windows::channels; ++channel) {
    peer::Round& round = parts->rounds[channel];
    round.layout = layout;
    round.self = static_cast<std::uint32_t>(room.room.rank);
    round.control = parts->control;
    round.channel = static_cast<std::uint32_t>(channel);
    round.tells_end = across;
    std::copy(parts->windows.of_rank[channel].begin(), parts->windows.of_rank[channel].end(), round.windows);
  }
  return std::unique_ptr<PeerEngine>(new PeerEngine(std::move(parts)));
}

}  // namespace trireme::engines::device
