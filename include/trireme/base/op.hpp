// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>

namespace trireme {

/// How contributions are combined. Values are part of the wire format: never renumber.
enum class ReduceKind : std::uint8_t { sum, product, min, max, average, premultiplied_sum };
inline constexpr int reduce_kind_count = 6;

/// A reduction: a kind and a scalar: of `average` the divisor, of `premultiplied_sum` this rank's factor. A value.
///
/// sum, product: integers wrap. min, max: -0 is below +0; a NaN in any contribution gives NaN.
/// bool: min and product are "all", max is "any"; sum and average are not defined.
/// average: the sum divided once, in the accumulator type, before rounding; `scalar` 0 divides by the world size,
/// any other value (the total weight of a weighted mean) by that value. Floating types only.
/// premultiplied_sum: every rank's contribution times that rank's own `scalar`, rounded in the accumulator type, then the
/// sum; the ranks may give different scalars (weights). Floating types only.
/// There are no user-defined operations: a function known to one process can be neither checked against the other ranks'
/// nor vectorised; gather the contributions (all_gather, all_to_all) and combine them in rank order.
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

/// The sum of the contributions, this rank's multiplied by `factor`.
constexpr ReduceOp premultiplied_sum(double factor) { return {ReduceKind::premultiplied_sum, factor}; }

/// "sum", "product", "min", "max", "average", "premultiplied_sum".
std::string_view name_of(ReduceKind kind) noexcept;

/// `canonical`: the bits depend only on the contributions, the dtype, the operation and the order of the ranks.
/// `fastest`: an algorithm may bracket the contributions as suits it (the ring does); ranks still agree bit by bit.
enum class ReductionOrder : std::uint8_t { canonical, fastest };

std::string_view name_of(ReductionOrder order) noexcept;

}  // namespace trireme
