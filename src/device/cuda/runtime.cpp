// SPDX-License-Identifier: Apache-2.0
#include "device/cuda/allocation.hpp"
#include "device/cuda/contexts.hpp"
#include "device/cuda/failure.hpp"
#include "device/cuda/probe.hpp"
#include "device/cuda/properties.hpp"
#include "device/held_frees.hpp"
#include "device/kernel.hpp"
#include "trireme/base/error.hpp"
#include "trireme/device/cuda.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <utility>

namespace trireme::device {
namespace {

cudaStream_t stream_of(Stream stream) { return static_cast<cudaStream_t>(stream.pointer); }
cudaEvent_t event_of(void* event) { return static_cast<cudaEvent_t>(event); }
cudaGraphExec_t graph_of(void* graph) { return static_cast<cudaGraphExec_t>(graph); }

constexpr std::chrono::milliseconds patience_for_room{1000};

/// While it lives the calling thread may ask for events although a stream is being captured, by it or, in CUDA's global mode, by
/// another: what is asked for is no part of the capture, which would end as invalid.
class Uncaptured {
 public:
  Uncaptured() { ignore(::cudaThreadExchangeStreamCaptureMode(&mode_)); }
  ~Uncaptured() { ignore(::cudaThreadExchangeStreamCaptureMode(&mode_)); }
  Uncaptured(const Uncaptured&) = delete;
  Uncaptured& operator=(const Uncaptured&) = delete;

 private:
  cudaStreamCaptureMode mode_ = cudaStreamCaptureModeRelaxed;
};

class CudaRuntime final : public Runtime {
 public:
  CudaRuntime(int devices, Versions versions)
      : versions_(versions),
        contexts_(devices),
        frees_(*this, [this](const HeldFrees::Memory& each) { free_now(each); }) {}

  std::string_view name() const noexcept override { return "cuda"; }
  Versions versions() const override { return versions_; }
  int devices() const noexcept override { return contexts_.devices(); }
  Properties properties(int device) const override {
    check_device(device, "properties");
    return properties_of(device);
  }

  bool reaches(int device, int peer) const override {
    check_device(device, "reaches");
    check_device(peer, "reaches");
    if (device == peer) return true;
    int can = 0;
    check(::cudaDeviceCanAccessPeer(&can, device, peer), "reaches (cudaDeviceCanAccessPeer)", device);
    return can != 0;
  }
  void reach(int device, int peer) override {
    if (!reaches(device, peer)) {
      fail(ErrorCode::device, "reach: CUDA devices " + std::to_string(device) + " and " + std::to_string(peer) +
                                  " have no access to each other");
    }
    if (device == peer) return;
    const OnDevice here(contexts_, device);
    const cudaError_t error = ::cudaDeviceEnablePeerAccess(peer, 0);
    if (error == cudaErrorPeerAccessAlreadyEnabled) return ignore(error);
    check(error, "reach (cudaDeviceEnablePeerAccess)", device);
  }

  void* allocate(int device, std::size_t bytes) override {
    check_device(device, "allocate");
    if (bytes == 0) return nullptr;
    frees_.make();
    const std::uint64_t rounds = frees_.rounds();  // before: others may free between the two attempts
    const OnDevice here(contexts_, device);
    try {
      return allocate_on(device, bytes);
    } catch (const Exception&) {
      if (!frees_.make_since(rounds, patience_for_room)) throw;
    }
    return allocate_on(device, bytes);
  }
  void free(int device, void* memory) noexcept override {
    if (memory != nullptr) frees_.free({HeldFrees::Kind::device, device, memory});
  }
  std::size_t frees_held() const noexcept override { return frees_.held(); }
  // CUDA maps host memory through a context: one that is there already, if any is.
  void* allocate_pinned(std::size_t bytes) override {
    if (bytes == 0) return nullptr;
    frees_.make();
    const int device = some_device();
    const OnDevice here(contexts_, device);
    void* memory = nullptr;
    const cudaError_t error = ::cudaHostAlloc(&memory, bytes, cudaHostAllocPortable | cudaHostAllocMapped);
    if (error != cudaSuccess)
      fail_call(error, "allocate_pinned of " + std::to_string(bytes) + " bytes (cudaHostAlloc)", device);
    return memory;
  }
  void free_pinned(void* memory) noexcept override {
    if (memory != nullptr) frees_.free({HeldFrees::Kind::pinned, 0, memory});
  }
  void pin(void* memory, std::size_t bytes) override {
    if (bytes == 0) return;
    const int device = some_device();
    const OnDevice here(contexts_, device);
    const cudaError_t error = ::cudaHostRegister(memory, bytes, cudaHostRegisterPortable | cudaHostRegisterMapped);
    if (error != cudaSuccess) fail_call(error, "pin of " + std::to_string(bytes) + " bytes (cudaHostRegister)", device);
  }
  void unpin(void* memory) noexcept override {
    if (memory != nullptr) quietly(some_device(), [&] { return ::cudaHostUnregister(memory); });
  }
  std::optional<Device> owner(const void* memory) const override {
    const int device = contexts_.some();
    if (device < 0) return std::nullopt;  // no device is in use, so none has memory
    const OnDevice here(contexts_, device);
    return owner_of(memory);
  }

