// SPDX-License-Identifier: Apache-2.0
// The fake refuses what CUDA's documentation says that CUDA refuses; otherwise tests on it would pass what fails on a GPU.
#include "trireme/device/cuda.hpp"

#include <catch2/catch.hpp>
#include <cuda_runtime_api.h>

#include <thread>
#include <vector>

namespace {

struct Cuda {
  Cuda() {
    REQUIRE(cudaSetDevice(0) == cudaSuccess);
    REQUIRE(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking) == cudaSuccess);
    REQUIRE(cudaStreamCreateWithFlags(&other, cudaStreamNonBlocking) == cudaSuccess);
    REQUIRE(cudaEventCreateWithFlags(&event, cudaEventDisableTiming) == cudaSuccess);
    REQUIRE(cudaMalloc(&memory, 64) == cudaSuccess);
  }
  ~Cuda() {
    cudaSetDevice(0);
    cudaFree(memory);
    cudaEventDestroy(event);
    cudaStreamDestroy(stream);
    cudaStreamDestroy(other);
    cudaGetLastError();
  }
  cudaStream_t stream = nullptr, other = nullptr;
  cudaEvent_t event = nullptr;
  void* memory = nullptr;
};

cudaStreamCaptureStatus status_of(cudaStream_t stream) {
  cudaStreamCaptureStatus status{};
  CHECK(cudaStreamIsCapturing(stream, &status) == cudaSuccess);
  return status;
}

}  // namespace

TEST_CASE("what a capture forbids ends it: waiting, allocating, freeing, asking for events", "[device]") {
  Cuda cuda;
  void* more = nullptr;
  const auto forbidden = GENERATE(0, 1, 2, 3, 4);
  CAPTURE(forbidden);
  REQUIRE(cudaStreamBeginCapture(cuda.stream, cudaStreamCaptureModeThreadLocal) == cudaSuccess);
  const cudaError_t said = forbidden == 0   ? cudaStreamSynchronize(cuda.stream)
                           : forbidden == 1 ? cudaMalloc(&more, 8)
                           : forbidden == 2 ? cudaHostAlloc(&more, 8, 0)
                           : forbidden == 3 ? cudaEventQuery(cuda.event)
                                            : cudaEventSynchronize(cuda.event);
  CHECK(said == cudaErrorStreamCaptureUnsupported);
  CHECK(status_of(cuda.stream) == cudaStreamCaptureStatusInvalidated);
  CHECK(cudaMemsetAsync(cuda.memory, 0, 8, cuda.stream) == cudaErrorStreamCaptureInvalidated);
  cudaGraph_t graph = nullptr;
  CHECK(cudaStreamEndCapture(cuda.stream, &graph) == cudaErrorStreamCaptureInvalidated);
  CHECK(graph == nullptr);
  CHECK(cudaMemsetAsync(cuda.memory, 0, 8, cuda.stream) == cudaSuccess);
}

TEST_CASE("other threads, and those that exchange their mode, do not break a capture that is local to its thread",
          "[device]") {
  Cuda cuda;
  REQUIRE(cudaStreamBeginCapture(cuda.stream, cudaStreamCaptureModeThreadLocal) == cudaSuccess);
  std::thread([] {
    void* memory = nullptr;
    CHECK(cudaMalloc(&memory, 8) == cudaSuccess);
    CHECK(cudaFree(memory) == cudaSuccess);
  }).join();
  cudaStreamCaptureMode mode = cudaStreamCaptureModeRelaxed;
  CHECK(cudaThreadExchangeStreamCaptureMode(&mode) == cudaSuccess);
  CHECK(cudaEventQuery(cuda.event) == cudaSuccess);
  CHECK(cudaThreadExchangeStreamCaptureMode(&mode) == cudaSuccess);
  CHECK(mode == cudaStreamCaptureModeRelaxed);
  CHECK(status_of(cuda.stream) == cudaStreamCaptureStatusActive);
  cudaGraph_t graph = nullptr;
  std::thread([&] { CHECK(cudaStreamEndCapture(cuda.stream, &graph) == cudaErrorStreamCaptureWrongThread); }).join();
  CHECK(cudaStreamEndCapture(cuda.stream, &graph) == cudaSuccess);
  CHECK(cudaGraphDestroy(graph) == cudaSuccess);
  CHECK(cudaGraphDestroy(graph) == cudaErrorInvalidValue);
}

TEST_CASE("a stream joins a capture by an event and has to come back", "[device]") {
  Cuda cuda;
  cudaEvent_t back = nullptr;
  REQUIRE(cudaEventCreateWithFlags(&back, cudaEventDisableTiming) == cudaSuccess);
  const bool joins = GENERATE(false, true);
  CAPTURE(joins);
  REQUIRE(cudaStreamBeginCapture(cuda.stream, cudaStreamCaptureModeThreadLocal) == cudaSuccess);
  CHECK(cudaEventRecord(cuda.event, cuda.stream) == cudaSuccess);
  CHECK(cudaStreamWaitEvent(cuda.other, cuda.event, 0) == cudaSuccess);
  CHECK(status_of(cuda.other) == cudaStreamCaptureStatusActive);
  CHECK(cudaMemsetAsync(cuda.memory, 1, 8, cuda.other) == cudaSuccess);
  CHECK(cudaEventRecord(back, cuda.other) == cudaSuccess);
  if (joins) CHECK(cudaStreamWaitEvent(cuda.stream, back, 0) == cudaSuccess);
  cudaGraph_t graph = nullptr;
  CHECK(cudaStreamEndCapture(cuda.stream, &graph) == (joins ? cudaSuccess : cudaErrorStreamCaptureUnjoined));
  CHECK((graph != nullptr) == joins);
  CHECK(status_of(cuda.other) == cudaStreamCaptureStatusNone);
  // The event was one of the capture, which is no more.
  CHECK(cudaEventQuery(cuda.event) == cudaErrorCapturedEvent);
  CHECK(cudaStreamWaitEvent(cuda.other, cuda.event, 0) == cudaErrorCapturedEvent);
  CHECK(cudaEventRecord(cuda.event, cuda.stream) == cudaSuccess);
  CHECK(cudaEventSynchronize(cuda.event) == cudaSuccess);
  cudaEventDestroy(back);
}

