// SPDX-License-Identifier: Apache-2.0
// CUDA's runtime library without a GPU: what src/device/cuda and the objects that nvcc makes call of it, linked in its place. Kernels are
// run from their PTX by ptx/machine. It refuses what CUDA refuses, so that calls in a wrong order, on a wrong device or in a capture are
// found where there is no GPU. Global state, as CUDA's is.
#include "device/kernel.hpp"
#include "support/fake_cuda/control.hpp"
#include "support/fake_cuda/fat_binary.hpp"
#include "support/fake_cuda/memory.hpp"
#include "support/fake_cuda/ptx/kernel.hpp"
#include "support/fake_cuda/ptx/machine.hpp"
#include "support/fake_cuda/streams.hpp"

#include <cuda_runtime_api.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <set>
#include <string>
#include <utility>

namespace {

using namespace trireme::testing;
using trireme::device::Mark;

constexpr std::size_t device_bytes = std::size_t{1} << 32;
constexpr int most_devices = 16;

int devices_wanted() {
  const char* const text = std::getenv("FAKE_CUDA_DEVICES");
  return text == nullptr ? 1 : std::clamp(std::atoi(text), 0, most_devices);
}

struct Registered {
  std::string name;
  std::shared_ptr<const std::string> text;
  std::shared_ptr<const ptx::Kernel> kernel;  ///< once it was asked for
};

struct Cuda {
  const int devices = devices_wanted();
  const bool looks_for_races = std::getenv("FAKE_CUDA_RACES") != nullptr;
  FakeMemory memory{std::max(devices, 1), device_bytes};
  std::mutex mutex;
  std::map<const void*, Registered> kernels;  ///< by the host's function
  std::array<std::atomic<bool>, most_devices> active{};
  std::array<std::atomic<std::uint64_t>, most_devices> peers{};  ///< whose memory a device reaches, by bits
  std::array<std::size_t, most_devices> stack_limit{};
  std::set<FakeStream*> streams;
  std::set<FakeEvent*> events;
  std::set<FakeGraph*> graphs;                                                        ///< executable ones, too
  std::uint64_t made = 0;                                                             ///< streams
  std::vector<std::pair<std::unique_ptr<FakeStream>, std::shared_ptr<Mark>>> ending;  ///< destroyed, and still running
  std::atomic<cudaError_t> broken{cudaSuccess};  ///< a kernel failed: all fails from then on
  std::atomic<std::uint64_t> launches{0};
  std::atomic<bool> counts{false};
  std::atomic<int> kernels_to_go{-1};           ///< until one fails; less than 0: none does
  std::map<std::string, ptx::Traffic> traffic;  ///< of each kernel
};
// Never destroyed: what ends with the process may still call.
Cuda& cuda() {
  static Cuda* const all = new Cuda;
  return *all;
}

thread_local int current_device = 0;
thread_local cudaError_t last_error = cudaSuccess;
thread_local cudaStreamCaptureMode capture_mode = cudaStreamCaptureModeGlobal;
thread_local bool in_host_function = false;

cudaError_t said(cudaError_t error) {
  if (error != cudaSuccess) last_error = error;
  return error;
}

FakeStream* of(cudaStream_t stream) { return reinterpret_cast<FakeStream*>(stream); }
FakeEvent* of(cudaEvent_t event) { return reinterpret_cast<FakeEvent*>(event); }

/// What every call that needs a context asks first.
cudaError_t begin() {
  if (in_host_function) return said(cudaErrorNotPermitted);
  if (cuda().devices == 0) return said(cudaErrorNoDevice);
  cuda().active[static_cast<std::size_t>(current_device)] = true;
  return said(cuda().broken);
}
/// The same of a call that a capture forbids; which then is no capture any more.
cudaError_t begin_uncaptured() {
  if (const cudaError_t error = begin(); error != cudaSuccess) return error;
  if (capture_mode == cudaStreamCaptureModeRelaxed) return cudaSuccess;
  const std::lock_guard lock(cuda().mutex);
  for (FakeStream* stream : cuda().streams) {
    const auto& capture = stream->capture;
    if (capture == nullptr || capture->relaxed) continue;
    const bool forbids = capture->thread == std::this_thread::get_id() ||
                         (capture->every_thread && capture_mode == cudaStreamCaptureModeGlobal);
    if (!forbids) continue;
    capture->invalid = true;
    return said(cudaErrorStreamCaptureUnsupported);
  }
  return cudaSuccess;
}

/// Gives a command to a stream, or to its capture. Once a kernel has failed none runs any more, but marks are passed.
cudaError_t give(cudaStream_t stream, Command work) {
  Command command([work = std::move(work)] {
    if (cuda().broken == cudaSuccess) work();
  });
  FakeStream* const to = of(stream);
  const std::lock_guard lock(cuda().mutex);
  if (!cuda().streams.contains(to)) return said(cudaErrorInvalidResourceHandle);
  if (const auto& capture = to->capture) {
    if (capture->invalid) return said(cudaErrorStreamCaptureInvalidated);
    ++capture->streams[to].given;
    capture->commands.push_back(std::move(command));
    return cudaSuccess;
  }
  to->queue.give(std::move(command));
  return cudaSuccess;
}
/// Until what it was given so far has run. It must not be captured.
cudaError_t wait_for(cudaStream_t stream) {
  const auto mark = std::make_shared<Mark>();
  {
    const std::lock_guard lock(cuda().mutex);
    if (!cuda().streams.contains(of(stream))) return said(cudaErrorInvalidResourceHandle);
    if (const auto& capture = of(stream)->capture) {
      capture->invalid = true;
      return said(cudaErrorStreamCaptureUnsupported);
    }
    of(stream)->queue.give([mark] { mark->pass(); });
  }
  mark->await();
  return said(cuda().broken);
}
bool captured(cudaStream_t stream) {
  const std::lock_guard lock(cuda().mutex);
  return cuda().streams.contains(of(stream)) && of(stream)->capture != nullptr;
}

/// All that streams were given, of every device, as cudaFree does.
void wait_for_all() {
  std::vector<std::shared_ptr<Mark>> marks;
  {
    const std::lock_guard lock(cuda().mutex);
    for (FakeStream* stream : cuda().streams) {
      auto mark = std::make_shared<Mark>();
      stream->queue.give([mark] { mark->pass(); });
      marks.push_back(std::move(mark));
    }
    for (const auto& [stream, mark] : cuda().ending) marks.push_back(mark);
  }
  for (const auto& mark : marks) mark->await();
}

bool is_stream_of(cudaStream_t stream, int device) {
  const std::lock_guard lock(cuda().mutex);
  return cuda().streams.contains(of(stream)) && of(stream)->device == device;
}

void break_off(const ptx::Fault& fault) {
  const bool illegal = fault.kind == ptx::Fault::Kind::illegal_address;
  const bool misaligned = fault.kind == ptx::Fault::Kind::misaligned;
  std::fprintf(stderr, "fake CUDA: %s\n", fault.what());
  cuda().broken = illegal ? cudaErrorIllegalAddress : misaligned ? cudaErrorMisalignedAddress : cudaErrorLaunchFailure;
}

cudaError_t find_kernel(const void* function, std::shared_ptr<const ptx::Kernel>& kernel) {
  const std::lock_guard lock(cuda().mutex);
  const auto found = cuda().kernels.find(function);
  if (found == cuda().kernels.end()) return said(cudaErrorInvalidDeviceFunction);
  Registered& registered = found->second;
  try {
    if (registered.kernel == nullptr)
      registered.kernel = std::make_shared<const ptx::Kernel>(ptx::parse(*registered.text, registered.name));
  } catch (const std::runtime_error& error) {
    std::fprintf(stderr, "fake CUDA: %s\n", error.what());
    return said(cudaErrorInvalidPtx);
  }
  kernel = registered.kernel;
  return cudaSuccess;
}

/// The latest record() of an event that is there and was not recorded in a capture.
cudaError_t mark_of(cudaEvent_t event, std::shared_ptr<Mark>& mark) {
  if (const cudaError_t error = begin_uncaptured(); error != cudaSuccess) return error;
  const std::lock_guard lock(cuda().mutex);
  if (!cuda().events.contains(of(event))) return said(cudaErrorInvalidResourceHandle);
  if (of(event)->capture != nullptr) return said(cudaErrorCapturedEvent);
  mark = of(event)->latest.latest();
  return cudaSuccess;
}

FakeGraph* of(cudaGraph_t graph) { return reinterpret_cast<FakeGraph*>(graph); }
FakeGraph* of(cudaGraphExec_t graph) { return reinterpret_cast<FakeGraph*>(graph); }
cudaError_t destroy(FakeGraph* graph) {
  if (const cudaError_t error = begin(); error != cudaSuccess) return error;
  const std::lock_guard lock(cuda().mutex);
  if (cuda().graphs.erase(graph) == 0) return said(cudaErrorInvalidValue);
  delete graph;
  return cudaSuccess;
}

}  // namespace

