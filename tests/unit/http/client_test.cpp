// SPDX-License-Identifier: Apache-2.0
#include "trireme/http/client.hpp"

#include "support/http_server.hpp"
#include "support/reserved_port.hpp"
#include "trireme/base/error.hpp"

#include <catch2/catch.hpp>

#include <condition_variable>
#include <thread>

namespace {

using namespace trireme;
using namespace trireme::testing;

Error refusal_of(http::Client& client, const http::Request& request) {
  try {
    static_cast<void>(client.send(request));
  } catch (const Exception& refusal) {
    return refusal.error();
  }
  FAIL("the request succeeded");
  return {};
}

Error refusal_of(const http::Request& request) { return refusal_of(*http::make_client(), request); }

http::Request get(const std::string& url) { return {.url = url, .through_proxy = false}; }

bool holds(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE(
    "A request brings its method, target, headers and body, and the answer's status, headers and body come back") {
  HttpRequest seen;
  HttpServer server([&](const HttpRequest& request) {
    seen = request;
    return answer(201, "made", "X-Name:  spaced value \r\n");
  });
  const auto client = http::make_client();
  const auto response = client->send({.method = "POST",
                                      .url = server.url() + "/a/b?c=d",
                                      .headers = {"Authorization: Bearer t0p", "Content-Type: application/json"},
                                      .body = std::string("{\0}", 3),
                                      .through_proxy = false});
  CHECK(response.status == 201);
  CHECK(response.body == "made");
  CHECK(response.headers.at("x-name") == "spaced value");
  CHECK(seen.method == "POST");
  CHECK(seen.target == "/a/b?c=d");
  CHECK(seen.headers.at("authorization") == "Bearer t0p");
  CHECK(seen.headers.at("content-type") == "application/json");
  CHECK(seen.headers.count("expect") == 0);
  CHECK(seen.body == std::string("{\0}", 3));
  CHECK(client->send({.method = "PUT", .url = server.url(), .body = "", .through_proxy = false}).status == 201);
  CHECK(seen.method == "PUT");
  CHECK(seen.body.empty());
  CHECK(client->send(get(server.url())).status == 201);
  CHECK(seen.method == "GET");
  CHECK(seen.headers.count("authorization") == 0);  // of another request
}

TEST_CASE("Requests to one server share a connection") {
  std::size_t last = 99;
  HttpServer server([&](const HttpRequest& request) {
    last = request.connection;
    return answer(200, "x");
  });
  const auto client = http::make_client();
  for (int k = 0; k < 3; ++k) static_cast<void>(client->send(get(server.url())));
  CHECK(last == 0);
}

TEST_CASE("A connection that the server has closed in between is opened anew") {
  std::size_t last = 99;
  HttpServer server([&](const HttpRequest& request) {
    last = request.connection;
    auto said = answer(200, "x");
    said.then = HttpAnswer::Then::closes;
    return said;
  });
  const auto client = http::make_client();
  for (std::size_t k = 0; k < 3; ++k) {
    CHECK(client->send({.method = "POST", .url = server.url(), .body = "{}", .through_proxy = false}).body == "x");
    CHECK(last == k);
  }
}

TEST_CASE("A status of refusal is an answer, and a redirection is not followed") {
  int calls = 0;
  std::string base;
  HttpServer server([&](const HttpRequest& request) {
    ++calls;
    return request.target == "/moved" ? answer(302, "", "Location: " + base + "/elsewhere\r\n") : answer(404, "no");
  });
  base = server.url();
  const auto client = http::make_client();
  CHECK(client->send(get(base + "/none")).status == 404);
  const auto moved = client->send(get(base + "/moved"));
  CHECK(moved.status == 302);
  CHECK(moved.headers.at("location") == base + "/elsewhere");
  CHECK(calls == 2);
}

TEST_CASE("Only the headers of the last answer count, also behind a status that has a colon in it") {
  HttpServer server([](const HttpRequest&) {
    return HttpAnswer{.bytes =
                          "HTTP/1.1 100 Go: on\r\nX-Early: 1\r\n\r\nHTTP/1.1 200 O: K\r\nX-Late: 2\r\n"
                          "Content-Length: 2\r\n\r\nok"};
  });
  const auto response = http::make_client()->send(get(server.url()));
  CHECK(response.body == "ok");
  CHECK(response.headers == std::map<std::string, std::string>{{"x-late", "2"}, {"content-length", "2"}});
}

TEST_CASE("An answer that is no HTTP, not whole, or none at all is corrupt") {
  const auto [bytes, name] = GENERATE(table<std::string, std::string>({
      {"garbage without a head\r\n\r\n", "garbage"},
      {std::string("\0\1\2\377\r\n", 6), "bytes"},
      {"", "nothing"},
      {"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort", "cut"},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", "cut in a chunk"},
  }));
  INFO(name);
  HttpServer server([said = bytes](const HttpRequest&) { return hang_up(said); });
  const Error error = refusal_of(get(server.url() + "/x"));
  INFO(error.message);
  CHECK(error.code == ErrorCode::corrupt);
  CHECK(holds(error.message, "GET " + server.url() + "/x: "));
}

TEST_CASE("An answer longer than allowed is an error, not memory; so are endless headers") {
  HttpServer server([](const HttpRequest& request) {
    if (request.target == "/headers") {
      std::string bytes = "HTTP/1.1 200 OK\r\n";
      for (int k = 0; k < 20000; ++k) bytes += "X-" + std::to_string(k) + ": y\r\n";
      return HttpAnswer{.bytes = bytes + "\r\n"};
    }
    return answer(200, std::string(1001, 'x'));
  });
  auto request = get(server.url());
  request.most_bytes = 1001;
  CHECK(http::make_client()->send(request).body.size() == 1001);
  request.most_bytes = 1000;
  const Error error = refusal_of(request);
  CHECK(error.code == ErrorCode::corrupt);
  CHECK(holds(error.message, "longer than 1000 bytes"));
  CHECK(refusal_of(get(server.url() + "/headers")).code == ErrorCode::corrupt);
}

TEST_CASE("A server that says nothing, or stops half-way, ends in a timeout; a time of 0 is no endless one") {
  HttpServer server([](const HttpRequest& request) {
    auto said = silence();
    if (request.target == "/half") said.bytes = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nfour";
    return said;
  });
  auto request = get(server.url() + GENERATE("/none", "/half"));
  request.timeout = std::chrono::milliseconds(GENERATE(100, 0, -5));
  CHECK(refusal_of(request).code == ErrorCode::timeout);
}

TEST_CASE("Where nobody listens is a system error, and the client goes on to serve") {
  const ReservedPort nobody;
  const auto client = http::make_client();
  CHECK(refusal_of(*client, get("http://" + nobody.address.to_string())).code == ErrorCode::system);
  HttpServer server([](const HttpRequest&) { return answer(200, "here"); });
  CHECK(client->send(get(server.url())).body == "here");
}

TEST_CASE("Another thread ends a request that hangs") {
  std::mutex mutex;
  std::condition_variable asked;
  bool is_asked = false;
  HttpServer server([&](const HttpRequest&) {
    const std::lock_guard lock(mutex);
    is_asked = true;
    asked.notify_all();
    return silence();
  });
  const auto client = http::make_client();
  std::thread other([&] {
    std::unique_lock lock(mutex);
    asked.wait(lock, [&] { return is_asked; });
    client->cancelled = true;
  });
  auto request = get(server.url());
  request.timeout = std::chrono::minutes(10);
  CHECK(refusal_of(*client, request).code == ErrorCode::closed);
  other.join();
  CHECK(refusal_of(*client, request).code == ErrorCode::closed);  // at once
}

TEST_CASE("What is no request is refused before anything moves") {
  const std::string url = GENERATE("", "localhost", "ftp://localhost/", "file:///etc/hostname", "http://", "http:///x");
  INFO(url);
  CHECK(refusal_of(get(url)).code == ErrorCode::invalid_argument);
  const std::string line_end = GENERATE("A: b\r\nC: d", "A: b\n");
  CHECK(refusal_of({.url = "http://localhost:1", .headers = {line_end}}).code == ErrorCode::invalid_argument);
  CHECK(refusal_of({.method = "DELETE", .url = "http://localhost:1"}).code == ErrorCode::invalid_argument);
}

TEST_CASE("Errors show neither passwords, nor queries, nor headers") {
  const ReservedPort nobody;
  const std::string host = nobody.address.to_string();
  for (const std::string& url :
       std::vector<std::string>{"http://user:hush@" + host + "/p", "http://user:hush@" + host + "/p?q=hush#hush",
                                "http://" + host + "/p?a=hush", "http://user:a?hush@" + host,
                                "http://user:a/hush@" + host, "http://" + host + "?hush", "ftp://u:hush@h"}) {
    INFO(url);
    auto request = get(url);
    request.headers = {"Authorization: Bearer hush"};
    request.connect_timeout = request.timeout = std::chrono::milliseconds(200);
    const Error error = refusal_of(request);
    CHECK_FALSE(holds(error.message, "hush"));
  }
  CHECK(holds(refusal_of(get("http://user:hush@" + host + "/p?q")).message, "http://" + host + "/p: "));
}
