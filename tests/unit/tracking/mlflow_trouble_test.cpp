// SPDX-License-Identifier: Apache-2.0
#include "trireme/tracking/mlflow.hpp"
#include "unit/tracking/heard_log.hpp"
#include "unit/tracking/mlflow_case.hpp"

#include <catch2/catch.hpp>

namespace {

using namespace trireme;
using namespace trireme::testing;
using namespace trireme::tracking;
using std::chrono::milliseconds;
using Calls = std::vector<std::string>;

}  // namespace

TEST_CASE("One value that is refused does not take others with it") {
  const int status = GENERATE(400, 413, 422);
  FakeMlflow server([&](const HttpRequest& request) -> std::optional<HttpAnswer> {
    if (request.body.find("\"bad\"") == std::string::npos) return std::nullopt;
    return answer(status, R"({"error_code":"INVALID_PARAMETER_VALUE","message":"no such\nname"})");
  });
  HeardLog heard;
  const auto tracker = make_mlflow_tracker(settings_for(server.url()), http::make_client(), heard.log());
  tracker->parameters({{"a", "1"}, {"bad", "2"}, {"c", "3"}});
  for (int k = 0; k < 100; ++k) {
    tracker->log(measured(static_cast<std::uint64_t>(k), k + 0.5));
    if (k == 37) tracker->log(measured(37, 1, "bad"));
  }
  tracker->finish(Ending::finished, patience);
  CHECK(server.metrics() == steps(100));
  CHECK(server.parameters() == std::map<std::string, std::string>{{"a", "1"}, {"c", "3"}});
  REQUIRE(heard.lines().size() == 2);
  CHECK(heard.lines()[0] ==
        "MLflow: 'bad' was refused and is dropped (status " + std::to_string(status) + ": no such name)");
  CHECK(heard.lines()[1] == "MLflow: 2 values were refused in all");
}

TEST_CASE("A value at which the server fails every time is dropped alone, and those behind it arrive") {
  const HttpAnswer said = GENERATE(answer(500, R"({"message":"oops"})"), hang_up());
  FakeMlflow server([&](const HttpRequest& request) -> std::optional<HttpAnswer> {
    if (request.body.find("\"bad\"") == std::string::npos) return std::nullopt;
    return said;
  });
  HeardLog heard;
  auto settings = settings_for(server.url());
  settings.first_pause = settings.longest_pause = milliseconds(0);
  const auto tracker = make_mlflow_tracker(settings, http::make_client(), heard.log());
  for (int k = 0; k < 20; ++k) {
    tracker->log(measured(static_cast<std::uint64_t>(k), k + 0.5));
    if (k == 7) tracker->log(measured(7, 1, "bad"));
  }
  tracker->tag("failure", "none");
  tracker->finish(Ending::finished, patience);
  CHECK(server.metrics() == steps(20));
  CHECK(server.tags().at("failure") == "none");
  REQUIRE(heard.lines().size() == 2);
  CHECK(heard.lines()[0].find("MLflow: the server does not take what is reported (") == 0);
  CHECK(heard.lines()[1].find("MLflow: 'bad' was refused and is dropped (") == 0);
}

TEST_CASE("A server that fails at everything for long is waited for: nothing is dropped as at fault") {
  FakeMlflow server(first(60, "", answer(500, "")));
  HeardLog heard;
  auto settings = settings_for(server.url());
  settings.first_pause = settings.longest_pause = milliseconds(0);
  const auto tracker = make_mlflow_tracker(settings, http::make_client(), heard.log());
  for (int k = 0; k < 3; ++k) tracker->log(measured(static_cast<std::uint64_t>(k), k + 0.5));
  tracker->finish(Ending::finished, patience);
  CHECK(server.metrics() == steps(3));
  CHECK(heard.lines().size() == 1);
}

