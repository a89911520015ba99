// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "device/emulated/command_queue.hpp"
#include "device/emulated/event.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace trireme::testing {

using Command = std::function<void()>;

/// What is recorded between cudaStreamBeginCapture and cudaStreamEndCapture, of all streams that joined it, in the order in which it was given.
struct Capture {
  const void* origin;
  std::thread::id thread;
  bool relaxed = false;  ///< other calls of its thread are no matter
  bool every_thread = false;
  bool invalid = false;
  bool ended = false;
  std::vector<Command> commands;
  struct Joined {
    std::size_t given = 0;   ///< commands
    std::size_t waited = 0;  ///< of those, by another stream of the capture
  };
  std::map<const void*, Joined> streams;
};

struct FakeStream {
  /// Each command begins after a pause, so that what is not ordered comes in another order.
  FakeStream(int which, std::uint64_t seed) : device(which), queue(which, seed, std::chrono::microseconds(20)) {}
  const int device;
  device::CommandQueue queue;
  std::shared_ptr<Capture> capture;
};

struct FakeEvent {
  int device;
  device::Event latest;
  std::shared_ptr<Capture> capture;  ///< in which it was recorded last
  const void* stream = nullptr;      ///< in that capture
  std::size_t given = 0;             ///< of that stream by then
};

struct FakeGraph {
  std::vector<Command> commands;
};

}  // namespace trireme::testing
