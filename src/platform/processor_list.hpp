// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace trireme::platform {

/// Numbers of processors, ascending, as the kernel counts them: the same in every container of a machine.
using ProcessorList = std::vector<int>;

/// Above what Linux numbers; a text that names more is none of ours.
inline constexpr int most_processors = 8192;

/// As the kernel writes lists: "0-3,8".
std::string to_text(const ProcessorList& processors);

/// Reads such a text; the empty one is the empty list. Nothing when it is none: not ascending, not below
/// `most_processors`, anything else in it.
std::optional<ProcessorList> parse_processors(std::string_view text);

/// The processors this thread may run on; none where the kernel does not say (a sandbox may forbid the question).
ProcessorList allowed_processors();

}  // namespace trireme::platform
