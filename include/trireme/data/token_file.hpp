// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <vector>

namespace trireme::data {

/// How a file holds tokens.
enum class TokenType : std::uint8_t {
  byte,  ///< any text: a token for each byte, 0 to 255
  u16,   ///< little-endian
  u32,   ///< little-endian
};

struct TokenOptions {
  TokenType type = TokenType::byte;
  std::size_t vocabulary = 256;  ///< every token is below it
  std::size_t context = 0;       ///< tokens a model sees at a time; a window has one more
  std::size_t stride = 0;        ///< from one window's beginning to the next one's; 0: `context`
  double held_out = 0.0;         ///< the part at the end that is not trained on: at least 0, below 1
};

/// Token streams in files, mapped and not read: several files are one stream in the order given. Sample i is the window
/// of context + 1 tokens that begins at token i x stride of its part: its first `context` are the inputs, its last
/// `context` the targets. With stride = context windows overlap in one token only, and each token but the first of a
/// part is a target at most once; a rest that fills no window is left out.
/// The last floor(held_out x tokens) tokens are held out; no window reaches from one part into the other.
/// Cost:    no memory for the tokens but the pages that are looked at; 4 bytes are written for each token of a window.
/// Errors:  all name the file. invalid_argument: no file, missing or no regular files, an empty one, a size that is no
///          multiple of the token's, a window larger than a part, options out of their range. unsupported: gzip given
///          as text. window() and verify(): corrupt naming file and place of a token that is not below `vocabulary`.
/// Threads: any number may read at a time. A file that is cut short meanwhile ends the process (SIGBUS): do not write
///          to it in place.
class TokenFile {
 public:
  TokenFile(const std::vector<std::filesystem::path>& paths, const TokenOptions& options);
  TokenFile(TokenFile&&) noexcept;
  TokenFile& operator=(TokenFile&&) noexcept;
  ~TokenFile();

  const TokenOptions& options() const { return options_; }
  /// Tokens of all files.
  std::uint64_t tokens() const { return tokens_; }
  /// Tokens that are trained on: tokens() without those held out.
  std::uint64_t training_tokens() const { return training_tokens_; }

  /// Windows to train on.
  std::uint64_t training_windows() const { return windows_in(training_tokens_); }
  /// Windows held out; 0 when nothing is.
  std::uint64_t held_out_windows() const { return windows_in(tokens_ - training_tokens_); }

  /// Writes window `sample` of the part trained on.
  /// Shape:  out.size() == context + 1.
  /// Errors: invalid_argument also for a sample that is not there or another size.
  void training_window(std::uint64_t sample, std::span<std::uint32_t> out) const;
  /// The same of the part held out.
  void held_out_window(std::uint64_t sample, std::span<std::uint32_t> out) const;

  /// Writes the tokens from `position` of the stream on.
  /// Errors: invalid_argument when they reach beyond its end.
  void read(std::uint64_t position, std::span<std::uint32_t> out) const;
  /// Looks at every token of every file, once.
  void verify() const;

 private:
  class Mapping;

  std::size_t stride() const { return options_.stride == 0 ? options_.context : options_.stride; }
  std::uint64_t windows_in(std::uint64_t tokens) const;
  void window(std::uint64_t sample, std::uint64_t windows, std::uint64_t begin, const char* part,
              std::span<std::uint32_t> out) const;

  TokenOptions options_;
  std::vector<std::unique_ptr<Mapping>> files_;
  std::vector<std::uint64_t> begins_;  ///< of each file in the stream
  std::uint64_t tokens_ = 0;
  std::uint64_t training_tokens_ = 0;
};

}  // namespace trireme::data
