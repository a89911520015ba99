// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ps/mean.hpp"
#include "ps/shard.hpp"

#include <cstdint>

namespace trireme::ps {

/// More than that never work with one server.
inline constexpr std::uint32_t most_workers = 1u << 16;

/// What a shard's options mean for its keys.
/// Errors of the first: invalid_argument naming what does not go together.
void check_options(const ShardOptions& options);
/// What one message may carry beside its control part: a key with its values and more state than any rule keeps. What a server has of
/// a key besides travels in as many messages as it needs.
std::uint64_t most_payload_bytes(const KeyPlan& plan);
/// Of the rule; elements when there is none.
UpdateScope update_scope(const ShardOptions& options);
KeyShape key_shape(const TensorInfo& tensor, const KeyInfo& key);
/// Bytes that may come before anything of them is given back: contributions of all workers to the largest key's sum; otherwise
/// a gradient of the largest key, or tensor where the rule must see all of it.
std::uint64_t largest_credit_unit(const ShardOptions& options);
/// Of memory_bytes; half of it where this loop also holds another's replicas, for what waits there.
std::uint64_t credit_budget(const ShardOptions& options);

}  // namespace trireme::ps
