// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/device.hpp"
#include "trireme/comm/explanation.hpp"
#include "trireme/comm/request.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace trireme::transport {
class Endpoint;
class EndpointListener;
}  // namespace trireme::transport

namespace trireme::comm {

class DeviceBlock;
class Operation;
class ScratchPool;

enum class Progress : unsigned char { idle, advanced, done, failed };

/// What an engine keeps per operation; lives in the pooled Operation and is reused.
class EngineState {
 public:
  virtual ~EngineState() = default;
};

struct Capabilities {
  std::string name;  ///< "host"
  DeviceKind device = DeviceKind::cpu;
  bool canonical = false;  ///< offers ReductionOrder::canonical
};

/// Who executes operations for one communicator: host, MPI, NCCL. The façade has validated, numbered, signed and
/// recorded the operation; engines never repeat that, nor deadlines, nor abort.
/// Threads: all calls of one engine are made under the world's progress lock, but for those that say otherwise.
class Engine {
 public:
  virtual ~Engine() = default;
  virtual std::unique_ptr<EngineState> make_state() = 0;
  /// Device engines that leave some operations to the staged one (engines/device): its state too, else null.
  virtual std::unique_ptr<EngineState> make_staged_state() { return nullptr; }
  /// Chooses how to execute; moves nothing if it throws.
  /// Errors: invalid_argument, unsupported: depending only on what every rank knows.
  virtual void start(Operation& operation) = 0;
  /// Refuses what start() will refuse, as far as every rank knows it. Moves nothing.
  virtual void check(const Request&) {}
  /// Never blocks. On `failed` the error is in the operation.
  virtual Progress poll(Operation& operation) noexcept = 0;
  /// Whether poll() alone brings the operation to its end, whatever the links do meanwhile.
  virtual bool moves_by_polling(const Operation&) const noexcept { return false; }
  /// Whether the time of the operation runs: on a device it begins when its stream has come to it.
  virtual bool has_begun(const Operation&) const noexcept { return true; }
  /// Device engines: whether ranks with host memory take part in such an operation. If not, its signature says that it is
  /// about device memory.
  virtual bool meets_host_memory(const Request&) const noexcept { return false; }
  /// Device engines: whether collectives wait in this one for their turn in the host's. One on host memory that is issued
  /// meanwhile is given to this engine too, or it would overtake them.
  virtual bool holds_back() const noexcept { return false; }
  /// Device engines: whether order() will succeed before the operation has ended, once all of it has been given to the device.
  virtual bool can_order(const Operation&) const noexcept { return false; }
  /// Device engines: what is given to `stream` from now on runs behind the end of the operation, which is active or done.
  /// False: it must be waited for on the host. Under the lock.
  virtual bool order(Operation&, Stream) noexcept { return false; }
  /// The world has failed, and the operation, which is active, will not be polled again: whether its buffers are the caller's
  /// again, or would not be for too long. Asked until it is so; never blocks. Engines whose buffers a device may be using say no
  /// while it is.
  virtual bool has_let_go(Operation&) noexcept { return true; }
  /// The operation will not be polled again: lets go of its buffers. For a finished one too. Never blocks.
  virtual void finish(Operation& operation) noexcept = 0;
  /// World ranks whose bytes the operation lacks, appended.
  virtual void waiting_for(const Operation& operation, std::vector<int>& world_ranks) const = 0;
  virtual Capabilities capabilities() const = 0;
  /// The engine for a sub-communicator: `members` are world ranks, `rank` the own index.
  virtual std::unique_ptr<Engine> split(std::uint32_t id, std::vector<int> members, int rank) = 0;
  virtual Explanation explain(const Request& request) const = 0;

  /// The world has failed: whoever waits for the device alone is released, as far as this engine holds it. From the watcher's
  /// thread, beside any other call; bounded, waits for nothing that may never come.
  virtual void abort() noexcept {}
  /// Device engines: whether what was given up still runs on the device, as far as is known: freeing memory may wait for it for
  /// ever. Any thread.
  virtual bool hangs() const noexcept { return false; }
  /// Device engines: memory as this one likes it best; null: any of the device is as good.  Errors: device.
  virtual std::shared_ptr<DeviceBlock> allocate(std::size_t) { return nullptr; }
  /// Device engines: whether know() does anything: the same on all ranks.
  virtual bool knows_memory() const noexcept { return false; }
  /// Device engines: makes memory of allocate(), of whatever communicator's engine of this kind, known to this one. Collective
  /// among the members, with one size; nothing is under way. Waits, without the lock.  Errors: device, timeout, peer_lost.
  virtual void know(const std::shared_ptr<DeviceBlock>&) {}
  /// Undoes it, or does so when the device has let go. Without the lock: it may wait for the device, as freeing memory may.
  virtual void forget(const std::shared_ptr<DeviceBlock>&) noexcept {}
  /// Device engines: others of this communicator make one without this rank, in their order here, and no third.
  virtual void left_out() noexcept {}
};

/// What an engine finds in its world, and whom it works for: the communicator of `members`, world ranks, with the own
/// index `rank`. What it refers to outlives the engine.
struct EngineRoom {
  transport::Endpoint& endpoint;
  ScratchPool& scratch;
  transport::EndpointListener& listener;  ///< told of signatures that differ
  std::function<bool()> aborted;          ///< whether the world has failed; from any thread
  std::chrono::nanoseconds patience;      ///< how long making an engine may wait for the other ranks
  std::uint32_t id;
  std::vector<int> members;
  int rank;
};
using EngineFactory = std::function<std::unique_ptr<Engine>(EngineRoom)>;

}  // namespace trireme::comm
