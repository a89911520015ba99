// SPDX-License-Identifier: Apache-2.0
#include "kernels/isa.hpp"

#include <catch2/catch.hpp>

namespace trireme::kernels {

TEST_CASE("The best instruction set does not change, and each has a name") {
  REQUIRE(best_isa() == best_isa());
  REQUIRE(name_of(Isa::portable) == "portable");
  REQUIRE(name_of(Isa::avx2) == "avx2");
  REQUIRE(name_of(Isa::avx512) == "avx512");
#if defined(__AVX2__) && defined(__F16C__) && defined(__FMA__)
  REQUIRE(best_isa() >= Isa::avx2);  // or this test could not run
#endif
#if !defined(__x86_64__)
  REQUIRE(best_isa() == Isa::portable);
#endif
}

}  // namespace trireme::kernels
