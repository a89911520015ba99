// SPDX-License-Identifier: Apache-2.0
#include "interruption/metadata.hpp"

#include "trireme/base/error.hpp"

#include <utility>

namespace trireme::interruption {
namespace {

constexpr std::size_t most_answer_bytes = std::size_t{64} << 10;

}  // namespace

http::Request metadata_request(std::string url, std::string header, std::chrono::milliseconds timeout) {
  http::Request request{.url = std::move(url),
                        .connect_timeout = std::chrono::milliseconds(200),
                        .timeout = timeout,
                        .most_bytes = most_answer_bytes,
                        .through_proxy = false};
  if (!header.empty()) request.headers.push_back(std::move(header));
  return request;
}

std::string_view trimmed(std::string_view text) {
  const auto is_space = [](char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; };
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

void refuse_answer(const std::string& service, const std::string& what, const http::Response& response) {
  fail(ErrorCode::corrupt,
       service + " answers " + what + " with " +
           (response.status == 200 ? "something else" : "status " + std::to_string(response.status)));
}

}  // namespace trireme::interruption
