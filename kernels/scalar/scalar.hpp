// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace trireme::kernels {

// Functions of one number whose bits do not differ between processors or C libraries, which those of <cmath> may: they are
// plain arithmetic, every operation rounded on its own. For what schedules and update rules make of their settings.

/// base^exponent by squaring, the factors in the order of the exponent's bits, the lowest first.
double power(double base, std::uint64_t exponent) noexcept;
/// exp(x) for x <= 0, within 2 units in the last place; 0 below -708.
double exponential(double x) noexcept;
/// log(x) for finite x >= 1, within 2 units in the last place.
double logarithm(double x) noexcept;
/// x^exponent for x >= 1 and exponent <= 0: exponential(exponent * logarithm(x)).
double negative_power(double x, double exponent) noexcept;
/// cos(pi*x) for x in [0, 1], within 2^-51 of it; 1, 0 and -1 exactly at 0, 1/2 and 1.
double cosine_of_half_turns(double x) noexcept;

}  // namespace trireme::kernels
