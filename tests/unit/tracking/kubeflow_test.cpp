// SPDX-License-Identifier: Apache-2.0
#include "trireme/tracking/kubeflow.hpp"

#include "support/http_server.hpp"
#include "support/temporary_folder.hpp"
#include "trireme/tracking/background.hpp"
#include "unit/tracking/heard_log.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include <atomic>
#include <cmath>
#include <condition_variable>
#include <fstream>
#include <mutex>
#include <thread>

namespace {

using namespace trireme;
using namespace trireme::testing;
using namespace trireme::tracking;
using Json = nlohmann::json;

}  // namespace

TEST_CASE("A TrainJob's controller hears how far training is, seldom, with the token of the moment") {
  const TemporaryFolder folder;
  const std::string token_file = folder.path() + "/token";
  const auto write_token = [&](const std::string& token) { std::ofstream(token_file) << token << "\n"; };
  write_token("one");
  std::vector<HttpRequest> requests;
  {
    HttpServer server([&](const HttpRequest& request) {
      requests.push_back(request);
      return answer(200, "");
    });
    const auto tracker = make_kubeflow_tracker(
        {.url = server.url() + "/status", .token_file = token_file, .every = std::chrono::hours(1)},
        http::make_client());
    tracker->log({.step = 1,
                  .time = {},
                  .metrics = {{"loss", 0.25}, {"bad", NAN}},
                  .done = 0.409,
                  .left = std::chrono::seconds(900)});
    tracker->log({.step = 2, .time = {}, .metrics = {{"loss", 0.125}, {"val_loss", 1}}, .done = 0.5});
    write_token("two");
    tracker->finish(Ending::finished, std::chrono::seconds(10));
  }
  REQUIRE(requests.size() == 2);
  CHECK(requests[0].method == "POST");
  CHECK(requests[0].target == "/status");
  CHECK(requests[0].headers.at("authorization") == "Bearer one");
  CHECK(Json::parse(requests[0].body) ==
        Json::parse(R"({"trainerStatus": {"progressPercentage": 40, "estimatedRemainingSeconds": 900,
                        "metrics": [{"name": "loss", "value": "0.25"}], "lastUpdatedTime": "1970-01-01T00:00:00Z"}})"));
  CHECK(requests[1].headers.at("authorization") == "Bearer two");
  const Json last = Json::parse(requests[1].body)["trainerStatus"];
  CHECK(last["progressPercentage"] == 100);
  CHECK(last["estimatedRemainingSeconds"] == 0);
  CHECK(last["metrics"] ==
        Json::parse(R"([{"name": "loss", "value": "0.125"}, {"name": "val_loss", "value": "1.0"}])"));
}

TEST_CASE("A controller that refuses is told of once") {
  HttpServer server([](const HttpRequest&) { return answer(403, "no"); });
  HeardLog heard;
  const auto tracker = make_kubeflow_tracker({.url = server.url(), .token_file = "/nonexistent", .every = {}},
                                             http::make_client(), heard.log());
  tracker->log({.step = 1});
  tracker->log({.step = 2});
  CHECK(heard.lines() == std::vector<std::string>{"Kubeflow does not take the progress: status 403"});
}

TEST_CASE("A controller that hangs is given up at the end: nothing of it is left behind in the process") {
  std::mutex mutex;
  std::condition_variable changed;
  bool is_asked = false;
  HttpServer server([&](const HttpRequest&) {
    const std::lock_guard lock(mutex);
    is_asked = true;
    changed.notify_all();
    return silence();
  });

  /// One that can be seen to be gone.
  struct Seen final : http::Client {
    std::unique_ptr<http::Client> client = http::make_client();
    std::shared_ptr<int> life;
    explicit Seen(std::shared_ptr<int> of) : life(std::move(of)) {}
    http::Response send(const http::Request& request) override {
      std::thread cancel([&] {
        while (!cancelled && !is_over) std::this_thread::sleep_for(std::chrono::milliseconds(1));
        if (cancelled) client->cancelled = true;
      });
      struct Join {
        std::thread& thread;
        std::atomic<bool>& over;
        ~Join() { over = true, thread.join(); }
      } join{cancel, is_over};
      return client->send(request);
    }
    std::atomic<bool> is_over{false};
  };
  HeardLog heard;
  auto life = std::make_shared<int>(0);
  const std::weak_ptr<int> alive = life;
  {
    const auto tracker =
        in_background(make_kubeflow_tracker({.url = server.url(), .token_file = "/nonexistent", .every = {}},
                                            std::make_unique<Seen>(std::move(life)), heard.log()),
                      {.name = "Kubeflow", .log = heard.log()});
    tracker->log({.step = 1});
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return is_asked; });
    lock.unlock();
    tracker->finish(Ending::finished, std::chrono::milliseconds(10));
  }
  CHECK(alive.expired());
  CHECK(heard.lines() == std::vector<std::string>{"Kubeflow takes too long: its last reports may be missing"});
}
