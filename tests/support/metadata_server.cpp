// SPDX-License-Identifier: Apache-2.0
#include "support/metadata_server.hpp"

#include "trireme/base/error.hpp"

#include <algorithm>
#include <cctype>
#include <ctime>
#include <optional>
#include <span>
#include <sstream>

#include <sys/socket.h>

namespace trireme::testing {
namespace {

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text;
}

MetadataServer::Asked parsed(const std::string& head) {
  MetadataServer::Asked asked;
  std::istringstream lines(head);
  lines >> asked.method >> asked.path;
  std::string line;
  std::getline(lines, line);
  while (std::getline(lines, line)) {
    const auto colon = line.find(':');
    if (colon == std::string::npos) continue;
    const auto end = line.find_last_not_of("\r ");
    asked.headers[lower(line.substr(0, colon))] = line.substr(colon + 2, end - colon - 1);
  }
  return asked;
}

std::string as_bytes_of(const MetadataServer::Answer& answer) {
  if (!answer.raw.empty()) return answer.raw;
  std::string bytes = "HTTP/1.1 " + std::to_string(answer.status) +
                      " x\r\nContent-Length: " + std::to_string(answer.body.size()) + "\r\n";
  for (const std::string& header : answer.headers) bytes += header + "\r\n";
  return bytes + "\r\n" + answer.body;
}

std::string time_in(int seconds, const char* format) {
  const std::time_t when = std::time(nullptr) + seconds;
  std::tm parts{};
  ::gmtime_r(&when, &parts);
  char text[64];
  std::strftime(text, sizeof text, format, &parts);
  return text;
}

}  // namespace

std::string iso_time_in(int seconds) { return time_in(seconds, "%Y-%m-%dT%H:%M:%SZ"); }
std::string rfc1123_time_in(int seconds) { return time_in(seconds, "%a, %d %b %Y %H:%M:%S GMT"); }

MetadataServer::MetadataServer(Respond respond)
    : listener_(net::listen_tcp({"127.0.0.1", 0})), respond_(std::move(respond)) {
  thread_ = std::thread([this] { accept_all(); });
}

MetadataServer::~MetadataServer() {
  is_stopped_ = true;
  thread_.join();
  for (std::thread& each : connections_) each.join();
}

std::string MetadataServer::url() const { return "http://" + net::local_address(listener_).to_string(); }

void MetadataServer::respond(Respond respond) {
  const std::lock_guard lock(mutex_);
  respond_ = std::move(respond);
}

std::vector<MetadataServer::Asked> MetadataServer::asked() const {
  const std::lock_guard lock(mutex_);
  return asked_;
}

void MetadataServer::accept_all() {
  while (!is_stopped_) {
    auto socket = net::accept(listener_, Deadline::after(std::chrono::milliseconds(50)));
    if (socket)
      connections_.emplace_back(
          [this, taken = std::make_shared<net::Socket>(std::move(*socket))] { serve(std::move(*taken)); });
  }
}

void MetadataServer::serve(net::Socket socket) try {
  std::string head;
  while (!is_stopped_) {
    if (!net::wait_readable(socket, Deadline::after(std::chrono::milliseconds(20)))) continue;
    char bytes[4096];
    const auto count = ::recv(socket.descriptor(), bytes, sizeof bytes, 0);
    if (count <= 0) return;
    head.append(bytes, static_cast<std::size_t>(count));
    const auto end = head.find("\r\n\r\n");
    if (end == std::string::npos) continue;
    const Asked asked = parsed(head.substr(0, end));
    head.erase(0, end + 4);
    Respond respond;
    {
      const std::lock_guard lock(mutex_);
      asked_.push_back(asked);
      respond = respond_;
    }
    const Answer answer = respond(asked);
    if (answer.hangs) continue;
    const std::string said = as_bytes_of(answer);
    net::send_all(socket, std::as_bytes(std::span(said)), Deadline::after(std::chrono::seconds(5)));
    if (!answer.raw.empty()) return;
  }
} catch (const Exception&) {  // whoever asked has left
}

MetadataServer::Respond MetadataServer::always(Answer answer) {
  return [answer = std::move(answer)](const Asked&) { return answer; };
}

MetadataServer::Respond MetadataServer::ec2(std::string action, bool knows_tokens) {
  return [action = std::move(action), knows_tokens](const Asked& asked) -> Answer {
    if (asked.path == "/latest/api/token" && knows_tokens)
      return asked.method == "PUT" && asked.headers.count("x-aws-ec2-metadata-token-ttl-seconds") != 0
                 ? Answer{.body = token}
                 : Answer{.status = 400};
    if (asked.path != "/latest/meta-data/spot/instance-action") return {.status = 404};
    const auto given = asked.headers.find("x-aws-ec2-metadata-token");
    if (knows_tokens && (given == asked.headers.end() || given->second != token)) return {.status = 401};
    return action.empty() ? Answer{.status = 404} : Answer{.body = action};
  };
}

MetadataServer::Respond MetadataServer::compute_engine(std::string preempted) {
  return [preempted = std::move(preempted)](const Asked& asked) -> Answer {
    const std::string prefix = "/computeMetadata/v1/instance/";
    const auto given = asked.headers.find("metadata-flavor");
    if (given == asked.headers.end() || given->second != "Google") return {.status = 403};
    Answer answer{.status = 404, .headers = {"Metadata-Flavor: Google"}};
    if (asked.path == prefix + "preempted") answer = {.body = preempted, .headers = answer.headers};
    if (asked.path == prefix + "maintenance-event") answer = {.body = "NONE", .headers = answer.headers};
    return answer;
  };
}

MetadataServer::Respond MetadataServer::azure(std::string name, std::string events) {
  return [name = std::move(name), events = std::move(events)](const Asked& asked) -> Answer {
    const auto given = asked.headers.find("metadata");
    if (given == asked.headers.end() || given->second != "true") return {.status = 400};
    if (asked.path == "/metadata/instance/compute/name?api-version=2021-02-01&format=text") return {.body = name};
    if (asked.path == "/metadata/scheduledevents?api-version=2020-07-01")
      return {.body = R"({"DocumentIncarnation": 1, "Events": )" + events + "}"};
    return {.status = 404};
  };
}

}  // namespace trireme::testing