namespace trireme::testing {

void fail_after_kernels(int kernels) { cuda().kernels_to_go = kernels; }
void count_traffic() {
  const std::lock_guard lock(cuda().mutex);
  cuda().traffic.clear();
  cuda().counts = true;
}
std::map<std::string, ptx::Traffic> counted_traffic() {
  cuda().counts = false;
  const std::lock_guard lock(cuda().mutex);
  return cuda().traffic;
}

}  // namespace trireme::testing

extern "C" {

// ---- what nvcc's objects call

void** __cudaRegisterFatBinary(void* wrapper) {
  return reinterpret_cast<void**>(new std::shared_ptr<const std::string>(new std::string(ptx_of(wrapper))));
}
void __cudaRegisterFatBinaryEnd(void**) {}
void __cudaUnregisterFatBinary(void**) {}
char __cudaInitModule(void**) { return 1; }
void __cudaRegisterFunction(void** binary, const char* function, char*, const char* name, int, uint3*, uint3*, dim3*,
                            dim3*, int*) {
  const std::lock_guard lock(cuda().mutex);
  cuda().kernels[function] = {name, *reinterpret_cast<std::shared_ptr<const std::string>*>(binary), nullptr};
}
// Launches as kernel<<<…>>>: not used.
cudaError_t __cudaPopCallConfiguration(dim3*, dim3*, std::size_t*, void*) { return said(cudaErrorNotSupported); }
cudaError_t __cudaGetKernel(cudaKernel_t*, const void*) { return said(cudaErrorNotSupported); }
cudaError_t __cudaLaunchKernel(cudaKernel_t, dim3, dim3, void**, std::size_t, cudaStream_t) {
  return said(cudaErrorNotSupported);
}

// ---- errors, versions, devices

cudaError_t cudaGetLastError() { return std::exchange(last_error, cuda().broken); }
const char* cudaGetErrorName(cudaError_t error) {
  switch (error) {
    case cudaSuccess: return "cudaSuccess";
    case cudaErrorInvalidValue: return "cudaErrorInvalidValue";
    case cudaErrorMemoryAllocation: return "cudaErrorMemoryAllocation";
    case cudaErrorInvalidDevice: return "cudaErrorInvalidDevice";
    case cudaErrorNoDevice: return "cudaErrorNoDevice";
    case cudaErrorInvalidResourceHandle: return "cudaErrorInvalidResourceHandle";
    case cudaErrorIllegalAddress: return "cudaErrorIllegalAddress";
    case cudaErrorMisalignedAddress: return "cudaErrorMisalignedAddress";
    case cudaErrorLaunchFailure: return "cudaErrorLaunchFailure";
    case cudaErrorStreamCaptureUnsupported: return "cudaErrorStreamCaptureUnsupported";
    case cudaErrorStreamCaptureInvalidated: return "cudaErrorStreamCaptureInvalidated";
    case cudaErrorStreamCaptureUnjoined: return "cudaErrorStreamCaptureUnjoined";
    case cudaErrorStreamCaptureIsolation: return "cudaErrorStreamCaptureIsolation";
    default: return "an error of the fake CUDA";
  }
}
const char* cudaGetErrorString(cudaError_t error) { return cudaGetErrorName(error); }
cudaError_t cudaDriverGetVersion(int* version) {
  return *version = cuda().devices == 0 ? 0 : CUDART_VERSION, cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int* version) { return *version = CUDART_VERSION, cudaSuccess; }
cudaError_t cudaGetDeviceCount(int* count) {
  *count = cuda().devices;
  return cuda().devices == 0 ? said(cudaErrorNoDevice) : cudaSuccess;
}
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
  if (device < 0 || device >= cuda().devices) return said(cudaErrorInvalidDevice);
  if (attribute != cudaDevAttrComputeMode) return said(cudaErrorInvalidValue);
  *value = cudaComputeModeDefault;
  return cudaSuccess;
}
cudaError_t cudaDeviceGetPCIBusId(char* text, int bytes, int device) {
  if (device < 0 || device >= cuda().devices) return said(cudaErrorInvalidDevice);
  std::snprintf(text, static_cast<std::size_t>(bytes), "0000:%02X:00.0", 0xfa - device);
  return cudaSuccess;
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  if (device < 0 || device >= cuda().devices) return said(cudaErrorInvalidDevice);
  *properties = {};
  std::snprintf(properties->name, sizeof properties->name, "fake CUDA device");
  properties->uuid.bytes[15] = static_cast<char>(device);
  properties->totalGlobalMem = device_bytes;
  properties->multiProcessorCount = 4;
  properties->major = 9;
  return cudaSuccess;
}
cudaError_t cudaGetDevice(int* device) { return *device = current_device, cudaSuccess; }
cudaError_t cudaSetDevice(int device) {
  if (device < 0 || device >= cuda().devices) return said(cudaErrorInvalidDevice);
  current_device = device;
  return begin();
}
cudaError_t cudaDeviceCanAccessPeer(int* can, int device, int peer) { return *can = device != peer, cudaSuccess; }
cudaError_t cudaDeviceEnablePeerAccess(int peer, unsigned) {
  if (const cudaError_t error = begin(); error != cudaSuccess) return error;
  if (peer < 0 || peer >= cuda().devices || peer == current_device) return said(cudaErrorInvalidDevice);
  const std::uint64_t bit = std::uint64_t{1} << peer;
  const std::uint64_t before = cuda().peers[static_cast<std::size_t>(current_device)].fetch_or(bit);
  return (before & bit) != 0 ? said(cudaErrorPeerAccessAlreadyEnabled) : cudaSuccess;
}
cudaError_t cudaDeviceGetLimit(std::size_t* value, cudaLimit limit) {
  if (const cudaError_t error = begin(); error != cudaSuccess) return error;
  if (limit != cudaLimitStackSize) return said(cudaErrorInvalidValue);
  *value = std::max<std::size_t>(1024, cuda().stack_limit[static_cast<std::size_t>(current_device)]);
  return cudaSuccess;
}
cudaError_t cudaDeviceSetLimit(cudaLimit limit, std::size_t value) {
  if (const cudaError_t error = begin(); error != cudaSuccess) return error;
  if (limit != cudaLimitStackSize) return said(cudaErrorInvalidValue);
  cuda().stack_limit[static_cast<std::size_t>(current_device)] = value;
  return cudaSuccess;
}

