// SPDX-License-Identifier: Apache-2.0
#include "cli/run/line_splitter.hpp"

#include <catch2/catch.hpp>

#include <vector>

using trireme::cli::LineSplitter;

namespace {

struct Shown {
  std::string text;
  std::vector<bool> progress;  ///< of each piece
  LineSplitter::Emit emit() {
    return [this](const LineSplitter::Piece& piece) {
      text += piece.text;
      progress.push_back(piece.progress);
    };
  }
};

std::string split(int rank, bool terminal, const std::vector<std::string>& chunks) {
  LineSplitter lines(rank, terminal);
  Shown shown;
  for (const std::string& chunk : chunks) lines.feed(chunk, shown.emit());
  lines.finish(shown.emit());
  return shown.text;
}

}  // namespace

TEST_CASE("Every line carries its rank") {
  REQUIRE(split(1, false, {"a\nb\n"}) == "[1] a\n[1] b\n");
  REQUIRE(split(0, false, {"a\n\nb\n"}) == "[0] a\n[0] \n[0] b\n");
  REQUIRE(split(12, false, {"a\n"}) == "[12] a\n");
}

TEST_CASE("A line is whole however its bytes arrive") {
  std::string text = "first line\nsecond\n\nresult: x=1\n";
  std::string whole = split(0, false, {text});
  for (std::size_t cut = 0; cut <= text.size(); ++cut)
    REQUIRE(split(0, false, {text.substr(0, cut), text.substr(cut)}) == whole);
  std::vector<std::string> bytes;
  for (char c : text) bytes.emplace_back(1, c);
  REQUIRE(split(0, false, bytes) == whole);
}

TEST_CASE("A line appears with its end, not before") {
  LineSplitter lines(1, true);
  Shown shown;
  lines.feed("half", shown.emit());
  REQUIRE(shown.text.empty());
  lines.feed(" a line\nnext", shown.emit());
  REQUIRE(shown.text == "[1] half a line\n");
  lines.finish(shown.emit());
  REQUIRE(shown.text == "[1] half a line\n[1] next\n");
  lines.finish(shown.emit());
  REQUIRE(shown.progress.size() == 2);
}

TEST_CASE("Result and metric lines of rank 0 are bare, those of other ranks are not") {
  REQUIRE(split(0, false, {"result: a=1\nmetric step=1\n"}) == "result: a=1\nmetric step=1\n");
  REQUIRE(split(1, false, {"result: a=1\nmetric step=1\n"}) == "[1] result: a=1\n[1] metric step=1\n");
  REQUIRE(split(0, false, {"results: a\nmetrics a\n result: x\nresult\n"}) ==
          "[0] results: a\n[0] metrics a\n[0]  result: x\n[0] result\n");
  REQUIRE(split(0, false, {"result: no end"}) == "result: no end\n");
}

TEST_CASE("Progress of rank 0 on a terminal passes at once and as it is") {
  LineSplitter lines(0, true);
  Shown shown;
  lines.feed("step 1\r", shown.emit());
  REQUIRE(shown.text == "step 1\r");
  lines.feed("step", shown.emit());
  lines.feed(" 2\rordinary\n", shown.emit());
  REQUIRE(shown.text == "step 1\rstep 2\r[0] ordinary\n");
  REQUIRE(shown.progress == std::vector<bool>{true, true, false});
}

TEST_CASE("A newline right after progress only keeps it on the screen") {
  REQUIRE(split(0, true, {"step 1\r", "\n", "\n"}) == "step 1\r\n[0] \n");
}

TEST_CASE("Carriage returns are ordinary bytes off the terminal and for other ranks") {
  REQUIRE(split(0, false, {"step 1\rstep 2\r", "end\n"}) == "[0] step 1\rstep 2\rend\n");
  REQUIRE(split(1, true, {"step 1\rstep 2\r", "end\n"}) == "[1] step 1\rstep 2\rend\n");
}

TEST_CASE("Lines that end in carriage return and newline are ordinary lines") {
  REQUIRE(split(0, true, {"text\r\nresult: x\r\n"}) == "[0] text\r\nresult: x\r\n");
}

static constexpr std::size_t longest = LineSplitter::longest;

TEST_CASE("A long line is given in bounded pieces that lose nothing") {
  std::size_t length = GENERATE(longest - 1, longest, longest + 1, 3 * longest, 3 * longest + 7);
  std::size_t step = GENERATE(std::size_t{1000}, longest, 5 * longest);
  std::string line(length, '.');
  for (std::size_t i = 0; i < length; ++i) line[i] = static_cast<char>('a' + i % 26);
  std::string text = line + "\n";

  LineSplitter lines(3, false);
  std::string joined;
  std::size_t pieces = 0;
  auto emit = [&](const LineSplitter::Piece& piece) {
    REQUIRE(piece.text.substr(0, 4) == "[3] ");
    REQUIRE(piece.text.back() == '\n');
    REQUIRE(piece.text.size() <= longest + 5);
    joined += piece.text.substr(4, piece.text.size() - 5);
    ++pieces;
  };
  for (std::size_t at = 0; at < text.size(); at += step) lines.feed(std::string_view(text).substr(at, step), emit);
  lines.finish(emit);
  REQUIRE(joined == line);
  REQUIRE(pieces == (length + longest - 1) / longest);
}

TEST_CASE("Bytes that are no text are kept") {
  std::string all;
  for (int byte = 0; byte < 256; ++byte) {
    if (byte != '\n') all += static_cast<char>(byte);
  }
  REQUIRE(split(0, false, {all + "\n"}) == "[0] " + all + "\n");
}
