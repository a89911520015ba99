// SPDX-License-Identifier: Apache-2.0
#include "trireme/data/token_file.hpp"

#include "support/failures.hpp"
#include "unit/data/temporary_folder.hpp"
#include "unit/data/text_bytes.hpp"

#include <catch2/catch.hpp>

#include <string>
#include <vector>

using namespace trireme;
using data::TokenFile;
using data::TokenOptions;
using data::TokenType;
using testing::error_of;
using testing::text_bytes;
using Tokens = std::vector<std::uint32_t>;

namespace {

testing::ByteVector token_bytes(const Tokens& tokens, std::size_t size) {
  testing::ByteVector bytes;
  for (std::uint32_t token : tokens) {
    for (std::size_t k = 0; k < size; ++k) bytes.push_back(static_cast<std::uint8_t>(token >> (8 * k)));
  }
  return bytes;
}

Tokens counting_tokens(std::uint32_t first, std::size_t count) {
  Tokens tokens(count);
  for (std::size_t i = 0; i < count; ++i) tokens[i] = first + static_cast<std::uint32_t>(i);
  return tokens;
}

Tokens training_window(const TokenFile& file, std::uint64_t sample) {
  Tokens out(file.options().context + 1);
  file.training_window(sample, out);
  return out;
}

Tokens held_out_window(const TokenFile& file, std::uint64_t sample) {
  Tokens out(file.options().context + 1);
  file.held_out_window(sample, out);
  return out;
}

void tokens_refused(const std::vector<std::filesystem::path>& paths, const TokenOptions& options,
                    const std::string& word, ErrorCode code = ErrorCode::invalid_argument) {
  const Error error = error_of([&] { TokenFile(paths, options).verify(); });
  CAPTURE(error.message);
  CHECK(error.code == code);
  CHECK_THAT(error.message, Catch::Contains(word));
  CHECK(error.message.find('\n') == std::string::npos);
}

}  // namespace

TEST_CASE("TokenFile gives windows of context + 1 tokens of every type") {
  const testing::TemporaryFolder folder;
  for (const auto& [type, size, first] : {std::tuple{TokenType::u16, std::size_t{2}, std::uint32_t{50000}},
                                          std::tuple{TokenType::u32, std::size_t{4}, std::uint32_t{0xfffffff0}},
                                          std::tuple{TokenType::byte, std::size_t{1}, std::uint32_t{200}}}) {
    const auto path = folder.write("tokens.bin", token_bytes(counting_tokens(first, 11), size));
    const TokenFile file({path}, {.type = type, .vocabulary = std::size_t{1} << 32, .context = 3});
    CHECK(file.tokens() == 11);
    CHECK(file.training_windows() == 3);
    CHECK(file.held_out_windows() == 0);
    CHECK(training_window(file, 0) == counting_tokens(first, 4));
    CHECK(training_window(file, 2) == counting_tokens(first + 6, 4));
    file.verify();
  }
}

TEST_CASE("TokenFile takes any text as bytes") {
  const testing::TemporaryFolder folder;
  const TokenFile file({folder.write("text", text_bytes("h\xc3\xa9llo\n"))}, {.context = 6});
  CHECK(training_window(file, 0) == Tokens{'h', 0xc3, 0xa9, 'l', 'l', 'o', '\n'});
}

TEST_CASE(
    "TokenFile: by default every token but the first is a target once; strided windows begin where they are told") {
  const testing::TemporaryFolder folder;
  const auto path = folder.write("tokens.bin", token_bytes(counting_tokens(0, 13), 2));
  const TokenFile apart({path}, {.type = TokenType::u16, .vocabulary = 13, .context = 4});
  Tokens targets;
  for (std::uint64_t i = 0; i < apart.training_windows(); ++i) {
    const Tokens window = training_window(apart, i);
    targets.insert(targets.end(), window.begin() + 1, window.end());
  }
  CHECK(targets == counting_tokens(1, 12));
  for (std::size_t stride = 1; stride <= 9; ++stride) {
    const TokenFile file({path}, {.type = TokenType::u16, .vocabulary = 13, .context = 4, .stride = stride});
    CHECK(file.training_windows() == (13 - 5) / stride + 1);
    for (std::uint64_t i = 0; i < file.training_windows(); ++i) {
      CHECK(training_window(file, i) == counting_tokens(static_cast<std::uint32_t>(i * stride), 5));
    }
  }
}

TEST_CASE("TokenFile holds out the end, and no window reaches over the border") {
  const testing::TemporaryFolder folder;
  const auto path = folder.write("tokens.bin", token_bytes(counting_tokens(0, 103), 2));
  const TokenFile file({path}, {.type = TokenType::u16, .vocabulary = 103, .context = 4, .stride = 1, .held_out = 0.1});
  CHECK(file.training_tokens() == 93);
  CHECK(file.training_windows() == 89);
  CHECK(file.held_out_windows() == 6);
  CHECK(training_window(file, 88).back() == 92);
  CHECK(held_out_window(file, 0) == counting_tokens(93, 5));
  CHECK(held_out_window(file, 5) == counting_tokens(98, 5));
}

