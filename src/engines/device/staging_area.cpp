// SPDX-License-Identifier: Apache-2.0
#include "engines/device/staging_area.hpp"

#include "trireme/base/error.hpp"

#include <thread>
#include <utility>

namespace trireme::engines::device {

void Bell::ring_behind(trireme::device::Runtime& runtime, Stream watch) {
  users_.fetch_add(1, std::memory_order_relaxed);
  try {
    runtime.call(&Bell::rung, this, watch);
  } catch (...) {
    forget();
    throw;
  }
}

void Bell::rung(void* pointer) noexcept {
  auto& bell = *static_cast<Bell*>(pointer);
  {
    const std::lock_guard lock(bell.mutex_);
    if (bell.endpoint_ != nullptr) bell.endpoint_->wake();
  }
  bell.forget();
}

void Bell::let_go() noexcept {
  {
    const std::lock_guard lock(mutex_);
    endpoint_ = nullptr;
  }
  forget();
}

void Bell::forget() noexcept {
  if (users_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
}

bool StagingArea::comes_to_rest(std::chrono::milliseconds patience) noexcept {
  const auto limit = std::chrono::steady_clock::now() + patience;
  try {
    for (const auto* stream : {&in, &out}) {
      trireme::device::OwnedEvent last(runtime, stream->get().device.index);
      last.record(stream->get());
      while (!last.passed()) {
        if (std::chrono::steady_clock::now() > limit) return false;
        std::this_thread::yield();
      }
    }
  } catch (const Exception&) {
    // A device that has failed runs nothing more.
  }
  return true;
}

std::shared_ptr<StagingArea> make_staging_area(std::shared_ptr<trireme::device::Runtime> runtime, int device,
                                               std::shared_ptr<transport::Arena> arena,
                                               const transport::Endpoint& endpoint,
                                               std::chrono::milliseconds patience) {
  const auto end = [patience](StagingArea* area) {
    area->bell->let_go();
    if (area->comes_to_rest(patience)) delete area;
  };
  return {new StagingArea(std::move(runtime), device, std::move(arena), endpoint), end};
}

}  // namespace trireme::engines::device
