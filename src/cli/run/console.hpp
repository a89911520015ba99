// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/run/line_splitter.hpp"
#include "cli/run/repetitions.hpp"
#include "cli/run/sink.hpp"

#include <array>

namespace trireme::cli {

enum class Stream : unsigned char { out, err };

/// The launcher's stdout and stderr, seen together: a progress line shown on the terminal is cleared before the next
/// ordinary line.
class Console {
 public:
  Console(int out, int err);

  void show(Stream stream, const LineSplitter::Piece& piece);
  /// What ranks refused, in their own words.
  Repetitions& repetitions() { return repetitions_; }
  Sink& sink(Stream stream) { return sinks_[static_cast<std::size_t>(stream)]; }
  bool terminal(Stream stream) const { return terminal_[static_cast<std::size_t>(stream)]; }
  bool pending() const { return sinks_[0].pending() || sinks_[1].pending(); }
  void flush();

 private:
  std::array<Sink, 2> sinks_;
  std::array<bool, 2> terminal_;
  bool progress_shown_ = false;
  Repetitions repetitions_;
};

}  // namespace trireme::cli
