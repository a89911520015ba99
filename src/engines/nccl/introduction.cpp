// SPDX-License-Identifier: Apache-2.0
#include "engines/nccl/introduction.hpp"

#include "trireme/base/error.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include <unistd.h>

namespace trireme::engines::nccl {
namespace {

/// What a rank says of itself. Plain bytes: it travels between equal builds.
struct Card {
  int version = 0;
  int device = 0;
  int ready = 0;
  std::array<char, 64> uuid{};
  std::array<char, 64> host{};
};

/// What the first member says.
struct Id {
  int result = 0;
  api::UniqueId id{};
};

template <std::size_t size>
void put(std::array<char, size>& field, const std::string& text) {
  std::copy_n(text.begin(), std::min(text.size(), size - 1), field.begin());
}

template <std::size_t size>
std::string text_of(const std::array<char, size>& field) {
  return {field.data(), ::strnlen(field.data(), size)};
}

std::string name_of(const Surroundings& surroundings, std::size_t rank) {
  return "rank " + std::to_string(surroundings.room.members[rank]);
}

void compare_versions(const Surroundings& surroundings, const std::vector<Card>& cards) {
  for (std::size_t r = 1; r < cards.size(); ++r) {
    if (cards[r].version == cards[0].version) continue;
    fail(ErrorCode::mismatch,
         "the ranks have different versions of NCCL: " + name_of(surroundings, 0) + " (" + text_of(cards[0].host) +
             ") " + version_words(cards[0].version) + ", " + name_of(surroundings, r) + " (" + text_of(cards[r].host) +
             ") " + version_words(cards[r].version) + "; set TRIREME_NCCL_LIBRARY to the same everywhere");
  }
}

void compare_devices(const Surroundings& surroundings, const std::vector<Card>& cards) {
  for (std::size_t r = 0; r < cards.size(); ++r) {
    for (std::size_t other = 0; other < r; ++other) {
      if (cards[r].uuid != cards[other].uuid || cards[r].host != cards[other].host) continue;
      fail(ErrorCode::unsupported, "NCCL needs a device of its own for every rank, but " +
                                       name_of(surroundings, other) + " and " + name_of(surroundings, r) + " (" +
                                       text_of(cards[r].host) + ") share device " + std::to_string(cards[r].device) +
                                       " (" + text_of(cards[r].uuid) + ")");
    }
  }
}

}  // namespace

bool introduce(const Surroundings& surroundings, const comm::DeviceRoom& room, bool ready) {
  Card mine;
  mine.version = surroundings.nccl->version();
  mine.device = surroundings.device;
  mine.ready = ready ? 1 : 0;
  put(mine.uuid, surroundings.runtime->properties(surroundings.device).uuid);
  std::array<char, 64> host{};
  static_cast<void>(::gethostname(host.data(), host.size() - 1));
  put(mine.host, text_of(host));
  std::vector<Card> cards;
  for (const auto& bytes : room.exchange(std::as_bytes(std::span(&mine, 1)))) {
    if (bytes.size() != sizeof(Card))
      fail(ErrorCode::corrupt, "a rank introduces itself to NCCL's engine in other words");
    std::memcpy(&cards.emplace_back(), bytes.data(), sizeof(Card));
  }
  compare_versions(surroundings, cards);
  compare_devices(surroundings, cards);
  return std::all_of(cards.begin(), cards.end(), [](const Card& card) { return card.ready != 0; });
}

api::UniqueId common_id(const Surroundings& surroundings, const comm::DeviceRoom& room) {
  Id mine;
  if (surroundings.room.rank == 0) mine.result = surroundings.nccl->calls().get_unique_id(&mine.id);
  const auto all = room.exchange(std::as_bytes(std::span(&mine, 1)));
  if (all.empty() || all[0].size() != sizeof(Id)) fail(ErrorCode::corrupt, "the id of NCCL's communicator is none");
  Id first;
  std::memcpy(&first, all[0].data(), sizeof(Id));
  if (first.result != api::success) {
    fail(ErrorCode::device,
         surroundings.nccl->words_of(static_cast<api::Result>(first.result), "ncclGetUniqueId", nullptr) + ", on " +
             name_of(surroundings, 0) + ", " + surroundings.nccl->words());
  }
  return first.id;
}

}  // namespace trireme::engines::nccl
