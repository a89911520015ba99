// SPDX-License-Identifier: Apache-2.0
#include "trireme/tracking/mlflow.hpp"

#include "support/reserved_port.hpp"
#include "trireme/base/error.hpp"
#include "unit/tracking/heard_log.hpp"
#include "unit/tracking/mlflow_case.hpp"

#include <catch2/catch.hpp>

namespace {

using namespace trireme;
using namespace trireme::testing;
using namespace trireme::tracking;
using std::chrono::milliseconds;
using Metric = FakeMlflow::Metric;

}  // namespace

TEST_CASE("A run that others began gets parameters, metrics and tags, and is neither begun nor ended") {
  FakeMlflow server;
  HeardLog heard;
  const auto tracker = make_mlflow_tracker(settings_for(server.url()), http::make_client(), heard.log());
  tracker->parameters({{"learning_rate", "0.1"}, {"model", "mlp"}});
  for (int k = 0; k < 5; ++k) tracker->log(measured(static_cast<std::uint64_t>(k), k + 0.5));
  tracker->tag("failure", "none \"at\" all");
  tracker->finish(Ending::finished, patience);
  CHECK(server.parameters() == std::map<std::string, std::string>{{"learning_rate", "0.1"}, {"model", "mlp"}});
  CHECK(server.metrics() == steps(5));
  CHECK(server.tags() == std::map<std::string, std::string>{{"failure", "none \"at\" all"}});
  CHECK(server.status().empty());
  for (const std::string& call : server.calls()) CHECK(call == "POST runs/log-batch");
  CHECK(heard.lines().empty());
}

TEST_CASE("Without a run one is begun, in the experiment of a name, and ended as it went") {
  FakeMlflow server;
  auto settings = settings_for(server.url(), "");
  SECTION("the server's default experiment") {
    const auto tracker = make_mlflow_tracker(settings, http::make_client());
    tracker->log(measured(1, 2));
    tracker->finish(Ending::failed, patience);
    CHECK(server.experiment() == "0");
    CHECK(server.status() == "FAILED");
  }
  SECTION("one that is not there yet") {
    settings.experiment_name = "a b/c";
    for (const auto& [ending, status] :
         std::map<Ending, std::string>{{Ending::finished, "FINISHED"}, {Ending::interrupted, "KILLED"}}) {
      const auto tracker = make_mlflow_tracker(settings, http::make_client());
      tracker->log(measured(1, 2));
      tracker->finish(ending, patience);
      CHECK(server.experiment() == "17");
      CHECK(server.status() == status);
    }
    CHECK(server.calls()[0] == "GET experiments/get-by-name");
  }
  SECTION("nothing was told") {
    make_mlflow_tracker(settings, http::make_client())->finish(Ending::finished, patience);
    CHECK(server.calls().empty());
  }
}

TEST_CASE("Whatever a server answers for a while, nothing is lost and the order stays") {
  const auto [name, said] = GENERATE(table<std::string, HttpAnswer>({
      {"429", answer(429, "{}", "Retry-After: 0\r\n")},
      {"429 with a date", answer(429, "slow down", "Retry-After: Fri, 31 Dec 1999 23:59:59 GMT\r\n")},
      {"500", answer(500, R"({"error_code":"INTERNAL_ERROR"})")},
      {"503", answer(503, "<html>")},
      {"408", answer(408, "")},
      {"a page in place of an answer", answer(200, "<html>welcome</html>")},
      {"JSON that is no object", answer(200, "[1]")},
      {"JSON that is cut", answer(200, "{\"a\":")},
      {"a page that says 404", answer(404, "<html>nothing here</html>")},
      {"no HTTP", hang_up("\1\2\3 garbage\r\n\r\n")},
      {"a closed connection", hang_up()},
      {"half an answer", hang_up("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}")},
  }));
  INFO(name);
  const std::string where = GENERATE("runs/log-batch", "runs/create", "experiments/", "runs/update");
  INFO(where);
  FakeMlflow server(first(5, where, said));
  HeardLog heard;
  auto settings = settings_for(server.url(), "");
  settings.experiment_name = "e";
  const auto tracker = make_mlflow_tracker(settings, http::make_client(), heard.log());
  tracker->parameters({{"p", "v"}});
  for (int k = 0; k < 40; ++k) tracker->log(measured(static_cast<std::uint64_t>(k), k + 0.5));
  tracker->finish(Ending::finished, patience);
  CHECK(server.metrics() == steps(40));
  CHECK(server.parameters().size() == 1);
  CHECK(server.status() == "FINISHED");
  CHECK(heard.lines().size() <= 1);  // that it does not take them, once, where libcurl does not mend it itself
}

TEST_CASE("A server that is silent is left after a while and asked again") {
  FakeMlflow server(first(1, "runs/log-batch", silence()));

  /// Not as patient as a client of libcurl.
  struct Hasty final : http::Client {
    std::unique_ptr<http::Client> client = http::make_client();
    http::Response send(const http::Request& request) override {
      http::Request sooner = request;
      sooner.timeout = milliseconds(100);
      return client->send(sooner);
    }
  };
  const auto tracker = make_mlflow_tracker(settings_for(server.url()), std::make_unique<Hasty>());
  for (int k = 0; k < 3; ++k) tracker->log(measured(static_cast<std::uint64_t>(k), k + 0.5));
  tracker->finish(Ending::finished, patience);
  CHECK(server.metrics() == steps(3));
}

