// SPDX-License-Identifier: Apache-2.0
#include "comm/operation.hpp"

#include "comm/group.hpp"

namespace trireme::comm {

std::string Operation::name() const {
  return std::string(plan::name_of(request.collective)) + " #" + std::to_string(sequence);
}

std::string Operation::title() const {
  return name() + (request.label[0] != '\0' ? " '" + std::string(request.label.data()) + "'" : "");
}

bool Operation::drive(Deadline until) noexcept { return group->drive(*this, until); }

void Operation::order(Stream stream) noexcept { group->order(*this, stream); }

void Operation::release() noexcept {
  drive(Deadline::never());
  // The group may live by this operation alone: it is let go of only when nothing of it is touched any more.
  const std::shared_ptr<Group> keep = std::move(keeper);
  keep->recycle(*this);
}

}  // namespace trireme::comm