// ---- functions of the driver's library

namespace {
int driver_device(int* device, int ordinal) { return *device = ordinal, 0; }
int driver_context_state(int device, unsigned* flags, int* active) {
  *flags = 0;
  *active = cuda().active[static_cast<std::size_t>(device)] ? 1 : 0;
  return 0;
}
int driver_address_range(std::uintptr_t* begin, std::size_t* bytes, std::uintptr_t address) {
  const auto found = cuda().memory.find(reinterpret_cast<const void*>(address));
  if (!found || found->allocation.device == FakeMemory::host) return 500;  // CUDA_ERROR_NOT_FOUND
  *begin = found->begin;
  *bytes = found->allocation.bytes;
  return 0;
}
}  // namespace
cudaError_t cudaGetDriverEntryPointByVersion(const char* name, void** function, unsigned, unsigned long long,
                                             cudaDriverEntryPointQueryResult* result) {
  *function = nullptr;
  if (std::strcmp(name, "cuDeviceGet") == 0) *function = reinterpret_cast<void*>(&driver_device);
  if (std::strcmp(name, "cuDevicePrimaryCtxGetState") == 0) *function = reinterpret_cast<void*>(&driver_context_state);
  if (std::strcmp(name, "cuMemGetAddressRange") == 0) *function = reinterpret_cast<void*>(&driver_address_range);
  *result = *function == nullptr ? cudaDriverEntryPointSymbolNotFound : cudaDriverEntryPointSuccess;
  return cudaSuccess;
}

