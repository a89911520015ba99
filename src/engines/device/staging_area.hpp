// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "engines/device/pinned_pool.hpp"
#include "trireme/device/owned.hpp"
#include "trireme/transport/endpoint.hpp"

#include <atomic>
#include <chrono>
#include <cstddef>
#include <memory>
#include <mutex>

namespace trireme::engines::device {

/// Wakes this rank's thread that sleeps for its links, from within a stream. Lives until its last call has run: a stream
/// that waits for the caller's work may outlive the world.
class Bell {
 public:
  explicit Bell(const transport::Endpoint& endpoint) : endpoint_(&endpoint) {}
  /// When all that stream `watch` was given before has run.
  void ring_behind(trireme::device::Runtime& runtime, Stream watch);
  /// From here on it reaches nobody. Its owner's last call.
  void let_go() noexcept;

 private:
  ~Bell() = default;
  static void rung(void* bell) noexcept;
  void forget() noexcept;
  std::mutex mutex_;
  const transport::Endpoint* endpoint_;
  std::atomic<std::size_t> users_{1};  ///< the owner and the calls under way
};

/// What the staged engines of a world's communicators share: streams of their own, pinned memory, the bell.
///
/// In and out hold nothing but copies, so that they end whatever the caller's streams do; only the watch waits for those.
/// Must end outside the progress lock: see make_staging_area().
struct StagingArea {
  StagingArea(std::shared_ptr<trireme::device::Runtime> device_runtime, int device,
              std::shared_ptr<transport::Arena> arena, const transport::Endpoint& endpoint)
      : runtime(std::move(device_runtime)),
        in(runtime, device),
        out(runtime, device),
        watch(runtime, device),
        memory(runtime, std::move(arena)),
        bell(new Bell(endpoint)) {}
  /// Nothing uses it any more; the bell has been let go.
  ~StagingArea() = default;
  StagingArea(const StagingArea&) = delete;
  StagingArea& operator=(const StagingArea&) = delete;

  std::shared_ptr<trireme::device::Runtime> runtime;
  trireme::device::OwnedStream in;   ///< from the device
  trireme::device::OwnedStream out;  ///< to the device
  trireme::device::OwnedStream watch;
  PinnedPool memory;
  Bell* bell;
  /// Whether the copies that were begun end within `patience`.
  bool comes_to_rest(std::chrono::milliseconds patience) noexcept;
};

/// Copies end within this, unless the device hangs.
inline constexpr std::chrono::milliseconds patience_with_copies{5000};

/// With its last owner it waits for the copies that it began, `patience` at most: what the device may still use then is left
/// behind rather than freed under it.
std::shared_ptr<StagingArea> make_staging_area(std::shared_ptr<trireme::device::Runtime> runtime, int device,
                                               std::shared_ptr<transport::Arena> arena,
                                               const transport::Endpoint& endpoint,
                                               std::chrono::milliseconds patience = patience_with_copies);

}  // namespace trireme::engines::device
