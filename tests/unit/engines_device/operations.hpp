// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/comm/communicator.hpp"

#include <array>
#include <cstddef>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

namespace trireme::testing {

/// One way to call a collective, on whatever memory the views are of.
struct DeviceOperation {
  std::string name;
  std::size_t in;   ///< elements of the input of one rank
  std::size_t out;  ///< 0: in place
  bool reduces = false;
  bool floating = false;    ///< not of integers
  bool wide_input = false;  ///< the input is of the accumulator type
  void (*call)(Communicator&, ConstTensorView, TensorView, const CallOptions&) = nullptr;
};

namespace operations {

inline TensorView part(const TensorView& whole, std::size_t begin, std::size_t count) {
  auto* bytes = static_cast<std::byte*>(whole.data);
  return {bytes == nullptr ? nullptr : bytes + begin * size_of(whole.dtype), count, whole.dtype, whole.device};
}
inline ConstTensorView part(const ConstTensorView& whole, std::size_t begin, std::size_t count) {
  const auto* bytes = static_cast<const std::byte*>(whole.data);
  return {bytes == nullptr ? nullptr : bytes + begin * size_of(whole.dtype), count, whole.dtype, whole.device};
}
/// Uneven: rank r has (r + 1) parts of the P (P + 1) / 2.
inline std::vector<std::size_t> uneven(int ranks, std::size_t all) {
  const auto p = static_cast<std::size_t>(ranks);
  std::vector<std::size_t> counts(p);
  for (std::size_t r = 0; r < p; ++r) counts[r] = all / (p * (p + 1) / 2) * (r + 1);
  counts.back() += all - std::accumulate(counts.begin(), counts.end(), std::size_t{0});
  return counts;
}
/// The same, but rank 0 has nothing: its part is rank 1's.
inline std::vector<std::size_t> with_none(int ranks, std::size_t all) {
  auto counts = uneven(ranks, all);
  if (ranks > 1) counts[1] += std::exchange(counts[0], 0);
  return counts;
}
inline std::vector<TensorView> pieces(const TensorView& whole) {
  const std::size_t first = whole.count / 3, second = whole.count / 7;
  return {part(whole, 0, first), part(whole, first, 0), part(whole, first, second),
          part(whole, first + second, whole.count - first - second)};
}

}  // namespace operations

/// Every operation of a communicator of `ranks`, on about `n` elements per rank.
inline std::vector<DeviceOperation> device_operations(int ranks, std::size_t n) {
  using namespace operations;
  using In = ConstTensorView;
  using Out = TensorView;
  using C = Communicator;
  using O = CallOptions;
  const auto p = static_cast<std::size_t>(ranks);
  return {
      {"all_reduce sum", n, n, true, false, false, [](C& c, In i, Out o, const O& k) { c.all_reduce(i, o, sum, k); }},
      {"all_reduce max in place", n, 0, true, false, false,
       [](C& c, In, Out o, const O& k) { c.all_reduce(o, o, maximum, k); }},
      {"all_reduce average", n, n, true, true, false,
       [](C& c, In i, Out o, const O& k) { c.all_reduce(i, o, average, k); }},
      {"all_reduce premultiplied in place", n, 0, true, true, false,
       [](C& c, In, Out o, const O& k) { c.all_reduce(o, o, premultiplied_sum(0.3 + c.rank()), k); }},
      {"all_reduce of wide input", n, n, true, true, true,
       [](C& c, In i, Out o, const O& k) { c.all_reduce(i, o, sum, k); }},
      {"all_reduce fastest", n, n, true, false, false,
       [](C& c, In i, Out o, const O& k) {
         O fastest = k;
         fastest.order = ReductionOrder::fastest;
         c.all_reduce(i, o, minimum, fastest);
       }},
      {"all_reduce group", n, 0, true, false, false,
       [](C& c, In, Out o, const O& k) { c.all_reduce_group(pieces(o), maximum, k); }},
      {"all_reduce group premultiplied", n, 0, true, true, false,
       [](C& c, In, Out o, const O& k) { c.all_reduce_group(pieces(o), premultiplied_sum(1.5 - c.rank()), k); }},
      {"reduce_scatter", p * n, n, true, false, false,
       [](C& c, In i, Out o, const O& k) { c.reduce_scatter(i, o, sum, k); }},
      {"reduce_scatter in place", p * n, 0, true, false, false,
       [](C& c, In, Out o, const O& k) {
         const std::size_t mine = o.count / static_cast<std::size_t>(c.size());
         c.reduce_scatter(o, part(o, static_cast<std::size_t>(c.rank()) * mine, mine), sum, k);
       }},
      {"reduce_scatter premultiplied", p * n, n, true, true, false,
       [](C& c, In i, Out o, const O& k) { c.reduce_scatter(i, o, premultiplied_sum(2.5), k); }},
      {"reduce_scatter uneven", p * n, p * n, true, false, false,
       [](C& c, In i, Out o, const O& k) {
         const auto counts = with_none(c.size(), i.count);
         c.reduce_scatter(i, part(o, 0, counts[static_cast<std::size_t>(c.rank())]), counts, sum, k);
       }},
      {"reduce_scatter uneven in place", p * n, 0, true, true, false,
       [](C& c, In, Out o, const O& k) {
         const auto counts = with_none(c.size(), o.count);
         const auto own = static_cast<std::size_t>(c.rank());
         c.reduce_scatter(
             o, part(o, std::accumulate(counts.begin(), counts.begin() + c.rank(), std::size_t{0}), counts[own]),
             counts, average_over(3.5), k);
       }},
      {"reduce", n, n, true, false, false, [](C& c, In i, Out o, const O& k) { c.reduce(i, o, c.size() - 1, sum, k); }},
      {"reduce in place", n, 0, true, false, false, [](C& c, In, Out o, const O& k) { c.reduce(o, o, 0, maximum, k); }},
      {"all_gather", n, p * n, false, false, false, [](C& c, In i, Out o, const O& k) { c.all_gather(i, o, k); }},
      {"all_gather in place", p * n, 0, false, false, false,
       [](C& c, In, Out o, const O& k) {
         const std::size_t mine = o.count / static_cast<std::size_t>(c.size());
         c.all_gather(part(o, static_cast<std::size_t>(c.rank()) * mine, mine), o, k);
       }},
      {"all_gather uneven", n, n, false, false, false,
       [](C& c, In i, Out o, const O& k) {
         const auto counts = uneven(c.size(), o.count);
         c.all_gather(part(i, 0, counts[static_cast<std::size_t>(c.rank())]), o, counts, k);
       }},
      {"all_gather uneven in place", n, 0, false, false, false,
       [](C& c, In, Out o, const O& k) {
         const auto counts = with_none(c.size(), o.count);
         const auto own = static_cast<std::size_t>(c.rank());
         c.all_gather(part(o, std::accumulate(counts.begin(), counts.begin() + c.rank(), std::size_t{0}), counts[own]),
                      o, counts, k);
       }},
      {"gather", n, p * n, false, false, false, [](C& c, In i, Out o, const O& k) { c.gather(i, o, 0, k); }},
      {"gather uneven", n, n, false, false, false,
       [](C& c, In i, Out o, const O& k) {
         const auto counts = uneven(c.size(), o.count);
         c.gather(part(i, 0, counts[static_cast<std::size_t>(c.rank())]), o, counts, c.size() - 1, k);
       }},
      {"scatter", p * n, n, false, false, false,
       [](C& c, In i, Out o, const O& k) { c.scatter(i, o, c.size() - 1, k); }},
      {"scatter uneven", n, n, false, false, false,
       [](C& c, In i, Out o, const O& k) {
         const auto counts = uneven(c.size(), i.count);
         c.scatter(i, part(o, 0, counts[static_cast<std::size_t>(c.rank())]), counts, 0, k);
       }},
      {"all_to_all", p * n, p * n, false, false, false, [](C& c, In i, Out o, const O& k) { c.all_to_all(i, o, k); }},
      {"all_to_all in place", p * n, 0, false, false, false,
       [](C& c, In, Out o, const O& k) { c.all_to_all(o, o, k); }},
      {"all_to_all uneven", p * n, p * n, false, false, false,
       [](C& c, In i, Out o, const O& k) {
         // Between i and j go as many as i + j are parts of it.
         const auto p = static_cast<std::size_t>(c.size()), own = static_cast<std::size_t>(c.rank());
         std::vector<std::size_t> counts(p);
         for (std::size_t r = 0; r < p; ++r) counts[r] = i.count / p * (r + own) / (2 * p);
         const std::size_t all = std::accumulate(counts.begin(), counts.end(), std::size_t{0});
         c.all_to_all(part(i, 0, all), counts, part(o, 0, all), counts, k);
       }},
      {"broadcast", n, 0, false, false, false, [](C& c, In, Out o, const O& k) { c.broadcast(o, c.size() - 1, k); }},
      {"broadcast group", n, 0, false, false, false,
       [](C& c, In, Out o, const O& k) { c.broadcast_group(pieces(o), 0, k); }},
      {"send and recv", n, n, false, false, false,
       [](C& c, In i, Out o, const O& k) {
         if (c.size() == 1) return;
         Work sent = c.send_async(i, (c.rank() + 1) % c.size(), k);
         c.recv(o, (c.rank() + c.size() - 1) % c.size(), k);
         sent.wait();
       }},
  };
}

}  // namespace trireme::testing