// ---- memory

cudaError_t cudaMalloc(void** memory, std::size_t bytes) {
  if (const cudaError_t error = begin_uncaptured(); error != cudaSuccess) return error;
  *memory = bytes == 0 ? nullptr : cuda().memory.allocate(current_device, bytes);
  return bytes != 0 && *memory == nullptr ? said(cudaErrorMemoryAllocation) : cudaSuccess;
}
cudaError_t cudaFree(void* memory) {
  if (const cudaError_t error = begin_uncaptured(); error != cudaSuccess) return error;
  if (memory == nullptr) return cudaSuccess;
  wait_for_all();
  return cuda().memory.free(memory, FakeMemory::Kind::allocated) ? cudaSuccess : said(cudaErrorInvalidValue);
}
cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total) {
  if (const cudaError_t error = begin(); error != cudaSuccess) return error;
  *free = cuda().memory.free_bytes(current_device);
  *total = device_bytes;
  return cudaSuccess;
}
cudaError_t cudaHostAlloc(void** memory, std::size_t bytes, unsigned) {
  if (const cudaError_t error = begin_uncaptured(); error != cudaSuccess) return error;
  *memory = bytes == 0 ? nullptr : cuda().memory.allocate_pinned(bytes);
  return bytes != 0 && *memory == nullptr ? said(cudaErrorMemoryAllocation) : cudaSuccess;
}
cudaError_t cudaFreeHost(void* memory) {
  if (const cudaError_t error = begin_uncaptured(); error != cudaSuccess) return error;
  if (memory == nullptr) return cudaSuccess;
  wait_for_all();
  return cuda().memory.free(memory, FakeMemory::Kind::pinned) ? cudaSuccess : said(cudaErrorInvalidValue);
}
cudaError_t cudaHostRegister(void* memory, std::size_t bytes, unsigned) {
  if (const cudaError_t error = begin_uncaptured(); error != cudaSuccess) return error;
  if (memory == nullptr || bytes == 0) return said(cudaErrorInvalidValue);
  return cuda().memory.pin(memory, bytes) ? cudaSuccess : said(cudaErrorHostMemoryAlreadyRegistered);
}
cudaError_t cudaHostUnregister(void* memory) {
  if (const cudaError_t error = begin_uncaptured(); error != cudaSuccess) return error;
  wait_for_all();
  return cuda().memory.free(memory, FakeMemory::Kind::registered) ? cudaSuccess
                                                                  : said(cudaErrorHostMemoryNotRegistered);
}
cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* memory) {
  if (const cudaError_t error = begin(); error != cudaSuccess) return error;
  *attributes = {};
  attributes->type = cudaMemoryTypeUnregistered;
  attributes->device = -2;
  const auto found = cuda().memory.find(memory);
  if (!found) return cudaSuccess;
  const bool host = found->allocation.device == FakeMemory::host;
  attributes->type = host ? cudaMemoryTypeHost : cudaMemoryTypeDevice;
  attributes->device = host ? 0 : found->allocation.device;
  return cudaSuccess;
}
cudaError_t cudaIpcGetMemHandle(cudaIpcMemHandle_t* handle, void* memory) {
  if (const cudaError_t error = begin(); error != cudaSuccess) return error;
  const auto shared = cuda().memory.share(memory);
  if (!shared) return said(cudaErrorInvalidValue);
  static_assert(sizeof *shared <= sizeof *handle);
  std::memset(handle, 0, sizeof *handle);
  std::memcpy(handle, &*shared, sizeof *shared);
  return cudaSuccess;
}
cudaError_t cudaIpcOpenMemHandle(void** memory, cudaIpcMemHandle_t handle, unsigned) {
  if (const cudaError_t error = begin_uncaptured(); error != cudaSuccess) return error;
  FakeMemory::Handle shared{};
  std::memcpy(&shared, &handle, sizeof shared);
  if (shared.process == ::getpid()) return said(cudaErrorDeviceUninitialized);  // not in the process that made it
  if (shared.process <= 0 || shared.bytes == 0 || shared.bytes > device_bytes || shared.device < 0 ||
      shared.device >= cuda().devices)
    return said(cudaErrorInvalidValue);
  *memory = cuda().memory.import(current_device, shared);
  return *memory == nullptr ? said(cudaErrorInvalidResourceHandle) : cudaSuccess;
}
cudaError_t cudaIpcCloseMemHandle(void* memory) {
  if (const cudaError_t error = begin_uncaptured(); error != cudaSuccess) return error;
  wait_for_all();
  return cuda().memory.free(memory, FakeMemory::Kind::imported) ? cudaSuccess : said(cudaErrorInvalidValue);
}

