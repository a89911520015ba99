// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

namespace trireme::tracking {

/// What came of a request.
struct MlflowVerdict {
  enum class Kind : unsigned char {
    taken,
    not_now,  ///< try again: too many requests, a failing server, no answer, an answer that is not MLflow's
    refused,  ///< what was sent is at fault
    hopeless  ///< so would be whatever is sent: no such run, a token that does not count
  };
  Kind kind = Kind::taken;
  std::string reason{};                              ///< for people
  std::optional<std::chrono::milliseconds> pause{};  ///< as the server asks for
};

/// The text or whole number at a path of an answer in JSON, indices of arrays among it; empty when there is none.
std::string text_at(std::string_view body, std::initializer_list<std::string_view> path);

/// Whether MLflow itself refuses: {"error_code": …}, and not something on the way to it.
bool is_mlflow_refusal(std::string_view body);

/// What a status and the answer that came with it mean. A success must be a JSON object, or empty: others are of something that
/// stands before the server. The reason may repeat what was sent.
MlflowVerdict judged(int status, std::string_view body);

/// At most 200 characters of printable ASCII.
std::string one_line(std::string text);

}  // namespace trireme::tracking
