// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/flag.hpp"

#include <deque>
#include <string>

namespace trireme::cli {

/// The flags of a command as one line of JSON:
///
///     {"name": "trireme train", "flags": [{"name": "epochs", "flag": "--epochs", "type": "int",
///      "range": {"min": 1, "max": null}, "default": 10, "tunable": false, "help": "…"}, …]}
///
/// `range` is there for numbers; "excludes_max" in it: its end is not among them. `choices` is there for choices. `default` is
/// null where leaving the flag out is another thing than any value; "defaults" says beside which other flag it is another one.
std::string description_of(const std::string& command, const std::deque<Flag>& flags);

}  // namespace trireme::cli
