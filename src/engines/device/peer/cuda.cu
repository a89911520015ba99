// SPDX-License-Identifier: Apache-2.0
// The kernel of the peer tier. A block works on its share of every range, and waits for the blocks of the same number of
// the other ranks alone: so no block needs another of its own launch, and ranks may run their blocks one after the other.
#include "device/kernel.hpp"
#include "device/memory_order.hpp"
#include "engines/device/peer/combine.hpp"
#include "engines/device/peer/round.hpp"
#include "trireme/base/error.hpp"

#include <string>

namespace trireme::engines::device::peer {
namespace {

using trireme::device::load_acquire;
using trireme::device::Place;
using trireme::device::store_release;
using namespace kernels::on_device;

/// The elements [begin, end) of a range that one block works on: whole vectors of 16 bytes, whatever the type.
struct Share {
  std::uint64_t begin, end;
  TRIREME_DEVICE static Share of(std::uint64_t count, Place place) {
    const std::uint64_t each = ((count + place.blocks - 1) / place.blocks + 15) / 16 * 16;
    const std::uint64_t begin = each * place.block < count ? each * place.block : count;
    return {begin, begin + each < count ? begin + each : count};
  }
};

template <class T, unsigned count>
struct [[gnu::may_alias]] Pack {
  alignas(sizeof(T) * count) T at[count];
};

template <class T>
TRIREME_DEVICE void copy_as(std::byte* to, const std::byte* from, std::uint64_t bytes, unsigned thread) {
  using One = Pack<T, 1>;
  for (std::uint64_t i = thread * sizeof(One); i + sizeof(One) <= bytes; i += round_threads * sizeof(One))
    *reinterpret_cast<One*>(to + i) = *reinterpret_cast<const One*>(from + i);
}

/// By all threads of a block, as wide as both ends allow.
TRIREME_DEVICE void copy(std::byte* to, const std::byte* from, std::uint64_t bytes, unsigned thread) {
  if (to == from) return;
  const auto both = reinterpret_cast<std::uintptr_t>(to) | reinterpret_cast<std::uintptr_t>(from);
  std::uint64_t done = 0;
  if (both % 16 == 0) {
    using Wide = Pack<std::uint32_t, 4>;
    constexpr std::uint64_t step = round_threads * sizeof(Wide);
    std::uint64_t i = thread * sizeof(Wide);
    for (; i + 3 * step + sizeof(Wide) <= bytes; i += 4 * step) {
      Wide wide[4];
      for (unsigned k = 0; k < 4; ++k) wide[k] = *reinterpret_cast<const Wide*>(from + i + k * step);
      for (unsigned k = 0; k < 4; ++k) *reinterpret_cast<Wide*>(to + i + k * step) = wide[k];
    }
    for (; i + sizeof(Wide) <= bytes; i += step)
      *reinterpret_cast<Wide*>(to + i) = *reinterpret_cast<const Wide*>(from + i);
    done = bytes / sizeof(Wide) * sizeof(Wide);
  } else if (both % 4 == 0) {
    copy_as<std::uint32_t>(to, from, bytes, thread);
    done = bytes / 4 * 4;
  } else if (both % 2 == 0) {
    copy_as<std::uint16_t>(to, from, bytes, thread);
    done = bytes / 2 * 2;
  }
  copy_as<std::uint8_t>(to + done, from + done, bytes - done, thread);
}

/// Where the slots of one meeting are, per rank.
struct Slots {
  const Round& round;
  std::uint64_t offset;
  TRIREME_DEVICE Slots(const Round& of, std::uint32_t sequence)
      : round(of), offset(of.layout.slots() + (sequence & 1) * of.layout.slot_bytes) {}
  TRIREME_DEVICE std::byte* at(std::uint32_t rank) const { return round.windows[rank] + offset; }
};

template <class Staged, unsigned width>
using Values = Pack<typename Staged::Value, width>;

template <class Staged, unsigned width>
TRIREME_DEVICE Values<Staged, width> load(const std::byte* memory) {
  using Raw = typename Staged::Raw;
  const auto raw = *reinterpret_cast<const Pack<Raw, width>*>(memory);
  Values<Staged, width> values;
  for (unsigned k = 0; k < width; ++k) values.at[k] = Staged::widen(raw.at[k]);
  return values;
}

template <class Op, class V>
TRIREME_DEVICE V combine(const V& left, const V& right) {
  V result;
  for (unsigned k = 0; k < sizeof(V) / sizeof(result.at[0]); ++k) result.at[k] = Op::of(left.at[k], right.at[k]);
  return result;
}

/// `ranks` from `first` on, in the balanced brackets: 2, 4 or 8, unrolled.
template <class Op, class Staged, unsigned width, unsigned ranks>
TRIREME_DEVICE Values<Staged, width> balanced(const Slots& slots, std::uint32_t first, std::uint64_t place) {
  if constexpr (ranks == 1) {
    return load<Staged, width>(slots.at(first) + place);
  } else {
    const auto left = balanced<Op, Staged, width, ranks / 2>(slots, first, place);
    return combine<Op>(left, balanced<Op, Staged, width, ranks / 2>(slots, first + ranks / 2, place));
  }
}

template <class Op, class Staged, unsigned width>
TRIREME_DEVICE Values<Staged, width> by_program(const Slots& slots, std::uint64_t place) {
  const Round& round = slots.round;
  Values<Staged, width> stack[deepest_stack];
  unsigned depth = 0;
  for (std::uint32_t step = 0; step < round.steps; ++step) {
    const int token = round.program[step];
    if (token >= 0) {
      stack[depth++] = load<Staged, width>(slots.at(static_cast<std::uint32_t>(token)) + place);
    } else {
      --depth;
      stack[depth - 1] = combine<Op>(stack[depth - 1], stack[depth]);
    }
  }
  return stack[0];
}

template <class Staged, unsigned width>
struct LoadingOf {
  const Slots& slots;
  std::uint64_t place;
  TRIREME_DEVICE auto operator()(std::uint32_t rank) const {
    return *reinterpret_cast<const Pack<typename Staged::Raw, width>*>(slots.at(rank) + place);
  }
};
template <class Staged, unsigned width>
struct WideningOf {
  TRIREME_DEVICE Values<Staged, width> operator()(const Pack<typename Staged::Raw, width>& raw) const {
    Values<Staged, width> values;
    for (unsigned k = 0; k < width; ++k) values.at[k] = Staged::widen(raw.at[k]);
    return values;
  }
};
struct AddingOf {
  template <class V>
  TRIREME_DEVICE V operator()(const V& left, const V& right) const {
    return combine<Sum>(left, right);
  }
};

/// Ranks that reduce_as() is told of instead: as the round's groups say, of any number, for sums.
constexpr unsigned in_groups = most_ranks + 1;

/// What a thread reduces: `count` elements that begin at `place` of every slot, to `to`.
template <class Op, class Staged, class Out, unsigned width, unsigned ranks>
TRIREME_DEVICE void reduce_as(const Slots& slots, std::uint64_t place, std::byte* to, std::uint64_t count,
                              unsigned thread) {
  using Value = typename Out::Value;
  const auto divisor = static_cast<Value>(slots.round.divisor);
  const bool divides = slots.round.divisor != 1.0;
  for (std::uint64_t i = std::uint64_t{thread} * width; i + width <= count; i += std::uint64_t{round_threads} * width) {
    const std::uint64_t at = place + i * sizeof(typename Staged::Raw);
    Values<Staged, width> values;
    if constexpr (ranks == 0) {
      values = by_program<Op, Staged, width>(slots, at);
    } else if constexpr (ranks == in_groups) {
      values =
          join_groups(slots.round.groups, LoadingOf<Staged, width>{slots, at}, WideningOf<Staged, width>{}, AddingOf{});
    } else {
      values = balanced<Op, Staged, width, ranks>(slots, 0, at);
    }
    Pack<typename Out::Raw, width> result;
    for (unsigned k = 0; k < width; ++k) {
      Value value = values.at[k];
      if constexpr (std::is_floating_point_v<Value>) {
        if (divides) value = value / divisor;
      }
      result.at[k] = Out::narrow(value);
    }
    *reinterpret_cast<Pack<typename Out::Raw, width>*>(to + i * sizeof(typename Out::Raw)) = result;
  }
}

template <class Op, class Staged, class Out, unsigned ranks>
TRIREME_DEVICE void reduce_range(const Slots& slots, std::uint64_t place, std::byte* to, std::uint64_t count,
                                 unsigned thread) {
  constexpr unsigned fitting = sizeof(typename Staged::Raw) == 1 ? 8 : 16 / sizeof(typename Staged::Raw);
  constexpr unsigned wide =
      ranks == in_groups ? fitting / 2 : fitting;  // eight of them and what waits stay in registers
  constexpr std::uint64_t out = sizeof(typename Out::Raw);
  std::uint64_t done = 0;
  if (place % (wide * sizeof(typename Staged::Raw)) == 0 && reinterpret_cast<std::uintptr_t>(to) % (wide * out) == 0) {
    reduce_as<Op, Staged, Out, wide, ranks>(slots, place, to, count, thread);
    done = count / wide * wide;
  }
  reduce_as<Op, Staged, Out, 1, 0>(slots, place + done * sizeof(typename Staged::Raw), to + done * out, count - done,
                                   thread);
}

template <class Staged, class Out>
TRIREME_DEVICE void reduce(const Slots& slots, std::uint64_t place, std::byte* to, std::uint64_t count,
                           unsigned thread) {
  const Round& round = slots.round;
  switch (round.kind) {
    case ReduceKind::product: return reduce_range<Product, Staged, Out, 0>(slots, place, to, count, thread);
    case ReduceKind::min: return reduce_range<Extreme<true>, Staged, Out, 0>(slots, place, to, count, thread);
    case ReduceKind::max: return reduce_range<Extreme<false>, Staged, Out, 0>(slots, place, to, count, thread);
    default: break;
  }
  const std::uint32_t unrolled = round.balanced ? round.layout.ranks : 0;
  if (unrolled == 2) return reduce_range<Sum, Staged, Out, 2>(slots, place, to, count, thread);
  if (unrolled == 4) return reduce_range<Sum, Staged, Out, 4>(slots, place, to, count, thread);
  if (unrolled == 8) return reduce_range<Sum, Staged, Out, 8>(slots, place, to, count, thread);
  if (round.groups.groups != 0) return reduce_range<Sum, Staged, Out, in_groups>(slots, place, to, count, thread);
  reduce_range<Sum, Staged, Out, 0>(slots, place, to, count, thread);
}

/// The parts of elements [begin, begin + count) of the logical vector that are here, at `base` or in the first `pieces` tensors
/// of the round: use(their place in memory, how far behind `begin` they are, how many). One call of `use` in the code: it is
/// compiled in line.
template <class Use>
TRIREME_DEVICE void visit(const Round& round, std::uint32_t pieces, std::byte* base, std::uint64_t begin,
                          std::uint64_t count, std::uint64_t size, const Use& use) {
  for (std::uint32_t k = 0; k == 0 || k < pieces; ++k) {
    const Piece piece = pieces == 0 ? Piece{base + begin * size, begin, count} : round.piece[k];
    const std::uint64_t from = piece.begin > begin ? piece.begin : begin;
    const std::uint64_t piece_end = piece.begin + piece.count;
    const std::uint64_t end = piece_end < begin + count ? piece_end : begin + count;
    if (from < end) use(piece.data + (from - piece.begin) * size, from - begin, end - from);
  }
}

template <class Staged, class Out>
struct Staging {
  const Round& round;
  std::byte* to;
  unsigned thread;
  TRIREME_DEVICE void operator()(const std::byte* from, std::uint64_t offset, std::uint64_t count) const {
    constexpr std::uint64_t size = sizeof(typename Staged::Raw);
    if constexpr (std::is_floating_point_v<typename Out::Value> &&
                  std::is_same_v<typename Staged::Raw, typename Out::Value>) {
      using Value = typename Out::Value;
      if (round.scales) {
        const auto factor = static_cast<Value>(round.factor);
        auto* products = reinterpret_cast<Value*>(to + offset * size);
        for (std::uint64_t i = thread; i < count; i += round_threads) {
          const Value value = round.narrow_input ? Out::widen(reinterpret_cast<const typename Out::Raw*>(from)[i])
                                                 : reinterpret_cast<const Value*>(from)[i];
          products[i] = value * factor;
        }
        return;
      }
    }
    copy(to + offset * size, from, count * size, thread);
  }
};

template <class Staged, class Out>
struct Reducing {
  Slots slots;
  std::uint64_t place;
  unsigned thread;
  TRIREME_DEVICE void operator()(std::byte* to, std::uint64_t offset, std::uint64_t count) const {
    reduce<Staged, Out>(slots, place + offset * sizeof(typename Staged::Raw), to, count, thread);
  }
};

struct Bringing {
  const std::byte* from;
  std::uint64_t size;
  unsigned thread;
  TRIREME_DEVICE void operator()(std::byte* to, std::uint64_t offset, std::uint64_t count) const {
    copy(to, from + offset * size, count * size, thread);
  }
};

TRIREME_DEVICE std::uint32_t* word_at(std::byte* window, std::uint64_t offset) {
  return reinterpret_cast<std::uint32_t*>(window + offset);
}

/// One thread of a block: tells all peers that this rank has staged, and waits until all have told the same. False: it shall
/// not go on.
TRIREME_DEVICE bool meet(const Round& round, Place place, std::uint32_t sequence) {
  const std::uint32_t ranks = round.layout.ranks;
  Report& report = round.control->reports[round.channel];
  const std::uint64_t row =
      WindowLayout::posts + ((sequence & 1) * std::uint64_t{round.layout.blocks} + place.block) * ranks * sizeof(Post);
  for (std::uint32_t k = 1; k < ranks; ++k) {
    const std::uint32_t peer = (round.self + k) % ranks;
    Post* post = reinterpret_cast<Post*>(round.windows[peer] + row) + round.self;
    for (unsigned i = 0; i < 6; ++i) post->stamp[i] = round.stamp[i];
    store_release(&post->sequence, sequence);
  }
  const Post* posts = reinterpret_cast<const Post*>(round.windows[round.self] + row);
  std::uint64_t begun = 0;
  std::uint32_t told = 0;
  for (std::uint32_t peer = 0; peer < ranks; ++peer) {
    if (peer == round.self) continue;
    for (unsigned looks = 1; static_cast<std::int32_t>(load_acquire(&posts[peer].sequence) - sequence) < 0; ++looks) {
      trireme::device::relax();
      if (looks % 16 != 0) continue;
      if (load_acquire(&round.control->abort) != 0) return false;
      const std::uint64_t now = trireme::device::clock_ns();
      if (begun == 0) begun = now;
      const bool late = round.patience_ns != 0 && now - begun >= round.patience_ns;
      if (place.block != 0 && !late) continue;  // the first block tells; each has its patience
      std::uint32_t lacking = 0;
      for (std::uint32_t other = 0; other < ranks; ++other) {
        if (other != round.self && static_cast<std::int32_t>(load_acquire(&posts[other].sequence) - sequence) < 0)
          lacking |= 1u << other;
      }
      if (lacking != told) store_release(&report.lacking, lacking);
      told = lacking;
      if (!late) continue;
      store_release(&report.state, Report::late);
      store_release(&round.control->abort, 1);
      return false;
    }
    bool same = true;
    for (unsigned i = 0; i < 6; ++i) same = same && posts[peer].stamp[i] == round.stamp[i];
    if (same) continue;
    // One block reports, before all are told to leave: the first, which meets the same.
    while (place.block != 0 && load_acquire(&round.control->abort) == 0) trireme::device::relax();
    if (place.block == 0 && load_acquire(&report.state) == Report::fine) {
      for (unsigned i = 0; i < 6; ++i) report.stamp[i] = posts[peer].stamp[i];
      report.operation = round.operation;
      report.peer = peer;
      store_release(&report.state, Report::mismatch);
    }
    store_release(&round.control->abort, 1);
    return false;
  }
  if (told != 0) store_release(&report.lacking, 0);
  return load_acquire(&round.control->abort) == 0;
}

template <class Staged, class Out>
struct RoundBody {
  static constexpr const char* name = "trireme_peer_round";
  static constexpr unsigned threads = round_threads;
  static constexpr unsigned phases = 7;
  static constexpr bool waits = true;
  static constexpr unsigned resident = 1;  // a launch has fewer blocks than there are multiprocessors
  struct Shared {
    std::uint32_t sequence;  // of the first meeting
    bool going[3];  // at the begin, behind the first meeting, behind the second: none is written where it is read
  };
  Round round;

