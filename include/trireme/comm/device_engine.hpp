// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/comm/engine.hpp"
#include "trireme/device/runtime.hpp"

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

namespace trireme::comm {

/// Device memory that an engine has allocated in its own way. Freed when nobody holds it any more: its owner does, and an engine
/// that knows it, until the device has let go.
class DeviceBlock {
 public:
  virtual ~DeviceBlock() = default;
  virtual std::byte* data() const = 0;
  /// "symmetric", "registered", or "plain": not beforehand.
  virtual std::string_view known_as() const { return "plain"; }
};

/// What an engine for device memory finds. It takes what Staging leaves to it: groups of tensors (Request::pieces), which it
/// finds as the caller gave them, pre-multiplied sums, and an all_to_all in place. Sizes of uneven blocks have become edges.
///
/// An operation begins behind what its Request::stream was given before it was issued; without a stream, it begins at
/// once. Issuing never blocks the host. Whoever calls Work::wait_on() continues behind its end: without blocking the host
/// where the engine can say so (Engine::order); an engine that needs the host for its end has it wait.
///
/// It is destroyed outside the progress lock, by the last who held its communicator, and before `host`: its end may wait for the
/// device and for other ranks, for a bounded time, and touches nothing that is under the lock.
///
/// A world in which not every rank has a device makes no engine on the others: there, making one is not collective, and
/// `exchange` must not be called.
struct DeviceRoom {
  EngineRoom room;
  Engine&
      host;  ///< of the same communicator, for host memory: the same ids and numbers, so each number goes to one of the two
  std::shared_ptr<device::Runtime> runtime;
  Device device;  ///< this rank's
  bool
      everywhere;  ///< whether every rank of the world has one: if not, some give host memory where others give device memory
  Engine* parent;  ///< the device engine that this communicator is split from; null for that of all ranks
  bool sole;       ///< whether the parent's other members get no communicator by the same call
  /// All-gathers small byte strings among the members, on the host. Collective; before any other operation.
  std::function<std::vector<std::vector<std::byte>>(std::span<const std::byte>)> exchange;
};
/// Collective among the members. What it needs of devices and libraries is loaded and connected when it returns.
/// Errors: unsupported, device, timeout: on this rank alone, perhaps, and the world ends.
using DeviceEngineFactory = std::function<std::unique_ptr<Engine>(DeviceRoom)>;

/// The device of a rank, and who serves operations on its memory. No runtime: device memory is refused.
struct DeviceOptions {
  std::shared_ptr<device::Runtime> runtime{};
  Device device{DeviceKind::cuda, 0};
  bool everywhere = true;
  DeviceEngineFactory make_engine{};
};

}  // namespace trireme::comm
