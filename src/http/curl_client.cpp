// SPDX-License-Identifier: Apache-2.0
#include "trireme/base/error.hpp"
#include "trireme/http/client.hpp"

#include <algorithm>
#include <cctype>
#include <csignal>
#include <ctime>
#include <filesystem>
#include <memory>
#include <string_view>
#include <system_error>

#include <curl/curl.h>

namespace trireme::http {
namespace {

/// libcurl's own global state must be made before the first handle, by one thread: the first caller does.
void prepare_library() {
  static const CURLcode made = ::curl_global_init(CURL_GLOBAL_DEFAULT);
  if (made != CURLE_OK) fail(ErrorCode::system, std::string("libcurl: ") + ::curl_easy_strerror(made));
}

constexpr std::size_t most_header_bytes = 64 << 10;  // of all headers of an answer: libcurl itself bounds only each
constexpr int look_every_ms = 50;                    // whether a request was given up

struct Exchange {
  Response response;
  std::size_t most_bytes = 0;
  std::size_t header_bytes = 0;
  bool is_too_long = false;
};

std::size_t take_body(char* bytes, std::size_t, std::size_t count, void* into) noexcept try {
  auto& exchange = *static_cast<Exchange*>(into);
  exchange.is_too_long = count > exchange.most_bytes - exchange.response.body.size();
  if (exchange.is_too_long) return 0;
  exchange.response.body.append(bytes, count);
  return count;
} catch (...) {
  return 0;
}

std::string_view trimmed(std::string_view text) {
  const auto is_space = [](char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; };
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

std::size_t take_header(char* bytes, std::size_t, std::size_t count, void* into) noexcept try {
  auto& exchange = *static_cast<Exchange*>(into);
  const std::string_view line(bytes, count);
  exchange.is_too_long = count > most_header_bytes - exchange.header_bytes;
  if (exchange.is_too_long) return 0;
  exchange.header_bytes += count;
  if (line.substr(0, 5) == "HTTP/") exchange.response.headers.clear();  // of "100 Continue", say
  const auto colon = line.find(':');
  if (colon == std::string_view::npos || line.substr(0, 5) == "HTTP/") return count;
  std::string name(line.substr(0, colon));
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
  exchange.response.headers[name] = trimmed(line.substr(colon + 1));
  return count;
} catch (...) {
  return 0;
}

struct FreeHandle {
  void operator()(CURL* handle) const { ::curl_easy_cleanup(handle); }
};
struct FreeMulti {
  void operator()(CURLM* handle) const { ::curl_multi_cleanup(handle); }
};
struct FreeList {
  void operator()(curl_slist* list) const { ::curl_slist_free_all(list); }
};

bool is_web_address(std::string_view url) {
  const auto begins_with = [&](std::string_view scheme) {
    return url.size() > scheme.size() && url[scheme.size()] != '/' &&
           std::equal(scheme.begin(), scheme.end(), url.begin(),
                      [](char a, char b) { return a == std::tolower(static_cast<unsigned char>(b)); });
  };
  return begins_with("http://") || begins_with("https://");
}

/// What may be shown of a URL: neither a user's name and password nor a query. Where an '@' stands behind the host, what
/// looks like the host may be part of a password with a '/' or '?' in it: then nothing is.
std::string shown(const std::string& url) {
  if (!is_web_address(url)) return "the address";
  const auto host = url.find("://") + 3;
  const auto host_end = std::min(url.find_first_of("/?#", host), url.size());
  if (url.find('@', host_end) != std::string::npos) return url.substr(0, host) + "…";
  const auto at = url.rfind('@');
  const auto begin = at == std::string::npos ? host : at + 1;
  return url.substr(0, host) + url.substr(begin, url.find_first_of("?#", host_end) - begin);
}

/// Writing into a closed TLS connection may raise SIGPIPE, and a library leaves a program's handlers alone.
class WithoutSigpipe {
 public:
  WithoutSigpipe() {
    ::sigemptyset(&pipe_);
    ::sigaddset(&pipe_, SIGPIPE);
    sigset_t pending;
    ::sigpending(&pending);
    was_pending_ = ::sigismember(&pending, SIGPIPE) == 1;
    ::pthread_sigmask(SIG_BLOCK, &pipe_, &before_);
  }
  WithoutSigpipe(const WithoutSigpipe&) = delete;
  WithoutSigpipe& operator=(const WithoutSigpipe&) = delete;
  ~WithoutSigpipe() {
    constexpr timespec at_once{};
    if (!was_pending_) ::sigtimedwait(&pipe_, nullptr, &at_once);
    ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }

 private:
  sigset_t pipe_{}, before_{};
  bool was_pending_ = false;
};

long in_milliseconds(std::chrono::milliseconds time) {  // to libcurl 0 is its default, or for ever
  return static_cast<long>(std::clamp<std::chrono::milliseconds::rep>(time.count(), 1, 1 << 30));
}

class CurlClient final : public Client {
 public:
  CurlClient() {
    prepare_library();
    handle_.reset(::curl_easy_init());
    connections_.reset(::curl_multi_init());
    if (!handle_ || !connections_) fail(ErrorCode::system, "libcurl: no handle");
  }

  Response send(const Request& request) override {
    check(request);
    Exchange exchange{.response = {}, .most_bytes = request.most_bytes};
    const auto headers = headers_of(request);
    CURL* const handle = handle_.get();
    ::curl_easy_reset(handle);  // connections stay
    ::curl_easy_setopt(handle, CURLOPT_URL, request.url.c_str());
    ::curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "http,https");
    ::curl_easy_setopt(handle, CURLOPT_HTTPHEADER, headers.get());
    ::curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
    ::curl_easy_setopt(handle, CURLOPT_QUICK_EXIT, 1L);  // a name that does not resolve is not waited for
    ::curl_easy_setopt(handle, CURLOPT_USERAGENT, "trireme");
    ::curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT_MS, in_milliseconds(request.connect_timeout));
    ::curl_easy_setopt(handle, CURLOPT_TIMEOUT_MS, in_milliseconds(request.timeout));
    if (!request.through_proxy) ::curl_easy_setopt(handle, CURLOPT_NOPROXY, "*");
    if (!request.ca_file.empty()) {
      std::error_code error;
      const bool is_folder = std::filesystem::is_directory(request.ca_file, error);
      ::curl_easy_setopt(handle, is_folder ? CURLOPT_CAPATH : CURLOPT_CAINFO, request.ca_file.c_str());
    }
    if (!request.checks_certificate) {
      ::curl_easy_setopt(handle, CURLOPT_SSL_VERIFYPEER, 0L);
      ::curl_easy_setopt(handle, CURLOPT_SSL_VERIFYHOST, 0L);
    }
    ::curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, take_body);
    ::curl_easy_setopt(handle, CURLOPT_WRITEDATA, &exchange);
    ::curl_easy_setopt(handle, CURLOPT_HEADERFUNCTION, take_header);
    ::curl_easy_setopt(handle, CURLOPT_HEADERDATA, &exchange);
    if (request.method != "GET") {
      ::curl_easy_setopt(handle, CURLOPT_POSTFIELDS, request.body.data());
      ::curl_easy_setopt(handle, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
      ::curl_easy_setopt(handle, CURLOPT_CUSTOMREQUEST, request.method.c_str());
    }
    const CURLcode code = perform();
    if (code != CURLE_OK) refuse(request, exchange, code);
    long status = 0;
    ::curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &status);
    exchange.response.status = static_cast<int>(status);
    return std::move(exchange.response);
  }

