// SPDX-License-Identifier: Apache-2.0
#include "kernels/device_elements.hpp"
#include "kernels/device_pieces.hpp"
#include "kernels/device_runs.hpp"
#include "kernels/pack/pack_device.hpp"

#include <memory>

namespace trireme::kernels {
namespace {

using namespace on_device;

/// Elements of a part. A tensor's parts begin at multiples of it, so that all are as aligned as the first.
constexpr std::size_t part_elements = 16384;

struct Range {
  void* destination;
  const void* source;
  std::size_t count;
};

/// A launch carries its list: the short one costs less where there are few tensors.
constexpr unsigned few = 64;
constexpr unsigned many = 1024;

// --- plain --------------------------------------------------------------------------------------------------------------

template <class A, unsigned capacity>
struct PlainPack {
  static constexpr const char* name = "trireme_pack_plain";
  static constexpr unsigned threads = 256;
  static constexpr unsigned phases = 1;
  struct Shared {};

  PieceList<Range, capacity> list;
  DType to;
  DType from;
  A scale;

  template <unsigned phase>
  TRIREME_DEVICE void run(device::Place place, Shared&) const {
    const auto [which, part] = list.find(place.block);
    const Range& range = list.piece[which];
    const std::size_t begin = part * part_elements;
    const std::size_t end = begin + part_elements < range.count ? begin + part_elements : range.count;
    for (std::size_t i = begin + place.thread; i < end; i += threads)
      store_element(range.destination, to, i, load_element<A>(range.source, from, i) * scale);
  }
};

// --- fast ---------------------------------------------------------------------------------------------------------------

/// What the source of a run is loaded in: pieces of as many elements, since the buffer's ranges begin where the tensors before
/// end, seldom where a vector does. The destination is written in whole vectors; where the source's do not lie under them,
/// it is read in words, all of a thread's before the first is used.
template <class To, class From, unsigned piece>
struct Converted {
  static constexpr unsigned width = run_width<typename To::Raw, typename From::Raw>;
  static constexpr unsigned unroll = 4;
  using Value = typename From::Value;

  typename To::Raw* destination;
  const typename From::Raw* source;
  Value scale;

  template <unsigned n>
  TRIREME_DEVICE Run<typename From::Raw, n> load(std::size_t index) const {
    if constexpr (n <= piece) {
      return load_run<n>(source + index);
    } else {
      Run<typename From::Raw, n> run;
      TRIREME_UNROLL
      for (unsigned p = 0; p < n; p += piece) {
        const auto part = load_run<piece>(source + index + p);
        TRIREME_UNROLL
        for (unsigned e = 0; e < piece; ++e) run.element[p + e] = part.element[e];
      }
      return run;
    }
  }
  template <unsigned n>
  TRIREME_DEVICE void finish(std::size_t index, const Run<typename From::Raw, n>& loaded) const {
    Run<typename To::Raw, n> result;
    TRIREME_UNROLL
    for (unsigned e = 0; e < n; ++e)
      result.element[e] = round_to<To>(static_cast<Value>(From::widen(loaded.element[e]) * scale));
    store_run(destination + index, result);
  }
};

template <class To, class From, unsigned capacity>
struct FastPack {
  static constexpr const char* name = "trireme_pack";
  static constexpr unsigned threads = 256;
  static constexpr unsigned phases = 1;
  struct Shared {};

  PieceList<Range, capacity> list;
  DType to;
  DType from;
  typename From::Value scale;

  template <unsigned phase>
  TRIREME_DEVICE void run(device::Place place, Shared&) const {
    const auto [which, part] = list.find(place.block);
    const Range& range = list.piece[which];
    const std::size_t begin = part * part_elements;
    const std::size_t left = range.count - begin;
    auto* const destination = static_cast<typename To::Raw*>(range.destination) + begin;
    const auto* const source = static_cast<const typename From::Raw*>(range.source) + begin;
    constexpr unsigned width = Converted<To, From, 1>::width;
    const RunOperand written{destination, sizeof(typename To::Raw)};
    const Cut cut = cut_into_runs(left < part_elements ? left : part_elements, width, &written, 1);
    // Of the first run, and so of all.
    const auto aligned = reinterpret_cast<std::uintptr_t>(source + cut.head);
    if (aligned % (width * sizeof(typename From::Raw)) == 0) return share<width>(destination, source, cut, place);
    if constexpr (sizeof(typename From::Raw) == 2) {
      if (aligned % 4 == 0) return share<2>(destination, source, cut, place);
    }
    share<1>(destination, source, cut, place);
  }

