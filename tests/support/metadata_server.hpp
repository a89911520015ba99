// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/net/socket.hpp"

#include <atomic>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace trireme::testing {

/// A stand-in for the metadata services of the clouds, on a port of 127.0.0.1: answers HTTP as a table says, which may change
/// while it runs. Each connection has a thread of its own.
class MetadataServer {
 public:
  struct Asked {
    std::string method;
    std::string path;                            ///< with its query
    std::map<std::string, std::string> headers;  ///< names in lower case
  };
  struct Answer {
    int status = 200;
    std::string body{};
    std::vector<std::string> headers{};
    bool hangs = false;  ///< takes the request and says nothing
    std::string raw{};   ///< these bytes instead, and the end
  };
  using Respond = std::function<Answer(const Asked&)>;

  explicit MetadataServer(Respond respond);
  MetadataServer(const MetadataServer&) = delete;
  ~MetadataServer();

  /// "http://127.0.0.1:40123"
  std::string url() const;
  void respond(Respond respond);
  /// What was asked so far.
  std::vector<Asked> asked() const;

  /// What the clouds answer. EC2: without a spot action unless `action` is JSON; tokens are required, or not known of.
  static Respond ec2(std::string action, bool knows_tokens = true);
  static Respond compute_engine(std::string preempted);
  /// `events`: the list in JSON.
  static Respond azure(std::string name, std::string events);
  static Respond always(Answer answer);

  static inline const char* const token = "AQAEstand-in-token==";

 private:
  void accept_all();
  void serve(net::Socket socket);

  net::Socket listener_;
  mutable std::mutex mutex_;
  Respond respond_;           // under the mutex
  std::vector<Asked> asked_;  // under the mutex
  std::vector<std::thread> connections_;
  std::atomic<bool> is_stopped_{false};
  std::thread thread_;
};

/// "2026-01-31T08:22:00Z" and "Sat, 31 Jan 2026 08:22:00 GMT", so many seconds from now.
std::string iso_time_in(int seconds);
std::string rfc1123_time_in(int seconds);

}  // namespace trireme::testing
