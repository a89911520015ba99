// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/deadline.hpp"

#include <atomic>
#include <chrono>
#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace trireme::http {

struct Request {
  std::string method = "GET";          ///< GET, POST or PUT
  std::string url;                     ///< http:// or https://
  std::vector<std::string> headers{};  ///< "Name: value"
  std::string body{};
  std::chrono::milliseconds connect_timeout{2000};
  std::chrono::milliseconds timeout{10000};  ///< of all of it
  std::size_t most_bytes = 1 << 20;          ///< of an answer; a longer one is an error
  std::string
      ca_file{};  ///< a file or folder of authorities that a server's certificate is checked by; empty: the system's
  bool checks_certificate = true;  ///< false: anybody may answer, and read what is sent
  bool through_proxy = true;       ///< as https_proxy and its kin say; never for addresses of this host's own link
};

struct Response {
  int status = 0;
  std::string body;
  std::map<std::string, std::string> headers;  ///< names in lower case
};

/// A connection is kept open between requests to one server.
/// Redirections are not followed: what carries a token must not be sent elsewhere.
/// Errors: timeout; system, saying what libcurl says of the connection or of TLS, with the address but without what
///         stands behind '?' in it or is a user's, and never a header; corrupt for an answer that is no HTTP, not whole or too long;
///         invalid_argument for a request that is none. A status such as 404 is no error.
/// Threads: one caller at a time; another may set `cancelled`, which ends a request within 100 ms (closed).
class Client {
 public:
  virtual ~Client() = default;
  virtual Response send(const Request& request) = 0;
  std::atomic<bool> cancelled{false};
};

/// Over libcurl.
std::unique_ptr<Client> make_client();

}  // namespace trireme::http
