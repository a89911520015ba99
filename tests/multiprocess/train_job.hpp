// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "multiprocess/launched.hpp"

#include <map>
#include <string>
#include <vector>

namespace trireme::testing {

/// `trireme JOB…` as so many ranks of `trireme run`.
Result run_ranks(int ranks, const std::vector<std::string>& job,
                 const std::map<std::string, std::string>& environment = {});

/// The last line of rank 0, which must be the result.
std::string result_of(const Result& result);

/// What a line of key=value words says of `key`; fails the test when it says nothing.
std::string value(const std::string& line, const std::string& key);

/// The result line without what differs between worlds and runs: speeds, seconds, the number of ranks. Fails the test unless
/// the job ended well.
std::string outcome_of(const Result& result);

/// A program without a launcher wrote one line, and ended with exit code 2.
void require_refusal(const Result& result, const std::string& expected);

}  // namespace trireme::testing