// ---- streams

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  if (const cudaError_t error = begin(); error != cudaSuccess) return error;
  std::vector<std::unique_ptr<FakeStream>> ended;  // joined past the lock
  const std::lock_guard lock(cuda().mutex);
  std::erase_if(cuda().ending, [&](auto& each) {
    if (!each.second->passed()) return false;
    ended.push_back(std::move(each.first));
    return true;
  });
  auto made = std::make_unique<FakeStream>(current_device, 0x9e3779b97f4a7c15u * ++cuda().made);
  cuda().streams.insert(made.get());
  *stream = reinterpret_cast<cudaStream_t>(made.release());
  return cudaSuccess;
}
// What was given to it still runs, and nobody waits for that.
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  if (const cudaError_t error = begin(); error != cudaSuccess) return error;
  const std::lock_guard lock(cuda().mutex);
  if (cuda().streams.erase(of(stream)) == 0) return said(cudaErrorInvalidResourceHandle);
  auto mark = std::make_shared<Mark>();
  of(stream)->queue.give([mark] { mark->pass(); });
  cuda().ending.emplace_back(std::unique_ptr<FakeStream>(of(stream)), std::move(mark));
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  if (const cudaError_t error = begin(); error != cudaSuccess) return error;
  return wait_for(stream);
}
cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
  if (const cudaError_t error = begin(); error != cudaSuccess) return error;
  if (kind != cudaMemcpyDefault) return said(cudaErrorInvalidValue);
  FakeMemory& memory = cuda().memory;
  std::byte* const target = memory.bytes_of(to, bytes);
  const std::byte* const source = memory.bytes_of(from, bytes);
  if (target == nullptr || source == nullptr) return said(cudaErrorInvalidValue);
  const bool pageable_source = !memory.find(from), pageable_target = !memory.find(to);
  if (pageable_source && !pageable_target && !captured(stream)) {
    // Staged before the call returns.
    auto staged = std::make_shared<std::vector<std::byte>>(source, source + bytes);
    return give(stream, [target, staged] { std::memcpy(target, staged->data(), staged->size()); });
  }
  const cudaError_t error = give(stream, [target, source, bytes] { std::memcpy(target, source, bytes); });
  return error == cudaSuccess && pageable_target && !captured(stream) ? wait_for(stream) : error;
}
cudaError_t cudaMemsetAsync(void* memory, int value, std::size_t bytes, cudaStream_t stream) {
  if (const cudaError_t error = begin(); error != cudaSuccess) return error;
  std::byte* const target = cuda().memory.bytes_of(memory, bytes);
  if (target == nullptr || !cuda().memory.find(memory)) return said(cudaErrorInvalidValue);
  return give(stream, [target, value, bytes] { std::memset(target, value, bytes); });
}
cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t function, void* argument) {
  if (const cudaError_t error = begin(); error != cudaSuccess) return error;
  return give(stream, [function, argument] {
    in_host_function = true;
    function(argument);
    in_host_function = false;
  });
}

