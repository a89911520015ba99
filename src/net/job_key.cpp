// SPDX-License-Identifier: Apache-2.0
#include "trireme/net/job_key.hpp"

#include "net/quoted.hpp"
#include "trireme/base/deadline.hpp"
#include "trireme/base/error.hpp"
#include "trireme/net/socket.hpp"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>

#include <fcntl.h>
#include <unistd.h>

namespace trireme::net {
namespace {

constexpr std::size_t key_bytes = 32;
constexpr std::size_t shortest_text = 16;
constexpr std::size_t longest_line = 4096;
constexpr std::string_view white_space = " \t\r\n\v\f";
constexpr char digits[] = "0123456789abcdef";

using Raw = std::array<std::byte, key_bytes>;

std::string_view trimmed(std::string_view text) {
  std::size_t first = text.find_first_not_of(white_space);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(white_space) - first + 1);
}

int hex_value(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
  if (digit >= 'A' && digit <= 'F') return digit - 'A' + 10;
  return -1;
}

bool is_hex_key(std::string_view text) {
  return text.size() == 2 * key_bytes &&
         std::all_of(text.begin(), text.end(), [](char c) { return hex_value(c) >= 0; });
}

Raw sha256(std::initializer_list<std::string_view> parts) {
  Raw result{};
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  bool ok = context != nullptr && EVP_DigestInit_ex(context, EVP_sha256(), nullptr) == 1;
  for (std::string_view part : parts) ok = ok && EVP_DigestUpdate(context, part.data(), part.size()) == 1;
  ok = ok && EVP_DigestFinal_ex(context, reinterpret_cast<unsigned char*>(result.data()), nullptr) == 1;
  EVP_MD_CTX_free(context);  // wipes its state
  if (!ok) fail(ErrorCode::system, "OpenSSL cannot compute SHA-256");
  return result;
}

/// Bytes that held a secret.
struct Wiped {
  std::array<char, longest_line> bytes{};
  ~Wiped() { OPENSSL_cleanse(bytes.data(), bytes.size()); }
};

}  // namespace

JobKey::~JobKey() { OPENSSL_cleanse(bytes_.data(), bytes_.size()); }

JobKey JobKey::random() {
  JobKey key{Raw{}};
  if (RAND_bytes(reinterpret_cast<unsigned char*>(key.bytes_.data()), static_cast<int>(key_bytes)) != 1) {
    fail(ErrorCode::system, "the system's random generator gives no job key");
  }
  return key;
}

JobKey JobKey::from_text(std::string_view text) {
  text = trimmed(text);
  if (text.size() < shortest_text) {
    fail(ErrorCode::invalid_argument, "the job key has " + std::to_string(text.size()) + " characters: at least " +
                                          std::to_string(shortest_text) + " are needed");
  }
  if (!is_hex_key(text)) return JobKey(sha256({text}));
  JobKey key{Raw{}};
  for (std::size_t i = 0; i < key_bytes; ++i) {
    key.bytes_[i] = static_cast<std::byte>(hex_value(text[2 * i]) * 16 + hex_value(text[2 * i + 1]));
  }
  return key;
}

JobKey JobKey::from_file(const std::string& path) {
  auto refuse = [&](const std::string& why) {
    fail(ErrorCode::invalid_argument, "the job key file " + quoted(path) + " " + why);
  };
  // Non-blocking, because the path may be a pipe (a shell's process substitution) that nobody writes to.
  Socket file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file.is_open()) refuse(std::string("cannot be read: ") + std::strerror(errno));
  Deadline deadline = Deadline::after(std::chrono::seconds(10));
  Wiped line;
  std::size_t filled = 0;
  std::size_t end = 0;
  for (;;) {
    ssize_t count = ::read(file.descriptor(), line.bytes.data() + filled, line.bytes.size() - filled);
    if (count < 0 && errno != EINTR && errno != EAGAIN) refuse(std::string("cannot be read: ") + std::strerror(errno));
    if (count > 0) filled += static_cast<std::size_t>(count);
    auto* newline = std::find(line.bytes.data(), line.bytes.data() + filled, '\n');
    end = static_cast<std::size_t>(newline - line.bytes.data());
    if (end < filled || count == 0) break;
    if (filled == line.bytes.size()) refuse("has a first line above " + std::to_string(longest_line) + " bytes");
    if (deadline.passed() || (count < 0 && !wait_readable(file, deadline))) refuse("gives no whole line within 10 s");
  }
  std::string_view text = trimmed({line.bytes.data(), end});
  if (text.empty()) refuse("has an empty first line: put the key there");
  if (text.size() < shortest_text) {
    refuse("holds " + std::to_string(text.size()) + " characters in its first line: at least " +
           std::to_string(shortest_text) + " are needed");
  }
  return from_text(text);
}

JobKey JobKey::derived(std::string_view job_id) { return JobKey(sha256({"trireme job key of job id ", job_id})); }

std::string JobKey::to_text() const {
  std::string text;
  text.reserve(2 * key_bytes);
  for (std::byte value : bytes_) {
    text += digits[std::to_integer<unsigned>(value) >> 4];
    text += digits[std::to_integer<unsigned>(value) & 0xf];
  }
  return text;
}

}  // namespace trireme::net
