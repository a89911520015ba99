// SPDX-License-Identifier: Apache-2.0
// Sums of two to four sources in one pass, at the speed of memory: the shapes that two to four ranks make. Included by
// reduce/simd.cpp only.
#pragma once

#include "kernels/pack.hpp"
#include "kernels/reduce/simd.hpp"

namespace trireme::kernels::TRIREME_KERNELS_ISA {
namespace {

/// The brackets: a+b, (a+b)+c, a+(b+c), (a+b)+(c+d).
enum class Shape { pair, left_of_three, right_of_three, four, other };

struct FewSources {
  Shape shape = Shape::other;
  int order[4] = {};  ///< the sources from left to right

  /// Compares the program with the shapes: s a source, - a combination.
  static FewSources recognise(const std::int16_t* program, std::size_t size) {
    if (size == 3) return {Shape::pair, {program[0], program[1]}};  // the only program of that length
    struct Pattern {
      Shape shape;
      std::size_t size;
      const char* tokens;
    };
    constexpr Pattern patterns[] = {
        {Shape::left_of_three, 5, "ss-s-"}, {Shape::right_of_three, 5, "sss--"}, {Shape::four, 7, "ss-ss--"}};
    for (const Pattern& pattern : patterns) {
      if (pattern.size != size) continue;
      FewSources found{pattern.shape};
      int sources = 0;
      bool equal = true;
      for (std::size_t k = 0; k < size; ++k) {
        equal = equal && (program[k] >= 0) == (pattern.tokens[k] == 's');
        if (program[k] >= 0 && sources < 4) found.order[sources++] = program[k];
      }
      if (equal) return found;
    }
    return {};
  }
};

/// A latency-bound call has a few elements; to move them into arrays takes longer than to add them.
constexpr std::size_t one_by_one = 4;

template <Shape shape, class V>
V sum_of(V a, V b, V c, V d) {
  if constexpr (shape == Shape::pair) return a + b;
  if constexpr (shape == Shape::left_of_three) return (a + b) + c;
  if constexpr (shape == Shape::right_of_three) return a + (b + c);
  return (a + b) + (c + d);
}

template <Shape shape, class S, class D, bool divide, bool twice>
void sum_few(const ReduceTask& task, const FewSources& few) {
  typename D::Raw* out = static_cast<typename D::Raw*>(task.destination);
  typename D::Raw* also = static_cast<typename D::Raw*>(twice ? task.also : task.destination);
  constexpr int last = shape == Shape::pair ? 1 : shape == Shape::four ? 3 : 2;
  const typename S::Raw* a = static_cast<const typename S::Raw*>(task.sources[few.order[0]].data);
  const typename S::Raw* b = static_cast<const typename S::Raw*>(task.sources[few.order[1]].data);
  const typename S::Raw* c = static_cast<const typename S::Raw*>(task.sources[few.order[last]].data);
  const typename S::Raw* d = static_cast<const typename S::Raw*>(task.sources[few.order[last]].data);
  if constexpr (shape == Shape::four) c = static_cast<const typename S::Raw*>(task.sources[few.order[2]].data);
  const auto divisor = static_cast<float>(task.divisor);
  const std::size_t count = task.count;  // a local: `out` may alias anything, the task too as far as is known
#if defined(TRIREME_KERNELS_PACKS)
  const Vector divisors = vector_of(divisor);
  auto pack = [&](typename D::Raw* to, typename D::Raw* also_to, const typename S::Raw* p, const typename S::Raw* q,
                  const typename S::Raw* r, const typename S::Raw* s) {
    Vector value = sum_of<shape>(load<S>(p), load<S>(q), load<S>(r), load<S>(s));
    if constexpr (divide) value = value / divisors;
    const typename Pack<D>::Packed packed = Pack<D>::narrow(value);
    store<D>(to, packed);
    if constexpr (twice) store<D>(also_to, packed);
  };
  // Fewer elements than a pack: one by one where that is sooner done, else in arrays of a pack.
  auto part = [&](std::size_t begin, std::size_t n) {
    if (n <= one_by_one) {
      for (std::size_t k = begin; k != begin + n; ++k) {
        const float value = sum_of<shape>(S::widen(a[k]), S::widen(b[k]), S::widen(c[k]), S::widen(d[k]));
        out[k] = D::narrow(divide ? value / divisor : value);
        if (twice) also[k] = out[k];
      }
      return;
    }
    typename S::Raw rest[4][pack_width] = {};
    typename D::Raw result[2][pack_width];
    const std::size_t size = n * sizeof(rest[0][0]);
    __builtin_memcpy(rest[0], a + begin, size);
    __builtin_memcpy(rest[1], b + begin, size);
    __builtin_memcpy(rest[2], c + begin, size);
    __builtin_memcpy(rest[3], d + begin, size);
    pack(result[0], result[1], rest[0], rest[1], rest[2], rest[3]);
    __builtin_memcpy(out + begin, result[0], n * sizeof(result[0][0]));
    if (twice) __builtin_memcpy(also + begin, result[1], n * sizeof(result[0][0]));
  };
  std::size_t i = 0;
  if (count > 8 * pack_width) {
    // Up to where stores no longer cross the edge of a cache line.
    i = (0 - reinterpret_cast<std::uintptr_t>(out)) % sizeof(typename Pack<D>::Packed) / sizeof(typename D::Raw);
    if (i != 0) part(0, i);
  }
  for (; i + pack_width <= count; i += pack_width) pack(out + i, also + i, a + i, b + i, c + i, d + i);
  if (i != count) part(i, count - i);
#else
  TRIREME_KERNELS_INDEPENDENT
  for (std::size_t i = 0; i < count; ++i) {
    float value = sum_of<shape>(S::widen(a[i]), S::widen(b[i]), S::widen(c[i]), S::widen(d[i]));
    out[i] = D::narrow(divide ? value / divisor : value);
    if (twice) also[i] = out[i];
  }
#endif
}

/// Two destinations occur with two ranks, each of which combines its part for both.
template <class S, class D, bool divide>
bool sum_few_by_shape(const ReduceTask& task, const FewSources& few) {
  if (task.also != nullptr) {
    if (few.shape != Shape::pair) return false;
    sum_few<Shape::pair, S, D, divide, true>(task, few);
    return true;
  }
  switch (few.shape) {
    case Shape::pair: sum_few<Shape::pair, S, D, divide, false>(task, few); return true;
    case Shape::left_of_three: sum_few<Shape::left_of_three, S, D, divide, false>(task, few); return true;
    case Shape::right_of_three: sum_few<Shape::right_of_three, S, D, divide, false>(task, few); return true;
    case Shape::four: sum_few<Shape::four, S, D, divide, false>(task, few); return true;
    case Shape::other: break;
  }
  return false;
}

/// Converting takes longer without its instructions than a further pass through the first-level cache.
template <class Format>
inline constexpr bool is_slow = !same_format<Format, F32> && !same_format<Format, BF16>;

/// The pairs of types that occur: one type throughout, partial sums in f32, and rounding those. f16 and f8 without their
/// instructions are left to the general evaluation.
template <class S, class D>
bool sum_few_as(const ReduceTask& task, const FewSources& few) {
  constexpr bool occurs = same_format<S, D> || same_format<S, F32> || same_format<D, F32>;
  constexpr bool slow = !Pack<F16>::exists && (is_slow<S> || is_slow<D>);
  if constexpr (occurs && !slow) {
    return task.divisor == 1.0 ? sum_few_by_shape<S, D, false>(task, few) : sum_few_by_shape<S, D, true>(task, few);
  } else {
    return false;
  }
}

template <class S>
bool sum_few_from(const ReduceTask& task, const FewSources& few) {
  switch (task.output) {
    case DType::f32: return sum_few_as<S, F32>(task, few);
    case DType::bf16: return sum_few_as<S, BF16>(task, few);
    case DType::f16: return sum_few_as<S, F16>(task, few);
    case DType::f8e4m3: return sum_few_as<S, F8E4M3>(task, few);
    case DType::f8e5m2: return sum_few_as<S, F8E5M2>(task, few);
    default: return false;
  }
}

/// Handles the task and returns true when it is a sum in f32 of two to four sources, all of one type, in one of the
/// shapes; otherwise touches nothing.
template <class Task>
bool reduce_few_sources(const Task& task) {
  if (task.kind != ReduceKind::sum || task.accumulator != DType::f32) return false;
  FewSources few = FewSources::recognise(task.program, task.program_size);
  if (few.shape == Shape::other) return false;
  DType source = task.sources[few.order[0]].dtype;
  for (std::size_t k = 0; k < task.program_size; ++k) {
    if (task.program[k] >= 0 && task.sources[task.program[k]].dtype != source) return false;
  }
  switch (source) {
    case DType::f32: return sum_few_from<F32>(task, few);
    case DType::bf16: return sum_few_from<BF16>(task, few);
    case DType::f16: return sum_few_from<F16>(task, few);
    case DType::f8e4m3: return sum_few_from<F8E4M3>(task, few);
    case DType::f8e5m2: return sum_few_from<F8E5M2>(task, few);
    default: return false;
  }
}

}  // namespace
}  // namespace trireme::kernels::TRIREME_KERNELS_ISA
