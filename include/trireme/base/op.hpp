// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>

namespace trireme {

/// How contributions are combined. Values are part of the wire format: never renumber.
enum class ReduceKind : std::uint8_t { sum, product, min, max, average };

/// A reduction: a kind and, for `average`, the divisor. A value.
///
/// sum, product: integers wrap. min, max: -0 is below +0; a NaN in any contribution gives NaN.
/// average: the sum divided once, in the accumulator type, before rounding; `scalar` 0 divides by the world size,
/// any other value (the total weight of a weighted mean) by that value. Floating types only.
struct ReduceOp {
  ReduceKind kind = ReduceKind::sum;
  double scalar = 0.0;
  friend constexpr bool operator==(ReduceOp, ReduceOp) = default;
};

inline constexpr ReduceOp sum{ReduceKind::sum};
inline constexpr ReduceOp product{ReduceKind::product};
inline constexpr ReduceOp minimum{ReduceKind::min};
inline constexpr ReduceOp maximum{ReduceKind::max};
inline constexpr ReduceOp average{ReduceKind::average};

/// The sum of the contributions divided by `total_weight`.
constexpr ReduceOp average_over(double total_weight) { return {ReduceKind::average, total_weight}; }

/// "sum", "product", "min", "max", "average".
std::string_view name_of(ReduceKind kind) noexcept;

/// `canonical`: the bits depend only on the contributions, the dtype, the operation and the order of the ranks.
/// `fastest`: an algorithm may bracket the contributions as suits it (the ring does); ranks still agree bit by bit.
enum class ReductionOrder : std::uint8_t { canonical, fastest };

std::string_view name_of(ReductionOrder order) noexcept;

}  // namespace trireme
