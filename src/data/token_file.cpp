// SPDX-License-Identifier: Apache-2.0
#include "trireme/data/token_file.hpp"

#include "data/regular_file.hpp"
#include "trireme/base/error.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <string>
#include <utility>

#include <sys/mman.h>

namespace trireme::data {
namespace {

std::size_t size_of(TokenType type) {
  switch (type) {
    case TokenType::byte: return 1;
    case TokenType::u16: return 2;
    case TokenType::u32: return 4;
  }
  fail(ErrorCode::invalid_argument, "a token type that is none of byte, u16 and u32");
}

template <std::size_t size>
void widen(const std::uint8_t* bytes, std::span<std::uint32_t> out) noexcept {
  for (std::uint32_t& token : out) {
    std::uint32_t value = 0;
    for (std::size_t k = 0; k < size; ++k) value |= std::uint32_t{bytes[k]} << (8 * k);
    token = value;
    bytes += size;
  }
}

void check(const TokenOptions& options, std::size_t files) {
  if (files == 0) fail(ErrorCode::invalid_argument, "token data without a file");
  if (options.vocabulary == 0 || options.vocabulary > std::uint64_t{1} << 32) {
    fail(ErrorCode::invalid_argument,
         "a vocabulary of " + std::to_string(options.vocabulary) + " tokens: from 1 to 2^32 are possible");
  }
  if (options.context == 0) fail(ErrorCode::invalid_argument, "a context of no tokens");
  if (!(options.held_out >= 0.0 && options.held_out < 1.0)) {
    fail(ErrorCode::invalid_argument,
         "the held-out part must be at least 0 and below 1, not " + std::to_string(options.held_out));
  }
}

}  // namespace

/// One file in memory, as long as it is needed.
class TokenFile::Mapping {
 public:
  Mapping(const std::filesystem::path& path, TokenType type) : name_(path.string()), size_(size_of(type)) {
    const RegularFile file(path);
    if (file.size() == 0) fail(ErrorCode::invalid_argument, "token file " + name_ + " is empty");
    if (file.size() % size_ != 0) {
      fail(ErrorCode::invalid_argument, "token file " + name_ + ": " + std::to_string(file.size()) +
                                            " bytes are no whole number of tokens of " + std::to_string(size_));
    }
    std::array<char, 2> magic{};
    if (type == TokenType::byte && file.size() >= 2) {
      file.read(0, magic);
      if (magic[0] == '\x1f' && magic[1] == '\x8b') {
        fail(ErrorCode::unsupported, "token file " + name_ + " is compressed with gzip: unpack it");
      }
    }
    bytes_ = static_cast<std::size_t>(file.size());
    void* const memory = ::mmap(nullptr, bytes_, PROT_READ, MAP_SHARED, file.descriptor(), 0);
    if (memory == MAP_FAILED) fail_system("cannot map token file " + name_, errno);
    memory_ = static_cast<const std::uint8_t*>(memory);
  }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping() { ::munmap(const_cast<std::uint8_t*>(memory_), bytes_); }

  std::uint64_t tokens() const { return bytes_ / size_; }

  /// Errors: corrupt naming file and place of a token that is not below `vocabulary`.
  void read(std::uint64_t position, std::span<std::uint32_t> out, std::uint64_t vocabulary) const {
    const std::uint8_t* const from = memory_ + position * size_;
    if (size_ == 1) widen<1>(from, out);
    if (size_ == 2) widen<2>(from, out);
    if (size_ == 4) widen<4>(from, out);
    std::uint32_t largest = 0;
    for (std::uint32_t token : out) largest = std::max(largest, token);
    if (largest < vocabulary) return;
    const auto bad = std::find_if(out.begin(), out.end(), [&](std::uint32_t token) { return token >= vocabulary; });
    fail(ErrorCode::corrupt, "token file " + name_ + ": token " + std::to_string(*bad) + " at place " +
                                 std::to_string(position + static_cast<std::uint64_t>(bad - out.begin())) +
                                 " (from 0) is not below the vocabulary of " + std::to_string(vocabulary));
  }

