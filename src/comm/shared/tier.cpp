// SPDX-License-Identifier: Apache-2.0
#include "comm/shared/tier.hpp"

#include "comm/message_space.hpp"
#include "comm/operation.hpp"
#include "comm/shared/contribution.hpp"

#include <algorithm>
#include <cstring>

namespace trireme::comm::shared {
namespace {

using plan::Collective;

constexpr unsigned look_for_death_every = 64;  // idle polls

}  // namespace

std::string_view describe_way(const Request& request) {
  const std::size_t bytes = contribution_bytes(request);
  if (bytes <= always_copied(static_cast<std::size_t>(request.ranks)))
    return "every rank combines all contributions, which travel beside the flags";
  if (bytes <= copied_if_foreign(static_cast<std::size_t>(request.ranks))) {
    return "arena memory: every rank combines its part into all outputs; foreign memory: every rank combines all "
           "contributions, which travel beside the flags";
  }
  return "every rank combines its part into all outputs; foreign memory passes through the arena in pieces";
}

Tier::Tier(transport::Endpoint& endpoint, std::shared_ptr<Cells> cells, transport::EndpointListener& listener,
           std::uint64_t epoch, std::uint32_t communicator, std::vector<int> members, int rank)
    : endpoint_(endpoint),
      cells_(std::move(cells)),
      listener_(listener),
      key_((epoch << 32) + communicator + 1),
      communicator_(communicator),
      members_(std::move(members)),
      rank_(static_cast<std::size_t>(rank)),
      own_(&cells_->open(key_)),
      peers_{std::vector<Cell*>(members_.size(), nullptr),
             std::vector<const transport::ArenaDirectory*>(members_.size(), nullptr)},
      work_(members_.size()),
      sights_(members_.size()) {
  peers_.cells[rank_] = own_;
  queue_.reserve(1024);
}

Tier::~Tier() { cells_->retire(key_, *own_, std::move(peers_), next_number_); }

void Tier::start(Run& run, const Operation& operation, double divisor) {
  const auto collective = operation.request.collective;
  if (reduces(collective)) work_.prepare(operation.request.leaves);
  if (grouped_ && collective == Collective::all_reduce) grouped_->work.prepare(operation.request.leaves);
  run = {};
  run.operation = &operation;
  run.number = next_number_++;
  run.divisor = divisor;
  queue_.push_back(&run);
  if (attach()) announce(run);
}

Progress Tier::poll(Run& run) noexcept {
  if (run.done) return Progress::done;
  const bool waits = run.announced && flags_ && queue_.size() == 1 && only_waits(run);
  if (run.done) return Progress::done;
  const bool moved = !waits && advance();
  if (run.done) return Progress::done;
  if (moved) {
    idle_ = 0;
    return Progress::advanced;
  }
  if (&run == queue_.front() && !run.disputed && ++idle_ % look_for_death_every == 0) {
    // Looked at in this order: what a rank wrote before it went is seen once its going is.
    const int lost = lost_peer(run);
    if (lost >= 0 && !advance()) {
      run.failed_peer = lost;
      return Progress::failed;
    }
  }
  return Progress::idle;
}

/// The commonest answers first: this rank has said its word, or done its part, and the others have not. Completes the one
/// operation under way if they have all done theirs.
bool Tier::only_waits(Run& run) noexcept {
  if (!run.agreed) return !flags_->all_announced(run.number);
  if (run.small || run.by_groups || run.stages.to_take_out != run.stages.end) return false;
  if (!ended(*flags_, run.stages)) return true;
  complete(run);
  return false;
}

void Tier::finish(Run& run) noexcept {
  if (run.operation == nullptr) return;
  // Given up: who comes late must not take this rank's memory, which is its program's again, for part of the operation.
  if (run.readable && !run.done) flags_->allow(run.number, false);
  run.operation = nullptr;
  std::erase(queue_, &run);
}

// ---------------------------------------------------------------------------------------------------------- meeting

/// Finds the cells of the others; each opens its own before it issues anything.
bool Tier::attach() noexcept {
  if (flags_) return true;
  for (std::size_t r = 0; r < peers_.cells.size(); ++r) {
    if (peers_.cells[r] != nullptr) continue;
    const auto* arena = endpoint_.peer_memory(members_[r], 0, sizeof(transport::ArenaDirectory));
    if (arena == nullptr) return false;
    const auto* directory = reinterpret_cast<const transport::ArenaDirectory*>(arena);
    std::uint64_t offset = 0;
    if (!directory->find(key_, offset)) return false;
    auto* memory = endpoint_.peer_memory(members_[r], offset, sizeof(Cell));
    if (memory == nullptr || offset % alignof(Cell) != 0) return false;
    peers_.directories[r] = directory;
    peers_.cells[r] = reinterpret_cast<Cell*>(memory);
  }
  flags_ = std::make_unique<Flags<MachineAtomics>>(static_cast<int>(rank_), peers_.cells);
  if (grouped_)
    grouped_->flags = std::make_unique<GroupedFlags<MachineAtomics>>(*flags_, rank_, grouped_->work.groups());
  return true;
}

bool Tier::announce(Run& run) noexcept {
  if (run.announced || run.number != announced_ || !flags_->may_announce(run.number)) return false;
  const Request& request = run.operation->request;
  Slot& slot = flags_->own_slot(run.number);
  slot.identity = identity_of(key_, run.operation->sequence);
  slot.stamp = run.operation->stamp.words;
  const std::size_t bytes = shows_memory(request, rank_) ? contribution_bytes(request) : 0;
  const std::size_t own = bytes != 0 ? contribution_bytes(request, rank_) : 0;
  if (bytes > always_copied(members_.size())) {
    const auto offset = [&](const void* data, std::size_t size) {
      std::uint64_t at = 0;
      return cells_->arena().contains(data, size, at) ? at : foreign;
    };
    slot.word[0] = offset(contribution(request), own);
    slot.word[1] = offset(request.output.data, request.output.size_bytes());
    // An output that the others write must lie in the arena too; any other may lie anywhere.
    if (is_written(request, rank_) && (slot.word[0] == foreign || slot.word[1] == foreign))
      slot.word[0] = slot.word[1] = foreign;
  }
  if (bytes != 0 && (bytes <= always_copied(members_.size()) ||
                     (bytes <= copied_if_foreign(members_.size()) && slot.word[0] == foreign))) {
    std::memcpy(bytes <= sizeof slot.word ? static_cast<void*>(slot.word.data()) : slot.payload.data(),
                contribution(request), own);
  }
  if (contribution_bytes(request) > always_copied(members_.size())) {
    const bool in_arena = bytes == 0 || slot.word[0] != foreign;
    run.readable = (in_arena || bytes > copied_if_foreign(members_.size())) &&
                   may_allow(*flags_, &run == queue_.front(), in_arena, next_piece_);
    if (run.readable && !in_arena) fill_first(run);
    flags_->allow(run.number, run.readable);
  }
  flags_->announce(run.number);
  run.announced = true;
  ++announced_;
  tell();
  // What the announcements of the others cannot change is worked out while they travel.
  run.direct = request.collective == Collective::all_reduce && bytes > always_copied(members_.size()) &&
               slot.word[0] != foreign && run.readable && !(grouped_ && grouped_->takes(request));
  if (run.direct) run.part = part_of(request.output.count, size_of(request.output.dtype), members_.size(), rank_);
  return true;
}

/// All ranks have announced the operation: are they of one mind?
bool Tier::agree(Run& run) noexcept {
  if (!flags_->all_announced(run.number)) return false;
  const Operation& operation = *run.operation;
  for (std::size_t r = 0; r < members_.size(); ++r) {
    const Slot& theirs = flags_->slot(r, run.number);
    if (theirs.stamp == operation.stamp.words && theirs.identity == identity_of(key_, operation.sequence)) continue;
    run.disputed = true;
    listener_.mismatched(members_[r], {collective_space(communicator_), 0, operation.sequence}, operation.stamp,
                         {theirs.stamp});
    return false;
  }
  run.agreed = true;
  return (run.direct && reduce_at_once(run)) || settle(run);
}

/// How the operation is done follows from what all ranks have announced, so all decide alike.
bool Tier::settle(Run& run) noexcept {
  const Request& request = run.operation->request;
  const std::size_t bytes = contribution_bytes(request);
  run.small = bytes <= always_copied(members_.size());
  if (run.small) return true;
  bool any_staged = false, all_staged = true;
  for (std::size_t r = 0; r < members_.size(); ++r) {
    if (!shows_memory(request, r)) continue;
    const auto& word = flags_->slot(r, run.number).word;
    const bool staged = word[0] == foreign;
    any_staged |= staged;
    all_staged &= staged;
    if (r == rank_) {
      run.staged = staged;
    } else if (!staged && (endpoint_.peer_memory(members_[r], word[0], contribution_bytes(request, r)) == nullptr ||
                           (is_written(request, r) &&
                            endpoint_.peer_memory(members_[r], word[1], written_bytes(request)) == nullptr))) {
      run.disputed = true;
      listener_.corrupted(members_[r], "a place outside its arena");
      return false;
    }
  }
  run.small = all_staged && bytes <= copied_if_foreign(members_.size());
  if (run.small) return true;
  if (!any_staged && grouped_ && grouped_->takes(request)) {
    settle_grouped(run);
    return true;
  }
  const std::size_t count = elements_of_block(request);
  run.piece_count = count;
  if (any_staged) run.piece_count = staged_count(request, members_.size());
  run.stages = Stages(next_piece_, next_piece_ + (count + run.piece_count - 1) / run.piece_count);
  run.stages.takes_out = run.staged && is_written(request, rank_);
  run.stages.looked_at = !run.staged && shows_memory(request, rank_);
  if (flags_->all_allow(run.number)) run.stages.ready_before(readable_until(run.stages, any_staged));
  next_piece_ = run.stages.end;
  return true;
}

// ---------------------------------------------------------------------------------------------------------- working

bool Tier::advance() noexcept {
  if (!flags_ && !attach()) return false;
  bool moved = false;
  std::size_t ahead = 0;  // runs whose end has come while others before them were polled
  while (ahead < queue_.size()) {
    Run& run = *queue_[ahead];
    if (run.done) {
      ++ahead;
      continue;
    }
    if (!run.announced && announce(run)) moved = true;
    if (!run.announced || run.disputed || !step(run)) break;
    moved = true;
    if (!run.done) break;
  }
  // Announcing ahead lets the others' small operations complete without waiting for this rank's turn.
  for (std::size_t i = ahead; i < queue_.size(); ++i) {
    if (queue_[i]->announced) continue;
    if (!announce(*queue_[i])) break;
    moved = true;
  }
  return moved;
}

bool Tier::step(Run& run) noexcept {
  const bool agreed_now = !run.agreed;
  if (agreed_now && !agree(run)) return false;
  if (run.small) return small_step(run);
  return (run.by_groups ? grouped_step(run) : piece_step(run)) || agreed_now;
}

bool Tier::small_step(Run& run) noexcept {
  const Request& request = run.operation->request;
  const std::size_t bytes = contribution_bytes(request);
  if (bytes != 0) {
    const std::size_t block = has_blocks(request) ? block_of(request, rank_).begin * input_size(request) : 0;
    for (std::size_t r = 0; r < members_.size(); ++r) {
      const Slot& slot = flags_->slot(r, run.number);
      const auto* payload =
          bytes <= sizeof slot.word ? reinterpret_cast<const std::byte*>(slot.word.data()) : slot.payload.data();
      sights_[r] = {payload + block, nullptr};
    }
    if (shows_memory(request, rank_))
      sights_[rank_].input = contribution(request) + block;  // warm, and nobody reads it
    work_.whole(request, sights_, rank_, run.divisor, static_cast<std::byte*>(request.output.data));
  }
  complete(run);
  return true;
}

void Tier::complete(Run& run) noexcept {
  flags_->finish(run.number);
  run.done = true;
  if (grouped_ && queue_.size() > 1) tell();  // neighbours wait for this end before they read for what is behind it
}

void Tier::tell() noexcept {
  for (std::size_t r = 0; r < members_.size(); ++r) {
    if (r != rank_) endpoint_.nudge(members_[r]);
  }
}

// ---------------------------------------------------------------------------------------------------------- failing

void Tier::missing(const Run& run, std::vector<int>& ranks) const {
  for (std::size_t r = 0; r < members_.size(); ++r) {
    if (r == rank_) continue;
    bool lacks = peers_.cells[r] == nullptr;
    if (!lacks) {
      const Cell& cell = *peers_.cells[r];
      const auto load = [](const std::atomic<std::uint64_t>& flag) { return MachineAtomics::load(flag); };
      if (!run.announced) {
        lacks = run.number >= slots && load(cell.finished) + slots <= run.number;
      } else if (!run.agreed) {
        lacks = load(cell.slot[run.number % slots].announced) <= run.number;
      } else if (run.by_groups) {
        lacks = grouped_->lacks(r, cell, run.number, run.grouped);
      } else {
        const Stages& stages = run.stages;
        const auto reduced = load(cell.reduced);
        lacks = (stages.to_fill < stages.end && stages.to_fill >= pieces && reduced <= stages.to_fill - pieces) ||
                (stages.to_combine >= stages.ready_end && stages.to_combine < stages.to_fill &&
                 load(cell.filled) <= stages.to_combine) ||
                (stages.takes_out && stages.to_take_out < stages.to_combine && reduced <= stages.to_take_out) ||
                (stages.looked_at && stages.to_combine == stages.end && reduced < stages.end);
      }
    }
    if (lacks) ranks.push_back(static_cast<int>(r));
  }
}

int Tier::lost_peer(const Run& run) const noexcept {
  for (std::size_t r = 0; r < members_.size(); ++r) {
    if (r == rank_ || endpoint_.link_state(members_[r]) == transport::LinkState::open) continue;
    if (peers_.cells[r] == nullptr) return static_cast<int>(r);
    const Cell& cell = *peers_.cells[r];
    const auto load = [](const std::atomic<std::uint64_t>& flag) { return MachineAtomics::load(flag); };
    const bool lacks = !run.agreed
                           ? load(cell.slot[run.number % slots].announced) <= run.number
                           : load(cell.reduced) < run.stages.end ||
                                 (run.stages.ready_end < run.stages.end && load(cell.filled) < run.stages.end) ||
                                 (run.by_groups && load(cell.spread) < run.stages.end);
    if (lacks) return static_cast<int>(r);
  }
  return -1;
}

}  // namespace trireme::comm::shared
