// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/http/client.hpp"

#include <chrono>
#include <string>
#include <string_view>

namespace trireme::interruption {

/// A request to a metadata service: never through a proxy, which would answer for its own machine.
http::Request metadata_request(std::string url, std::string header = {},
                               std::chrono::milliseconds timeout = std::chrono::seconds(2));

/// Without spaces and line ends around it.
std::string_view trimmed(std::string_view text);

/// Errors: always corrupt: the service answered what it should not.
[[noreturn]] void refuse_answer(const std::string& service, const std::string& what, const http::Response& response);

}  // namespace trireme::interruption
