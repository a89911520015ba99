// SPDX-License-Identifier: Apache-2.0
#include "trireme/base/error.hpp"

#include <cstdio>
#include <cstring>

namespace trireme {

std::string_view name_of(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::none: return "none";
    case ErrorCode::invalid_argument: return "invalid_argument";
    case ErrorCode::mismatch: return "mismatch";
    case ErrorCode::timeout: return "timeout";
    case ErrorCode::peer_lost: return "peer_lost";
    case ErrorCode::closed: return "closed";
    case ErrorCode::unsupported: return "unsupported";
    case ErrorCode::device: return "device";
    case ErrorCode::system: return "system";
    case ErrorCode::corrupt: return "corrupt";
  }
  return "?";
}

std::string to_string(const Error& error) {
  std::string text{name_of(error.code)};
  text += ": ";
  text += error.message;
  std::string context;
  auto add = [&](const std::string& part) {
    if (!context.empty()) context += ", ";
    context += part;
  };
  if (!error.operation.empty()) {
    std::string what = error.operation;
    if (!error.label.empty()) what += " '" + error.label + "'";
    add(what);
  }
  if (error.rank >= 0) add("own rank " + std::to_string(error.rank));
  if (error.elapsed.count() > 0) {
    char seconds[32];
    std::snprintf(seconds, sizeof seconds, "after %.2f s", std::chrono::duration<double>(error.elapsed).count());
    add(seconds);
  }
  if (!context.empty()) text += " [" + context + "]";
  return text;
}

Exception::Exception(Error error) : error_(std::move(error)), text_(to_string(error_)) {}

void fail(ErrorCode code, std::string message) { throw Exception(Error{.code = code, .message = std::move(message)}); }

void fail_system(std::string_view what, int errno_value) {
  fail(ErrorCode::system, std::string(what) + ": " + std::strerror(errno_value));
}

}  // namespace trireme
