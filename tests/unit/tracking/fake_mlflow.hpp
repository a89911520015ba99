// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "support/http_server.hpp"

#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

namespace trireme::testing {

/// What an MLflow server has been told, by a server that misbehaves as a test wants.
class FakeMlflow {
 public:
  using Metric = std::tuple<std::string, std::string, std::int64_t>;  // name, value as JSON, step

  /// `misbehave` is asked first about every request; what it returns is the answer, and nothing is recorded.
  using Misbehaviour = std::function<std::optional<HttpAnswer>(const HttpRequest&)>;
  explicit FakeMlflow(Misbehaviour misbehave = [](const HttpRequest&) { return std::nullopt; });

  std::string url() const { return server_.url(); }
  /// The calls so far: "POST runs/log-batch".
  std::vector<std::string> calls() const;
  std::vector<Metric> metrics() const;
  std::map<std::string, std::string> parameters() const;
  std::map<std::string, std::string> tags() const;
  std::vector<std::size_t> batch_sizes() const;
  std::string status() const;      ///< of the run; empty: never told
  std::string experiment() const;  ///< of the run that was made
  std::string last_authorization() const;
  /// Waits, for at most 30 s, until so many requests have come.
  bool await_calls(std::size_t count);

 private:
  HttpAnswer handle(const HttpRequest& request);
  HttpAnswer respond(const std::string& call, const HttpRequest& request);
  void record(const HttpRequest& request);

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  Misbehaviour misbehave_;
  std::vector<std::string> calls_;
  std::vector<Metric> metrics_;
  std::map<std::string, std::string> parameters_, tags_, experiments_;
  std::vector<std::size_t> batch_sizes_;
  std::string status_, experiment_, last_authorization_;
  HttpServer server_;
};

}  // namespace trireme::testing
