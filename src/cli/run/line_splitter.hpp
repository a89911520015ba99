// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace trireme::cli {

/// Cuts one stream of one rank into whole lines that can be shown among those of other ranks.
///
/// Every line is given as "[rank] text\n"; those of rank 0 that start with "result:" or "metric " without the prefix, and
/// objects for a log ({"severity":…) of any rank.
/// On a terminal what rank 0 ends with a carriage return is a progress line: given at once, as it is. Bytes are
/// otherwise kept, whatever they are. A line longer than `longest` is given in pieces of that length, each a line.
class LineSplitter {
 public:
  static constexpr std::size_t longest = 64 * 1024;

  struct Piece {
    bool progress = false;  ///< leaves the cursor in the line it has written
    std::string_view text;  ///< valid during the call
  };
  using Emit = std::function<void(const Piece& piece)>;

  LineSplitter(int rank, bool terminal);
  /// Of a process that is no rank: "[label] text".
  LineSplitter(const std::string& label, bool terminal);

  void feed(std::string_view bytes, const Emit& emit);
  /// The stream has ended: what is left of a line without an end is given with one.
  void finish(const Emit& emit);

 private:
  void give_line(std::string_view text, const Emit& emit);
  std::string prefix_;
  bool first_;
  bool terminal_;
  bool progress_open_ = false;  ///< the last piece was progress; a newline right after it only ends it
  std::string partial_;
  std::string line_;
};

}  // namespace trireme::cli
