// SPDX-License-Identifier: Apache-2.0
#include "cli/train/progress.hpp"

#include <cmath>
#include <limits>

namespace trireme::cli {
namespace {

constexpr std::chrono::milliseconds between_redraws{100};
constexpr std::chrono::seconds between_lines{5};

// Clears what is right of the cursor, then goes back to the start of the line. A launcher knows a progress line by the
// carriage return at its end.
constexpr const char* line_end = "\033[K\r";

Progress::Clock::duration interval(ProgressMode mode) {
  if (mode == ProgressMode::terminal) return between_redraws;
  return between_lines;
}

}  // namespace

ProgressMode progress_mode(int rank, const platform::Environment& environment, bool stderr_is_terminal) {
  if (rank != 0) return ProgressMode::none;
  const auto told = environment.find("TRIREME_PROGRESS");
  const bool terminal = told ? *told == "tty" : stderr_is_terminal;
  return terminal ? ProgressMode::terminal : ProgressMode::lines;
}

std::string duration_text(double seconds) {
  if (!std::isfinite(seconds) || seconds < 0 || seconds >= 1e7) return "-:--";
  const auto whole = static_cast<long>(std::lround(seconds));
  const long hours = whole / 3600;
  const long minutes = whole / 60 % 60;
  char text[40];
  if (hours > 0) {
    std::snprintf(text, sizeof text, "%ld:%02ld:%02ld", hours, minutes, whole % 60);
  } else {
    std::snprintf(text, sizeof text, "%ld:%02ld", minutes, whole % 60);
  }
  return text;
}

std::string progress_text(const ProgressState& state) {
  char text[160];
  std::snprintf(text, sizeof text, "epoch %llu/%llu  step %llu/%llu  loss %.4f  %.0f samples/s  ETA %s",
                static_cast<unsigned long long>(state.epoch), static_cast<unsigned long long>(state.epochs),
                static_cast<unsigned long long>(state.step), static_cast<unsigned long long>(state.steps), state.loss,
                state.samples_per_s, duration_text(state.seconds_left).c_str());
  return text;
}

Progress::Progress(ProgressMode mode, std::FILE* out) : mode_(mode), out_(out), next_(Clock::now() + interval(mode)) {}

void Progress::show(ProgressState state, Clock::time_point now) {
  state.loss = samples_ == 0 ? std::numeric_limits<double>::quiet_NaN() : loss_sum_ / static_cast<double>(samples_);
  loss_sum_ = 0.0;
  samples_ = 0;
  next_ = now + interval(mode_);
  const bool terminal = mode_ == ProgressMode::terminal;
  const std::string text = (terminal ? "" : "trireme train: ") + progress_text(state) + (terminal ? line_end : "\n");
  std::fwrite(text.data(), 1, text.size(), out_);
  std::fflush(out_);
  shown_ = terminal;
}

void Progress::clear() {
  if (!shown_) return;
  std::fputs(line_end, out_);
  std::fflush(out_);
  shown_ = false;
}

}  // namespace trireme::cli
