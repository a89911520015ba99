// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "engines/nccl/factory.hpp"
#include "engines/nccl/library.hpp"
#include "support/fake_nccl/fake_nccl_control.hpp"
#include "trireme/base/dtype.hpp"
#include "trireme/device/emulated.hpp"
#include "trireme/device/owned.hpp"
#include "trireme/world/run_ranks.hpp"

#include <catch2/catch.hpp>

#include <chrono>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#include <dlfcn.h>

namespace trireme::testing {

/// The fake NCCL of this process, as new.
inline FakeNccl& fresh_nccl(const char* path = FAKE_NCCL) {
  void* handle = ::dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  REQUIRE(handle != nullptr);
  auto& fake = *reinterpret_cast<FakeNccl* (*)()>(::dlsym(handle, "fake_nccl_control"))();
  fake.reset();
  return fake;
}

/// Worlds of `ranks` emulated devices whose collectives go through `library`.
inline RunRanksOptions over_nccl(int ranks, comm::DeviceEngineFactory make_engine,
                                 std::chrono::microseconds delay = std::chrono::microseconds(0)) {
  RunRanksOptions options;
  options.devices.runtime =
      device::emulated_runtime({.devices = ranks, .seed = static_cast<std::uint64_t>(ranks), .delay = delay});
  options.devices.make_engine = std::move(make_engine);
  return options;
}
inline RunRanksOptions over_nccl(int ranks, const char* path = FAKE_NCCL,
                                 const engines::nccl::EngineOptions& engine = {}) {
  return over_nccl(ranks, engines::nccl::factory(engines::nccl::load(path), engine));
}

/// One rank's device, as a caller has it.
class OnDevice {
 public:
  OnDevice(World& world, const RunRanksOptions& options)
      : runtime_(options.devices.runtime),
        device_(world.communicator().rank() % runtime_->devices()),
        stream_(runtime_, device_) {}

  Stream stream() const { return stream_.get(); }
  device::Runtime& runtime() const { return *runtime_; }
  device::Buffer up(const std::vector<std::byte>& bytes) const {
    device::Buffer buffer(runtime_, device_, bytes.size());
    runtime_->copy(buffer.data(), bytes.data(), bytes.size(), stream());
    stream_.synchronize();
    return buffer;
  }
  device::Buffer room_for(std::size_t bytes) const { return {runtime_, device_, bytes}; }
  std::vector<std::byte> down(const device::Buffer& buffer) const {
    std::vector<std::byte> bytes(buffer.size_bytes());
    runtime_->copy(bytes.data(), buffer.data(), bytes.size(), stream());
    stream_.synchronize();
    return bytes;
  }

 private:
  std::shared_ptr<device::Runtime> runtime_;
  int device_;
  device::OwnedStream stream_;
};

/// Numbers that look arbitrary; whole ones when `exact`: sums and products of four are exact in every type.
inline std::vector<std::byte> elements(DType dtype, std::size_t count, std::uint64_t seed, bool exact = false) {
  std::vector<std::byte> bytes(count * size_of(dtype));
  std::uint64_t state = seed * 0x9e3779b97f4a7c15u + 1;
  const auto put = [&](std::size_t i, auto value) {
    std::memcpy(bytes.data() + i * sizeof value, &value, sizeof value);
  };
  for (std::size_t i = 0; i < count; ++i) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    const auto word = static_cast<std::uint32_t>(state >> 33);
    const bool few = size_of(dtype) == 1;  // floats of 8 bits
    const double whole = few ? static_cast<double>(word % 3) - 1.0 : static_cast<double>(word % 7) - 3.0;
    const double value = exact ? whole : static_cast<double>(word) / 268435456.0 - 4.0;
    switch (dtype) {
      case DType::f64: put(i, value); break;
      case DType::f32: put(i, static_cast<float>(value)); break;
      case DType::f16: put(i, to_float16(static_cast<float>(value))); break;
      case DType::bf16: put(i, to_bfloat16(static_cast<float>(value))); break;
      case DType::f8e4m3: put(i, to_float8_e4m3(static_cast<float>(value))); break;
      case DType::f8e5m2: put(i, to_float8_e5m2(static_cast<float>(value))); break;
      case DType::boolean: put(i, static_cast<std::uint8_t>(word & 1)); break;
      default:
        for (std::size_t k = 0; k < size_of(dtype); ++k)
          bytes[i * size_of(dtype) + k] = static_cast<std::byte>(state >> (33 + 3 * k));
        break;
    }
  }
  return bytes;
}

inline bool soon(const std::function<bool()>& holds) {
  for (int i = 0; i < 5000 && !holds(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  return holds();
}

}  // namespace trireme::testing