  template <unsigned piece>
  TRIREME_DEVICE void share(typename To::Raw* destination, const typename From::Raw* source, const Cut& cut,
                            device::Place place) const {
    run_share<threads>(Converted<To, From, piece>{destination, source, scale}, cut, 0, 1, place.thread);
  }
};

// --- which of them ------------------------------------------------------------------------------------------------------

struct Ranges {
  DType to;
  DType from;
  double scale;
  std::span<const PackedTensor> tensors;
  std::byte* buffer;
  bool packs;  ///< into the buffer, or out of it

  Range operator[](std::size_t k) const {
    std::byte* const place = buffer + tensors[k].offset * size_of(packs ? to : from);
    if (packs) return {place, tensors[k].data, tensors[k].count};
    return {tensors[k].data, place, tensors[k].count};
  }
};

template <class Body>
void launch_lists(const Ranges& ranges, device::Queue queue) {
  const auto body = std::make_unique<Body>();  // too large for some threads' stacks
  body->to = ranges.to;
  body->from = ranges.from;
  body->scale = static_cast<decltype(body->scale)>(ranges.scale);
  for (std::size_t k = 0; k < ranges.tensors.size(); ++k) {
    const Range range = ranges[k];
    if (range.count == 0) continue;
    const std::size_t parts = (range.count + part_elements - 1) / part_elements;
    if (body->list.add(range, parts)) continue;
    device::launch(queue, *body, body->list.parts_in_all());
    body->list.size = 0;
    if (!body->list.add(range, parts)) fail(ErrorCode::invalid_argument, "a tensor is too large to be packed");
  }
  device::launch(queue, *body, body->list.parts_in_all());
}

template <template <unsigned> class Body>
void launch_by_size(const Ranges& ranges, device::Queue queue) {
  ranges.tensors.size() <= few ? launch_lists<Body<few>>(ranges, queue) : launch_lists<Body<many>>(ranges, queue);
}

template <class To, class From>
struct Pair {
  template <unsigned capacity>
  using Body = FastPack<To, From, capacity>;
  static void launch(const Ranges& ranges, device::Queue queue) { launch_by_size<Body>(ranges, queue); }
  static void append(std::vector<const device::KernelEntry*>& kernels) {
    kernels.push_back(&device::entry_of<Body<few>>());
    kernels.push_back(&device::entry_of<Body<many>>());
  }
};
template <class A>
struct Plain {
  template <unsigned capacity>
  using Body = PlainPack<A, capacity>;
};

struct Entry {
  DType to;
  DType from;
  void (*launch)(const Ranges& ranges, device::Queue queue);
  void (*append)(std::vector<const device::KernelEntry*>& kernels);
};
template <class To, class From>
constexpr Entry entry{To::dtype, From::dtype, &Pair<To, From>::launch, &Pair<To, From>::append};

constexpr Entry fast_pairs[] = {entry<F64, F64>, entry<F32, F32>, entry<F16, F16>,  entry<BF16, BF16>,
                                entry<F32, F16>, entry<F16, F32>, entry<F32, BF16>, entry<BF16, F32>,
                                entry<F32, F64>, entry<F64, F32>};

void run(const Ranges& ranges, device::Queue queue, Rung rung) {
  if (!is_floating(ranges.to) || !is_floating(ranges.from)) {
    fail(ErrorCode::invalid_argument, "packing on a device takes floating types, not " +
                                          std::string(name_of(ranges.from)) + " to " + std::string(name_of(ranges.to)));
  }
  if (rung == Rung::fast) {
    for (const Entry& pair : fast_pairs) {
      if (pair.to == ranges.to && pair.from == ranges.from) return pair.launch(ranges, queue);
    }
  }
  ranges.from == DType::f64 ? launch_by_size<Plain<double>::Body>(ranges, queue)
                            : launch_by_size<Plain<float>::Body>(ranges, queue);
}

}  // namespace

void pack(const PackCall& call, device::Queue queue, Rung rung) {
  run({call.buffer_dtype, call.tensor_dtype, call.scale, call.tensors, static_cast<std::byte*>(call.buffer), true},
      queue, rung);
}

void unpack(const PackCall& call, device::Queue queue, Rung rung) {
  run({call.tensor_dtype, call.buffer_dtype, call.scale, call.tensors, static_cast<std::byte*>(call.buffer), false},
      queue, rung);
}

void pack_kernels(std::vector<const device::KernelEntry*>& kernels) {
  kernels.push_back(&device::entry_of<PlainPack<double, few>>());
  kernels.push_back(&device::entry_of<PlainPack<double, many>>());
  kernels.push_back(&device::entry_of<PlainPack<float, few>>());
  kernels.push_back(&device::entry_of<PlainPack<float, many>>());
  for (const Entry& pair : fast_pairs) pair.append(kernels);
}

}  // namespace trireme::kernels
