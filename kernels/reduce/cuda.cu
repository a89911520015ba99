// SPDX-License-Identifier: Apache-2.0
#include "kernels/device_elements.hpp"
#include "kernels/device_runs.hpp"
#include "kernels/reduce/grouped_program.hpp"
#include "kernels/reduce/reduce_device.hpp"

#include <bitset>
#include <string>
#include <type_traits>

namespace trireme::kernels {
namespace {

using namespace on_device;

constexpr unsigned most_sources = 1024;
constexpr unsigned deepest = 64;  // values that wait while a program runs

// --- plain: interprets the program for every element ------------------------------------------------------------------

template <class T>
TRIREME_DEVICE bool is_nan(T value) {
  return value != value;
}

/// Min and max: -0 < +0, a NaN when either is one. Integers wrap.
template <class T>
TRIREME_DEVICE T combine(ReduceKind kind, T a, T b) {
  if constexpr (std::is_floating_point_v<T>) {
    if (kind == ReduceKind::product) return a * b;
    if (kind != ReduceKind::min && kind != ReduceKind::max) return a + b;
    if (is_nan(a)) return a;
    if (is_nan(b)) return b;
    const bool a_is_less = a < b || (a == b && std::signbit(a));
    return a_is_less == (kind == ReduceKind::min) ? a : b;
  } else {
    using Wrapping = std::conditional_t<sizeof(T) == 8, std::uint64_t, std::uint32_t>;
    switch (kind) {
      case ReduceKind::product: return static_cast<T>(static_cast<Wrapping>(a) * static_cast<Wrapping>(b));
      case ReduceKind::min: return a < b ? a : b;
      case ReduceKind::max: return a > b ? a : b;
      default: return static_cast<T>(static_cast<Wrapping>(a) + static_cast<Wrapping>(b));
    }
  }
}

template <class T>
struct PlainReduce {
  static constexpr const char* name = "trireme_reduce_plain";
  static constexpr unsigned threads = 256;
  static constexpr unsigned phases = 1;
  struct Shared {};

  const void* sources[most_sources];
  DType dtypes[most_sources];
  std::int16_t program[2 * most_sources - 1];
  unsigned program_size;
  ReduceKind kind;
  DType output;
  bool divides;
  T divisor;
  void* destination;
  void* also;
  std::size_t count;

  template <unsigned phase>
  TRIREME_DEVICE void run(device::Place place, Shared&) const {
    const std::size_t step = std::size_t{place.blocks} * threads;
    for (std::size_t i = std::size_t{place.block} * threads + place.thread; i < count; i += step) {
      T value = evaluate(i);
      if constexpr (std::is_floating_point_v<T>) {
        if (divides) value = value / divisor;
      }
      store(destination, i, value);
      if (also != nullptr) store(also, i, value);
    }
  }

  TRIREME_DEVICE T evaluate(std::size_t i) const {
    T waiting[deepest];  // below `value`, which is the top of the stack; a program begins with a source
    unsigned depth = 0;
    T value = load(static_cast<unsigned>(program[0]), i);
    for (unsigned k = 1; k < program_size; ++k) {
      if (program[k] >= 0) {
        waiting[depth++] = value;
        value = load(static_cast<unsigned>(program[k]), i);
      } else {
        value = combine(kind, waiting[--depth], value);
      }
    }
    return value;
  }

  TRIREME_DEVICE T load(unsigned source, std::size_t i) const {
    if constexpr (std::is_floating_point_v<T>) {
      return load_element<T>(sources[source], dtypes[source], i);
    } else {
      return static_cast<const T*>(sources[source])[i];
    }
  }