// ---- kernels

cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, const void* function) {
  if (const cudaError_t error = begin(); error != cudaSuccess) return error;
  std::shared_ptr<const ptx::Kernel> kernel;
  if (const cudaError_t error = find_kernel(function, kernel); error != cudaSuccess) return error;
  *attributes = {};
  attributes->maxThreadsPerBlock = static_cast<int>(kernel->most_threads);
  attributes->localSizeBytes = kernel->local_bytes;
  attributes->sharedSizeBytes = kernel->shared_bytes;
  return cudaSuccess;
}
cudaError_t cudaLaunchKernel(const void* function, dim3 grid, dim3 block, void** arguments, std::size_t shared,
                             cudaStream_t stream) {
  if (const cudaError_t error = begin(); error != cudaSuccess) return error;
  std::shared_ptr<const ptx::Kernel> kernel;
  if (const cudaError_t error = find_kernel(function, kernel); error != cudaSuccess) return error;
  if (grid.x == 0 || grid.x > 0x7fffffff || grid.y != 1 || grid.z != 1 || block.y != 1 || block.z != 1 || shared != 0)
    return said(cudaErrorInvalidConfiguration);
  if (block.x == 0 || block.x > kernel->most_threads || kernel->shared_bytes > 48 * 1024 || kernel->param_bytes > 32764)
    return said(cudaErrorLaunchOutOfResources);
  if (!is_stream_of(stream, current_device)) return said(cudaErrorInvalidResourceHandle);
  const auto* const first = static_cast<const std::byte*>(arguments[0]);
  std::vector<std::byte> params(first, first + kernel->param_bytes);
  const int device = current_device;
  const std::uint64_t seed = ++cuda().launches * 0x9e3779b97f4a7c15u;
  return give(stream, [kernel, params = std::move(params), threads = block.x, blocks = grid.x, device, seed] {
    try {
      if (cuda().kernels_to_go >= 0 && cuda().kernels_to_go-- == 0)
        throw ptx::Fault(ptx::Fault::Kind::illegal_address,
                         "kernel " + kernel->name + " fails because a test asks for it");
      ptx::Traffic moved;
      ptx::Machine machine(*kernel, params, threads, blocks,
                           cuda().memory.reachable(device, cuda().peers[static_cast<std::size_t>(device)]),
                           {.traffic = cuda().counts ? &moved : nullptr, .races = cuda().looks_for_races});
      // In any order, but where a block may wait for one of another rank, which goes in the same order then.
      const auto order = trireme::device::detail::ThreadOrder::of(blocks, seed);
      for (unsigned k = 0; k < blocks; ++k) {
        const unsigned each = kernel->waits ? k : order(k);
        machine.run_block(each, seed + each);
      }
      if (!cuda().counts) return;
      const std::lock_guard lock(cuda().mutex);
      ptx::Traffic& all = cuda().traffic[kernel->name];
      all.requested += moved.requested;
      all.moved += moved.moved;
      all.accesses += moved.accesses;
      all.least += moved.least;
    } catch (const ptx::Fault& fault) {
      break_off(fault);
    }
  });
}

