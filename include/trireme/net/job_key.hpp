// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

namespace trireme::net {

/// The secret every member of a job holds: 32 bytes. Never printed, wiped when destroyed.
class JobKey {
 public:
  /// A new random key.
  static JobKey random();
  /// From text of any length >= 16 characters (white space at the ends apart): the key itself if the text is 64 hex
  /// digits, else the text's SHA-256.
  /// Errors: invalid_argument, without the text, when it is shorter.
  static JobKey from_text(std::string_view text);
  /// From the first line of a file (or pipe; waits at most 10 s), read as from_text does.
  /// Errors: invalid_argument naming the file when it cannot be read, or when its first line is empty, too short or
  ///         above 4 KiB.
  static JobKey from_file(const std::string& path);
  /// From something every member knows and an attacker may know too: prevents cross-talk, not attack.
  static JobKey derived(std::string_view job_id);

  JobKey(const JobKey&) = default;
  JobKey& operator=(const JobKey&) = default;
  ~JobKey();

  /// 64 hex digits, for handing it to child processes in TRIREME_JOB_KEY; from_text(to_text()) is this key.
  std::string to_text() const;
  const std::array<std::byte, 32>& bytes() const { return bytes_; }

 private:
  explicit JobKey(std::array<std::byte, 32> bytes) : bytes_(bytes) {}
  std::array<std::byte, 32> bytes_;
};

}  // namespace trireme::net
