// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ps/message.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace trireme::ps {

/// The head of a frame: lengths of its control part and of its payload, little-endian.
struct FrameHead {
  std::uint32_t control_bytes = 0;
  std::uint64_t payload_bytes = 0;
  static constexpr std::size_t size = 12;
};

inline constexpr std::size_t most_control_bytes = 1u << 20;
/// Of what servers say to each other: it holds what workers said, and a record of each of 65536 workers.
inline constexpr std::size_t most_server_control_bytes = 4u << 20;

std::array<std::byte, FrameHead::size> encode_head(const FrameHead& head);
/// Nothing is allocated for lengths that are only claimed. Errors: corrupt when one is above its limit.
FrameHead parse_head(std::span<const std::byte, FrameHead::size> bytes, std::uint64_t payload_limit,
                     std::size_t control_limit = most_control_bytes);

/// The control part of a frame. Errors: invalid_argument when it would be longer than most_control_bytes (a Replicate
/// or a Transfer: most_server_control_bytes), or rows do not ascend.
std::vector<std::byte> encode(const Control& control);
/// The same behind its head.
std::vector<std::byte> encode_frame(const Control& control, std::uint64_t payload_bytes);
/// What was encoded. Bytes may be hostile; of what they say only the form is checked: rows ascend and are no more than bytes of the
/// payload, states fit it, codes are codes.
/// Errors: corrupt.
Control decode(std::span<const std::byte> control, std::uint64_t payload_bytes,
               std::size_t control_limit = most_control_bytes);

/// Tensors and options of a plan; decoding makes the same plan again.
std::vector<std::byte> encode(const KeyPlan& plan);
/// Errors: corrupt, also for what makes no plan.
std::shared_ptr<const KeyPlan> decode_plan(std::span<const std::byte> bytes);

}  // namespace trireme::ps
