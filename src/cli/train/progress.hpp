// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/platform/environment.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string>

namespace trireme::cli {

enum class ProgressMode : unsigned char {
  none,      ///< another rank shows it
  terminal,  ///< one line that rewrites itself
  lines,     ///< a log line every few seconds
};

/// Rank 0 shows progress: on a terminal if stderr is one, or the launcher behind it says so (TRIREME_PROGRESS).
ProgressMode progress_mode(int rank, const platform::Environment& environment, bool stderr_is_terminal);

/// Where a run stands.
struct ProgressState {
  std::uint64_t epoch = 1;  ///< from 1
  std::uint64_t epochs = 1;
  std::uint64_t step = 0;  ///< complete
  std::uint64_t steps = 0;
  double loss = 0.0;
  double samples_per_s = 0.0;
  double seconds_left = 0.0;
};

/// "epoch 3/10  step 612/2350  loss 0.3123  51234 samples/s  ETA 0:42": below 80 columns.
std::string progress_text(const ProgressState& state);

/// "0:42", "12:05", "1:02:03"; "-:--" for what is no time.
std::string duration_text(double seconds);

/// Writes progress to stderr, seldom enough to cost nothing.
class Progress {
 public:
  using Clock = std::chrono::steady_clock;

  Progress(ProgressMode mode, std::FILE* out);

  /// The loss of this rank's own samples; what is shown is the mean since the last time. No communication.
  void note(double loss_sum, std::size_t samples) {
    loss_sum_ += loss_sum;
    samples_ += samples;
  }
  bool due(Clock::time_point now) const { return mode_ != ProgressMode::none && now >= next_; }
  /// Shows `state`, whose loss is filled in here.
  void show(ProgressState state, Clock::time_point now);
  /// Wipes the progress line, if one is there, so that another line can take its place.
  void clear();

 private:
  ProgressMode mode_;
  std::FILE* out_;
  Clock::time_point next_;
  double loss_sum_ = 0.0;
  std::size_t samples_ = 0;
  bool shown_ = false;
};

}  // namespace trireme::cli