  TRIREME_DEVICE void store(void* memory, std::size_t i, T value) const {
    if constexpr (std::is_floating_point_v<T>) {
      store_element(memory, output, i, value);
    } else {
      static_cast<T*>(memory)[i] = value;
    }
  }
};

// --- fast: sums of a few sources in registers ---------------------------------------------------------------------------

template <class T>
struct Integer {
  using Raw = T;
  using Value = T;
  TRIREME_DEVICE static T widen(T raw) { return raw; }
  TRIREME_DEVICE static T narrow(T value) { return value; }
};

/// Which sums are formed behind each source, in the program's order from left to right: bit j of joins[k] adds the value that
/// begins with source j, on the left, and the one that ends with source k. Any program is such a list, and a loop over it
/// needs no place that is computed: everything stays in registers.
struct Joins {
  unsigned size = 0;
  std::uint8_t joins[8] = {};
  std::int16_t order[8] = {};  ///< the sources from left to right
};

template <class S, class D, unsigned most>
struct SumOfFew {
  static constexpr const char* name = "trireme_sum_of_few";
  using Source = typename S::Raw;
  using Value = typename S::Value;
  using Output = typename D::Raw;
  static constexpr unsigned width = run_width<Source, Output>;
  static constexpr unsigned unroll = most <= 2 ? 4 : most <= 4 ? 2 : 1;

  const Source* sources[most];
  std::uint8_t joins[most];
  bool divides;
  unsigned size;
  Value divisor;
  Output* destination;
  Output* also;

  template <unsigned n>
  struct Loaded {
    Run<Source, n> source[most];
  };

  template <unsigned n>
  TRIREME_DEVICE Loaded<n> load(std::size_t index) const {
    Loaded<n> loaded{};
    TRIREME_UNROLL
    for (unsigned k = 0; k < most; ++k) {
      if (k < size) loaded.source[k] = load_run<n>(sources[k] + index);
    }
    return loaded;
  }

  template <unsigned n>
  TRIREME_DEVICE void finish(std::size_t index, const Loaded<n>& loaded) const {
    Value sums[most][n];
    TRIREME_UNROLL
    for (unsigned k = 0; k < most; ++k) {
      TRIREME_UNROLL
      for (unsigned e = 0; e < n; ++e) sums[k][e] = S::widen(loaded.source[k].element[e]);
      TRIREME_UNROLL
      for (unsigned step = 0; step < k; ++step) {
        const unsigned left = k - 1 - step;
        if ((joins[k] >> left & 1) == 0) continue;
        // The latest value is kept in the registers of source k too, where its place is known.
        TRIREME_UNROLL
        for (unsigned e = 0; e < n; ++e) {
          sums[left][e] = sums[left][e] + sums[k][e];
          sums[k][e] = sums[left][e];
        }
      }
    }
    Run<Output, n> result;
    TRIREME_UNROLL
    for (unsigned e = 0; e < n; ++e) {
      Value value = sums[0][e];
      if constexpr (std::is_floating_point_v<Value>) {
        if (divides) value = value / divisor;
      }
      result.element[e] = D::narrow(value);
    }
    store_run(destination + index, result);
    if (also != nullptr) store_run(also + index, result);
  }
};

// --- fast: sums of many sources, a group of them after the other in registers -------------------------------------------------

template <class S, class D>
struct SumOfMany {
  static constexpr const char* name = "trireme_sum_of_many";
  using Source = typename S::Raw;
  using Value = typename S::Value;
  using Output = typename D::Raw;
  static constexpr unsigned width = run_width<Source, Output>;
  static constexpr unsigned unroll = 1;

  const Source* sources[GroupedProgram::most_sources];
  GroupedProgram program;
  bool divides;
  Value divisor;
  Output* destination;
  Output* also;

