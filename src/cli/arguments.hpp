// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace trireme::cli {

/// Fills `app`'s options from `arguments` (in the order typed). False when --help was asked for: it is then printed to
/// stdout and nothing is left to do.
/// Errors: invalid_argument, in one line, for whatever does not fit: unknown flags, missing or bad values.
bool parse_arguments(CLI::App& app, const std::vector<std::string>& arguments);

}  // namespace trireme::cli
