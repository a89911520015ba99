// SPDX-License-Identifier: Apache-2.0
#include "cli/run/line_splitter.hpp"

namespace trireme::cli {
namespace {

bool starts_with(std::string_view text, std::string_view opening) { return text.substr(0, opening.size()) == opening; }

}  // namespace

LineSplitter::LineSplitter(int rank, bool terminal) : LineSplitter(std::to_string(rank), terminal) {
  first_ = rank == 0;
}

LineSplitter::LineSplitter(const std::string& label, bool terminal) : prefix_("["), first_(false), terminal_(terminal) {
  prefix_ += label;
  prefix_ += "] ";
}

void LineSplitter::give_line(std::string_view text, const Emit& emit) {
  bool bare = (first_ && (starts_with(text, "result:") || starts_with(text, "metric "))) ||
              starts_with(text, "{\"severity\":");  // of any rank: whoever reads objects reads no prefix
  line_.clear();
  if (!bare) line_ = prefix_;
  line_ += text;
  line_ += '\n';
  progress_open_ = false;
  emit({false, line_});
}

void LineSplitter::feed(std::string_view bytes, const Emit& emit) {
  bool has_progress = first_ && terminal_;
  while (!bytes.empty()) {
    std::size_t end = bytes.find_first_of(has_progress ? std::string_view("\n\r") : std::string_view("\n"));
    bool cut = false;
    if (partial_.size() + (end == std::string_view::npos ? bytes.size() : end) > longest) {
      end = longest - partial_.size();
      cut = true;
    }
    if (end == std::string_view::npos) {
      partial_ += bytes;
      return;
    }
    partial_ += bytes.substr(0, end);
    if (cut) {
      give_line(partial_, emit);
      partial_.clear();
      bytes.remove_prefix(end);
      continue;
    }
    bool newline = bytes[end] == '\n';
    // "\r\n" is the end of an ordinary line, as long as both are there to be seen.
    if (!newline && bytes.size() > end + 1 && bytes[end + 1] == '\n') {
      partial_ += '\r';
      ++end;
      newline = true;
    }
    bytes.remove_prefix(end + 1);
    if (!newline) {
      partial_ += '\r';
      progress_open_ = true;
      emit({true, partial_});
    } else if (progress_open_ && partial_.empty()) {
      progress_open_ = false;
      emit({true, "\n"});
    } else {
      give_line(partial_, emit);
    }
    partial_.clear();
  }
}

void LineSplitter::finish(const Emit& emit) {
  if (!partial_.empty()) give_line(partial_, emit);
  partial_.clear();
}

}  // namespace trireme::cli
