// SPDX-License-Identifier: Apache-2.0
#include "support/fake_nccl/fake_clique.hpp"
#include "trireme/base/dtype.hpp"

#include <cstdint>
#include <cstring>
#include <type_traits>

namespace trireme::testing {
namespace {

using Bytes = std::vector<std::byte>;

template <class T>
auto widen(T value) {
  if constexpr (std::is_arithmetic_v<T>) {
    return value;
  } else {
    return to_float(value);
  }
}

template <class T, class Value>
T narrow(Value value) {
  if constexpr (std::is_same_v<T, Float16>) {
    return to_float16(value);
  } else if constexpr (std::is_same_v<T, BFloat16>) {
    return to_bfloat16(value);
  } else if constexpr (std::is_same_v<T, Float8E4M3>) {
    return to_float8_e4m3(value);
  } else if constexpr (std::is_same_v<T, Float8E5M2>) {
    return to_float8_e5m2(value);
  } else {
    return static_cast<T>(value);
  }
}

/// Integers wrap.
template <class T>
T add(T a, T b, bool multiply) {
  if constexpr (std::is_integral_v<T>) {
    const auto x = static_cast<std::uint64_t>(a), y = static_cast<std::uint64_t>(b);
    return static_cast<T>(multiply ? x * y : x + y);
  } else {
    const auto x = widen(a), y = widen(b);
    return narrow<T>(multiply ? x * y : x + y);
  }
}

template <class T>
T combine(int op, T a, T b) {
  if (op == api::max) return widen(a) > widen(b) ? a : b;
  if (op == api::min) return widen(a) < widen(b) ? a : b;
  return add(a, b, op == api::product);
}

template <class T>
void reduce_as(const std::vector<Bytes>& inputs, const std::vector<const FakeCall*>& calls, Bytes& result) {
  const std::size_t ranks = inputs.size(), count = result.size() / sizeof(T);
  const auto value_of = [&](std::size_t rank, std::size_t i) {
    T value;
    std::memcpy(&value, inputs[rank].data() + i * sizeof(T), sizeof(T));
    if (calls[rank]->op >= 5) value = narrow<T>(widen(value) * narrow<decltype(widen(value))>(calls[rank]->scalar));
    return value;
  };
  for (std::size_t i = 0; i < count; ++i) {
    T value = value_of(1 % ranks, i);
    for (std::size_t k = 2; k <= ranks && ranks > 1; ++k) value = combine(calls[0]->op, value, value_of(k % ranks, i));
    std::memcpy(result.data() + i * sizeof(T), &value, sizeof(T));
  }
}

Bytes reduced(const std::vector<Bytes>& inputs, const std::vector<const FakeCall*>& calls) {
  Bytes result(inputs[0].size());
  switch (calls[0]->type) {
    case api::int8: reduce_as<std::int8_t>(inputs, calls, result); break;
    case api::uint8: reduce_as<std::uint8_t>(inputs, calls, result); break;
    case api::int32: reduce_as<std::int32_t>(inputs, calls, result); break;
    case api::uint32: reduce_as<std::uint32_t>(inputs, calls, result); break;
    case api::int64: reduce_as<std::int64_t>(inputs, calls, result); break;
    case api::uint64: reduce_as<std::uint64_t>(inputs, calls, result); break;
    case api::float16: reduce_as<Float16>(inputs, calls, result); break;
    case api::float32: reduce_as<float>(inputs, calls, result); break;
    case api::float64: reduce_as<double>(inputs, calls, result); break;
    case api::bfloat16: reduce_as<BFloat16>(inputs, calls, result); break;
    case api::float8e4m3: reduce_as<Float8E4M3>(inputs, calls, result); break;
    case api::float8e5m2: reduce_as<Float8E5M2>(inputs, calls, result); break;
  }
  return result;
}

}  // namespace

std::size_t fake_size_of(api::DataType type) {
  switch (type) {
    case api::int32:
    case api::uint32:
    case api::float32: return 4;
    case api::int64:
    case api::uint64:
    case api::float64: return 8;
    case api::float16:
    case api::bfloat16: return 2;
    default: return 1;
  }
}

void fake_move(const std::vector<const FakeCall*>& calls) {
  using Kind = FakeCall::Kind;
  const FakeCall& first = *calls[0];
  const std::size_t ranks = calls.size(), bytes = first.count * fake_size_of(first.type);
  const bool many = first.kind == Kind::reduce_scatter || first.kind == Kind::all_to_all || first.kind == Kind::scatter;
  std::vector<Bytes> inputs;
  for (std::size_t r = 0; r < ranks; ++r) {
    const auto* data = static_cast<const std::byte*>(calls[r]->input);
    const bool of_root = first.kind == Kind::broadcast || first.kind == Kind::scatter;
    const bool given = !of_root || static_cast<int>(r) == first.peer;
    inputs.emplace_back(data, data + (given ? bytes * (many ? ranks : 1) : 0));
  }
  const auto put = [&](std::size_t rank, std::size_t at, const std::byte* from, std::size_t size) {
    if (size != 0) std::memcpy(static_cast<std::byte*>(calls[rank]->output) + at, from, size);
  };
  Bytes result;
  if (first.kind == Kind::all_reduce || first.kind == Kind::reduce || first.kind == Kind::reduce_scatter)
    result = reduced(inputs, calls);
  for (std::size_t r = 0; r < ranks; ++r) {
    switch (first.kind) {
      case Kind::all_reduce: put(r, 0, result.data(), bytes); break;
      case Kind::reduce:
        if (static_cast<int>(r) == first.peer) put(r, 0, result.data(), bytes);
        break;
      case Kind::reduce_scatter: put(r, 0, result.data() + r * bytes, bytes); break;
      case Kind::all_gather:
        for (std::size_t from = 0; from < ranks; ++from) put(r, from * bytes, inputs[from].data(), bytes);
        break;
      case Kind::gather:
        for (std::size_t from = 0; static_cast<int>(r) == first.peer && from < ranks; ++from)
          put(r, from * bytes, inputs[from].data(), bytes);
        break;
      case Kind::scatter: put(r, 0, inputs[static_cast<std::size_t>(first.peer)].data() + r * bytes, bytes); break;
      case Kind::broadcast: put(r, 0, inputs[static_cast<std::size_t>(first.peer)].data(), bytes); break;
      case Kind::all_to_all:
        for (std::size_t from = 0; from < ranks; ++from) put(r, from * bytes, inputs[from].data() + r * bytes, bytes);
        break;
      case Kind::send:
      case Kind::recv: break;
    }
  }
}

}  // namespace trireme::testing
