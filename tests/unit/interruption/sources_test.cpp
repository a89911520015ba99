// SPDX-License-Identifier: Apache-2.0
#include "interruption/azure_events.hpp"
#include "interruption/compute_engine.hpp"
#include "interruption/ec2_spot.hpp"
#include "interruption/slurm.hpp"
#include "support/metadata_server.hpp"
#include "trireme/base/error.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <vector>

using namespace trireme;
using namespace trireme::interruption;
using Catch::Matchers::Contains;
using std::chrono::seconds;
using testing::MetadataServer;

namespace {

constexpr std::int64_t base_wall = 1769847720;  // 2026-01-31T08:22:00Z

/// So many seconds behind the begin of a test.
Moment after(int so_many) {
  return {.steady = std::chrono::steady_clock::time_point(seconds(1000 + so_many)),
          .wall = std::chrono::sys_seconds(seconds(base_wall + so_many))};
}

/// Answers as the stand-in does, without a socket; the clock is the test's.
class ScriptedClient final : public http::Client {
 public:
  explicit ScriptedClient(MetadataServer::Respond respond) : respond_(std::move(respond)) {}
  http::Response send(const http::Request& request) override {
    requests.push_back(request);
    MetadataServer::Asked asked{.method = request.method, .path = request.url.substr(address.size()), .headers = {}};
    for (const std::string& header : request.headers) {
      std::string name = header.substr(0, header.find(':'));
      std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
      asked.headers[name] = header.substr(header.find(": ") + 2);
    }
    const MetadataServer::Answer answer = respond_(asked);
    if (answer.hangs) fail(ErrorCode::timeout, "no answer");
    http::Response response{.status = answer.status, .body = answer.body, .headers = {}};
    for (const std::string& header : answer.headers) {
      std::string name = header.substr(0, header.find(':'));
      std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
      response.headers[name] = header.substr(header.find(": ") + 2);
    }
    return response;
  }
  void respond(MetadataServer::Respond respond) { respond_ = std::move(respond); }
  std::size_t count(const std::string& path) const {
    return static_cast<std::size_t>(std::count_if(
        requests.begin(), requests.end(), [&](const auto& each) { return each.url.find(path) != std::string::npos; }));
  }

  static inline const std::string address = "http://192.0.2.1";
  std::vector<http::Request> requests;

 private:
  MetadataServer::Respond respond_;
};

template <class Asking>
ErrorCode code_of(Asking asking) {
  try {
    asking();
  } catch (const Exception& failure) {
    return failure.error().code;
  }
  FAIL("no error");
  return ErrorCode::system;
}

const char* const spot_terminate = R"({"action": "terminate", "time": "2026-01-31T08:23:30Z"})";

std::string event(const std::string& id, const std::string& type, const std::string& resource,
                  const std::string& not_before, const std::string& status = "Scheduled") {
  return R"({"EventId": ")" + id + R"(", "EventStatus": ")" + status + R"(", "EventType": ")" + type +
         R"(", "ResourceType": "VirtualMachine", "Resources": [")" + resource + R"("], "NotBefore": ")" + not_before +
         R"(", "Description": "", "EventSource": "Platform", "DurationInSeconds": -1})";
}

}  // namespace

TEST_CASE("EC2: a token first, then nothing, then the spot action with its time, then its withdrawal") {
  ScriptedClient client(MetadataServer::ec2(""));
  Ec2Spot source(ScriptedClient::address);
  CHECK_FALSE(source.ask(client, after(0)).announcement.has_value());
  REQUIRE(client.requests.size() == 2);
  CHECK(client.requests[0].method == "PUT");
  CHECK_FALSE(client.requests[0].through_proxy);
  client.respond(MetadataServer::ec2(spot_terminate));
  for (const int later : {1, 2}) {
    const Reply reply = source.ask(client, after(later));
    REQUIRE(reply.announcement.has_value());
    CHECK(reply.announcement->what == "spot action terminate");
    CHECK(reply.announcement->deadline == after(90).steady);
  }
  CHECK(client.count("/api/token") == 1);
  client.respond(MetadataServer::ec2(""));
  CHECK_FALSE(source.ask(client, after(3)).announcement.has_value());
}

TEST_CASE("EC2: a token is asked for again when it grows old or is taken back") {
  ScriptedClient client(MetadataServer::ec2(""));
  Ec2Spot source(ScriptedClient::address);
  source.ask(client, after(0));
  source.ask(client, after(17000));
  CHECK(client.count("/api/token") == 1);
  source.ask(client, after(19000));
  CHECK(client.count("/api/token") == 2);
  bool is_first = true;
  client.respond([&](const MetadataServer::Asked& asked) -> MetadataServer::Answer {
    if (asked.method == "GET" && std::exchange(is_first, false)) return {.status = 401};
    return MetadataServer::ec2(spot_terminate)(asked);
  });
  CHECK(source.ask(client, after(19001)).announcement.has_value());
  CHECK(client.count("/api/token") == 3);
}