TEST_CASE("TokenFile joins several files in the order given, windows and parts run through") {
  const testing::TemporaryFolder folder;
  const Tokens all = counting_tokens(0, 10);
  const auto a = folder.write("a.bin", token_bytes({all.begin(), all.begin() + 4}, 2));
  const auto b = folder.write("b.bin", token_bytes({all.begin() + 4, all.begin() + 5}, 2));
  const auto c = folder.write("c.bin", token_bytes({all.begin() + 5, all.end()}, 2));
  const TokenOptions options{.type = TokenType::u16, .vocabulary = 10, .context = 2, .stride = 1, .held_out = 0.4};
  const TokenFile file({a, b, c}, options);
  CHECK(file.tokens() == 10);
  CHECK(training_window(file, 2) == Tokens{2, 3, 4});
  CHECK(training_window(file, 3) == Tokens{3, 4, 5});
  CHECK(held_out_window(file, 1) == Tokens{7, 8, 9});
  CHECK(training_window(TokenFile({c, a}, options), 2) == Tokens{7, 8, 9});
  Tokens whole(10);
  file.read(0, whole);
  CHECK(whole == all);
  TokenFile moved = TokenFile({b, a, c}, options);
  CHECK(training_window(moved, 0) == Tokens{4, 0, 1});
}

TEST_CASE("TokenFile names a token that is not below the vocabulary, and its place") {
  const testing::TemporaryFolder folder;
  const auto a = folder.write("a.bin", token_bytes(counting_tokens(0, 8), 2));
  const auto b = folder.write("b.bin", token_bytes({1, 2, 3, 99, 4, 5}, 2));
  const TokenOptions options{.type = TokenType::u16, .vocabulary = 50, .context = 3};
  tokens_refused({a, b}, options, "b.bin: token 99 at place 3 (from 0) is not below the vocabulary of 50",
                 ErrorCode::corrupt);
  const TokenFile file({a, b}, options);
  CHECK(training_window(file, 2) == Tokens{6, 7, 1, 2});
  Tokens out(4);
  const Error error = error_of([&] { file.training_window(3, out); });
  CHECK(error.code == ErrorCode::corrupt);
  CHECK_THAT(error.message, Catch::Contains("b.bin: token 99 at place 3"));
}

TEST_CASE("TokenFile refuses files and options it cannot use, by name") {
  const testing::TemporaryFolder folder;
  const auto empty = folder.write("empty.bin", {});
  const auto odd = folder.write("odd.bin", text_bytes("abcde"));
  const auto good = folder.write("good.bin", token_bytes(counting_tokens(0, 10), 2));
  const TokenOptions u16{.type = TokenType::u16, .vocabulary = 100, .context = 3};
  tokens_refused({empty}, u16, "empty.bin is empty");
  tokens_refused({good, empty}, u16, "empty.bin is empty");
  tokens_refused({odd}, u16, "odd.bin: 5 bytes are no whole number of tokens of 2");
  tokens_refused({folder.path() / "missing.bin"}, u16, "missing.bin");
  tokens_refused({folder.path()}, u16, "directory");
  tokens_refused({}, u16, "without a file");
  tokens_refused({folder.write("packed", testing::gzip(text_bytes("words")))}, {.context = 3}, "gzip",
                 ErrorCode::unsupported);
  tokens_refused({good}, {.type = TokenType::u16, .vocabulary = 100, .context = 10},
                 "good.bin: the training part has 10 tokens");
  tokens_refused({good}, {.type = TokenType::u16, .vocabulary = 100, .context = 5, .held_out = 0.5}, "training part");
  tokens_refused({good}, {.type = TokenType::u16, .vocabulary = 100, .context = 3, .held_out = 0.3},
                 "the held-out part has 3 tokens");
  tokens_refused({good}, {.type = TokenType::u16, .vocabulary = 100, .context = ~std::size_t{0}}, "training part");
  tokens_refused({good}, {.type = TokenType::u16, .vocabulary = 0, .context = 3}, "vocabulary of 0");
  tokens_refused({good}, {.type = TokenType::u16, .vocabulary = 100}, "context of no tokens");
  for (double part : {-0.1, 1.0, std::numeric_limits<double>::quiet_NaN()}) {
    tokens_refused({good}, {.type = TokenType::u16, .vocabulary = 100, .context = 3, .held_out = part}, "held-out");
  }
  const TokenFile file({good}, u16);
  Tokens out(4), small(3);
  CHECK(testing::code_of([&] { file.training_window(3, out); }) == ErrorCode::invalid_argument);
  CHECK(testing::code_of([&] { file.held_out_window(0, out); }) == ErrorCode::invalid_argument);
  CHECK(testing::code_of([&] { file.training_window(0, small); }) == ErrorCode::invalid_argument);
  CHECK(testing::code_of([&] { file.read(7, out); }) == ErrorCode::invalid_argument);
  CHECK(testing::code_of([&] { file.read(~std::uint64_t{0}, out); }) == ErrorCode::invalid_argument);
}
