// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/error.hpp"

#include <compare>
#include <cstdint>
#include <string>
#include <vector>

namespace trireme::rendezvous {

/// Why a world failed, as all ranks report it. Plain data: crosses the control channel.
struct Cause {
  ErrorCode code = ErrorCode::none;
  std::uint64_t epoch = 0;
  std::uint64_t communicator = 0;
  std::uint64_t operation = 0;  ///< sequence number within the communicator
  std::int32_t member = -1;     ///< the rank (of the world) at fault, -1 if unknown
  std::string member_host{};
  std::string operation_name{};  ///< "all_reduce #17 'bucket 0'"
  std::string message{};         ///< one line naming the member and what happened
};

/// The order in which conflicting causes are ranked: lowest (epoch, communicator, operation, member) first; among equal
/// ones a mismatch before a lost peer before a timeout before anything else.
bool precedes(const Cause& a, const Cause& b);

/// What a rank answers when asked "which operation, waiting for whom?".
struct Status {
  std::int32_t rank = -1;
  std::uint64_t communicator = 0;
  std::uint64_t operation = 0;  ///< the oldest unfinished one, or the last finished one when `in_operation` is false
  bool in_operation = false;
  std::string operation_name{};  ///< of that operation; empty, with `operation` 0, when it has called none yet
  std::vector<std::int32_t> waiting_for{};  ///< world ranks whose bytes it lacks
};

}  // namespace trireme::rendezvous
