// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ps/credit.hpp"
#include "ps/message.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

namespace trireme::ps {

/// One worker's part of a sum that waits for the others'.
struct Contribution {
  WorkerId worker = 0;
  Push push{};
  std::shared_ptr<Payload> payload{};  ///< null: none came
  std::shared_ptr<Credit::Room> room{};
};

/// By rank; empty where nobody has pushed.
using Contributions = std::vector<std::optional<Contribution>>;

}  // namespace trireme::ps