TEST_CASE("EC2: a service that knows of no tokens is asked without, and pressed less") {
  ScriptedClient client(MetadataServer::ec2("", false));
  Ec2Spot source(ScriptedClient::address);
  CHECK(source.ask(client, after(0)).is_here);
  CHECK(source.pause(after(0)) == seconds(5));
  client.respond(MetadataServer::ec2(spot_terminate, false));
  CHECK(source.ask(client, after(5)).announcement.has_value());
  CHECK(client.count("/api/token") == 1);
  CHECK(client.requests.back().headers.empty());
}

TEST_CASE("EC2: a wrong clock moves the deadline by no more than the two minutes there are") {
  ScriptedClient client(MetadataServer::ec2(spot_terminate));
  for (const int wrong_by : {-3000, 3000}) {
    Moment moment = after(0);
    moment.wall += seconds(wrong_by);
    Ec2Spot source(ScriptedClient::address);
    const auto ahead = source.ask(client, moment).announcement->deadline - moment.steady;
    CHECK(ahead == seconds(wrong_by < 0 ? 120 : 0));
  }
  // With the server's own clock it does not matter at all.
  client.respond([](const MetadataServer::Asked& asked) {
    auto answer = MetadataServer::ec2(spot_terminate)(asked);
    answer.headers.push_back("Date: Sat, 31 Jan 2026 08:22:00 GMT");
    return answer;
  });
  Moment moment = after(0);
  moment.wall += seconds(3000);
  Ec2Spot source(ScriptedClient::address);
  CHECK(source.ask(client, moment).announcement->deadline - moment.steady == seconds(90));
}

TEST_CASE("EC2: what is no answer is an error, which names no token") {
  for (const char* body :
       {"", "null", "[]", "<html>", R"({"action": "dance", "time": "2026-01-31T08:23:30Z"})",
        R"({"action": "stop", "time": "soon"})", R"({"action": "stop"})", R"({"action": 1, "time": 2})"}) {
    if (*body == '\0') continue;
    ScriptedClient client(MetadataServer::ec2(body));
    Ec2Spot source(ScriptedClient::address);
    try {
      source.ask(client, after(0));
      FAIL("no error for " << body);
    } catch (const Exception& failure) {
      CHECK(failure.error().code == ErrorCode::corrupt);
      CHECK_THAT(failure.error().message, !Contains(MetadataServer::token));
    }
  }
  ScriptedClient broken(MetadataServer::always({.status = 500}));
  Ec2Spot source(ScriptedClient::address);
  CHECK(code_of([&] { source.ask(broken, after(0)); }) == ErrorCode::corrupt);
  ScriptedClient hostile(MetadataServer::always({.body = "two words"}));
  CHECK(code_of([&] { source.ask(hostile, after(0)); }) == ErrorCode::corrupt);
  ScriptedClient foreign(MetadataServer::azure("vm", "[]"));
  CHECK_FALSE(Ec2Spot(ScriptedClient::address).ask(foreign, after(0)).is_here);
}

TEST_CASE("Compute Engine: preempted is half a minute from its first sight, and can be withdrawn") {
  ScriptedClient client(MetadataServer::compute_engine("FALSE"));
  ComputeEngine source(ScriptedClient::address);
  CHECK_FALSE(source.ask(client, after(0)).announcement.has_value());
  client.respond(MetadataServer::compute_engine("TRUE\n"));
  CHECK(source.ask(client, after(1)).announcement->deadline == after(31).steady);
  CHECK(source.ask(client, after(2)).announcement->deadline == after(31).steady);
  client.respond(MetadataServer::compute_engine("FALSE"));
  CHECK_FALSE(source.ask(client, after(3)).announcement.has_value());
  client.respond(MetadataServer::compute_engine("TRUE"));
  CHECK(source.ask(client, after(10)).announcement->deadline == after(40).steady);
}

TEST_CASE("Compute Engine: maintenance counts when it ends the machine") {
  for (const char* event : {"NONE", "MIGRATE_ON_HOST_MAINTENANCE", "TERMINATE_ON_HOST_MAINTENANCE"}) {
    ScriptedClient client([event](const MetadataServer::Asked& asked) {
      auto answer = MetadataServer::compute_engine("FALSE")(asked);
      if (asked.path.find("maintenance-event") != std::string::npos) answer.body = event;
      return answer;
    });
    const bool ends = *event == 'T';
    CHECK(ComputeEngine(ScriptedClient::address).ask(client, after(0)).announcement.has_value() == ends);
  }
}

TEST_CASE("Compute Engine: who does not say that it is Google's is not; nonsense of it is an error") {
  ScriptedClient ec2(MetadataServer::ec2(""));
  CHECK_FALSE(ComputeEngine(ScriptedClient::address).ask(ec2, after(0)).is_here);
  ScriptedClient page(MetadataServer::always({.body = "TRUE"}));
  CHECK_FALSE(ComputeEngine(ScriptedClient::address).ask(page, after(0)).is_here);
  ScriptedClient concealed(MetadataServer::always({.status = 404, .headers = {"Metadata-Flavor: Google"}}));
  CHECK_FALSE(ComputeEngine(ScriptedClient::address).ask(concealed, after(0)).is_here);
  ScriptedClient nonsense(MetadataServer::compute_engine("PERHAPS"));
  ComputeEngine source(ScriptedClient::address);
  CHECK(code_of([&] { source.ask(nonsense, after(0)); }) == ErrorCode::corrupt);
  ScriptedClient broken(MetadataServer::always({.status = 503}));
  CHECK(code_of([&] { source.ask(broken, after(0)); }) == ErrorCode::corrupt);
}

