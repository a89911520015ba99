// SPDX-License-Identifier: Apache-2.0
#include "cli/perf/pattern.hpp"

#include "trireme/data/random.hpp"

#include <algorithm>
#include <cstring>

namespace trireme::cli {
namespace {

constexpr std::uint64_t seed = 20;
constexpr std::uint64_t shift_per_iteration = 257;

/// The largest n such that 0, 1, …, n are all elements of the type (or enough of them).
std::int64_t exact_up_to(DType dtype) {
  switch (dtype) {
    case DType::boolean: return 1;
    case DType::f8e5m2: return 8;
    case DType::f8e4m3: return 16;
    case DType::i8: return 127;
    case DType::u8: return 255;
    case DType::bf16: return 256;
    case DType::f16: return 2048;
    default: return 1 << 24;
  }
}

void encode(std::int64_t value, DType dtype, std::byte* out) {
  const auto put = [out](auto element) { std::memcpy(out, &element, sizeof element); };
  switch (dtype) {
    case DType::f64: return put(static_cast<double>(value));
    case DType::f32: return put(static_cast<float>(value));
    case DType::f16: return put(to_float16(static_cast<float>(value)));
    case DType::bf16: return put(to_bfloat16(static_cast<float>(value)));
    case DType::f8e4m3: return put(to_float8_e4m3(static_cast<float>(value)));
    case DType::f8e5m2: return put(to_float8_e5m2(static_cast<float>(value)));
    case DType::i64:
    case DType::u64: return put(value);
    case DType::i32:
    case DType::u32: return put(static_cast<std::int32_t>(value));
    default: return put(static_cast<std::uint8_t>(value));
  }
}

std::int64_t contribution(DType dtype, ReduceKind kind, int rank, int ranks, std::size_t position) {
  const std::uint64_t random = data::splitmix64_at(data::stream_key(seed, static_cast<std::uint64_t>(rank)), position);
  const bool adds = kind == ReduceKind::sum || kind == ReduceKind::average;
  const std::int64_t largest = std::clamp<std::int64_t>(exact_up_to(dtype) / (adds ? ranks : 1), 1, 16);
  // From 1 on, so that nothing received shows; truth values need both.
  const std::int64_t value = dtype == DType::boolean
                                 ? static_cast<std::int64_t>(random % 2)
                                 : 1 + static_cast<std::int64_t>(random % static_cast<std::uint64_t>(largest));
  switch (kind) {
    case ReduceKind::product: {  // one factor that is not 1
      const bool own = position % static_cast<std::size_t>(ranks) == static_cast<std::size_t>(rank);
      if (dtype == DType::boolean) return own ? value : 1;
      return own ? 2 + value % 4 : 1;
    }
    case ReduceKind::average: return ranks * value;  // so that the mean is whole
    default: return value;
  }
}

std::int64_t combine(ReduceKind kind, std::int64_t a, std::int64_t b) {
  switch (kind) {
    case ReduceKind::product: return a * b;
    case ReduceKind::min: return std::min(a, b);
    case ReduceKind::max: return std::max(a, b);
    default: return a + b;
  }
}

}  // namespace

PerfPattern::PerfPattern(DType dtype, ReduceKind kind, int rank, int ranks)
    : element_(size_of(dtype)),
      rank_(rank),
      inputs_(static_cast<std::size_t>(ranks), std::vector<std::byte>(period * element_)),
      combined_(period * element_) {
  for (std::size_t position = 0; position < period; ++position) {
    std::int64_t all = contribution(dtype, kind, 0, ranks, position);
    for (int other = 0; other < ranks; ++other) {
      const std::int64_t value = contribution(dtype, kind, other, ranks, position);
      if (other > 0) all = combine(kind, all, value);
      encode(value, dtype, inputs_[static_cast<std::size_t>(other)].data() + position * element_);
    }
    if (kind == ReduceKind::average) all /= ranks;
    encode(all, dtype, combined_.data() + position * element_);
  }
}

void PerfPattern::fill(std::span<std::byte> out, std::uint64_t iteration) const noexcept {
  const std::vector<std::byte>& input = inputs_[static_cast<std::size_t>(rank_)];
  std::size_t at = static_cast<std::size_t>(iteration * shift_per_iteration % period) * element_;
  while (!out.empty()) {
    const std::size_t size = std::min(out.size(), input.size() - at);
    std::memcpy(out.data(), input.data() + at, size);
    out = out.subspan(size);
    at = 0;
  }
}

std::size_t PerfPattern::wrong(std::span<const std::byte> result, std::uint64_t iteration, int rank,
                               std::size_t first) const noexcept {
  const std::vector<std::byte>& expected = rank < 0 ? combined_ : inputs_[static_cast<std::size_t>(rank)];
  std::size_t at = static_cast<std::size_t>((iteration * shift_per_iteration + first) % period) * element_;
  std::size_t bad = 0;
  while (!result.empty()) {
    const std::size_t size = std::min(result.size(), expected.size() - at);
    if (std::memcmp(result.data(), expected.data() + at, size) != 0) {
      for (std::size_t offset = 0; offset < size; offset += element_) {
        bad += std::memcmp(result.data() + offset, expected.data() + at + offset, element_) != 0;
      }
    }
    result = result.subspan(size);
    at = 0;
  }
  return bad;
}

}  // namespace trireme::cli
