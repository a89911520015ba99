// SPDX-License-Identifier: Apache-2.0
// A free never waits for a kernel that waits for others: it is held back. The emulated devices' frees wait as CUDA's do.
#include "device/kernel.hpp"
#include "device/memory_order.hpp"
#include "support/device_under_test.hpp"
#include "trireme/base/error.hpp"

#include <catch2/catch.hpp>

#include <chrono>
#include <cstdint>
#include <memory>
#include <thread>

using namespace trireme;

namespace {

/// Waits for a word that the host writes.
struct WaitingBody {
  static constexpr const char* name = "trireme_test_waits";
  static constexpr unsigned threads = 1;
  static constexpr unsigned phases = 1;
  static constexpr bool waits = true;
  struct Shared {};
  const std::uint32_t* word;
  template <unsigned phase>
  TRIREME_DEVICE void run(device::Place, Shared&) const {
    while (device::load_acquire(word) == 0) device::relax();
  }
};

/// A stream with a kernel that waits until go().
class Waiting {
 public:
  explicit Waiting(const std::shared_ptr<device::Runtime>& runtime)
      : runtime_(runtime), word_(runtime, sizeof(std::uint32_t)), stream_(runtime, 0) {
    device::store_release(word(), 0);
  }
  ~Waiting() { go(); }
  void launch() { device::launch(stream_.queue(), WaitingBody{word()}, 1); }
  void go() { device::store_release(word(), 1); }
  void end() {
    go();
    stream_.synchronize();
  }
  Stream stream() const { return stream_.get(); }

 private:
  std::uint32_t* word() const { return reinterpret_cast<std::uint32_t*>(word_.data()); }
  std::shared_ptr<device::Runtime> runtime_;
  device::PinnedBuffer word_;
  device::OwnedStream stream_;
};

std::shared_ptr<device::Runtime> waiting_runtime(std::size_t memory_bytes = std::size_t{1} << 30) {
  return device::emulated_runtime({.devices = 2, .frees_wait = true, .memory_bytes = memory_bytes});
}

}  // namespace

TEST_CASE("a free while a kernel waits for the host does not wait, and is made up for once it has ended") {
  const auto runtime = waiting_runtime();
  Waiting waiting(runtime);
  auto device_memory = std::make_unique<device::Buffer>(runtime, 0, 1000);
  auto elsewhere = std::make_unique<device::Buffer>(runtime, 1, 1000);
  auto pinned = std::make_unique<device::PinnedBuffer>(runtime, 1000);
  waiting.launch();
  device_memory.reset();
  CHECK(runtime->frees_held() == 1);
  elsewhere.reset();
  pinned.reset();
  CHECK(runtime->frees_held() == 3);
  const device::Buffer beside(runtime, 0, 1000);  // an allocation does not wait either
  CHECK(runtime->frees_held() == 3);
  waiting.end();
  CHECK(runtime->frees_held() == 3);
  const device::Buffer behind(runtime, 0, 1000);
  CHECK(runtime->frees_held() == 0);
}

TEST_CASE(
    "what is held back is freed with the next free as well, and no kernel that waits for nobody holds anything back") {
  const auto runtime = waiting_runtime();
  Waiting waiting(runtime);
  waiting.launch();
  { const device::Buffer held(runtime, 0, 10); }
  CHECK(runtime->frees_held() == 1);
  waiting.end();
  { const device::PinnedBuffer next(runtime, 10); }
  CHECK(runtime->frees_held() == 0);
  const device::OwnedStream stream(runtime, 0);
  const device::Buffer target(runtime, 0, 1 << 20);
  runtime->fill(target.data(), std::byte{1}, 1 << 20, stream.get());
  { const device::Buffer free(runtime, 0, 10); }
  CHECK(runtime->frees_held() == 0);
}

TEST_CASE("a graph that has such a kernel holds frees back at every launch, and while it is captured it does not") {
  const auto runtime = waiting_runtime();
  Waiting waiting(runtime);
  runtime->begin_capture(waiting.stream());
  waiting.launch();
  { const device::Buffer during(runtime, 0, 10); }
  CHECK(runtime->frees_held() == 0);
  void* graph = runtime->end_capture(waiting.stream());
  runtime->launch_graph(graph, waiting.stream());
  { const device::Buffer held(runtime, 0, 10); }
  CHECK(runtime->frees_held() == 1);
  waiting.end();
  runtime->destroy_graph(graph);
  { const device::Buffer next(runtime, 0, 10); }
  CHECK(runtime->frees_held() == 0);
}

TEST_CASE("memory mapped from another place is let go of by the same rule") {
  const auto runtime = waiting_runtime(), other = device::emulated_runtime();
  const device::Buffer shared(other, 0, 4096);
  void* imported = runtime->import(0, other->share(0, shared.data(), 4096));
  Waiting waiting(runtime);
  waiting.launch();
  runtime->forget(0, imported);
  CHECK(runtime->frees_held() == 1);
  waiting.end();
}

TEST_CASE(
    "an allocation that finds no room gives kernels that wait a moment to end, and then says that there is none") {
  const auto runtime = waiting_runtime(1 << 16);
  Waiting waiting(runtime);
  auto all = std::make_unique<device::Buffer>(runtime, 0, 1 << 16);
  waiting.launch();
  all.reset();
  CHECK(runtime->frees_held() == 1);
  CHECK_THROWS_WITH(device::Buffer(runtime, 0, 1 << 16), Catch::Contains("out of memory"));
  std::thread later([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    waiting.go();
  });
  const device::Buffer again(runtime, 0, 1 << 16);
  later.join();
  CHECK(runtime->frees_held() == 0);
}

TEST_CASE(
    "a stream that ends takes its kernels along: what they held back is freed, and the next stream is another one") {
  const auto runtime = waiting_runtime();
  {
    Waiting waiting(runtime);
    waiting.launch();
    { const device::Buffer held(runtime, 0, 10); }
    CHECK(runtime->frees_held() == 1);
  }
  Waiting next(runtime);
  CHECK(runtime->frees_held() == 0);
  next.launch();
  { const device::Buffer held(runtime, 0, 10); }
  CHECK(runtime->frees_held() == 1);
}

TEST_CASE("what is still held back ends with the runtime") {
  auto runtime = waiting_runtime();
  {
    Waiting waiting(runtime);
    waiting.launch();
    { const device::PinnedBuffer held(runtime, 10); }
    waiting.end();
    CHECK(runtime->frees_held() == 1);
  }
  runtime.reset();  // under the address sanitizer: nothing is left
}
