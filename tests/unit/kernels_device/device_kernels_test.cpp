// SPDX-License-Identifier: Apache-2.0
#include "kernels/device_kernels.hpp"

#include "device/kernel.hpp"
#include "support/device_under_test.hpp"

#include <catch2/catch.hpp>

#include <set>
#include <string>

using namespace trireme;

TEST_CASE("every kernel of devices is listed once, has a name, and can be loaded before it is used") {
  const auto kernels = kernels::device_kernels();
  CHECK(std::set(kernels.begin(), kernels.end()).size() == kernels.size());
  for (const device::KernelEntry* each : kernels) CHECK(std::string(each->name).starts_with("trireme_"));
  for (const auto& runtime : testing::runtimes_under_test()) runtime->load(kernels);
}
