// SPDX-License-Identifier: Apache-2.0
// Sums by the balanced tree on devices: a node of n terms splits at the largest power of two strictly below n.
#pragma once

#include "device/kernel.hpp"

#include <cstddef>

namespace trireme::kernels::on_device {

/// terms[0] = the tree over terms[0 .. count-1]: neighbours are joined level by level, which gives the same brackets.
template <class T>
TRIREME_DEVICE void join(T* terms, unsigned count) {
  for (unsigned step = 1; step < count; step *= 2) {
    for (unsigned k = 0; k + step < count; k += 2 * step) terms[k] = terms[k] + terms[k + step];
  }
}

/// The tree over term(begin) .. term(end-1), eight of them in registers at a time; T{} of none.
/// Shape: begin a multiple of a power of two that is not below end - begin, or 0: then it is a subtree of the whole.
template <class T, class Term>
TRIREME_DEVICE T tree_sum(std::size_t begin, std::size_t end, Term term) {
  constexpr unsigned width = 8;
  T waiting[48];  // complete subtrees of falling size: a binary counter over groups of eight
  unsigned depth = 0;
  std::size_t group = 0;
  for (; begin + width <= end; begin += width, ++group) {
    T terms[width];
    for (unsigned k = 0; k < width; ++k) terms[k] = term(begin + k);
    T value = ((terms[0] + terms[1]) + (terms[2] + terms[3])) + ((terms[4] + terms[5]) + (terms[6] + terms[7]));
    for (std::size_t n = group; n & 1u; n >>= 1) value = waiting[--depth] + value;
    waiting[depth++] = value;
  }
  if (begin < end) {
    T terms[width];
    const auto rest = static_cast<unsigned>(end - begin);
    terms[0] = term(begin);
    for (unsigned k = 1; k < rest; ++k) terms[k] = term(begin + k);
    join(terms, rest);
    waiting[depth++] = terms[0];
  }
  if (depth == 0) return T{};
  for (; depth > 1; --depth) waiting[depth - 2] = waiting[depth - 2] + waiting[depth - 1];
  return waiting[0];
}

/// Columns of `images` matrices, each summed over its `terms`: a block has 32 columns and eight threads for each of them,
/// which take equal subtrees. A Columns has `name`, `Value` (what is added) and
///   TRIREME_DEVICE Value term(std::size_t image, std::size_t t, std::size_t column) const;
///   TRIREME_DEVICE void finish(std::size_t image, std::size_t column, const Value& sum) const;
template <class Columns>
struct ColumnSumBody {
  static constexpr const char* name = Columns::name;
  static constexpr unsigned width = 32;
  static constexpr unsigned parts = 8;
  static constexpr unsigned threads = width * parts;
  static constexpr unsigned phases = 2;
  using Value = typename Columns::Value;
  static constexpr unsigned resident = sizeof(Value) == 8 ? 4 : 0;  // more, and sm_100 keeps values of f64 in memory
  struct Shared {
    alignas(16) unsigned char sums[parts * width * sizeof(Value)];
  };

  Columns columns;
  std::size_t terms;
  std::size_t count;   // of columns
  std::size_t strips;  // of an image

  template <unsigned phase>
  TRIREME_DEVICE void run(device::Place place, Shared& shared) const {
    auto* sums = reinterpret_cast<Value*>(shared.sums);
    const std::size_t image = place.block / strips;
    const std::size_t column = place.block % strips * width + place.thread % width;
    const unsigned part = place.thread / width;
    if (column >= count) return;
    std::size_t length = 1;  // of a part: a power of two, so that at most eight of them are all
    while (length * parts < terms) length *= 2;
    if constexpr (phase == 0) {
      const std::size_t begin = part * length;
      if (begin >= terms && part != 0) return;
      const std::size_t end = terms - begin < length ? terms : begin + length;
      sums[part * width + place.thread % width] =
          tree_sum<Value>(begin, end, [&](std::size_t t) { return columns.term(image, t, column); });
    } else {
      if (part != 0) return;
      const auto used = static_cast<unsigned>((terms + length - 1) / length);
      Value* own = sums + place.thread;
      for (unsigned step = 1; step < used; step *= 2) {
        for (unsigned k = 0; k + step < used; k += 2 * step) own[k * width] = own[k * width] + own[(k + step) * width];
      }
      columns.finish(image, column, own[0]);
    }
  }
};

template <class Columns>
void launch_columns(device::Queue queue, const Columns& columns, std::size_t images, std::size_t terms,
                    std::size_t count) {
  using Body = ColumnSumBody<Columns>;
  const std::size_t strips = (count + Body::width - 1) / Body::width;
  device::launch(queue, Body{columns, terms, count, strips}, static_cast<unsigned>(images * strips));
}

template <class Columns>
const device::KernelEntry* columns_entry() {
  return &device::entry_of<ColumnSumBody<Columns>>();
}

}  // namespace trireme::kernels::on_device