 private:
  using Headers = std::unique_ptr<curl_slist, FreeList>;

  static void check(const Request& request) {
    if (!is_web_address(request.url))
      fail(ErrorCode::invalid_argument, request.method + ": not an http:// or https:// address");
    if (request.method != "GET" && request.method != "POST" && request.method != "PUT")
      fail(ErrorCode::invalid_argument, shown(request.url) + ": no request of the method '" + request.method + "'");
    for (const std::string& header : request.headers) {
      if (header.find_first_of(std::string_view("\r\n\0", 3)) != std::string::npos)
        fail(ErrorCode::invalid_argument, "a header of a request to " + shown(request.url) + " holds a line end");
    }
  }

  static Headers headers_of(const Request& request) {
    Headers headers;
    const auto add = [&](const char* header) {
      curl_slist* const longer = ::curl_slist_append(headers.get(), header);
      if (longer == nullptr) fail(ErrorCode::system, "libcurl: no memory");
      static_cast<void>(headers.release());
      headers.reset(longer);
    };
    for (const std::string& header : request.headers) add(header.c_str());
    add("Expect:");  // bodies are small: no round trip to ask whether they are welcome
    return headers;
  }

  /// curl_easy_perform would look only once a second whether it was given up.
  CURLcode perform() {
    const WithoutSigpipe without_sigpipe;
    if (::curl_multi_add_handle(connections_.get(), handle_.get()) != CURLM_OK) return CURLE_FAILED_INIT;
    CURLcode code = CURLE_ABORTED_BY_CALLBACK;
    int running = 1;
    while (!cancelled.load(std::memory_order_relaxed)) {
      if (::curl_multi_perform(connections_.get(), &running) != CURLM_OK) code = CURLE_FAILED_INIT;
      if (running == 0 || code == CURLE_FAILED_INIT) break;
      ::curl_multi_poll(connections_.get(), nullptr, 0, look_every_ms, nullptr);
    }
    int left = 0;
    while (const CURLMsg* message = ::curl_multi_info_read(connections_.get(), &left)) {
      if (message->msg == CURLMSG_DONE) code = message->data.result;
    }
    ::curl_multi_remove_handle(connections_.get(), handle_.get());
    return code;
  }

  [[noreturn]] static void refuse(const Request& request, const Exchange& exchange, CURLcode code) {
    const std::string where = request.method + " " + shown(request.url) + ": ";
    if (exchange.is_too_long)
      fail(ErrorCode::corrupt, where + "the answer is longer than " + std::to_string(request.most_bytes) +
                                   " bytes, or its headers than " + std::to_string(most_header_bytes));
    switch (code) {
      case CURLE_OPERATION_TIMEDOUT:
        fail(ErrorCode::timeout, where + "no answer within " + std::to_string(request.timeout.count()) + " ms");
      case CURLE_ABORTED_BY_CALLBACK: fail(ErrorCode::closed, where + "given up");
      case CURLE_URL_MALFORMAT: fail(ErrorCode::invalid_argument, where + "not an address");
      case CURLE_UNSUPPORTED_PROTOCOL:  // what it calls HTTP/0.9: an answer without a head
      case CURLE_WEIRD_SERVER_REPLY:
      case CURLE_GOT_NOTHING:
      case CURLE_PARTIAL_FILE:
      case CURLE_BAD_CONTENT_ENCODING: fail(ErrorCode::corrupt, where + "the answer is not HTTP, or not whole");
      default: fail(ErrorCode::system, where + ::curl_easy_strerror(code));
    }
  }

  std::unique_ptr<CURLM, FreeMulti> connections_;
  std::unique_ptr<CURL, FreeHandle> handle_;
};

}  // namespace

std::unique_ptr<Client> make_client() { return std::make_unique<CurlClient>(); }

}  // namespace trireme::http
