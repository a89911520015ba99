// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/flag.hpp"

#include <deque>
#include <map>
#include <string>
#include <vector>

namespace trireme::cli {

/// Names as a platform spells them -> values as one line of JSON, decoded once (platform::ClusterSpec).
using Hyperparameters = std::map<std::string, std::string>;

/// For any program: "--name=value" of each, with the name as it is; texts without their quotes, all else as it is written.
/// Errors: invalid_argument naming one that is no JSON.
std::vector<std::string> hyperparameter_words(const Hyperparameters& hyperparameters);

/// For a command with these flags: the words that say the same, each value in one word of its own or behind "=". A list becomes its
/// elements with commas between, null is as if it were not there. Whether a value fits is the flag's to judge.
/// Errors: invalid_argument naming one that is no flag (with the known ones, and what was probably meant), one given in two
///         spellings, an object, or no JSON.
std::vector<std::string> flag_words(const Hyperparameters& hyperparameters, const std::deque<Flag>& flags);

/// The one that `message` is about, as the platform spells it, provided that it begins with its flag and that flag is not among
/// `typed`; empty otherwise.
std::string blamed_hyperparameter(const std::string& message, const Hyperparameters& hyperparameters,
                                  const std::vector<std::string>& typed);

}  // namespace trireme::cli
