// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <exception>
#include <string>
#include <string_view>

namespace trireme {

/// The kind of a failure: what a caller may branch on. Values are part of the wire format: never renumber.
enum class ErrorCode : std::uint8_t {
  none,              ///< no failure
  invalid_argument,  ///< the caller's mistake, found before any byte moved
  mismatch,          ///< two ranks called different operations, counts, dtypes or orders
  timeout,           ///< no progress by the deadline
  peer_lost,         ///< a rank's process or host is gone
  closed,            ///< the world or communicator was closed or aborted
  unsupported,       ///< this build, machine or version cannot do it
  device,            ///< an accelerator call failed
  system,            ///< an operating-system call failed
  corrupt,           ///< bytes from a file or the wire are not what they must be
};

std::string_view name_of(ErrorCode code) noexcept;

/// A failure as a value: stored, copied, read by several threads, sent to peers.
struct Error {
  ErrorCode code = ErrorCode::none;
  std::string message;                  ///< one line: what happened, to whom, and what to do next
  std::string operation{};              ///< "all_reduce #17"; empty outside operations
  std::string label{};                  ///< the caller's label, usually a parameter's name
  int rank = -1;                        ///< own rank; -1 before a world exists
  int peer_rank = -1;                   ///< the rank at fault; -1 if none
  std::string peer_host{};              ///< its host, if known
  std::chrono::nanoseconds elapsed{0};  ///< since the operation started

  explicit operator bool() const { return code != ErrorCode::none; }
};

/// "peer_lost: rank 2 on host-b … [all_reduce #17 'bucket 0', own rank 0, after 0.31 s]": one line.
std::string to_string(const Error& error);

/// The one exception of the library. what() is to_string(error()).
class Exception : public std::exception {
 public:
  explicit Exception(Error error);
  const Error& error() const noexcept { return error_; }
  const char* what() const noexcept override { return text_.c_str(); }

 private:
  Error error_;
  std::string text_;
};

/// Throws Exception{code, message}.
[[noreturn]] void fail(ErrorCode code, std::string message);

/// Throws Exception{system, "<what>: <strerror(errno_value)>"}.
[[noreturn]] void fail_system(std::string_view what, int errno_value);

}  // namespace trireme