TEST_CASE("Azure: events of this machine count until they are gone from the list") {
  ScriptedClient client(MetadataServer::azure("trainer-3", "[]"));
  AzureEvents source(ScriptedClient::address);
  CHECK_FALSE(source.ask(client, after(0)).announcement.has_value());
  CHECK(client.requests.back().timeout >= std::chrono::minutes(2));  // the service may have to wake up
  const auto preempt = event("A", "Preempt", "Trainer-3", "Sat, 31 Jan 2026 08:22:45 GMT");
  client.respond(MetadataServer::azure("trainer-3", "[" + preempt + "]"));
  const Reply reply = source.ask(client, after(1));
  REQUIRE(reply.announcement.has_value());
  CHECK(client.requests.back().timeout < seconds(10));
  CHECK(reply.announcement->what == "event Preempt");
  CHECK(reply.announcement->deadline == after(45).steady);
  client.respond(MetadataServer::azure("trainer-3", "[" + event("A", "Preempt", "trainer-3", "", "Started") + "]"));
  CHECK(source.ask(client, after(2)).announcement->deadline == after(2).steady);
  client.respond(MetadataServer::azure("trainer-3", "[]"));
  CHECK_FALSE(source.ask(client, after(3)).announcement.has_value());
  CHECK(client.count("compute/name") == 1);
}

TEST_CASE("Azure: of several events the nearest counts; others' machines and mere pauses do not") {
  const std::string others = event("A", "Preempt", "trainer-4", "Sat, 31 Jan 2026 08:22:10 GMT");
  const std::string pause = event("B", "Freeze", "trainer-3", "Sat, 31 Jan 2026 08:22:10 GMT");
  const std::string reboot = event("C", "Reboot", "trainer-3", "Sat, 31 Jan 2026 08:28:00 GMT");
  const std::string redeploy = event("D", "Redeploy", "trainer-3", "Sat, 31 Jan 2026 08:27:00 GMT");
  ScriptedClient client(MetadataServer::azure("trainer-3", "[" + others + "," + pause + "]"));
  AzureEvents source(ScriptedClient::address);
  CHECK_FALSE(source.ask(client, after(0)).announcement.has_value());
  client.respond(MetadataServer::azure("trainer-3", "[" + others + "," + reboot + "," + redeploy + "]"));
  const Reply reply = source.ask(client, after(1));
  REQUIRE(reply.announcement.has_value());
  CHECK(reply.announcement->what == "event Redeploy");
  CHECK(reply.announcement->deadline == after(300).steady);
}

TEST_CASE(
    "Azure: a service that does not tell our name is believed of every event; a time that cannot be read is half a minute") {
  ScriptedClient client([](const MetadataServer::Asked& asked) -> MetadataServer::Answer {
    if (asked.path.find("compute/name") != std::string::npos) return {.status = 404};
    return MetadataServer::azure("", "[" + event("A", "Preempt", "whoever", "before long") + "]")(asked);
  });
  AzureEvents source(ScriptedClient::address);
  CHECK(source.ask(client, after(0)).announcement->deadline == after(30).steady);
}

TEST_CASE("Azure: another cloud is none; nonsense is an error and leaves the service to be asked again") {
  ScriptedClient ec2(MetadataServer::ec2(""));
  CHECK_FALSE(AzureEvents(ScriptedClient::address).ask(ec2, after(0)).is_here);
  for (const char* body : {"{}", "nonsense", "[]", R"({"Events": {}})", R"({"Events": [1]})"}) {
    ScriptedClient client(MetadataServer::always({.body = body}));
    AzureEvents source(ScriptedClient::address);
    CHECK(code_of([&] { source.ask(client, after(0)); }) == ErrorCode::corrupt);
    client.respond(MetadataServer::azure("vm", "[]"));
    CHECK(source.ask(client, after(1)).is_here);
  }
}

TEST_CASE("Slurm: the end of the job's time is announced five minutes before, and one that had passed is not") {
  ScriptedClient client(MetadataServer::always({.hangs = true}));
  SlurmEnd source(base_wall + 1000, after(0));
  CHECK_FALSE(source.ask(client, after(0)).announcement.has_value());
  CHECK(source.pause(after(0)) == seconds(30));
  CHECK(source.pause(after(690)) == seconds(10));
  REQUIRE(source.ask(client, after(700)).announcement.has_value());
  CHECK(source.ask(client, after(700)).announcement->deadline == after(1000).steady);
  CHECK(client.requests.empty());
  SlurmEnd stale(base_wall - 1, after(0));
  CHECK_FALSE(stale.ask(client, after(0)).is_here);
}
