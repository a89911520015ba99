// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/device.hpp"

#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace trireme::device {

struct KernelEntry;
struct Launch;

struct Properties {
  std::string name;  ///< "NVIDIA H200"
  std::string uuid;  ///< "GPU-…": the same in every process and container of the host
  std::string bus;   ///< "0000:3b:00.0"; empty where there is none
  std::size_t memory_bytes = 0;
  int multiprocessors = 0;
  int major = 0;  ///< of the compute capability
  int minor = 0;
};

/// As CUDA counts: 13020 is 13.2; 0: none.
struct Versions {
  int driver = 0;
  int runtime = 0;
};

/// What another process of the host needs to map an allocation. Plain bytes: it may travel.
struct SharedAllocation {
  std::array<std::byte, 64> handle{};
  std::size_t bytes = 0;
};

/// The devices of a process: memory, streams, events, kernels. CUDA, or threads of the host that play the part of devices
/// (emulated.hpp), so that whatever is built on it runs, and is tested, where there is no GPU.
///
/// Order:   what is given to one stream runs in that order, asynchronously; streams are ordered by events alone. There is no
///          default stream and no hidden synchronisation.
/// Threads: any, at once.
/// Errors:  device, naming the failing call, what it said and the device; invalid_argument for a device that is none. With
///          CUDA, an asynchronous failure surfaces in a later call of the same device.
class Runtime {
 public:
  virtual ~Runtime() = default;

  virtual std::string_view name() const noexcept = 0;  ///< "cuda", "emulated"
  virtual Versions versions() const = 0;
  virtual int devices() const noexcept = 0;
  virtual Properties properties(int device) const = 0;

  /// Whether kernels on `device` may read and write memory of `peer` directly; a device always reaches itself.
  virtual bool reaches(int device, int peer) const = 0;
  /// Makes it so. Idempotent.
  virtual void reach(int device, int peer) = 0;

  /// Device memory, aligned to 256 bytes at least, uninitialised. 0 bytes: null.
  virtual void* allocate(int device, std::size_t bytes) = 0;
  /// Once nothing uses it any more. It may wait for all that runs on the device; but never while a kernel may be there that
  /// waits for other kernels, or for the host: then the memory is held back until a later free or allocation finds none. An
  /// allocation that finds no room gives such kernels a second to end.
  virtual void free(int device, void* memory) noexcept = 0;
  /// Host memory that every device reads and writes at the same address.
  virtual void* allocate_pinned(std::size_t bytes) = 0;
  virtual void free_pinned(void* memory) noexcept = 0;  ///< as free()
  /// How many frees are held back.
  virtual std::size_t frees_held() const noexcept { return 0; }
  /// Makes existing host memory such memory, until unpin(), which is never held back: the memory is the caller's then.
  virtual void pin(void* memory, std::size_t bytes) = 0;
  virtual void unpin(void* memory) noexcept = 0;
  /// Whose memory it is; none: the host's.
  virtual std::optional<Device> owner(const void* memory) const = 0;

  /// What allocate() returned, for other processes of the host; `import` maps it there. Not for the own process.
  virtual SharedAllocation share(int device, void* memory, std::size_t bytes) = 0;
  virtual void* import(int device, const SharedAllocation& allocation) = 0;
  virtual void forget(int device, void* imported) noexcept = 0;  ///< as free()

  virtual Stream make_stream(int device) = 0;
  /// What was given to it still runs.
  virtual void destroy(Stream stream) noexcept = 0;
  /// Blocks the host until all that was given to it has run.
  virtual void synchronize(Stream stream) = 0;

  /// Copies between host and devices in any direction. Pageable host memory may make it block; pinned never does.
  virtual void copy(void* to, const void* from, std::size_t bytes, Stream stream) = 0;
  virtual void fill(void* memory, std::byte value, std::size_t bytes, Stream stream) = 0;
  virtual void launch(const Launch& launch, Stream stream) = 0;
  /// Calls a host function in stream order. It must not call the runtime.
  virtual void call(void (*function)(void*) noexcept, void* argument, Stream stream) = 0;

  /// Events mark a place in a stream. A new one has passed.
  virtual void* make_event(int device) = 0;
  virtual void destroy_event(int device, void* event) noexcept = 0;
  virtual void record(void* event, Stream stream) = 0;
  /// Whether all that stood before the latest record() has run. Never blocks. Not for events recorded in a capture.
  virtual bool passed(void* event) = 0;
  /// Blocks the host until it has.
  virtual void await(void* event) = 0;
  /// What is given to `stream` from now on runs after the latest record() of `event`. Does not block the host.
  virtual void wait(Stream stream, void* event) = 0;

  /// From here on what is given to `stream` is recorded and not run, until end_capture(). Waiting for the stream is refused
  /// meanwhile, and that may end the capture with an error. Other threads may do what they want.
  virtual void begin_capture(Stream stream) = 0;
  virtual void* end_capture(Stream stream) = 0;
  virtual bool capturing(Stream stream) = 0;
  /// Runs what was recorded, as often as wanted. A graph may be destroyed while it runs.
  virtual void launch_graph(void* graph, Stream stream) = 0;
  virtual void destroy_graph(void* graph) noexcept = 0;

  /// Makes it the device that other libraries, which ask for the calling thread's, find; it stays.
  virtual void make_current(int device) { static_cast<void>(device); }

  /// Loads kernels on every device in use now, and on any other as soon as it is used, so that their first launch neither
  /// allocates nor waits for others.
  virtual void load(std::span<const KernelEntry* const> kernels) = 0;
};

/// Where device work goes: a stream, and the runtime that it belongs to.
struct Queue {
  Runtime& runtime;
  Stream stream;
};

}  // namespace trireme::device
