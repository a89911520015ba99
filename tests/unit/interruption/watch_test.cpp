// SPDX-License-Identifier: Apache-2.0
#include "trireme/interruption/watch.hpp"

#include "interruption/poller.hpp"
#include "support/deaf_socket.hpp"
#include "support/metadata_server.hpp"
#include "support/reserved_port.hpp"

#include <catch2/catch.hpp>

#include <functional>
#include <mutex>
#include <thread>
#include <vector>

using namespace trireme;
using namespace trireme::interruption;
using Catch::Matchers::Contains;
using std::chrono::seconds;
using testing::MetadataServer;

namespace {

const std::vector<SourceKind> three{SourceKind::ec2_spot, SourceKind::compute_engine, SourceKind::azure_events};

bool comes_true(const std::function<bool()>& condition) {
  const auto deadline = Deadline::after(seconds(20));
  while (!condition()) {
    if (deadline.passed()) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return true;
}

/// The lines that a watch logs.
class Lines {
 public:
  Log log() {
    return Log(LogLevel::debug, [this](LogLevel level, std::string_view line) {
      const std::lock_guard lock(mutex_);
      if (level != LogLevel::debug) others_ = true;
      lines_.emplace_back(line);
    });
  }
  std::vector<std::string> all() const {
    const std::lock_guard lock(mutex_);
    CHECK_FALSE(others_);
    return lines_;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> lines_;
  bool others_ = false;
};

std::string preempt_of(const std::string& machine, int seconds_ahead) {
  return R"([{"EventId": "A", "EventStatus": "Scheduled", "EventType": "Preempt", "Resources": [")" + machine +
         R"("], "NotBefore": ")" + testing::rfc1123_time_in(seconds_ahead) + R"("}])";
}

}  // namespace

TEST_CASE("A notice of each cloud is heard of, and heard of no more when it is withdrawn") {
  const std::string action = R"({"action": "terminate", "time": ")" + testing::iso_time_in(100) + R"("})";
  struct Cloud {
    const char* source;
    MetadataServer::Respond quiet, announcing;
    int ahead;
  };
  const std::vector<Cloud> clouds{
      {"EC2", MetadataServer::ec2(""), MetadataServer::ec2(action), 100},
      {"Compute Engine", MetadataServer::compute_engine("FALSE"), MetadataServer::compute_engine("TRUE"), 30},
      {"Azure", MetadataServer::azure("vm", "[]"), MetadataServer::azure("vm", preempt_of("vm", 60)), 60}};
  const Cloud& cloud = clouds[static_cast<std::size_t>(GENERATE(0, 1, 2))];
  INFO(cloud.source);
  MetadataServer server(cloud.announcing);
  Lines lines;
  const auto watch = start_watch({.sources = three, .address = server.url(), .log = lines.log()});
  REQUIRE(comes_true([&] { return watch->current().has_value(); }));
  const auto notice = watch->current();
  REQUIRE(notice.has_value());
  CHECK(notice->source == cloud.source);
  CHECK(notice->deadline <= std::chrono::steady_clock::now() + seconds(cloud.ahead));
  CHECK(notice->deadline > std::chrono::steady_clock::now() + seconds(cloud.ahead / 4));
  server.respond(cloud.quiet);
  CHECK(comes_true([&] { return !watch->current().has_value(); }));
  CHECK_FALSE(watch->is_over());
  for (const std::string& line : lines.all()) CHECK_THAT(line, !Contains(MetadataServer::token));
}

TEST_CASE("An address that refuses, or that swallows everything, is given up without a word but one per source") {
  testing::ReservedPort refusing;
  Lines lines;
  const auto watch =
      start_watch({.sources = three, .address = "http://" + refusing.address.to_string(), .log = lines.log()});
  CHECK(comes_true([&] { return watch->is_over(); }));
  CHECK_FALSE(watch->current().has_value());
  CHECK(lines.all().size() == 3);

  const net::Socket deaf = net::listen_tcp({"127.0.0.1", 0});
  testing::make_deaf(deaf.descriptor());
  const auto silent = start_watch({.sources = three, .address = "http://" + net::local_address(deaf).to_string()});
  CHECK(comes_true([&] { return silent->is_over(); }));
}

TEST_CASE("A service that hangs, lies, fails or floods is survived, with one line of each source") {
  const auto answer = GENERATE(0, 1, 2, 3, 4);
  INFO(answer);
  const std::vector<MetadataServer::Answer> answers{{.hangs = true},
                                                    {.status = 500},
                                                    {.body = std::string(200'000, 'x')},
                                                    {.raw = "garbage\r\n\r\nmore"},
                                                    {.status = 404}};
  MetadataServer server(MetadataServer::always(answers[static_cast<std::size_t>(answer)]));
  Lines lines;
  const auto watch = start_watch({.sources = three, .address = server.url(), .log = lines.log()});
  REQUIRE(comes_true([&] { return server.asked().size() >= 3; }));
  CHECK_FALSE(watch->current().has_value());
  CHECK(lines.all().size() <= 3);
}

TEST_CASE("A notice stands when its service falls silent: the machine may be going") {
  MetadataServer server(MetadataServer::compute_engine("TRUE"));
  const auto watch = start_watch({.sources = {SourceKind::compute_engine}, .address = server.url()});
  REQUIRE(comes_true([&] { return watch->current().has_value(); }));
  server.respond(MetadataServer::always({.status = 500}));
  const auto before = server.asked().size();
  REQUIRE(comes_true([&] { return server.asked().size() >= before + 2; }));
  CHECK(watch->current().has_value());
}

TEST_CASE("A service that fails is asked again later and later, one that is known sooner") {
  CHECK(pause_after(1, false) == seconds(1));
  CHECK(pause_after(2, false) == seconds(2));
  CHECK(pause_after(4, false) == seconds(8));
  CHECK(pause_after(1000, false) == seconds(30));
  CHECK(pause_after(1000, true) == seconds(5));
}

TEST_CASE("Slurm's end is heard of without any network, and nobody to ask is the end of it") {
  const auto now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  const auto watch = start_watch({.sources = {SourceKind::slurm}, .slurm_end = now + 100});
  REQUIRE(comes_true([&] { return watch->current().has_value(); }));
  CHECK(watch->current()->source == "Slurm");
  CHECK(start_watch({})->is_over());
  CHECK_FALSE(start_watch({.sources = {SourceKind::slurm}})->current().has_value());
}
