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

  bool open() const { return pipe_.is_open(); }
  int descriptor() const { return pipe_.get(); }
  Stream stream() const { return stream_; }
  /// Takes what is there, at most one buffer; at its end shows what is left and closes.
  void read(Console& console);
  /// Shows what is left and closes, whoever may still hold the other end.
  void close(Console& console);

 private:
  void show(const LineSplitter::Piece& piece, Console& console) const;
  void write_log(std::string_view bytes, Console& console);
  int rank_;
  Stream stream_;
  Descriptor pipe_;
  Descriptor log_;
  LineSplitter lines_;
};

/// Opens DIRECTORY/rank-K.out or .err, empty. Errors: invalid_argument naming the file.
Descriptor open_rank_log(const std::string& directory, int rank, Stream stream);

/// Makes the directory and those above it. Errors: invalid_argument naming it.
void create_log_directory(const std::string& directory);

}  // namespace trireme::cli