// ---- events

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  if (const cudaError_t error = begin(); error != cudaSuccess) return error;
  auto* const made = new FakeEvent{.device = current_device, .latest = {}, .capture = nullptr};
  const std::lock_guard lock(cuda().mutex);
  cuda().events.insert(made);
  *event = reinterpret_cast<cudaEvent_t>(made);
  return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  if (const cudaError_t error = begin(); error != cudaSuccess) return error;
  const std::lock_guard lock(cuda().mutex);
  if (cuda().events.erase(of(event)) == 0) return said(cudaErrorInvalidResourceHandle);
  delete of(event);
  return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  if (const cudaError_t error = begin(); error != cudaSuccess) return error;
  const std::lock_guard lock(cuda().mutex);
  if (!cuda().events.contains(of(event)) || !cuda().streams.contains(of(stream)) ||
      of(stream)->device != of(event)->device)
    return said(cudaErrorInvalidResourceHandle);
  if (const auto& capture = of(stream)->capture) {
    if (capture->invalid) return said(cudaErrorStreamCaptureInvalidated);
    of(event)->capture = capture;
    of(event)->stream = of(stream);
    of(event)->given = capture->streams[of(stream)].given;
    return cudaSuccess;
  }
  auto mark = std::make_shared<Mark>();
  of(event)->capture = nullptr;
  of(event)->latest.set(mark);
  of(stream)->queue.give([mark] { mark->pass(); });
  return cudaSuccess;
}
cudaError_t cudaEventQuery(cudaEvent_t event) {
  std::shared_ptr<Mark> mark;
  if (const cudaError_t error = mark_of(event, mark); error != cudaSuccess) return error;
  return mark == nullptr || mark->passed() ? cudaSuccess : said(cudaErrorNotReady);
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  std::shared_ptr<Mark> mark;
  if (const cudaError_t error = mark_of(event, mark); error != cudaSuccess) return error;
  if (mark != nullptr) mark->await();
  return said(cuda().broken);
}
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  if (const cudaError_t error = begin(); error != cudaSuccess) return error;
  const std::lock_guard lock(cuda().mutex);
  if (!cuda().events.contains(of(event)) || !cuda().streams.contains(of(stream)))
    return said(cudaErrorInvalidResourceHandle);
  auto& capture = of(stream)->capture;
  if (const auto& theirs = of(event)->capture) {
    if (theirs->ended) return said(cudaErrorCapturedEvent);
    if (theirs->invalid) return said(cudaErrorStreamCaptureInvalidated);
    if (capture != nullptr && capture != theirs) return said(cudaErrorStreamCaptureMerge);
    capture = theirs;
    theirs->streams[of(stream)];
    auto& waited = theirs->streams[of(event)->stream].waited;
    waited = std::max(waited, of(event)->given);
    return cudaSuccess;
  }
  const auto mark = of(event)->latest.latest();
  if (mark == nullptr) return cudaSuccess;
  if (capture != nullptr) {
    capture->invalid = true;
    return said(cudaErrorStreamCaptureIsolation);
  }
  of(stream)->queue.give([mark] { mark->await(); });
  return cudaSuccess;
}

