// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "engines/device/peer/peer_engine.hpp"
#include "support/exact_inputs.hpp"
#include "trireme/base/error.hpp"
#include "trireme/comm/communicator.hpp"
#include "trireme/device/owned.hpp"
#include "trireme/world/run_ranks.hpp"

#include <memory>
#include <span>
#include <vector>

namespace trireme::testing {

/// Ranks as threads whose device memory the peer engine serves, and nobody else.
inline RunRanksOptions peer_world(std::shared_ptr<device::Runtime> runtime, engines::device::PeerOptions options = {}) {
  RunRanksOptions run;
  run.devices.runtime = std::move(runtime);
  run.devices.make_engine = [options](comm::DeviceRoom room) -> std::unique_ptr<comm::Engine> {
    auto engine = engines::device::make_peer_engine(std::move(room), options);
    if (!engine) fail(ErrorCode::unsupported, "no peer engine here");
    return engine;
  };
  return run;
}

/// Small slots, so that small messages take rounds, and several blocks.
inline constexpr engines::device::PeerOptions small_slots{.slot_bytes = 32768, .one_shot_bytes = 4096, .blocks = 3};

/// What one rank of a test works with: its device, a stream there, memory.
class OnDevice {
 public:
  OnDevice(const std::shared_ptr<device::Runtime>& runtime, int rank)
      : runtime_(runtime), index_(rank % runtime->devices()), stream_(runtime, index_) {}
  Stream stream() const { return stream_.get(); }
  const device::OwnedStream& owned_stream() const { return stream_; }
  int index() const { return index_; }

  device::Buffer bytes(std::size_t count) const { return {runtime_, index_, count}; }
  template <class T>
  device::Buffer copy_of(const std::vector<T>& elements) const {
    device::Buffer buffer(runtime_, index_, elements.size() * sizeof(T));
    put(buffer, elements);
    return buffer;
  }
  template <class T>
  void put(const device::Buffer& buffer, const std::vector<T>& elements) const {
    runtime_->copy(buffer.data(), elements.data(), elements.size() * sizeof(T), stream());
    stream_.synchronize();
  }
  template <class T>
  std::vector<T> back(const device::Buffer& buffer, std::size_t count, std::size_t offset = 0) const {
    std::vector<T> elements(count);
    runtime_->copy(elements.data(), buffer.data() + offset, count * sizeof(T), stream());
    stream_.synchronize();
    return elements;
  }

 private:
  std::shared_ptr<device::Runtime> runtime_;
  int index_;
  device::OwnedStream stream_;
};

/// Whether the bytes are equal; NaNs are not expected.
template <class T>
bool equal_bits(const std::vector<T>& a, const std::vector<T>& b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (!same_bits(a[i], b[i])) return false;
  }
  return true;
}

template <class T>
std::vector<T> rough(int rank, std::size_t count) {
  std::vector<T> values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = rough_value<T>(rank, i);
  return values;
}

}  // namespace trireme::testing