  template <unsigned phase>
  TRIREME_DEVICE void run(Place place, Shared& shared) const {
    std::byte* const own = round.windows[round.self];
    const unsigned thread = place.thread;
    if constexpr (phase == 0) {
      if (thread != 0) return;
      const bool after = !round.stages && !round.meets;
      shared.sequence = *word_at(own, WindowLayout::counters) + 1 - (after ? (round.second ? 2 : 1) : 0);
      shared.going[0] = load_acquire(&round.control->abort) == 0;
      return;
    } else {
      if (!shared.going[0] || (phase > 2 && !shared.going[1]) || (phase > 4 && !shared.going[2])) return;
    }
    if constexpr (phase == 1) {
      if (!round.stages) return;
      std::byte* slot = Slots(round, shared.sequence).at(round.self);
      for (std::uint32_t k = 0; k < round.staged; ++k) stage(round.stage[k], place, slot);
    }
    if constexpr (phase == 2) {
      if (thread == 0) shared.going[1] = !round.meets || meet(round, place, shared.sequence);
    }
    if constexpr (phase == 3) {
      const Slots slots(round, shared.sequence);
      // Nobody reads the other slot any more: all have come to this launch.
      const bool between = round.second && round.meets;
      if (round.reduces && (between || (!round.second && round.brings))) {
        std::byte* const to = between ? Slots(round, shared.sequence + 1).at(round.self) : round.output;
        reduce_share(slots, place, to, between ? 0 : round.pieces);
      }
      if (round.second || !round.brings) return;
      for (std::uint32_t k = 0; k < round.brought; ++k) bring(round.bring[k], place, slots);
    }
    if constexpr (phase == 4) {
      if (thread == 0) shared.going[2] = !(round.meets && round.second) || meet(round, place, shared.sequence + 1);
    }
    if constexpr (phase == 5) {
      if (!round.second || !round.brings) return;
      const Slots slots(round, shared.sequence + 1);
      for (std::uint32_t k = 0; k < round.brought; ++k) bring(round.bring[k], place, slots);
    }
    if constexpr (phase == 6) {
      if (thread == 0) end(place, shared.sequence, own);
    }
  }