  SharedAllocation share(int device, void* memory, std::size_t bytes) override {
    check_device(device, "share");
    const OnDevice here(contexts_, device);
    return share_allocation(device, memory, bytes);
  }
  void* import(int device, const SharedAllocation& allocation) override {
    check_device(device, "import");
    const OnDevice here(contexts_, device);
    return import_allocation(device, allocation);
  }
  void forget(int device, void* imported) noexcept override {
    if (imported != nullptr) frees_.free({HeldFrees::Kind::imported, device, imported});
  }

  Stream make_stream(int device) override {
    check_device(device, "make_stream");
    const OnDevice here(contexts_, device);
    cudaStream_t stream = nullptr;
    check(::cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "make_stream (cudaStreamCreateWithFlags)",
          device);
    return {{DeviceKind::cuda, device}, stream};
  }
  void destroy(Stream stream) noexcept override {
    if (stream.pointer == nullptr) return;
    frees_.ends(stream);
    quietly(stream.device.index, [&] { return ::cudaStreamDestroy(stream_of(stream)); });
  }
  void synchronize(Stream stream) override {
    on(stream, "synchronize (cudaStreamSynchronize)", [&] { return ::cudaStreamSynchronize(stream_of(stream)); });
  }

  void copy(void* to, const void* from, std::size_t bytes, Stream stream) override {
    if (bytes == 0) return;
    on(stream, "copy (cudaMemcpyAsync)",
       [&] { return ::cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, stream_of(stream)); });
  }
  void fill(void* memory, std::byte value, std::size_t bytes, Stream stream) override {
    if (bytes == 0) return;
    on(stream, "fill (cudaMemsetAsync)",
       [&] { return ::cudaMemsetAsync(memory, static_cast<int>(value), bytes, stream_of(stream)); });
  }
  void launch(const Launch& launch, Stream stream) override {
    check_stream(stream, "launch");
    if (!launch.kernel->waits) return launch_now(launch, stream);
    if (capturing(stream)) {
      graphs_wait_.store(true, std::memory_order_relaxed);
      return launch_now(launch, stream);
    }
    frees_.given(stream, [&] { launch_now(launch, stream); });
  }
  void call(void (*function)(void*) noexcept, void* argument, Stream stream) override {
    on(stream, "call (cudaLaunchHostFunc)",
       [&] { return ::cudaLaunchHostFunc(stream_of(stream), function, argument); });
  }

  void* make_event(int device) override {
    check_device(device, "make_event");
    const OnDevice here(contexts_, device);
    cudaEvent_t event = nullptr;
    check(::cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "make_event (cudaEventCreateWithFlags)", device);
    return event;
  }
  void destroy_event(int device, void* event) noexcept override {
    if (event != nullptr) quietly(device, [&] { return ::cudaEventDestroy(event_of(event)); });
  }
  void record(void* event, Stream stream) override {
    on(stream, "record (cudaEventRecord)", [&] { return ::cudaEventRecord(event_of(event), stream_of(stream)); });
  }
  bool passed(void* event) override {
    const int device = some_device();  // of which the event need not be
    const OnDevice here(contexts_, device);
    const Uncaptured beside;
    const cudaError_t error = ::cudaEventQuery(event_of(event));
    if (error == cudaErrorNotReady) {
      ignore(error);
      return false;
    }
    check(error, "passed (cudaEventQuery)", device);
    return true;
  }
  void await(void* event) override {
    const int device = some_device();
    const OnDevice here(contexts_, device);
    const Uncaptured beside;
    check(::cudaEventSynchronize(event_of(event)), "await (cudaEventSynchronize)", device);
  }
  void wait(Stream stream, void* event) override {
    on(stream, "wait (cudaStreamWaitEvent)",
       [&] { return ::cudaStreamWaitEvent(stream_of(stream), event_of(event), cudaEventWaitDefault); });
  }

