// SPDX-License-Identifier: Apache-2.0
#define TRIREME_KERNELS_ISA portable
#include "kernels/scalar/scalar.hpp"

#include "kernels/dense/exponential.hpp"

namespace trireme::kernels {

double power(double base, std::uint64_t exponent) noexcept {
  double result = 1.0;
  for (; exponent != 0; exponent >>= 1) {
    if (exponent & 1u) result *= base;
    base *= base;
  }
  return result;
}

double exponential(double x) noexcept { return portable::Exponential::of(x); }
double logarithm(double x) noexcept { return portable::Logarithm::of(x); }
double negative_power(double x, double exponent) noexcept { return exponential(exponent * logarithm(x)); }

double cosine_of_half_turns(double x) noexcept {
  // Antisymmetric about 1/2: cos(pi x) = -cos(pi (1 - x)).
  const bool mirrored = x > 0.5;
  if (mirrored) x = 1.0 - x;
  if (x == 0.5) return 0.0;
  constexpr double pi = 0x1.921fb54442d18p+1;
  // Taylor's polynomial; at pi/2 the first term left out, y^24/24!, is below 1e-19.
  const double square = (pi * x) * (pi * x);
  double sum = 1.0;
  for (int n = 22; n >= 2; n -= 2) sum = 1.0 - square * sum / static_cast<double>(n * (n - 1));
  return mirrored ? -sum : sum;
}

}  // namespace trireme::kernels
