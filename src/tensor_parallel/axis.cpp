// SPDX-License-Identifier: Apache-2.0
#include "trireme/tensor_parallel/axis.hpp"

#include <utility>

namespace trireme::tensor_parallel {

Axis::Axis(Communicator communicator, const AxisOptions& options)
    : communicator_(std::move(communicator)), options_(options) {}

CallOptions Axis::call(std::string_view label) const {
  return {.deadline = options_.deadline, .order = options_.order, .label = label};
}

std::byte* Axis::scratch(Scratch kind, std::size_t bytes) {
  ArenaBuffer& buffer = buffers_[static_cast<std::size_t>(kind)];
  if (buffer.bytes().size() < bytes) {
    buffer = {};  // before the larger one is asked for
    buffer = communicator_.memory().allocate(Bytes{bytes});
  }
  return buffer.bytes().data();
}

}  // namespace trireme::tensor_parallel