 private:
  TRIREME_DEVICE void stage(const Span& span, Place place, std::byte* slot) const {
    const Share share = Share::of(span.count, place);
    if (share.begin >= share.end) return;
    constexpr std::uint64_t staged_size = sizeof(typename Staged::Raw);
    const std::uint64_t size = round.scales && round.narrow_input ? sizeof(typename Out::Raw) : staged_size;
    visit(round, round.pieces, const_cast<std::byte*>(round.input), span.begin + share.begin, share.end - share.begin,
          size, Staging<Staged, Out>{round, slot + span.slot + share.begin * staged_size, place.thread});
  }
  /// To the own slot of the second meeting, or to the output.
  TRIREME_DEVICE void reduce_share(const Slots& slots, Place place, std::byte* to, std::uint32_t pieces) const {
    const Share share = Share::of(round.reduce.count, place);
    if (share.begin >= share.end) return;
    visit(round, pieces, to, round.reduce.begin + share.begin, share.end - share.begin, sizeof(typename Out::Raw),
          Reducing<Staged, Out>{slots, round.reduce.slot + share.begin * sizeof(typename Staged::Raw), place.thread});
  }
  TRIREME_DEVICE void bring(const Span& span, Place place, const Slots& slots) const {
    const Share share = Share::of(span.count, place);
    if (share.begin >= share.end) return;
    constexpr std::uint64_t size = sizeof(typename Out::Raw);
    visit(round, round.pieces, round.output, span.begin + share.begin, share.end - share.begin, size,
          Bringing{slots.at(span.peer) + span.slot + share.begin * size, size, place.thread});
  }
  /// The last block of the launch counts its meetings: all others have read the count by then.
  TRIREME_DEVICE void end(Place place, std::uint32_t sequence, std::byte* own) const {
    if (!round.meets) return;
    std::uint32_t* counters = word_at(own, WindowLayout::counters);
    if (trireme::device::fetch_increment(counters + 1) + 1 != place.blocks) return;
    counters[1] = 0;
    const std::uint32_t last = sequence + (round.second ? 1 : 0);
    counters[0] = last;
    if (!round.tells_end) return;
    for (std::uint32_t peer = 0; peer < round.layout.ranks; ++peer)
      store_release(word_at(round.windows[peer], WindowLayout::finished) + round.self, last);
  }
};

/// Calls use.template operator()<Staged, Out>() for the two types.
template <class Use>
void with_formats(DType staged, DType output, const Use& use) {
  const bool apart = staged != output;
  switch (output) {
    case DType::f64: return use(F64{}, F64{});
    case DType::f32: return use(F32{}, F32{});
    case DType::f16: return apart ? use(F32{}, F16{}) : use(F16{}, F16{});
    case DType::bf16: return apart ? use(F32{}, BF16{}) : use(BF16{}, BF16{});
    case DType::f8e4m3: return apart ? use(F32{}, F8E4M3{}) : use(F8E4M3{}, F8E4M3{});
    case DType::f8e5m2: return apart ? use(F32{}, F8E5M2{}) : use(F8E5M2{}, F8E5M2{});
    case DType::i64: return use(Integer<std::int64_t>{}, Integer<std::int64_t>{});
    case DType::i32: return use(Integer<std::int32_t>{}, Integer<std::int32_t>{});
    case DType::i8: return use(Integer<std::int8_t>{}, Integer<std::int8_t>{});
    case DType::u64: return use(Integer<std::uint64_t>{}, Integer<std::uint64_t>{});
    case DType::u32: return use(Integer<std::uint32_t>{}, Integer<std::uint32_t>{});
    default: return use(Integer<std::uint8_t>{}, Integer<std::uint8_t>{});
  }
}

struct Launching {
  trireme::device::Queue queue;
  const Round& round;
  unsigned blocks;
  template <class Staged, class Out>
  void operator()(Staged, Out) const {
    trireme::device::launch(queue, RoundBody<Staged, Out>{round}, blocks);
  }
};

struct Listing {
  std::vector<const trireme::device::KernelEntry*>& kernels;
  template <class Staged, class Out>
  void operator()(Staged, Out) const {
    kernels.push_back(&trireme::device::entry_of<RoundBody<Staged, Out>>());
  }
};

}  // namespace

void launch_round(trireme::device::Queue queue, const Round& round, DType staged, DType output, unsigned blocks) {
  with_formats(staged, output, Launching{queue, round, blocks});
}

void peer_kernels(std::vector<const trireme::device::KernelEntry*>& kernels) {
  const Listing list{kernels};
  for (const DType dtype : {DType::f64, DType::f32, DType::f16, DType::bf16, DType::f8e4m3, DType::f8e5m2, DType::i64,
                            DType::i32, DType::i8, DType::u64, DType::u32, DType::u8}) {
    with_formats(dtype, dtype, list);
  }
  for (const DType dtype : {DType::f16, DType::bf16, DType::f8e4m3, DType::f8e5m2})
    with_formats(DType::f32, dtype, list);
}

}  // namespace trireme::engines::device::peer
