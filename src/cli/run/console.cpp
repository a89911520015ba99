// SPDX-License-Identifier: Apache-2.0
#include "cli/run/console.hpp"

#include <unistd.h>

namespace trireme::cli {

Console::Console(int out, int err) : sinks_{Sink(out), Sink(err)}, terminal_{::isatty(out) == 1, ::isatty(err) == 1} {}

void Console::show(Stream stream, const LineSplitter::Piece& piece) {
  Sink& target = sink(stream);
  if (progress_shown_ && !piece.progress && terminal(stream)) {
    target.append("\r\033[K");
    progress_shown_ = false;
  }
  target.append(piece.text);
  if (piece.progress) progress_shown_ = !piece.text.empty() && piece.text.back() == '\r';
}

void Console::flush() {
  for (Sink& target : sinks_) target.flush();
}

}  // namespace trireme::cli