 private:
  std::string name_;
  std::size_t size_;
  std::size_t bytes_ = 0;
  const std::uint8_t* memory_ = nullptr;
};

TokenFile::TokenFile(const std::vector<std::filesystem::path>& paths, const TokenOptions& options) : options_(options) {
  check(options, paths.size());
  for (const auto& path : paths) {
    files_.push_back(std::make_unique<Mapping>(path, options.type));
    begins_.push_back(tokens_);
    tokens_ += files_.back()->tokens();
  }
  const auto held_out = static_cast<std::uint64_t>(std::floor(options.held_out * static_cast<double>(tokens_)));
  training_tokens_ = tokens_ - std::min(held_out, tokens_);
  const auto require_window = [&](std::uint64_t tokens, const char* part) {
    if (windows_in(tokens) > 0) return;
    fail(ErrorCode::invalid_argument,
         "token file " + paths[0].string() + (paths.size() > 1 ? " and those after it: the " : ": the ") + part +
             " part has " + std::to_string(tokens) + " tokens, a window of context + 1 needs more: the context is " +
             std::to_string(options_.context));
  };
  require_window(training_tokens_, "training");
  if (options.held_out > 0.0) require_window(tokens_ - training_tokens_, "held-out");
}

TokenFile::TokenFile(TokenFile&&) noexcept = default;
TokenFile& TokenFile::operator=(TokenFile&&) noexcept = default;
TokenFile::~TokenFile() = default;

std::uint64_t TokenFile::windows_in(std::uint64_t tokens) const {
  return tokens <= options_.context ? 0 : (tokens - options_.context - 1) / stride() + 1;
}

void TokenFile::window(std::uint64_t sample, std::uint64_t windows, std::uint64_t begin, const char* part,
                       std::span<std::uint32_t> out) const {
  if (sample >= windows) {
    fail(ErrorCode::invalid_argument,
         "no " + std::string(part) + " window " + std::to_string(sample) + ": there are " + std::to_string(windows));
  }
  if (out.size() != options_.context + 1) {
    fail(ErrorCode::invalid_argument,
         "a window has " + std::to_string(options_.context + 1) + " tokens, not " + std::to_string(out.size()));
  }
  read(begin + sample * stride(), out);
}

void TokenFile::training_window(std::uint64_t sample, std::span<std::uint32_t> out) const {
  window(sample, training_windows(), 0, "training", out);
}

void TokenFile::held_out_window(std::uint64_t sample, std::span<std::uint32_t> out) const {
  window(sample, held_out_windows(), training_tokens_, "held-out", out);
}

void TokenFile::read(std::uint64_t position, std::span<std::uint32_t> out) const {
  if (position > tokens_ || out.size() > tokens_ - position) {
    fail(ErrorCode::invalid_argument, "no tokens from place " + std::to_string(position) + " on for " +
                                          std::to_string(out.size()) + ": there are " + std::to_string(tokens_));
  }
  auto file = static_cast<std::size_t>(std::upper_bound(begins_.begin(), begins_.end(), position) - begins_.begin());
  while (!out.empty()) {
    const std::uint64_t inside = position - begins_[file - 1];
    const std::uint64_t count = std::min<std::uint64_t>(out.size(), files_[file - 1]->tokens() - inside);
    files_[file - 1]->read(inside, out.first(static_cast<std::size_t>(count)), options_.vocabulary);
    out = out.subspan(static_cast<std::size_t>(count));
    position += count;
    ++file;
  }
}

void TokenFile::verify() const {
  std::vector<std::uint32_t> piece(std::size_t{16} << 10);
  for (std::uint64_t position = 0; position < tokens_;) {
    const std::uint64_t count = std::min<std::uint64_t>(piece.size(), tokens_ - position);
    read(position, std::span(piece).first(static_cast<std::size_t>(count)));
    position += count;
  }
}

}  // namespace trireme::data
