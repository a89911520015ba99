// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/checkpoint/manifest.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace trireme::checkpoint {

/// "step-00000400": where the files of a step lie, below the checkpoint folder.
std::string step_folder(std::uint64_t step);
bool is_step_folder(std::string_view name);

/// "g0002-7f00aa12": what every file name of an attempt begins with.
std::string attempt_tag(const Attempt& attempt);
/// The generation of a name that begins so; nothing for other names.
std::optional<std::uint64_t> tagged_generation(std::string_view name);

/// "step-00000400/g0002-7f00aa12-rank-3-of-8.safetensors", "step-00000400/g0002-7f00aa12-manifest.json".
std::string part_file(const Attempt& attempt, std::uint64_t step, int rank, int ranks);
std::string json_file(const Attempt& attempt, std::uint64_t step);

}  // namespace trireme::checkpoint
