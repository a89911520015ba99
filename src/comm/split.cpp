// SPDX-License-Identifier: Apache-2.0
// Communicators made from communicators.
#include "comm/group.hpp"
#include "comm/message_space.hpp"
#include "comm/world_context.hpp"
#include "trireme/comm/communicator.hpp"

#include <algorithm>
#include <array>
#include <tuple>
#include <vector>

namespace trireme {
namespace {

/// Holds the world's progress lock.
class Locked {
 public:
  explicit Locked(comm::Context& context) : context_(context) { context_.lock(); }
  ~Locked() { context_.unlock(); }
  Locked(const Locked&) = delete;
  Locked& operator=(const Locked&) = delete;

 private:
  comm::Context& context_;
};

std::uint64_t digest_of(std::span<const int> ranks) {
  std::uint64_t digest = 0xcbf29ce484222325u;  // FNV-1a, by words
  for (const int rank : ranks) digest = (digest ^ static_cast<std::uint64_t>(rank)) * 0x100000001b3u;
  return digest;
}

}  // namespace

std::optional<Communicator> Communicator::split(int color, int key) { return part({color, key, 0}, "split"); }

std::optional<Communicator> Communicator::subgroup(std::span<const int> ranks) {
  Part mine{-1, 0, digest_of(ranks)};
  std::vector<bool> named(static_cast<std::size_t>(size()), false);
  for (std::size_t i = 0; i < ranks.size(); ++i) {
    if (ranks[i] < 0 || ranks[i] >= size()) {
      fail(ErrorCode::invalid_argument,
           "subgroup: " + std::to_string(ranks[i]) + " is not a rank of 0.." + std::to_string(size() - 1));
    }
    const auto index = static_cast<std::size_t>(ranks[i]);
    if (named[index]) fail(ErrorCode::invalid_argument, "subgroup: rank " + std::to_string(ranks[i]) + " stands twice");
    named[index] = true;
    if (ranks[i] == rank()) mine = {0, static_cast<int>(i), mine.list};
  }
  return part(mine, "subgroup");
}

std::optional<Communicator> Communicator::part(const Part& mine, const char* label) {
  const auto& context = group_->context();
  const std::int64_t proposed_id = [&] {
    const Locked locked(*context);
    return context->reserve_communicator_id();
  }();
  constexpr std::size_t words = 4;
  const std::array<std::int64_t, words> words_of_mine{mine.color, mine.key, proposed_id,
                                                      static_cast<std::int64_t>(mine.list)};
  std::vector<std::int64_t> all(words * static_cast<std::size_t>(size()));
  all_gather(std::span<const std::int64_t>(words_of_mine), std::span<std::int64_t>(all), {.label = label});

  struct Entry {
    int key;
    int rank;
  };
  std::vector<Entry> chosen;
  std::int64_t id = 0;
  int color = -1, last_key = 0;  // of those that get a communicator
  bool sole = true, in_order = true;
  for (int r = 0; r < size(); ++r) {
    const auto* entry = all.data() + words * static_cast<std::size_t>(r);
    if (entry[2] >= static_cast<std::int64_t>(comm::transfer_bit)) {  // found on every rank alike
      fail(ErrorCode::unsupported, std::string(label) +
                                       ": this world has no communicator ids left; keep communicators and use them "
                                       "again");
    }
    if (entry[3] != all[3]) {  // likewise
      fail(ErrorCode::mismatch, std::string(label) + ": rank " + std::to_string(r) +
                                    " has passed another list of ranks than rank 0; all must pass the same");
    }
    if (entry[0] >= 0) {
      const bool first = color < 0;
      if (first) color = static_cast<int>(entry[0]);
      sole &= entry[0] == color;
      in_order &= first || entry[1] >= last_key;
      last_key = static_cast<int>(entry[1]);
    }
    if (entry[0] != mine.color) continue;
    // The id that the first of these ranks has reserved for this split and for nothing else: whatever other splits are
    // under way, on whatever communicators and in whatever order, none takes the same.
    if (chosen.empty()) id = entry[2];
    chosen.push_back({static_cast<int>(entry[1]), r});
  }
  comm::Engine* const device_engine = group_->device_engine();
  if (mine.color < 0) {
    if (device_engine != nullptr && color >= 0 && sole && in_order) device_engine->left_out();
    return std::nullopt;
  }
  std::sort(chosen.begin(), chosen.end(),
            [](const Entry& a, const Entry& b) { return std::tie(a.key, a.rank) < std::tie(b.key, b.rank); });
  std::vector<int> members;
  int own = 0;
  for (std::size_t i = 0; i < chosen.size(); ++i) {
    if (chosen[i].rank == rank()) own = static_cast<int>(i);
    members.push_back(group_->members()[static_cast<std::size_t>(chosen[i].rank)]);
  }
  std::unique_ptr<comm::Engine> engine;
  {
    const Locked locked(*context);
    engine = group_->engine().split(static_cast<std::uint32_t>(id), members, own);
  }
  return comm::with_devices(std::make_shared<comm::Group>(context, static_cast<std::uint32_t>(id), std::move(members),
                                                          own, std::move(engine)),
                            device_engine, sole);
}

}  // namespace trireme
