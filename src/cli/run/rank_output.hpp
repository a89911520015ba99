// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/run/console.hpp"
#include "cli/run/descriptor.hpp"
#include "cli/run/line_splitter.hpp"

#include <optional>
#include <string>

namespace trireme::cli {

/// One stream of one rank: read from its pipe, copied raw to its log file, shown by lines on the console.
class RankOutput {
 public:
  RankOutput(int rank, Stream stream, Descriptor pipe, Descriptor log, const Console& console);
  /// Of a process that is no rank.
  RankOutput(const std::string& label, Stream stream, Descriptor pipe, Descriptor log, const Console& console);

  bool open() const { return pipe_.is_open(); }
  int descriptor() const { return pipe_.get(); }
  Stream stream() const { return stream_; }
  /// Takes what is there, at most one buffer; at its end shows what is left and closes.
  void read(Console& console);
  /// Shows what is left and closes, whoever may still hold the other end.
  void close(Console& console);
  /// The last line that was not empty, without its prefix and cut to a size for messages.
  const std::string& last_line() const { return last_line_; }

 private:
  RankOutput(int rank, std::string who, Stream stream, Descriptor pipe, Descriptor log, LineSplitter lines);
  void show(const LineSplitter::Piece& piece, Console& console);
  void write_log(std::string_view bytes, Console& console);
  int rank_;         ///< -1: no rank
  std::string who_;  ///< for messages
  Stream stream_;
  Descriptor pipe_;
  Descriptor log_;
  LineSplitter lines_;
  std::string last_line_;
};

/// Opens DIRECTORY/rank-K.out or .err, empty. Errors: invalid_argument naming the file.
Descriptor open_rank_log(const std::string& directory, int rank, Stream stream);
/// DIRECTORY/NAME.out or .err.
Descriptor open_log(const std::string& directory, const std::string& name, Stream stream);

/// Makes the directory and those above it. Errors: invalid_argument naming it.
void create_log_directory(const std::string& directory);

}  // namespace trireme::cli
