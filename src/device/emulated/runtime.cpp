// SPDX-License-Identifier: Apache-2.0
#include "device/emulated/command_queue.hpp"
#include "device/emulated/event.hpp"
#include "device/emulated/memory_map.hpp"
#include "device/held_frees.hpp"
#include "device/kernel.hpp"
#include "trireme/base/error.hpp"
#include "trireme/device/emulated.hpp"

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <set>
#include <utility>
#include <vector>

namespace trireme::device {
namespace {

using Command = CommandQueue::Command;

struct Graph {
  std::vector<Command> commands;
};

constexpr std::align_val_t alignment{4096};
constexpr std::chrono::milliseconds patience_for_room{1000};

class EmulatedRuntime final : public Runtime {
 public:
  explicit EmulatedRuntime(const EmulatedOptions& options)
      : options_(options),
        memory_(options.devices, options.memory_bytes),
        frees_(*this, [this](const HeldFrees::Memory& each) { free_now(each); }) {}
  ~EmulatedRuntime() override { frees_.end(); }
  EmulatedRuntime(const EmulatedRuntime&) = delete;
  EmulatedRuntime& operator=(const EmulatedRuntime&) = delete;

  std::string_view name() const noexcept override { return "emulated"; }
  Versions versions() const override { return {}; }
  int devices() const noexcept override { return options_.devices; }
  Properties properties(int device) const override {
    check(device, "properties");
    return {.name = "emulated device",
            .uuid = "emulated-" + std::to_string(device),
            .bus = {},
            .memory_bytes = options_.memory_bytes,
            .multiprocessors = 2,
            .major = 9,
            .minor = 0};
  }

  bool reaches(int device, int peer) const override {
    check(device, "reaches");
    check(peer, "reaches");
    return device == peer || options_.peer_access;
  }
  void reach(int device, int peer) override {
    if (!reaches(device, peer)) {
      fail(ErrorCode::device, "reach: emulated devices " + std::to_string(device) + " and " + std::to_string(peer) +
                                  " have no access to each other");
    }
  }

  void* allocate(int device, std::size_t bytes) override {
    check(device, "allocate");
    frees_.make();
    const std::uint64_t rounds = frees_.rounds();  // before: others may free between the two attempts
    try {
      return memory_.allocate(device, bytes);
    } catch (const Exception&) {
      if (!frees_.make_since(rounds, patience_for_room)) throw;
    }
    return memory_.allocate(device, bytes);
  }
  void free(int device, void* memory) noexcept override {
    if (memory != nullptr) frees_.free({HeldFrees::Kind::device, device, memory});
  }
  void* allocate_pinned(std::size_t bytes) override {
    frees_.make();
    return bytes == 0 ? nullptr : ::operator new(bytes, alignment);
  }
  void free_pinned(void* memory) noexcept override {
    if (memory != nullptr) frees_.free({HeldFrees::Kind::pinned, 0, memory});
  }
  std::size_t frees_held() const noexcept override { return frees_.held(); }
  void pin(void*, std::size_t) override {}
  void unpin(void*) noexcept override {}
  std::optional<Device> owner(const void* memory) const override {
    const auto device = memory_.device_of(memory);
    return device ? std::optional<Device>({DeviceKind::cuda, *device}) : std::nullopt;
  }

  SharedAllocation share(int, void* memory, std::size_t) override { return memory_.share(memory); }
  void* import(int device, const SharedAllocation& allocation) override {
    check(device, "import");
    return memory_.import(device, allocation);
  }
  void forget(int device, void* imported) noexcept override {
    if (imported != nullptr) frees_.free({HeldFrees::Kind::imported, device, imported});
  }

  Stream make_stream(int device) override {
    check(device, "make_stream");
    const std::uint64_t seed = options_.seed + 0x9e3779b97f4a7c15u * ++made_;
    auto queue = std::make_unique<CommandQueue>(device, seed, options_.delay);
    const std::lock_guard lock(queues_mutex_);
    queues_.insert(queue.get());
    return {{DeviceKind::cuda, device}, queue.release()};
  }
  void destroy(Stream stream) noexcept override {
    if (stream.pointer == nullptr) return;
    auto* const queue = static_cast<CommandQueue*>(stream.pointer);
    frees_.ends(stream);
    {
      const std::lock_guard lock(queues_mutex_);
      queues_.erase(queue);
    }
    delete queue;
  }
  void synchronize(Stream stream) override {
    check_stream(stream);
    refuse_capture(stream, "synchronize");
    queue_of(stream).synchronize();
  }

  void copy(void* to, const void* from, std::size_t bytes, Stream stream) override {
    if (bytes != 0) give(stream, [=] { std::memcpy(to, from, bytes); });
  }
  void fill(void* memory, std::byte value, std::size_t bytes, Stream stream) override {
    if (bytes != 0) give(stream, [=] { std::memset(memory, static_cast<int>(value), bytes); });
  }
  void launch(const Launch& launch, Stream stream) override {
    // As a launch does, the arguments are copied before it returns.
    auto body =
        std::shared_ptr<std::byte>(static_cast<std::byte*>(::operator new (launch.body_bytes, std::align_val_t{64})),
                                   [](std::byte* memory) { ::operator delete (memory, std::align_val_t{64}); });
    std::memcpy(body.get(), launch.body, launch.body_bytes);
    const std::uint64_t seed = options_.seed * 0xbf58476d1ce4e5b9u + ++launched_;
    auto command = [body = std::move(body), kernel = launch.kernel, blocks = launch.blocks, seed] {
      for (unsigned block = 0; block < blocks; ++block)
        kernel->emulated(body.get(), block, blocks, seed * 0x94d049bb133111ebu + block);
    };
    if (!launch.kernel->waits) return give(stream, std::move(command));
    if (capturing(stream)) {
      graphs_wait_.store(true, std::memory_order_relaxed);
      return give(stream, std::move(command));
    }
    check_stream(stream);
    frees_.given(stream, [&] { give(stream, std::move(command)); });
  }
  void call(void (*function)(void*) noexcept, void* argument, Stream stream) override {
    give(stream, [=] { function(argument); });
  }