  // What other threads do meanwhile neither enters the capture nor breaks it.
  void begin_capture(Stream stream) override {
    on(stream, "begin_capture (cudaStreamBeginCapture)",
       [&] { return ::cudaStreamBeginCapture(stream_of(stream), cudaStreamCaptureModeThreadLocal); });
  }
  void* end_capture(Stream stream) override {
    if (!capturing(stream))
      fail(ErrorCode::invalid_argument, "end_capture: nothing is being captured from this stream");
    const int device = stream.device.index;
    cudaGraph_t recorded = nullptr;
    on(stream, "end_capture (cudaStreamEndCapture)",
       [&] { return ::cudaStreamEndCapture(stream_of(stream), &recorded); });
    const OnDevice here(contexts_, device);
    cudaGraphExec_t graph = nullptr;
    const cudaError_t error = ::cudaGraphInstantiate(&graph, recorded, 0);
    ignore(::cudaGraphDestroy(recorded));
    check(error, "end_capture (cudaGraphInstantiate)", device);
    // What the first launch needs is set up now.
    if (const cudaError_t upload = ::cudaGraphUpload(graph, stream_of(stream)); upload != cudaSuccess) {
      ignore(::cudaGraphExecDestroy(graph));
      fail_call(upload, "end_capture (cudaGraphUpload)", device);
    }
    return graph;
  }
  bool capturing(Stream stream) override {
    cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
    on(stream, "capturing (cudaStreamIsCapturing)",
       [&] { return ::cudaStreamIsCapturing(stream_of(stream), &status); });
    return status != cudaStreamCaptureStatusNone;
  }
  void launch_graph(void* graph, Stream stream) override {
    const auto launch = [&] {
      on(stream, "launch_graph (cudaGraphLaunch)",
         [&] { return ::cudaGraphLaunch(graph_of(graph), stream_of(stream)); });
    };
    if (!graphs_wait_.load(std::memory_order_relaxed) || capturing(stream)) return launch();
    frees_.given(stream, launch);
  }
  void destroy_graph(void* graph) noexcept override {
    if (graph != nullptr) quietly(some_device(), [&] { return ::cudaGraphExecDestroy(graph_of(graph)); });
  }

  void make_current(int device) override {
    check_device(device, "make_current");
    { const OnDevice begins(contexts_, device); }
    check(::cudaSetDevice(device), "cudaSetDevice", device);
  }

  void load(std::span<const KernelEntry* const> kernels) override { contexts_.load(kernels); }

 private:
  void launch_now(const Launch& launch, Stream stream) {
    const KernelEntry& kernel = *launch.kernel;
    const OnDevice here(contexts_, stream.device.index);
    void* arguments[] = {const_cast<void*>(launch.body)};
    cudaError_t error = cudaErrorInvalidDeviceFunction;  // of a file that nvcc did not compile
    if (kernel.cuda != nullptr) {
      error =
          ::cudaLaunchKernel(kernel.cuda, dim3(launch.blocks), dim3(kernel.threads), arguments, 0, stream_of(stream));
    }
    if (error != cudaSuccess) {
      fail_call(error, std::string("launch of kernel ") + kernel.name + " (cudaLaunchKernel)", stream.device.index);
    }
  }
  void free_now(const HeldFrees::Memory& each) noexcept {
    switch (each.kind) {
      case HeldFrees::Kind::device: return quietly(each.device, [&] { return ::cudaFree(each.address); });
      case HeldFrees::Kind::pinned: return quietly(some_device(), [&] { return ::cudaFreeHost(each.address); });
      case HeldFrees::Kind::imported:
        return quietly(each.device, [&] { return ::cudaIpcCloseMemHandle(each.address); });
    }
  }
  void check_device(int device, const char* call) const {
    if (device >= 0 && device < devices()) return;
    fail(ErrorCode::invalid_argument, std::string(call) + ": there is no CUDA device " + std::to_string(device) +
                                          "; there are " + std::to_string(devices()));
  }
  void check_stream(Stream stream, const char* call) const {
    check_device(stream.device.index, call);
    if (stream.pointer == nullptr) {
      fail(ErrorCode::invalid_argument, std::string(call) +
                                            ": there is no default stream: make one, or say "
                                            "cudaStreamLegacy or cudaStreamPerThread");
    }
  }
  /// A device in use, else the calling thread's.
  int some_device() const {
    if (const int device = contexts_.some(); device >= 0) return device;
    int device = 0;
    ignore(::cudaGetDevice(&device));
    return std::clamp(device, 0, devices() - 1);
  }
  template <class Call>
  void on(Stream stream, const char* name, Call call) {
    check_stream(stream, name);
    const OnDevice here(contexts_, stream.device.index);
    check(call(), name, stream.device.index);
  }
  /// For what ends things: a process that ends, and a device that failed, end them anyway.
  template <class Call>
  void quietly(int device, Call call) noexcept {
    try {
      const OnDevice here(contexts_, device);
      ignore(call());
    } catch (const Exception&) {
      return;
    }
  }

  const Versions versions_;
  mutable Contexts contexts_;
  HeldFrees frees_;                       ///< what is held back at the end of the process it ends with
  std::atomic<bool> graphs_wait_{false};  ///< a kernel that waits has been captured: in whichever graph
};

}  // namespace

// One of a process, as CUDA is: what is loaded and which devices are in use is the process's.
std::shared_ptr<Runtime> cuda_runtime() {
  static const std::shared_ptr<Runtime> runtime = [] {
    const Presence presence = find_cuda();
    if (const std::string reason = why_no_cuda(presence); !reason.empty()) fail(ErrorCode::unsupported, reason);
    return std::make_shared<CudaRuntime>(std::min(presence.devices, static_cast<int>(Contexts::most)),
                                         presence.versions);
  }();
  return runtime;
}

}  // namespace trireme::device
