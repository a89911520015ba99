// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/pipeline/schedule.hpp"

#include <string>
#include <string_view>

namespace trireme::pipeline {

/// The schedule as text, one line per rank: "rank 0: 0F0 0F1 0B0 0B1".
///
///   text   = { line "\n" }                       lines in the order of ranks; lines without a rank are left out
///   line   = [ [ "rank" N ":" ] action { ( " " | "," ) action } ] [ "#" comment ]
///   action = stage ( "F" | "B" | "I" | "W" ) micro-batch
///
/// Numbers are decimal, below 1000000. Blanks and commas separate and may be repeated, so that a table of comma-separated
/// values with empty cells is such a text too.
std::string to_text(const Schedule& schedule);

/// The inverse: parse_schedule(to_text(s)) == s for every schedule that check() accepts. What the schedule means is looked
/// at by check().
/// Errors: invalid_argument naming `source`, line and column (from 1) and what was expected there.
Schedule parse_schedule(std::string_view text, const std::string& source);

/// The schedule in the file at `path`.
/// Errors: as parse_schedule; system naming the file when it cannot be read; invalid_argument above 64 MiB.
Schedule read_schedule(const std::string& path);

}  // namespace trireme::pipeline
