// SPDX-License-Identifier: Apache-2.0
#include "optim/host_work.hpp"
#include "optim/on_device.hpp"
#include "optim/state_file.hpp"
#include "optim/state_layout.hpp"
#include "trireme/base/error.hpp"
#include "trireme/optim/optimizer.hpp"

#include <cstring>
#include <string>
#include <utility>

namespace trireme {

void Optimizer::offload(const OffloadOptions& options) {
  settle();
  refuse_half_done();
  if (host_->file)
    fail(ErrorCode::invalid_argument, std::string(name()) + ": offload(): the state is in a file already");
  host_->file = std::make_shared<optim::StateFile>(options.folder);
  host_->piece_bytes = options.buffer.value;
  States moved;
  try {
    for (const auto& [parameter, state] : states_) {
      State fresh = make_state({state.dtype, state.shape, state.first, state.count}, false);
      fresh.steps = state.steps;
      fresh.group = state.group;
      const auto from = named_tensors(state), to = named_tensors(fresh);
      for (std::size_t i = 0; i < to.size(); ++i) {
        const TensorView &there = from[i].second, &here = to[i].second;
        if (optim::on_a_device(there.device))
          on_device_->copy(here.data, there.data, there.size_bytes());
        else if (there.count != 0)
          std::memcpy(here.data, there.data, there.size_bytes());
      }
      if (optim::on_a_device(state.device)) on_device_->synchronize();
      if (fresh.extent) fresh.extent->unmap();
      moved.emplace(parameter, std::move(fresh));
    }
  } catch (...) {
    moved.clear();
    host_->file.reset();
    throw;
  }
  states_ = std::move(moved);
}

OffloadUse Optimizer::offloaded() const {
  if (!host_->file) return {};
  return {.file_bytes = host_->file->bytes(), .memory_bytes = host_->buffer_bytes()};
}

void Optimizer::unmap() const {
  if (!std::exchange(host_->has_mappings, false)) return;
  for (auto& [parameter, state] : states_)
    if (state.extent) state.extent->unmap();
}

void Optimizer::refuse_half_done() const {
  if (host_->half_done.empty()) return;
  fail(ErrorCode::invalid_argument, std::string(name()) + ": the step before was done in part only (" +
                                        host_->half_done + "): forget(), and restore what was saved");
}

}  // namespace trireme
