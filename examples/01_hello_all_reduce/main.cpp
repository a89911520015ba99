// SPDX-License-Identifier: Apache-2.0
// Every rank contributes its number plus one; every rank prints the sum.
//   trireme run -n 4 -- ./01_hello_all_reduce
#include <trireme/trireme.hpp>

#include <cstdio>
#include <exception>
#include <span>
#include <vector>

int main() try {
  auto world = trireme::World::open();
  auto communicator = world.communicator();

  std::vector<float> data(8, static_cast<float>(world.rank() + 1));
  communicator.all_reduce(std::span(data));

  std::printf("rank %d of %d: the sum is %g\n", world.rank(), world.size(), static_cast<double>(data[0]));
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
