// SPDX-License-Identifier: Apache-2.0
#include "kernels/reduce/reference.hpp"

#include "kernels/cast/reference.hpp"

#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>
#include <vector>

namespace trireme::kernels::reference {
namespace {

/// A bool as stored: 0 or 1. bool itself may not be read from a byte that is neither.
enum class Truth : unsigned char { no, yes };

template <class T>
T read(const ReduceSource& source, std::size_t index) {
  if constexpr (std::is_floating_point_v<T>) return static_cast<T>(load(source.data, source.dtype, index));
  T value;
  std::memcpy(&value, static_cast<const std::byte*>(source.data) + index * sizeof(T), sizeof(T));
  return value;
}

template <class T>
T combine(ReduceKind kind, T a, T b) {
  if constexpr (std::is_floating_point_v<T>) {
    bool undefined = std::isnan(a) || std::isnan(b);
    bool a_is_less = a < b || (a == b && std::signbit(a) && !std::signbit(b));
    switch (kind) {
      case ReduceKind::product: return a * b;
      case ReduceKind::min: return undefined ? std::numeric_limits<T>::quiet_NaN() : a_is_less ? a : b;
      case ReduceKind::max: return undefined ? std::numeric_limits<T>::quiet_NaN() : a_is_less ? b : a;
      default: return a + b;
    }
  } else if constexpr (std::is_same_v<T, Truth>) {
    const bool all = kind == ReduceKind::min || kind == ReduceKind::product;
    const bool left = a == Truth::yes, right = b == Truth::yes;
    return (all ? left && right : left || right) ? Truth::yes : Truth::no;
  } else {
    auto a64 = static_cast<std::uint64_t>(a);
    auto b64 = static_cast<std::uint64_t>(b);
    switch (kind) {
      case ReduceKind::product: return static_cast<T>(a64 * b64);
      case ReduceKind::min: return a < b ? a : b;
      case ReduceKind::max: return a > b ? a : b;
      default: return static_cast<T>(a64 + b64);
    }
  }
}

template <class T>
void reduce_as(const ReduceCall& call) {
  std::vector<T> stack;
  for (std::size_t i = 0; i < call.count; ++i) {
    stack.clear();
    for (std::int16_t token : call.program) {
      if (token >= 0) {
        stack.push_back(read<T>(call.sources[static_cast<std::size_t>(token)], i));
      } else {
        T right = stack.back();
        stack.pop_back();
        stack.back() = combine(call.kind, stack.back(), right);
      }
    }
    T value = stack.at(0);
    if constexpr (std::is_floating_point_v<T>) {
      if (call.divisor != 1.0) value = value / static_cast<T>(call.divisor);
      store(call.destination, call.output, i, value);
    } else {
      std::memcpy(static_cast<std::byte*>(call.destination) + i * sizeof(T), &value, sizeof(T));
    }
  }
}

}  // namespace

void reduce(const ReduceCall& call) {
  if (call.also != nullptr) {
    // All sources are read before either destination is written.
    std::vector<std::byte> result(call.count * size_of(call.output));
    ReduceCall once = call;
    once.also = nullptr;
    once.destination = result.data();
    reference::reduce(once);
    std::memcpy(call.destination, result.data(), result.size());
    std::memcpy(call.also, result.data(), result.size());
    return;
  }
  switch (call.accumulator) {
    case DType::f64: return reduce_as<double>(call);
    case DType::f32: return reduce_as<float>(call);
    case DType::i64: return reduce_as<std::int64_t>(call);
    case DType::i32: return reduce_as<std::int32_t>(call);
    case DType::i8: return reduce_as<std::int8_t>(call);
    case DType::u64: return reduce_as<std::uint64_t>(call);
    case DType::u32: return reduce_as<std::uint32_t>(call);
    case DType::boolean: return reduce_as<Truth>(call);
    default: return reduce_as<std::uint8_t>(call);
  }
}

}  // namespace trireme::kernels::reference