  struct Later {};
  template <unsigned n>
  struct Values {
    Value element[n];
  };
  template <unsigned n>
  struct Loading {
    const SumOfMany& work;
    std::size_t index;
    TRIREME_DEVICE Run<Source, n> operator()(unsigned source) const {
      return load_run<n>(work.sources[source] + index);
    }
  };
  template <unsigned n>
  struct Widening {
    TRIREME_DEVICE Values<n> operator()(const Run<Source, n>& raw) const {
      Values<n> values;
      TRIREME_UNROLL
      for (unsigned e = 0; e < n; ++e) values.element[e] = S::widen(raw.element[e]);
      return values;
    }
  };
  template <unsigned n>
  struct Adding {
    TRIREME_DEVICE Values<n> operator()(const Values<n>& left, const Values<n>& right) const {
      Values<n> sum;
      TRIREME_UNROLL
      for (unsigned e = 0; e < n; ++e) sum.element[e] = left.element[e] + right.element[e];
      return sum;
    }
  };

  template <unsigned n>
  TRIREME_DEVICE Later load(std::size_t) const {
    return {};
  }
  template <unsigned n>
  TRIREME_DEVICE void finish(std::size_t index, Later) const {
    const Values<n> sum = join_groups(program, Loading<n>{*this, index}, Widening<n>{}, Adding<n>{});
    Run<Output, n> result;
    TRIREME_UNROLL
    for (unsigned e = 0; e < n; ++e) {
      Value value = sum.element[e];
      if constexpr (std::is_floating_point_v<Value>) {
        if (divides) value = value / divisor;
      }
      result.element[e] = D::narrow(value);
    }
    store_run(destination + index, result);
    if (also != nullptr) store_run(also + index, result);
  }
};

// --- which of them ------------------------------------------------------------------------------------------------------

/// Errors: invalid_argument where the program is not one of the sources.
void check(const ReduceCall& call) {
  const std::size_t sources = call.sources.size();
  if (sources == 0 || sources > most_sources || call.program.size() != 2 * sources - 1) {
    fail(ErrorCode::invalid_argument, "reduce on a device takes 1 to 1024 sources, each once, not " +
                                          std::to_string(sources) + " with a program of " +
                                          std::to_string(call.program.size()));
  }
  std::size_t depth = 0;
  std::bitset<most_sources> seen;
  for (const std::int16_t token : call.program) {
    const bool known = token < 0 ? depth >= 2 : static_cast<std::size_t>(token) < sources && !seen.test(token);
    if (!known) fail(ErrorCode::invalid_argument, "reduce on a device: the program is not one of its sources");
    if (token >= 0) seen.set(token);
    depth = token < 0 ? depth - 1 : depth + 1;
    if (depth > deepest) fail(ErrorCode::invalid_argument, "reduce on a device: the program nests too deep");
  }
}

Joins joins_of(const ReduceCall& call) {
  Joins found;
  unsigned begins[8] = {};  // the source with which each value of the stack begins
  unsigned depth = 0;
  for (const std::int16_t token : call.program) {
    if (token >= 0) {
      begins[depth++] = found.size;
      found.order[found.size++] = token;
    } else {
      --depth;
      std::uint8_t& joins = found.joins[found.size - 1];
      joins = static_cast<std::uint8_t>(joins | 1u << begins[depth - 1]);
    }
  }
  return found;
}

template <class T>
void reduce_plainly(const ReduceCall& call, ReduceKind kind, device::Queue queue) {
  using Body = PlainReduce<T>;
  Body body{};
  for (std::size_t k = 0; k < call.sources.size(); ++k) {
    body.sources[k] = call.sources[k].data;
    body.dtypes[k] = call.sources[k].dtype;
  }
  for (std::size_t k = 0; k < call.program.size(); ++k) body.program[k] = call.program[k];
  body.program_size = static_cast<unsigned>(call.program.size());
  body.kind = kind;
  body.output = call.output;
  body.divides = call.divisor != 1.0;
  body.divisor = static_cast<T>(call.divisor);
  body.destination = call.destination;
  body.also = call.also;
  body.count = call.count;
  device::launch(queue, body, device::blocks_for(call.count, Body::threads, 4));
}

template <class S, class D, unsigned most>
void sum_of_few(const ReduceCall& call, const Joins& joins, device::Queue queue) {
  using Work = SumOfFew<S, D, most>;
  Work work{};
  RunOperand operands[most + 2];
  unsigned used = 0;
  work.destination = static_cast<typename D::Raw*>(call.destination);
  work.also = static_cast<typename D::Raw*>(call.also);
  operands[used++] = {call.destination, sizeof(typename D::Raw)};
  if (call.also != nullptr) operands[used++] = {call.also, sizeof(typename D::Raw)};
  for (unsigned k = 0; k < joins.size; ++k) {
    const void* source = call.sources[static_cast<std::size_t>(joins.order[k])].data;
    work.sources[k] = static_cast<const typename S::Raw*>(source);
    work.joins[k] = joins.joins[k];
    operands[used++] = {source, sizeof(typename S::Raw)};
  }
  work.size = joins.size;
  work.divides = call.divisor != 1.0;
  work.divisor = static_cast<typename S::Value>(call.divisor);
  launch_runs(queue, work, call.count, std::span<const RunOperand>(operands, used));
}

template <class S, class D>
void sum_of_many(const ReduceCall& call, const GroupedProgram& program, device::Queue queue) {
  using Work = SumOfMany<S, D>;
  Work work{};
  RunOperand operands[GroupedProgram::most_sources + 2];
  unsigned used = 0;
  work.destination = static_cast<typename D::Raw*>(call.destination);
  work.also = static_cast<typename D::Raw*>(call.also);
  operands[used++] = {call.destination, sizeof(typename D::Raw)};
  if (call.also != nullptr) operands[used++] = {call.also, sizeof(typename D::Raw)};
  for (std::size_t k = 0; k < call.sources.size(); ++k) {
    work.sources[k] = static_cast<const typename S::Raw*>(call.sources[k].data);
    operands[used++] = {call.sources[k].data, sizeof(typename S::Raw)};
  }
  work.program = program;
  work.divides = call.divisor != 1.0;
  work.divisor = static_cast<typename S::Value>(call.divisor);
  launch_runs(queue, work, call.count, std::span<const RunOperand>(operands, used));
}

/// `many`: a program of more than eight sources; null: `joins`.
template <class S, class D>
void sum_of_some(const ReduceCall& call, const Joins& joins, const GroupedProgram* many, device::Queue queue) {
  if (many != nullptr) return sum_of_many<S, D>(call, *many, queue);
  if (joins.size <= 2) return sum_of_few<S, D, 2>(call, joins, queue);
  if (joins.size <= 4) return sum_of_few<S, D, 4>(call, joins, queue);
  sum_of_few<S, D, 8>(call, joins, queue);
}

/// Returns: false, having done nothing, where the call is not one of those.
bool sum_fast(const ReduceCall& call, ReduceKind kind, device::Queue queue) {
  if (kind != ReduceKind::sum) return false;
  const DType from = call.sources[0].dtype;
  for (const ReduceSource& source : call.sources) {
    if (source.dtype != from) return false;
  }
  const auto groups = call.sources.size() > 8 ? grouped(call.program) : std::nullopt;
  if (call.sources.size() > 8 && !groups) return false;
  const GroupedProgram* const many = groups ? &*groups : nullptr;
  const Joins joins = groups ? Joins{} : joins_of(call);
  const DType to = call.output;
  if (from == DType::f32 && to == DType::f32) return sum_of_some<F32, F32>(call, joins, many, queue), true;
  if (from == DType::f32 && to == DType::bf16) return sum_of_some<F32, BF16>(call, joins, many, queue), true;
  if (from == DType::f32 && to == DType::f16) return sum_of_some<F32, F16>(call, joins, many, queue), true;
  if (from == DType::bf16 && to == DType::bf16) return sum_of_some<BF16, BF16>(call, joins, many, queue), true;
  if (from == DType::bf16 && to == DType::f32) return sum_of_some<BF16, F32>(call, joins, many, queue), true;
  if (from == DType::f16 && to == DType::f16) return sum_of_some<F16, F16>(call, joins, many, queue), true;
  if (from == DType::f16 && to == DType::f32) return sum_of_some<F16, F32>(call, joins, many, queue), true;
  if (from == DType::f64 && to == DType::f64) return sum_of_some<F64, F64>(call, joins, many, queue), true;
  using U32 = Integer<std::uint32_t>;
  using U64 = Integer<std::uint64_t>;
  if (from == DType::i32 || from == DType::u32) return sum_of_some<U32, U32>(call, joins, many, queue), true;
  if (from == DType::i64 || from == DType::u64) return sum_of_some<U64, U64>(call, joins, many, queue), true;
  return false;
}

template <class S, class D>
void append_sums(std::vector<const device::KernelEntry*>& kernels) {
  kernels.push_back(&device::entry_of<RunBody<SumOfFew<S, D, 2>>>());
  kernels.push_back(&device::entry_of<RunBody<SumOfFew<S, D, 4>>>());
  kernels.push_back(&device::entry_of<RunBody<SumOfFew<S, D, 8>>>());
  kernels.push_back(&device::entry_of<RunBody<SumOfMany<S, D>>>());
}

}  // namespace

void reduce(const ReduceCall& call, device::Queue queue, Rung rung) {
  check(call);
  ReduceKind kind = call.kind;
  if (kind == ReduceKind::average || kind == ReduceKind::premultiplied_sum) kind = ReduceKind::sum;
  // Of bools, bytes 0 and 1, a product is "all" and a sum "any".
  if (call.accumulator == DType::boolean && kind == ReduceKind::product) kind = ReduceKind::min;
  if (call.accumulator == DType::boolean && kind == ReduceKind::sum) kind = ReduceKind::max;
  if (rung == Rung::fast && sum_fast(call, kind, queue)) return;
  switch (call.accumulator) {
    case DType::f64: return reduce_plainly<double>(call, kind, queue);
    case DType::f32: return reduce_plainly<float>(call, kind, queue);
    case DType::i64: return reduce_plainly<std::int64_t>(call, kind, queue);
    case DType::i32: return reduce_plainly<std::int32_t>(call, kind, queue);
    case DType::i8: return reduce_plainly<std::int8_t>(call, kind, queue);
    case DType::u64: return reduce_plainly<std::uint64_t>(call, kind, queue);
    case DType::u32: return reduce_plainly<std::uint32_t>(call, kind, queue);
    case DType::u8:
    case DType::boolean: return reduce_plainly<std::uint8_t>(call, kind, queue);
    default:
      fail(ErrorCode::invalid_argument,
           "reduce on a device does not combine in " + std::string(name_of(call.accumulator)));
  }
}

void reduce_kernels(std::vector<const device::KernelEntry*>& kernels) {
  kernels.push_back(&device::entry_of<PlainReduce<double>>());
  kernels.push_back(&device::entry_of<PlainReduce<float>>());
  kernels.push_back(&device::entry_of<PlainReduce<std::int64_t>>());
  kernels.push_back(&device::entry_of<PlainReduce<std::int32_t>>());
  kernels.push_back(&device::entry_of<PlainReduce<std::int8_t>>());
  kernels.push_back(&device::entry_of<PlainReduce<std::uint64_t>>());
  kernels.push_back(&device::entry_of<PlainReduce<std::uint32_t>>());
  kernels.push_back(&device::entry_of<PlainReduce<std::uint8_t>>());
  append_sums<F32, F32>(kernels);
  append_sums<F32, BF16>(kernels);
  append_sums<F32, F16>(kernels);
  append_sums<BF16, BF16>(kernels);
  append_sums<BF16, F32>(kernels);
  append_sums<F16, F16>(kernels);
  append_sums<F16, F32>(kernels);
  append_sums<F64, F64>(kernels);
  append_sums<Integer<std::uint32_t>, Integer<std::uint32_t>>(kernels);
  append_sums<Integer<std::uint64_t>, Integer<std::uint64_t>>(kernels);
}

}  // namespace trireme::kernels
