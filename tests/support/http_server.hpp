// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/net/socket.hpp"

#include <algorithm>
#include <atomic>
#include <cctype>
#include <chrono>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <sys/socket.h>

namespace trireme::testing {

struct HttpRequest {
  std::string method, target;
  std::map<std::string, std::string> headers;  ///< names in lower case
  std::string body;
  std::size_t connection = 0;  ///< which one it came by
};

/// What a server does with a request: writes `bytes`, whatever they are, and then goes on, closes, or is silent.
struct HttpAnswer {
  enum class Then : unsigned char { goes_on, closes, hangs };
  std::string bytes;
  Then then = Then::goes_on;
};

/// "HTTP/1.1 STATUS …" with a length.
inline HttpAnswer answer(int status, const std::string& body, const std::string& headers = "") {
  return {.bytes = "HTTP/1.1 " + std::to_string(status) + " Said\r\n" + headers +
                   "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body};
}
inline HttpAnswer silence() { return {.bytes = "", .then = HttpAnswer::Then::hangs}; }
inline HttpAnswer hang_up(std::string bytes = "") {
  return {.bytes = std::move(bytes), .then = HttpAnswer::Then::closes};
}

/// A small HTTP/1.1 server on a free port of 127.0.0.1, with a thread for each connection. What it says is `handle`'s choice,
/// which is called by one thread at a time.
class HttpServer {
 public:
  using Handler = std::function<HttpAnswer(const HttpRequest&)>;

  explicit HttpServer(Handler handle) : HttpServer(net::listen_tcp({"127.0.0.1", 0}), std::move(handle)) {}
  HttpServer(net::Socket listener, Handler handle) : handle_(std::move(handle)), listener_(std::move(listener)) {
    address_ = net::local_address(listener_);
    accepting_ = std::thread([this] { accept_all(); });
  }
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;
  ~HttpServer() {
    stops_ = true;
    accepting_.join();
    for (std::thread& each : connections_) each.join();
  }

  std::string url() const { return "http://" + address_.to_string(); }
  const net::Address& address() const { return address_; }

 private:
  static Deadline soon() { return Deadline::after(std::chrono::milliseconds(10)); }

  void accept_all() {
    while (!stops_) {
      if (auto socket = net::accept(listener_, soon())) {
        const std::size_t number = connections_.size();
        connections_.emplace_back([this, number, held = std::move(*socket)] { serve(held, number); });
      }
    }
  }

  /// Some more bytes; false at the end of the connection, or of this server.
  bool read_more(const net::Socket& socket, std::string& bytes) {
    while (!stops_) {
      if (!net::wait_readable(socket, soon())) continue;
      char piece[4096];
      const auto count = ::recv(socket.descriptor(), piece, sizeof piece, MSG_DONTWAIT);
      if (count <= 0) return false;
      bytes.append(piece, static_cast<std::size_t>(count));
      return true;
    }
    return false;
  }

  static HttpRequest parse(const std::string& head) {
    HttpRequest request;
    request.method = head.substr(0, head.find(' '));
    const auto target = request.method.size() + 1;
    request.target = head.substr(target, head.find(' ', target) - target);
    for (auto line = head.find("\r\n"); line != std::string::npos; line = head.find("\r\n", line + 2)) {
      const auto colon = head.find(": ", line), end = std::min(head.find("\r\n", line + 2), head.size());
      if (colon == std::string::npos || colon > end) continue;
      std::string name = head.substr(line + 2, colon - line - 2);
      std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
      request.headers[name] = head.substr(colon + 2, end - colon - 2);
    }
    return request;
  }

  void serve(const net::Socket& socket, std::size_t number) try {
    std::string bytes;
    while (true) {
      auto end = bytes.find("\r\n\r\n");
      for (; end == std::string::npos; end = bytes.find("\r\n\r\n")) {
        if (!read_more(socket, bytes)) return;
      }
      HttpRequest request = parse(bytes.substr(0, end));
      request.connection = number;
      const auto length = request.headers.find("content-length");
      const std::size_t total = end + 4 + (length == request.headers.end() ? 0 : std::stoul(length->second));
      while (bytes.size() < total) {
        if (!read_more(socket, bytes)) return;
      }
      request.body = bytes.substr(end + 4, total - end - 4);
      bytes.erase(0, total);
      HttpAnswer said;
      {
        const std::lock_guard lock(handling_);
        said = handle_(request);
      }
      net::send_all(socket, std::as_bytes(std::span(said.bytes)), Deadline::after(std::chrono::seconds(10)));
      while (said.then == HttpAnswer::Then::hangs) {
        if (!read_more(socket, bytes)) return;
      }
      if (said.then == HttpAnswer::Then::closes) return;
    }
  } catch (const std::exception&) {  // the client has gone
  }

  Handler handle_;
  std::mutex handling_;
  net::Socket listener_;
  net::Address address_;
  std::atomic<bool> stops_{false};
  std::vector<std::thread> connections_;  // of the accepting thread until it has ended
  std::thread accepting_;
};

}  // namespace trireme::testing
