// SPDX-License-Identifier: Apache-2.0
// A rank that does nothing but collectives, for tests that kill, stop or contradict it. Prints "rank R pid P" once its
// world is open; on a failure one line, and exits with 1.
#include "trireme/trireme.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include <unistd.h>

int main(int argc, char** argv) try {
  const std::string mode = argc > 1 ? argv[1] : "loop";
  auto world = trireme::World::open();
  auto communicator = world.communicator();
  std::printf("rank %d pid %d over %s\n", world.rank(), static_cast<int>(::getpid()),
              world.transport(world.rank() == 0 ? world.size() - 1 : 0).c_str());
  std::fflush(stdout);
  const std::size_t count = mode == "large" ? std::size_t{16} << 20 : 200000;  // 64 MiB
  auto memory = world.memory().allocate<float>(count);
  auto data = memory.as<float>();
  if (mode == "mismatch") {
    communicator.all_reduce(data.first(world.rank() == 1 ? 100 : 99), trireme::sum, {.label = "layer0.weight"});
    return 0;
  }
  if (mode == "exit0" && world.rank() == 2) std::exit(0);
  if (mode == "exit0_all") std::exit(0);
  if (mode == "leave" && world.rank() == 2) return 0;
  if (mode == "without0") {  // the others go on among themselves until the file argv[2] is there
    auto others = communicator.split(world.rank() == 0 ? 0 : 1, world.rank());
    if (world.rank() == 0) return 0;
    for (std::vector<float> stop{0}; stop[0] == 0;) {
      stop[0] = std::filesystem::exists(argv[2]) ? 1 : 0;
      others->all_reduce(std::span(stop), trireme::maximum, {.label = "stop"});
    }
    std::printf("rank %d done\n", world.rank());
    return 0;
  }
  for (std::uint64_t done = 0;; ++done) {
    communicator.all_reduce(data, trireme::maximum, {.label = "layer0.weight"});
    if (done != 0) continue;
    std::printf("rank %d reduces\n", world.rank());
    std::fflush(stdout);
  }
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