TEST_CASE("a captured stream does not wait for what lies outside of the capture", "[device]") {
  Cuda cuda;
  REQUIRE(cudaEventRecord(cuda.event, cuda.other) == cudaSuccess);
  REQUIRE(cudaStreamBeginCapture(cuda.stream, cudaStreamCaptureModeThreadLocal) == cudaSuccess);
  CHECK(cudaStreamWaitEvent(cuda.stream, cuda.event, 0) == cudaErrorStreamCaptureIsolation);
  cudaGraph_t graph = nullptr;
  CHECK(cudaStreamEndCapture(cuda.stream, &graph) == cudaErrorStreamCaptureInvalidated);
}

TEST_CASE("events and streams belong to their devices, and to nobody once they are destroyed", "[device]") {
  Cuda cuda;
  REQUIRE(cudaSetDevice(1) == cudaSuccess);
  cudaEvent_t elsewhere = nullptr;
  REQUIRE(cudaEventCreateWithFlags(&elsewhere, cudaEventDisableTiming) == cudaSuccess);
  CHECK(cudaEventRecord(elsewhere, cuda.stream) == cudaErrorInvalidResourceHandle);
  CHECK(cudaEventDestroy(elsewhere) == cudaSuccess);
  CHECK(cudaEventDestroy(elsewhere) == cudaErrorInvalidResourceHandle);
  CHECK(cudaEventRecord(elsewhere, cuda.stream) == cudaErrorInvalidResourceHandle);
  cudaStream_t gone = nullptr;
  REQUIRE(cudaStreamCreateWithFlags(&gone, cudaStreamNonBlocking) == cudaSuccess);
  REQUIRE(cudaStreamDestroy(gone) == cudaSuccess);
  CHECK(cudaStreamSynchronize(gone) == cudaErrorInvalidResourceHandle);
  CHECK(cudaMemsetAsync(cuda.memory, 0, 8, gone) == cudaErrorInvalidResourceHandle);
}

TEST_CASE("copies and fills stay inside of allocations, and frees begin where these do", "[device]") {
  Cuda cuda;
  auto* const bytes = static_cast<char*>(cuda.memory);
  std::vector<char> host(128);
  CHECK(cudaMemcpyAsync(bytes, host.data(), 65, cudaMemcpyDefault, cuda.stream) == cudaErrorInvalidValue);
  CHECK(cudaMemcpyAsync(host.data(), bytes + 60, 8, cudaMemcpyDefault, cuda.stream) == cudaErrorInvalidValue);
  CHECK(cudaMemsetAsync(bytes + 60, 0, 8, cuda.stream) == cudaErrorInvalidValue);
  CHECK(cudaMemsetAsync(host.data(), 0, 8, cuda.stream) == cudaErrorInvalidValue);
  void* pinned = nullptr;
  REQUIRE(cudaHostAlloc(&pinned, 64, 0) == cudaSuccess);
  CHECK(cudaMemcpyAsync(pinned, bytes, 64, cudaMemcpyDefault, cuda.stream) == cudaSuccess);
  CHECK(cudaMemcpyAsync(static_cast<char*>(pinned) + 8, bytes, 64, cudaMemcpyDefault, cuda.stream) ==
        cudaErrorInvalidValue);
  CHECK(cudaFree(bytes + 8) == cudaErrorInvalidValue);
  CHECK(cudaFree(pinned) == cudaErrorInvalidValue);
  CHECK(cudaFreeHost(pinned) == cudaSuccess);
  CHECK(cudaHostRegister(host.data(), 64, 0) == cudaSuccess);
  CHECK(cudaHostRegister(host.data() + 8, 64, 0) == cudaErrorHostMemoryAlreadyRegistered);
  CHECK(cudaHostUnregister(host.data()) == cudaSuccess);
  CHECK(cudaHostUnregister(host.data()) == cudaErrorHostMemoryNotRegistered);
  cudaIpcMemHandle_t handle{};
  CHECK(cudaIpcGetMemHandle(&handle, bytes) == cudaSuccess);
  void* again = nullptr;
  CHECK(cudaIpcOpenMemHandle(&again, handle, 0) == cudaErrorDeviceUninitialized);
  CHECK(cudaIpcGetMemHandle(&handle, bytes + 8) == cudaSuccess);  // of the whole allocation
}

TEST_CASE("a host function calls nothing of CUDA", "[device]") {
  Cuda cuda;
  cudaError_t said = cudaSuccess;
  const auto call = [](void* result) { *static_cast<cudaError_t*>(result) = cudaFree(nullptr); };
  CHECK(cudaLaunchHostFunc(cuda.stream, call, &said) == cudaSuccess);
  CHECK(cudaStreamSynchronize(cuda.stream) == cudaSuccess);
  CHECK(said == cudaErrorNotPermitted);
}