TEST_CASE("A job that goes on reports to the run it had; one that is gone is replaced by a new one") {
  const bool is_there = GENERATE(true, false);
  FakeMlflow server([&](const HttpRequest& request) -> std::optional<HttpAnswer> {
    if (request.body.find("\"steps\"") != std::string::npos && is_there)
      return answer(400, R"({"error_code":"INVALID_PARAMETER_VALUE","message":"parameters do not change"})");
    if (is_there || request.body.find("\"before\"") == std::string::npos) return std::nullopt;
    return answer(404, R"({"error_code":"RESOURCE_DOES_NOT_EXIST","message":"no such run"})");
  });
  HeardLog heard;
  std::vector<std::string> runs;
  auto settings = settings_for(server.url(), "");
  settings.earlier_run_id = "before";
  settings.on_own_run = [&](const std::string& run) { runs.push_back(run); };
  {
    const auto tracker = make_mlflow_tracker(settings, http::make_client(), heard.log());
    tracker->log(measured(1, 0.5));
    tracker->parameters({{"steps", "8"}});  // it was another number, and stays that: nothing to warn of
    tracker->finish(Ending::finished, patience);
  }
  CHECK(runs == std::vector<std::string>{is_there ? "before" : "made"});
  Calls calls{"POST runs/update", "POST runs/log-batch", "POST runs/log-batch", "POST runs/update"};
  if (!is_there) calls.insert(calls.begin() + 1, "POST runs/create");
  CHECK(server.calls() == calls);
  CHECK(server.status() == "FINISHED");
  CHECK(heard.lines().empty());
}

TEST_CASE("A token is replaced in time also while the server takes nothing") {
  int asked = 0, failures = 0;
  FakeMlflow server([&](const HttpRequest& request) -> std::optional<HttpAnswer> {
    if (request.target == "/token") return ++asked, answer(200, R"({"token": "fresh"})");
    if (failures++ < 3) return answer(503, "");
    return std::nullopt;
  });
  auto settings = settings_for(server.url());
  settings.token = "old";
  settings.token_url = server.url() + "/token";
  settings.token_expires = std::chrono::system_clock::now() + std::chrono::minutes(1);
  const auto tracker = make_mlflow_tracker(settings, http::make_client());
  tracker->log(measured(0, 0.5));  // at once: no quiet moment before
  tracker->finish(Ending::finished, patience);
  CHECK(asked == 1);
  CHECK(server.last_authorization() == "Bearer fresh");
}

TEST_CASE("A token that has run out is replaced, and nothing is lost") {
  int asked = 0;
  FakeMlflow server([&](const HttpRequest& request) -> std::optional<HttpAnswer> {
    if (request.target == "/history/v1.0/ws/experimentids/e9/runs/r1/token") {
      CHECK(request.method == "GET");
      CHECK(request.headers.at("authorization") == "Bearer old");
      if (++asked == 1) return answer(500, "");
      if (asked == 2) return answer(200, "garbage");
      return answer(200, R"({"token": "fresh"})");
    }
    if (request.headers.at("authorization") != "Bearer fresh") return answer(401, "{}");
    return std::nullopt;
  });
  HeardLog heard;
  const std::string base = server.url() + "/mlflow/v1.0/ws";
  auto settings = settings_for(base);
  settings.token = "old";
  settings.token_url = azure_token_url(base, "e9", "r1");
  const auto tracker = make_mlflow_tracker(settings, http::make_client(), heard.log());
  for (int k = 0; k < 10; ++k) tracker->log(measured(static_cast<std::uint64_t>(k), k + 0.5));
  tracker->finish(Ending::finished, patience);
  // This server's paths lie below /mlflow/v1.0/ws, so that it has not recorded: the calls tell.
  CHECK(asked == 3);
  CHECK(server.last_authorization() == "Bearer fresh");
  for (const std::string& line : heard.lines()) {
    CHECK(line.find("old") == std::string::npos);
    CHECK(line.find("fresh") == std::string::npos);
  }
}

