// SPDX-License-Identifier: Apache-2.0
#include "engines/device/staging_area.hpp"

#include "trireme/base/error.hpp"

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

StagingArea::~StagingArea() {
  bell->let_go();
  for (const auto* stream : {&in, &out}) {
    try {
      stream->synchronize();  // copies alone
    } catch (const Exception&) {
      // A device that has failed runs nothing more.
    }
  }
}

}  // namespace trireme::engines::device
