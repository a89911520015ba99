// SPDX-License-Identifier: Apache-2.0
// How a kernel is written and launched. A kernel is a body: a trivially copyable value that holds its arguments (up to
// 32 KiB), with
//
//   static constexpr const char* name;     as profilers and errors show it
//   struct Shared { … };                   what the threads of one block share; uninitialised; may be empty
//   static constexpr unsigned threads;     of a block
//   static constexpr unsigned phases;      between two phases the threads of a block meet
//   static constexpr bool waits;           may be left out: whether it waits for other kernels, or for the host (Runtime::free)
//   static constexpr unsigned resident;    may be left out: how many of its blocks a multiprocessor shall hold at once; nvcc,
//                                          told nothing, keeps values in memory rather than hold only one
//   template <unsigned phase>
//   TRIREME_DEVICE void run(device::Place place, Shared& shared) const;
//
// The same body is compiled by nvcc for GPUs and by the host's compiler for emulated devices, where the threads of a block run one
// after the other within a phase, in any order. So within a phase no thread may wait for another of its block, and
// nothing is kept between phases but in Shared and in memory.
// A file of kernels (kernels/<operation>/cuda.cu) is CUDA where there is a CUDA compiler and C++ otherwise; this header has the
// only preprocessor branches.
#pragma once

#include "trireme/device/runtime.hpp"

#include <cstddef>
#include <cstdint>
#include <numeric>
#include <type_traits>
#include <utility>

#if defined(__CUDACC__)
#define TRIREME_DEVICE __host__ __device__ __forceinline__
#define TRIREME_UNROLL _Pragma("unroll")
#else
#define TRIREME_DEVICE inline
#define TRIREME_UNROLL
#endif

namespace trireme::device {

// What a thread stores at once: of any type, at places of that alignment.
#if defined(__CUDACC__)
using Words2 = uint2;
using Words4 = uint4;
#else
struct [[gnu::may_alias]] alignas(8) Words2 {
  std::uint32_t x, y;
};
struct [[gnu::may_alias]] alignas(16) Words4 {
  std::uint32_t x, y, z, w;
};
#endif

// By name: nvcc makes single stores of an assignment between branches.
TRIREME_DEVICE void store(Words2* to, Words2 from) {
#if defined(__CUDA_ARCH__)
  asm volatile("st.v2.u32 [%0], {%1, %2};" ::"l"(to), "r"(from.x), "r"(from.y) : "memory");
#else
  *to = from;
#endif
}
TRIREME_DEVICE void store(Words4* to, Words4 from) {
#if defined(__CUDA_ARCH__)
  asm volatile("st.v4.u32 [%0], {%1, %2, %3, %4};" ::"l"(to), "r"(from.x), "r"(from.y), "r"(from.z), "r"(from.w)
               : "memory");
#else
  *to = from;
#endif
}

/// Of one thread.
struct Place {
  unsigned block = 0;
  unsigned blocks = 1;
  unsigned thread = 0;
};

/// Runs one block on the host; `seed` orders its threads.
using EmulatedBlock = void (*)(const void* body, unsigned block, unsigned blocks, std::uint64_t seed);

struct KernelEntry {
  const char* name;
  const void* cuda;  ///< the __global__ function; null where no CUDA compiler was
  EmulatedBlock emulated;
  unsigned threads;
  bool waits = false;  ///< for other kernels, or for the host
};

struct Launch {
  const KernelEntry* kernel;
  const void* body;
  std::size_t body_bytes;
  unsigned blocks;
};

template <class Body>
inline constexpr unsigned resident_blocks = 0;
template <class Body>
  requires requires { Body::resident; }
inline constexpr unsigned resident_blocks<Body> = Body::resident;

namespace detail {

#if defined(__CUDACC__)
template <class Body, unsigned... phase>
__device__ __forceinline__ void run_phases(const Body& body, Place place, typename Body::Shared& shared,
                                           std::integer_sequence<unsigned, phase...>) {
  ((phase == 0 ? (void)0 : __syncthreads(), body.template run<phase>(place, shared)), ...);
}

template <class Body>
__global__ void __launch_bounds__(Body::threads, resident_blocks<Body>) run_kernel(const __grid_constant__ Body body) {
  __shared__ typename Body::Shared shared;
  run_phases(body, Place{blockIdx.x, gridDim.x, threadIdx.x}, shared,
             std::make_integer_sequence<unsigned, Body::phases>());
}
#endif

/// A permutation of [0, n), n a power of two or not: thread (k * step + start) mod n with step coprime to n.
struct ThreadOrder {
  unsigned count, start, step;
  static ThreadOrder of(unsigned count, std::uint64_t seed) {
    unsigned step = static_cast<unsigned>(seed >> 32) % count + 1;
    while (std::gcd(step, count) != 1) ++step;
    return {count, static_cast<unsigned>(seed) % count, step};
  }
  unsigned operator()(unsigned k) const { return static_cast<unsigned>((std::uint64_t{k} * step + start) % count); }
};

template <class Body, unsigned... phase>
void emulate_phases(const Body& body, unsigned block, unsigned blocks, std::uint64_t seed,
                    std::integer_sequence<unsigned, phase...>) {
  typename Body::Shared shared;
  asm volatile("" : "=m"(shared));  // uninitialised, which is no matter for a warning: phases fill it for each other
  const auto run = [&]<unsigned which>(std::integral_constant<unsigned, which>) {
    const ThreadOrder order = ThreadOrder::of(Body::threads, seed * (2 * which + 1) + which);
    for (unsigned k = 0; k < Body::threads; ++k) body.template run<which>(Place{block, blocks, order(k)}, shared);
  };
  (run(std::integral_constant<unsigned, phase>()), ...);
}

template <class Body>
void emulate_block(const void* body, unsigned block, unsigned blocks, std::uint64_t seed) {
  emulate_phases(*static_cast<const Body*>(body), block, blocks, seed,
                 std::make_integer_sequence<unsigned, Body::phases>());
}

}  // namespace detail

template <class Body>
inline constexpr bool waits_for_others = false;
template <class Body>
  requires requires { Body::waits; }
inline constexpr bool waits_for_others<Body> = Body::waits;

/// The kernel of a body. Only in the file that defines the body; nowhere else may it be instantiated.
template <class Body>
const KernelEntry& entry_of() {
  static_assert(std::is_trivially_copyable_v<Body> && sizeof(Body) <= 32000 && alignof(Body) <= 16);
  static const KernelEntry entry {
    Body::name,
#if defined(__CUDACC__)
        reinterpret_cast<const void*>(&detail::run_kernel<Body>),
#else
        nullptr,
#endif
        &detail::emulate_block<Body>, Body::threads, waits_for_others<Body>
  };
  return entry;
}

/// Gives `blocks` blocks of the body to the queue; none: nothing.
template <class Body>
void launch(Queue queue, const Body& body, unsigned blocks) {
  if (blocks == 0) return;
  queue.runtime.launch({&entry_of<Body>(), &body, sizeof body, blocks}, queue.stream);
}

/// Blocks of `threads` threads of `per_thread` elements each for `count` elements, at most `most`: bodies step over the rest.
constexpr unsigned blocks_for(std::size_t count, unsigned threads, unsigned per_thread, unsigned most = 65536) {
  const std::size_t per_block = std::size_t{threads} * per_thread;
  const std::size_t blocks = (count + per_block - 1) / per_block;
  return static_cast<unsigned>(blocks < most ? blocks : most);
}

}  // namespace trireme::device
