// SPDX-License-Identifier: Apache-2.0
// Loops over elements on devices: bound by memory, so sixteen bytes at a time where the addresses allow it.
#pragma once

#include "device/kernel.hpp"

#include <cstddef>
#include <cstdint>

namespace trireme::kernels::on_device {

/// `n` elements that are moved at once.
template <class T, unsigned n>
struct __attribute__((may_alias, aligned(n * sizeof(T)))) Wide {
  T at[n];
};

/// How many elements are sixteen bytes.
template <class T>
inline constexpr unsigned wide = 16 / sizeof(T);

template <unsigned n, class T>
TRIREME_DEVICE Wide<T, n> load(const T* from) {
  return *reinterpret_cast<const Wide<T, n>*>(from);
}
template <unsigned n, class T>
TRIREME_DEVICE void store(T* to, const Wide<T, n>& run) {
  *reinterpret_cast<Wide<T, n>*>(to) = run;
}

/// Whether all of them allow to move sixteen bytes at once.
template <class... T>
bool aligned(const T*... memory) {
  return ((reinterpret_cast<std::uintptr_t>(memory) % 16 == 0) && ...);
}

/// `index` mod `columns`; of 32 bits where they suffice, which devices divide much faster.
TRIREME_DEVICE std::size_t column_of(std::size_t index, std::size_t columns) {
  if (index <= 0xffffffffu && columns <= 0xffffffffu) {
    return static_cast<std::uint32_t>(index) % static_cast<std::uint32_t>(columns);
  }
  return index % columns;
}

/// A quotient and what remains, by the same rule.
struct Quotient {
  std::size_t value, rest;
};
TRIREME_DEVICE Quotient divide(std::size_t index, std::size_t divisor) {
  if (index <= 0xffffffffu && divisor <= 0xffffffffu) {
    const auto value = static_cast<std::uint32_t>(index) / static_cast<std::uint32_t>(divisor);
    return {value, static_cast<std::uint32_t>(index) - value * static_cast<std::uint32_t>(divisor)};
  }
  return {index / divisor, index % divisor};
}

/// `resident` of the operation's kernel (device/kernel.hpp), where it says so.
template <class Operation>
inline constexpr unsigned resident_of = 0;
template <class Operation>
  requires requires { Operation::resident; }
inline constexpr unsigned resident_of<Operation> = Operation::resident;

/// Calls operation.at<n>(i) for elements i to i + n - 1, once for each of `count`. An Operation has `name`, `run_length`,
/// the n of sixteen bytes (1: it has no wide form), and
///   template <unsigned n> TRIREME_DEVICE void at(std::size_t i) const;   i a multiple of n
template <class Operation>
struct ElementsBody {
  static constexpr const char* name = Operation::name;
  static constexpr unsigned threads = 256;
  static constexpr unsigned phases = 1;
  static constexpr unsigned resident = resident_of<Operation>;
  struct Shared {};

  Operation operation;
  std::size_t count;
  bool by_runs;

  template <unsigned phase>
  TRIREME_DEVICE void run(device::Place place, Shared&) const {
    constexpr unsigned n = Operation::run_length;
    const std::size_t step = std::size_t{place.blocks} * threads;
    const std::size_t first = std::size_t{place.block} * threads + place.thread;
    std::size_t done = 0;
    if constexpr (n > 1) {
      if (by_runs) {
        const std::size_t runs = count / n;
        for (std::size_t k = first; k < runs; k += step) operation.template at<n>(k * n);
        done = runs * n;
      }
    }
    for (std::size_t i = done + first; i < count; i += step) operation.template at<1>(i);
  }
};

/// Shape: by_runs only where every run of the operation lies at a multiple of sixteen bytes in all its arrays.
template <class Operation>
void launch_elements(device::Queue queue, const Operation& operation, std::size_t count, bool by_runs = false) {
  using Body = ElementsBody<Operation>;
  device::launch(queue, Body{operation, count, by_runs},
                 device::blocks_for(count, Body::threads, by_runs ? 2 * Operation::run_length : 2));
}

template <class Operation>
const device::KernelEntry* elements_entry() {
  return &device::entry_of<ElementsBody<Operation>>();
}

}  // namespace trireme::kernels::on_device