TEST_CASE("A token is replaced before it runs out, without anything to send") {
  FakeMlflow server([&](const HttpRequest& request) -> std::optional<HttpAnswer> {
    if (request.target == "/token") return answer(200, R"({"token": "fresh"})");
    return std::nullopt;
  });
  auto settings = settings_for(server.url());
  settings.token = "old";
  settings.token_url = server.url() + "/token";
  settings.token_expires = std::chrono::system_clock::now() + std::chrono::minutes(1);
  const auto tracker = make_mlflow_tracker(settings, http::make_client());
  REQUIRE(server.await_calls(1));
  tracker->log(measured(0, 0.5));
  tracker->finish(Ending::finished, patience);
  CHECK(server.calls() == Calls{"GET /token", "POST runs/log-batch"});
  CHECK(server.last_authorization() == "Bearer fresh");
}

TEST_CASE("What no later request can mend ends the reports with one warning that holds no secret") {
  const auto [name, said] = GENERATE(table<std::string, HttpAnswer>({
      {"401", answer(401, R"({"message":"no hush-hush here"})")},
      {"403", answer(403, R"({"message":"hush-hush"})")},
      {"no such run", answer(404, R"({"error_code":"RESOURCE_DOES_NOT_EXIST","message":"no run r1 for hush-hush"})")},
      {"redirection", answer(302, "", "Location: http://127.0.0.1:1/hush-hush\r\n")},
      {"a secret at the cut", answer(403, R"({"message":")" + std::string(185, 'x') + "hush-hush\"}")},
  }));
  INFO(name);
  FakeMlflow server([said = said](const HttpRequest&) { return said; });
  HeardLog heard;
  auto settings = settings_for(server.url());
  settings.token = "hush-hush";
  const auto tracker = make_mlflow_tracker(settings, http::make_client(), heard.log());
  tracker->log(measured(0, 1));
  tracker->finish(Ending::finished, patience);
  tracker->log(measured(1, 1));
  CHECK(server.calls().size() == 1);
  REQUIRE(heard.lines().size() == 1);
  INFO(heard.lines()[0]);
  CHECK(heard.lines()[0].find("nothing more is reported") != std::string::npos);
  CHECK(heard.lines()[0].find("hush") == std::string::npos);
}

TEST_CASE("A user and a password go as basic authentication, a token comes before them") {
  FakeMlflow server;
  auto settings = settings_for(server.url());
  settings.user = "Aladdin";
  settings.password = "open sesame";
  const bool has_token = GENERATE(false, true);
  if (has_token) settings.token = "t";
  const auto tracker = make_mlflow_tracker(settings, http::make_client());
  tracker->log(measured(0, 1));
  tracker->finish(Ending::finished, patience);
  CHECK(server.last_authorization() == (has_token ? "Bearer t" : "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="));
}

TEST_CASE("A run whose beginning was not heard of is found again, not begun twice") {
  int made = 0;
  FakeMlflow server([&](const HttpRequest& request) -> std::optional<HttpAnswer> {
    if (request.target.find("runs/create") != std::string::npos) {
      ++made;
      return hang_up();
    }
    if (request.target.find("runs/search") != std::string::npos) {
      CHECK(request.body.find("tags.trireme_session = '") != std::string::npos);
      return answer(200, R"({"runs":[{"info":{"run_id":"found"}}]})");
    }
    if (request.target.find("log-batch") != std::string::npos)
      CHECK(request.body.find("\"found\"") != std::string::npos);
    return std::nullopt;
  });
  const auto tracker = make_mlflow_tracker(settings_for(server.url(), ""), http::make_client());
  tracker->log(measured(0, 0.5));
  tracker->finish(Ending::finished, patience);
  CHECK(made == 1);
  CHECK(server.metrics() == steps(1));
  CHECK(server.status() == "FINISHED");
}