TEST_CASE("A server that comes later gets what was measured before") {
  ReservedPort port;
  HeardLog heard;
  const auto tracker =
      make_mlflow_tracker(settings_for("http://" + port.address.to_string()), http::make_client(), heard.log());
  for (int k = 0; k < 3; ++k) tracker->log(measured(static_cast<std::uint64_t>(k), k + 0.5));
  while (heard.lines().empty()) std::this_thread::sleep_for(milliseconds(1));  // it has tried
  std::vector<std::string> bodies;
  {
    HttpServer server(net::listen_tcp(port.address), [&](const HttpRequest& request) {
      bodies.push_back(request.body);
      return answer(200, "{}");
    });
    tracker->finish(Ending::finished, patience);
  }
  std::size_t count = 0;
  for (const std::string& body : bodies) {
    for (auto at = body.find("\"step\":"); at != std::string::npos; at = body.find("\"step\":", at + 1)) ++count;
  }
  CHECK(count == 3);
}

TEST_CASE("Who logs never waits: every call returns while the server does not answer") {
  std::mutex mutex;
  std::condition_variable opened;
  bool is_open = false;
  FakeMlflow server([&](const HttpRequest&) -> std::optional<HttpAnswer> {
    std::unique_lock lock(mutex);
    opened.wait(lock, [&] { return is_open; });
    return std::nullopt;
  });
  const auto tracker = make_mlflow_tracker(settings_for(server.url()), http::make_client());
  for (int k = 0; k < 3000; ++k) tracker->log(measured(static_cast<std::uint64_t>(k), k + 0.5));
  CHECK(server.metrics().empty());  // and yet all calls are behind us
  {
    const std::lock_guard lock(mutex);
    is_open = true;
  }
  opened.notify_all();
  tracker->finish(Ending::finished, patience);
  CHECK(server.metrics() == steps(3000));
  for (const std::size_t size : server.batch_sizes()) CHECK(size <= 1000);
}

TEST_CASE("When more waits than there is room for, the oldest metrics go, parameters stay, and one warning says so") {
  const ReservedPort nobody;
  std::mutex mutex;
  std::condition_variable opened;
  bool is_open = false;
  FakeMlflow server([&](const HttpRequest&) -> std::optional<HttpAnswer> {
    std::unique_lock lock(mutex);
    opened.wait(lock, [&] { return is_open; });
    return std::nullopt;
  });
  HeardLog heard;
  auto settings = settings_for(server.url(), "");  // all wait until there is a run
  settings.most_waiting = 10;
  const auto tracker = make_mlflow_tracker(settings, http::make_client(), heard.log());
  tracker->parameters({{"p", "v"}});
  for (int k = 0; k < 30; ++k) tracker->log(measured(static_cast<std::uint64_t>(k), k + 0.5));
  {
    const std::lock_guard lock(mutex);
    is_open = true;
  }
  opened.notify_all();
  tracker->finish(Ending::finished, patience);
  const auto all = steps(30);
  CHECK(server.metrics() == std::vector<Metric>(all.begin() + 21, all.end()));
  CHECK(server.parameters().size() == 1);
  REQUIRE(heard.lines().size() == 1);
  CHECK(heard.lines()[0].find("the oldest metrics are dropped") != std::string::npos);
}

TEST_CASE("The end does not wait longer than it may, and says what was not delivered") {
  FakeMlflow server([](const HttpRequest&) { return silence(); });
  HeardLog heard;
  const auto tracker = make_mlflow_tracker(settings_for(server.url()), http::make_client(), heard.log());
  tracker->log(measured(0, 1));
  REQUIRE(server.await_calls(1));
  tracker->log(measured(1, 1));
  tracker->finish(Ending::interrupted, milliseconds(10));
  REQUIRE(heard.lines().size() == 1);
  CHECK(heard.lines()[0] == "MLflow: 2 values were not delivered in the time there is at the end");
}

TEST_CASE("Tracking URIs of servers become addresses, others are refused by name") {
  CHECK(mlflow_base_url("azureml://westeurope.api.azureml.ms/mlflow/v1.0/subscriptions/s?a=b") ==
        "https://westeurope.api.azureml.ms/mlflow/v1.0/subscriptions/s");
  CHECK(mlflow_base_url("http://localhost:5000/") == "http://localhost:5000");
  const auto [uri, expected] = GENERATE(table<std::string, std::string>({
      {"file:///mlruns", "of the kind 'file:'"},
      {"/mlruns", "a path"},
      {"", "a path"},
      {"sqlite:///hush.db", "of the kind 'sqlite:'"},
      {"postgresql://u:hush@h/db", "of the kind 'postgresql:'"},
      {"databricks", "a path"},
      {"arn:aws:sagemaker:eu-west-1:111122223333:mlflow-tracking-server/hush", "signed requests"},
  }));
  INFO(uri);
  try {
    static_cast<void>(mlflow_base_url(uri));
    FAIL("it was taken");
  } catch (const Exception& refusal) {
    CHECK(refusal.error().code == ErrorCode::unsupported);
    CHECK(refusal.error().message.find(expected) != std::string::npos);
    CHECK(refusal.error().message.find("hush") == std::string::npos);
  }
}

TEST_CASE("Azure ML's address for a new token is made from that of its server") {
  CHECK(azure_token_url("https://h/mlflow/v1.0/subscriptions/s/workspaces/w", "e", "r") ==
        "https://h/history/v1.0/subscriptions/s/workspaces/w/experimentids/e/runs/r/token");
  CHECK(azure_token_url("http://localhost:5000", "e", "r").empty());
  CHECK(azure_token_url("https://h/mlflow/v1.0/w", "", "r").empty());
}
