// SPDX-License-Identifier: Apache-2.0
#include "device/cuda/presence.hpp"

#include "trireme/base/error.hpp"
#include "trireme/device/cuda.hpp"

#include <catch2/catch.hpp>

#include <string>

using namespace trireme;
using device::Presence;
using Answer = device::Presence::Answer;
using Catch::Matchers::Contains;

TEST_CASE("why there is no CUDA is one line that says what to do") {
  const auto why = [](const Presence& presence) {
    const std::string text = device::why_no_cuda(presence);
    CHECK(text.find('\n') == std::string::npos);
    return text;
  };
  const device::Versions versions{.driver = 12040, .runtime = 13000};
  CHECK_THAT(why({.answer = Answer::no_driver, .versions = {.runtime = 13000}}),
             Contains("no NVIDIA driver") && Contains("libcuda.so.1") && Contains("install"));
  CHECK_THAT(why({.answer = Answer::stub_driver}), Contains("stub") && Contains("LD_LIBRARY_PATH"));
  CHECK_THAT(why({.answer = Answer::old_driver, .versions = versions}),
             Contains("too old") && Contains("up to 12.4") && Contains("built with CUDA 13.0") && Contains("update"));
  CHECK_THAT(why({.answer = Answer::no_device, .versions = versions}),
             Contains("finds no GPU") && Contains("--gpus all"));
  CHECK_THAT(why({.answer = Answer::no_device, .versions = versions, .visible = "7"}),
             Contains("CUDA_VISIBLE_DEVICES is '7'"));
  CHECK_THAT(why({.answer = Answer::no_device, .versions = versions, .visible = ""}),
             Contains("CUDA_VISIBLE_DEVICES is ''"));
  CHECK_THAT(why({.answer = Answer::not_ready, .failure = "cudaErrorSystemNotReady (x)"}),
             Contains("cudaErrorSystemNotReady (x)") && Contains("fabricmanager"));
  CHECK_THAT(why({.answer = Answer::failed, .failure = "cudaErrorUnknown (unknown error)"}),
             Contains("cudaErrorUnknown (unknown error)") && Contains("nvidia-smi"));
  CHECK_THAT(why({.versions = versions, .devices = 2, .prohibited = 2}),
             Contains("none of the 2 GPUs") && Contains("prohibited") && Contains("nvidia-smi"));
  CHECK_THAT(why({.versions = versions}), Contains("finds no GPU"));
}

TEST_CASE("there is CUDA when one device lets a program in") {
  CHECK(device::why_no_cuda({.devices = 2, .prohibited = 1}).empty());
  CHECK(device::why_no_cuda({.devices = 1, .visible = "0"}).empty());
}

TEST_CASE("CUDA's runtime is there, or refused with the reason") {
  const std::string reason = device::why_no_cuda();
  if (reason.empty()) {
    CHECK(device::cuda_runtime()->name() == "cuda");
    CHECK(device::cuda_runtime() == device::cuda_runtime());
    CHECK(device::cuda_runtime()->versions().runtime == device::cuda_versions().runtime);
    return;
  }
  try {
    device::cuda_runtime();
    FAIL("a runtime was given, although: " << reason);
  } catch (const Exception& exception) {
    CHECK(exception.error().code == ErrorCode::unsupported);
    CHECK(exception.error().message == reason);
  }
}