// ---- graphs

cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode* mode) {
  std::swap(*mode, capture_mode);
  return cudaSuccess;
}
cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode) {
  if (const cudaError_t error = begin(); error != cudaSuccess) return error;
  const std::lock_guard lock(cuda().mutex);
  if (!cuda().streams.contains(of(stream))) return said(cudaErrorInvalidResourceHandle);
  if (of(stream)->capture != nullptr) return said(cudaErrorIllegalState);
  auto capture = std::make_shared<Capture>();
  capture->origin = of(stream);
  capture->thread = std::this_thread::get_id();
  capture->relaxed = mode == cudaStreamCaptureModeRelaxed;
  capture->every_thread = mode == cudaStreamCaptureModeGlobal;
  capture->streams[of(stream)];
  of(stream)->capture = std::move(capture);
  return cudaSuccess;
}
cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status) {
  if (const cudaError_t error = begin(); error != cudaSuccess) return error;
  const std::lock_guard lock(cuda().mutex);
  if (!cuda().streams.contains(of(stream))) return said(cudaErrorInvalidResourceHandle);
  const auto& capture = of(stream)->capture;
  *status = capture == nullptr ? cudaStreamCaptureStatusNone
            : capture->invalid ? cudaStreamCaptureStatusInvalidated
                               : cudaStreamCaptureStatusActive;
  return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  if (const cudaError_t error = begin(); error != cudaSuccess) return error;
  *graph = nullptr;
  const std::lock_guard lock(cuda().mutex);
  if (!cuda().streams.contains(of(stream))) return said(cudaErrorInvalidResourceHandle);
  const auto capture = of(stream)->capture;
  if (capture == nullptr) return said(cudaErrorIllegalState);
  if (capture->origin != of(stream)) return said(cudaErrorStreamCaptureUnmatched);
  if (capture->thread != std::this_thread::get_id() && !capture->relaxed)
    return said(cudaErrorStreamCaptureWrongThread);
  capture->ended = true;
  bool unjoined = false;
  for (FakeStream* each : cuda().streams) {
    if (each->capture != capture) continue;
    each->capture = nullptr;
    const Capture::Joined& joined = capture->streams[each];
    unjoined = unjoined || (each != of(stream) && joined.waited < joined.given);
  }
  if (capture->invalid) return said(cudaErrorStreamCaptureInvalidated);
  if (unjoined) return said(cudaErrorStreamCaptureUnjoined);
  auto* const made = new FakeGraph{capture->commands};
  cuda().graphs.insert(made);
  *graph = reinterpret_cast<cudaGraph_t>(made);
  return cudaSuccess;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph, unsigned long long) {
  if (const cudaError_t error = begin(); error != cudaSuccess) return error;
  const std::lock_guard lock(cuda().mutex);
  if (!cuda().graphs.contains(of(graph))) return said(cudaErrorInvalidValue);
  auto* const made = new FakeGraph(*of(graph));
  cuda().graphs.insert(made);
  *executable = reinterpret_cast<cudaGraphExec_t>(made);
  return cudaSuccess;
}
cudaError_t cudaGraphUpload(cudaGraphExec_t, cudaStream_t) { return begin(); }
cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  if (const cudaError_t error = begin(); error != cudaSuccess) return error;
  std::vector<Command> commands;
  {
    const std::lock_guard lock(cuda().mutex);
    if (!cuda().graphs.contains(of(executable))) return said(cudaErrorInvalidValue);
    commands = of(executable)->commands;
  }
  for (Command& command : commands) {
    if (const cudaError_t error = give(stream, std::move(command)); error != cudaSuccess) return error;
  }
  return cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) { return destroy(of(graph)); }
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t graph) { return destroy(of(graph)); }

}  // extern "C"
