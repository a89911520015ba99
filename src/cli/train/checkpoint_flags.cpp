// SPDX-License-Identifier: Apache-2.0
#include "cli/train/checkpoint_flags.hpp"

#include "trireme/base/error.hpp"

#include <charconv>
#include <string_view>

namespace trireme::cli {
namespace {

[[noreturn]] void refuse(const std::string& message) { fail(ErrorCode::invalid_argument, message); }

constexpr std::uint64_t longest = std::uint64_t{1} << 32;  // seconds

}  // namespace

Interval parse_interval(const std::string& flag, const std::string& text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
  const std::uint64_t seconds = unit == "s" ? 1 : unit == "min" ? 60 : unit == "h" ? 3600 : 0;
  const bool is_steps = unit.empty() || unit == "steps";
  if (error != std::errc() || (!is_steps && seconds == 0))
    refuse(flag + " is '" + text + "': give steps as in 500, or a time as in 90s, 10min or 2h");
  if (is_steps) return {.steps = number};
  if (number > longest / seconds) refuse(flag + " is '" + text + "', which is no time to wait for");
  return {.steps = 0, .time = std::chrono::seconds(number * seconds)};
}

CheckpointFlags::CheckpointFlags(Arguments& flags) {
  flags.option(
      "--checkpoint-dir", folder_,
      "folder of checkpoints, one for all hosts or one per host that is filled from all: training goes on from "
      "the newest one there, and writes more (default: the platform's, if it has one)");
  flags
      .option(
          "--checkpoint-every", every_,
          "from one checkpoint to the next, steps as in 500 or a time as in 90s, 10min, 2h (default 10min; 0: only at "
          "the end, at a stop and when SIGUSR1 asks)")
      .is(FlagType::duration);
  flags.option("--checkpoint-keep", keep_last_, "the last checkpoints that stay (default 2)", {.least = 1});
  flags.option("--checkpoint-keep-every", keep_every_,
               "checkpoints of steps that are multiples of this stay too (default 0: none)");
  flags
      .option(
          "--stop-after", stop_after_,
          "write a checkpoint and end behind so many steps of this start, or so long (as in 3h): to be started again "
          "(default 0: when training is complete)")
      .is(FlagType::duration);
  flags.option(
      "--interrupted-exit-code", interrupted_exit_code_,
      "of a job that stopped with a checkpoint before training was complete (default 143; stopped by Ctrl-C: 130)",
      {.least = 0, .most = 255});
  flags
      .option("--evaluator-patience", evaluator_patience_,
              "how long an evaluator waits for a new checkpoint before it ends, as in 90s, 10min, 2h (default 24h; 0: "
              "for ever); training does not look at it")
      .is(FlagType::duration);
}

CheckpointChoice CheckpointFlags::checked(const Arguments& flags, const std::optional<std::string>& standard) const {
  CheckpointChoice choice{.every = parse_interval("--checkpoint-every", every_),
                          .keep_last = keep_last_,
                          .keep_every = keep_every_,
                          .stop_after = parse_interval("--stop-after", stop_after_)};
  const Interval patience = parse_interval("--evaluator-patience", evaluator_patience_);
  if (patience.steps != 0)
    refuse("--evaluator-patience is '" + evaluator_patience_ + "': give a time as in 90s, 10min or 2h");
  choice.evaluator_patience = patience.time;
  if (flags.given("--checkpoint-dir")) {
    if (folder_.empty()) refuse("--checkpoint-dir: the name of the folder is empty");
    choice.folder = folder_;
  } else {
    choice.folder = standard;
  }
  for (const char* flag : {"--checkpoint-every", "--checkpoint-keep", "--checkpoint-keep-every", "--stop-after",
                           "--interrupted-exit-code", "--evaluator-patience"}) {
    if (flags.given(flag) && !choice.folder) refuse(std::string(flag) + " needs --checkpoint-dir");
  }
  if (flags.given("--interrupted-exit-code")) choice.interrupted_exit_code = interrupted_exit_code_;
  return choice;
}

}  // namespace trireme::cli
