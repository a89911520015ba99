// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/device/runtime.hpp"

#include <memory>
#include <utility>

namespace trireme::testing {

/// Hands everything to another runtime: to override what a test looks at, or refuses.
class ForwardingRuntime : public device::Runtime {
 public:
  explicit ForwardingRuntime(std::shared_ptr<device::Runtime> real) : real_(std::move(real)) {}

  std::string_view name() const noexcept override { return real_->name(); }
  device::Versions versions() const override { return real_->versions(); }
  int devices() const noexcept override { return real_->devices(); }
  device::Properties properties(int device) const override { return real_->properties(device); }
  bool reaches(int device, int peer) const override { return real_->reaches(device, peer); }
  void reach(int device, int peer) override { real_->reach(device, peer); }
  void* allocate(int device, std::size_t bytes) override { return real_->allocate(device, bytes); }
  void free(int device, void* memory) noexcept override { real_->free(device, memory); }
  void* allocate_pinned(std::size_t bytes) override { return real_->allocate_pinned(bytes); }
  void free_pinned(void* memory) noexcept override { real_->free_pinned(memory); }
  std::size_t frees_held() const noexcept override { return real_->frees_held(); }
  void pin(void* memory, std::size_t bytes) override { real_->pin(memory, bytes); }
  void unpin(void* memory) noexcept override { real_->unpin(memory); }
  std::optional<Device> owner(const void* memory) const override { return real_->owner(memory); }
  device::SharedAllocation share(int device, void* memory, std::size_t bytes) override {
    return real_->share(device, memory, bytes);
  }
  void* import(int device, const device::SharedAllocation& allocation) override {
    return real_->import(device, allocation);
  }
  void forget(int device, void* imported) noexcept override { real_->forget(device, imported); }
  Stream make_stream(int device) override { return real_->make_stream(device); }
  void destroy(Stream stream) noexcept override { real_->destroy(stream); }
  void synchronize(Stream stream) override { real_->synchronize(stream); }
  void copy(void* to, const void* from, std::size_t bytes, Stream stream) override {
    real_->copy(to, from, bytes, stream);
  }
  void fill(void* memory, std::byte value, std::size_t bytes, Stream stream) override {
    real_->fill(memory, value, bytes, stream);
  }
  void launch(const device::Launch& launch, Stream stream) override { real_->launch(launch, stream); }
  void call(void (*function)(void*) noexcept, void* argument, Stream stream) override {
    real_->call(function, argument, stream);
  }
  void* make_event(int device) override { return real_->make_event(device); }
  void destroy_event(int device, void* event) noexcept override { real_->destroy_event(device, event); }
  void record(void* event, Stream stream) override { real_->record(event, stream); }
  bool passed(void* event) override { return real_->passed(event); }
  void await(void* event) override { real_->await(event); }
  void wait(Stream stream, void* event) override { real_->wait(stream, event); }
  void begin_capture(Stream stream) override { real_->begin_capture(stream); }
  void* end_capture(Stream stream) override { return real_->end_capture(stream); }
  bool capturing(Stream stream) override { return real_->capturing(stream); }
  void launch_graph(void* graph, Stream stream) override { real_->launch_graph(graph, stream); }
  void destroy_graph(void* graph) noexcept override { real_->destroy_graph(graph); }
  void load(std::span<const device::KernelEntry* const> kernels) override { real_->load(kernels); }

 private:
  std::shared_ptr<device::Runtime> real_;
};

}  // namespace trireme::testing
