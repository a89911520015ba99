// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace trireme::testing {

/// While it lives, this thread gets no memory with an alignment of its own (a model's tensors): std::bad_alloc.
class ScarceHeap {
 public:
  ScarceHeap() noexcept;
  ~ScarceHeap();
  ScarceHeap(const ScarceHeap&) = delete;
  ScarceHeap& operator=(const ScarceHeap&) = delete;
};

}  // namespace trireme::testing