  void* make_event(int device) override {
    check(device, "make_event");
    return new Event;
  }
  void destroy_event(int, void* event) noexcept override { delete static_cast<Event*>(event); }
  void record(void* event, Stream stream) override {
    auto mark = std::make_shared<Mark>();
    static_cast<Event*>(event)->set(mark);
    give(stream, [mark = std::move(mark)] { mark->pass(); });
  }
  bool passed(void* event) override {
    const auto mark = static_cast<Event*>(event)->latest();
    return mark == nullptr || mark->passed();
  }
  void await(void* event) override {
    if (const auto mark = static_cast<Event*>(event)->latest()) mark->await();
  }
  void wait(Stream stream, void* event) override {
    if (auto mark = static_cast<Event*>(event)->latest()) give(stream, [mark = std::move(mark)] { mark->await(); });
  }

  void begin_capture(Stream stream) override {
    check_stream(stream);
    refuse_capture(stream, "begin_capture");
    const std::lock_guard lock(capture_mutex_);
    captures_.emplace(stream.pointer, std::make_unique<Graph>());
  }
  void* end_capture(Stream stream) override {
    const std::lock_guard lock(capture_mutex_);
    auto node = captures_.extract(stream.pointer);
    if (node.empty()) fail(ErrorCode::invalid_argument, "end_capture: nothing is being captured from this stream");
    return node.mapped().release();
  }
  bool capturing(Stream stream) override {
    const std::lock_guard lock(capture_mutex_);
    return captures_.contains(stream.pointer);
  }
  void launch_graph(void* graph, Stream stream) override {
    const auto all = [&] {
      for (const Command& command : static_cast<Graph*>(graph)->commands) give(stream, command);
    };
    if (!graphs_wait_.load(std::memory_order_relaxed) || capturing(stream)) return all();
    check_stream(stream);
    frees_.given(stream, all);
  }
  void destroy_graph(void* graph) noexcept override { delete static_cast<Graph*>(graph); }

  void load(std::span<const KernelEntry* const> kernels) override {
    for (const KernelEntry* kernel : kernels) {
      if (kernel == nullptr || kernel->emulated == nullptr) fail(ErrorCode::device, "load: a kernel is missing");
    }
  }

 private:
  void check(int device, const char* call) const {
    if (device >= 0 && device < options_.devices) return;
    fail(ErrorCode::invalid_argument, std::string(call) + ": there is no emulated device " + std::to_string(device) +
                                          "; there are " + std::to_string(options_.devices));
  }
  static CommandQueue& queue_of(Stream stream) { return *static_cast<CommandQueue*>(stream.pointer); }
  static void check_stream(Stream stream) {
    if (stream.pointer == nullptr)
      fail(ErrorCode::invalid_argument, "an emulated device has no default stream: make one");
  }
  void give(Stream stream, Command command) {
    check_stream(stream);
    {
      const std::lock_guard lock(capture_mutex_);
      if (const auto found = captures_.find(stream.pointer); found != captures_.end())
        return found->second->commands.push_back(std::move(command));
    }
    queue_of(stream).give(std::move(command));
  }
  void refuse_capture(Stream stream, const char* call) {
    if (capturing(stream)) fail(ErrorCode::device, std::string(call) + ": not while the stream is being captured");
  }

  void free_now(const HeldFrees::Memory& each) noexcept {
    if (options_.frees_wait) {
      const std::lock_guard lock(queues_mutex_);
      for (CommandQueue* queue : queues_) queue->synchronize();
    }
    if (each.kind == HeldFrees::Kind::pinned) {
      ::operator delete(each.address, alignment);
    } else {
      memory_.free(each.address);
    }
  }

  const EmulatedOptions options_;
  MemoryMap memory_;
  HeldFrees frees_;
  std::atomic<bool> graphs_wait_{false};  ///< a kernel that waits has been captured: in whichever graph
  std::mutex queues_mutex_;
  std::set<CommandQueue*> queues_;
  std::atomic<std::uint64_t> made_{0};
  std::atomic<std::uint64_t> launched_{0};
  std::mutex capture_mutex_;
  std::map<void*, std::unique_ptr<Graph>> captures_;
};

}  // namespace

std::shared_ptr<Runtime> emulated_runtime(const EmulatedOptions& options) {
  if (options.devices < 1 || options.devices > 64)
    fail(ErrorCode::invalid_argument,
         "EmulatedOptions: devices must be 1 to 64, not " + std::to_string(options.devices));
  return std::make_shared<EmulatedRuntime>(options);
}

}  // namespace trireme::device
