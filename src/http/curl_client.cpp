// SPDX-License-Identifier: Apache-2.0
#include "trireme/base/error.hpp"
#include "trireme/http/client.hpp"

#include <curl/curl.h>

#include <algorithm>
#include <cctype>
#include <memory>
#include <string_view>

namespace trireme::http {
namespace {

/// libcurl's own global state must be made before the first handle, by one thread: the first caller does.
void prepare_library() {
  static const CURLcode made = ::curl_global_init(CURL_GLOBAL_DEFAULT);
  if (made != CURLE_OK) fail(ErrorCode::system, std::string("libcurl: ") + ::curl_easy_strerror(made));
}

struct Exchange {
  Response response;
  std::size_t most_bytes = 0;
  bool is_too_long = false;
  const std::atomic<bool>* cancelled = nullptr;
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
  const auto colon = line.find(':');
  if (colon == std::string_view::npos) {
    if (line.substr(0, 5) == "HTTP/") exchange.response.headers.clear();  // of "100 Continue", say
    return count;
  }
  std::string name(line.substr(0, colon));
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
  exchange.response.headers[name] = trimmed(line.substr(colon + 1));
  return count;
} catch (...) {
  return 0;
}

int look_whether_cancelled(void* into, curl_off_t, curl_off_t, curl_off_t, curl_off_t) noexcept {
  return static_cast<Exchange*>(into)->cancelled->load(std::memory_order_relaxed) ? 1 : 0;
}

struct FreeHandle {
  void operator()(CURL* handle) const { ::curl_easy_cleanup(handle); }
};
struct FreeList {
  void operator()(curl_slist* list) const { ::curl_slist_free_all(list); }
};

/// What may be shown of a URL: neither a user's name and password nor a query.
std::string shown(const std::string& url) {
  const std::string front = url.substr(0, url.find_first_of("?#"));
  const auto scheme = front.find("://");
  if (scheme == std::string::npos) return "the address";
  const auto path = front.find('/', scheme + 3);
  const auto at = front.substr(0, path).rfind('@');
  return at == std::string::npos ? front : front.substr(0, scheme + 3) + front.substr(at + 1);
}

class CurlClient final : public Client {
 public:
  CurlClient() {
    prepare_library();
    handle_.reset(::curl_easy_init());
    if (!handle_) fail(ErrorCode::system, "libcurl: no handle");
  }

  Response send(const Request& request) override {
    Exchange exchange{.response = {}, .most_bytes = request.most_bytes, .cancelled = &cancelled};
    CURL* const handle = handle_.get();
    ::curl_easy_reset(handle);  // the connection stays
    std::unique_ptr<curl_slist, FreeList> headers;
    const auto add = [&](const char* header) {
      curl_slist* const longer = ::curl_slist_append(headers.get(), header);
      if (longer == nullptr) fail(ErrorCode::system, "libcurl: no memory");
      static_cast<void>(headers.release());
      headers.reset(longer);
    };
    for (const std::string& header : request.headers) {
      if (header.find_first_of("\r\n") != std::string::npos)
        fail(ErrorCode::invalid_argument, "a header of a request to " + shown(request.url) + " holds a line end");
      add(header.c_str());
    }
    add("Expect:");  // bodies are small: no round trip to ask whether they are welcome
    ::curl_easy_setopt(handle, CURLOPT_URL, request.url.c_str());
    ::curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "http,https");
    ::curl_easy_setopt(handle, CURLOPT_HTTPHEADER, headers.get());
    ::curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
    ::curl_easy_setopt(handle, CURLOPT_USERAGENT, "trireme");
    ::curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(request.connect_timeout.count()));
    ::curl_easy_setopt(handle, CURLOPT_TIMEOUT_MS, static_cast<long>(request.timeout.count()));
    if (!request.through_proxy) ::curl_easy_setopt(handle, CURLOPT_NOPROXY, "*");
    ::curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, take_body);
    ::curl_easy_setopt(handle, CURLOPT_WRITEDATA, &exchange);
    ::curl_easy_setopt(handle, CURLOPT_HEADERFUNCTION, take_header);
    ::curl_easy_setopt(handle, CURLOPT_HEADERDATA, &exchange);
    ::curl_easy_setopt(handle, CURLOPT_NOPROGRESS, 0L);
    ::curl_easy_setopt(handle, CURLOPT_XFERINFOFUNCTION, look_whether_cancelled);
    ::curl_easy_setopt(handle, CURLOPT_XFERINFODATA, &exchange);
    if (request.method != "GET") {
      ::curl_easy_setopt(handle, CURLOPT_POSTFIELDS, request.body.data());
      ::curl_easy_setopt(handle, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
      ::curl_easy_setopt(handle, CURLOPT_CUSTOMREQUEST, request.method.c_str());
    }
    const CURLcode code = ::curl_easy_perform(handle);
    if (code != CURLE_OK) refuse(request, exchange, code);
    long status = 0;
    ::curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &status);
    exchange.response.status = static_cast<int>(status);
    return std::move(exchange.response);
  }

 private:
  [[noreturn]] static void refuse(const Request& request, const Exchange& exchange, CURLcode code) {
    const std::string where = request.method + " " + shown(request.url) + ": ";
    if (exchange.is_too_long)
      fail(ErrorCode::corrupt, where + "the answer is longer than " + std::to_string(request.most_bytes) + " bytes");
    switch (code) {
      case CURLE_OPERATION_TIMEDOUT:
        fail(ErrorCode::timeout, where + "no answer within " + std::to_string(request.timeout.count()) + " ms");
      case CURLE_ABORTED_BY_CALLBACK: fail(ErrorCode::closed, where + "given up");
      case CURLE_URL_MALFORMAT:
      case CURLE_UNSUPPORTED_PROTOCOL: fail(ErrorCode::invalid_argument, where + "not an http:// or https:// address");
      case CURLE_WEIRD_SERVER_REPLY:
      case CURLE_GOT_NOTHING:
      case CURLE_PARTIAL_FILE: fail(ErrorCode::corrupt, where + ::curl_easy_strerror(code));
      default: fail(ErrorCode::system, where + ::curl_easy_strerror(code));
    }
  }

  std::unique_ptr<CURL, FreeHandle> handle_;
};

}  // namespace

std::unique_ptr<Client> make_client() { return std::make_unique<CurlClient>(); }

}  // namespace trireme::http
