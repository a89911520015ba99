// SPDX-License-Identifier: Apache-2.0
#include "tracking/mlflow_item.hpp"

#include "tracking/mlflow_answer.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include <limits>

namespace {

using namespace trireme::tracking;
using Item = MlflowItem;
using Json = nlohmann::json;

}  // namespace

TEST_CASE("Names are made of what every MLflow server takes, values are cut between characters") {
  CHECK(mlflow_key("val_accuracy") == "val_accuracy");
  CHECK(mlflow_key("a=b\"c\n(d) \xC3\xA4") == "a_b_c__d_ __");
  CHECK(mlflow_key("") == "_");
  CHECK(mlflow_key(std::string(300, 'k')).size() == 250);
  CHECK(mlflow_text("short", 5) == "short");
  CHECK(mlflow_text("shorter", 5) == "short");
  CHECK(mlflow_text("abc\xC3\xA4", 4) == "abc");
  CHECK(mlflow_text("\xE2\x82\xAC", 2).empty());
}

TEST_CASE("A batch is of one kind, within the limits, and holds each parameter or tag once") {
  std::deque<Item> metrics(2500, Item{.key = "loss"});
  CHECK(mlflow_batch(metrics) == 1000);
  metrics.insert(metrics.begin() + 3, Item{.kind = Item::Kind::tag, .key = "t"});
  CHECK(mlflow_batch(metrics) == 3);

  std::deque<Item> parameters;
  for (int k = 0; k < 150; ++k) parameters.push_back({.kind = Item::Kind::parameter, .key = std::to_string(k)});
  CHECK(mlflow_batch(parameters) == 100);
  parameters[40].key = "7";
  CHECK(mlflow_batch(parameters) == 40);

  std::deque<Item> tags;
  for (int k = 0; k < 100; ++k)
    tags.push_back({.kind = Item::Kind::tag, .key = std::to_string(k), .text = std::string(5000, '\1')});
  const auto count = mlflow_batch(tags);
  CHECK(count >= 20);
  const std::vector<Item> batch(tags.begin(), tags.begin() + static_cast<std::ptrdiff_t>(count));
  CHECK(mlflow_batch_body("r", batch).size() <= 1'000'000);
  CHECK(mlflow_batch({}) == 0);
}

TEST_CASE("Values that are no numbers go as the JSON of protocol buffers spells them") {
  const double infinity = std::numeric_limits<double>::infinity();
  const std::vector<Item> items{{.key = "a", .value = std::numeric_limits<double>::quiet_NaN()},
                                {.key = "b", .value = infinity, .timestamp_ms = 1767225600250, .step = 1200},
                                {.key = "c", .value = -infinity},
                                {.key = "d", .value = 0.1}};
  const Json body = Json::parse(mlflow_batch_body("run \"1\"", items));
  CHECK(body["run_id"] == "run \"1\"");
  CHECK(body["metrics"][0]["value"] == "NaN");
  CHECK(body["metrics"][1] == Json{{"key", "b"}, {"value", "Infinity"}, {"timestamp", 1767225600250}, {"step", 1200}});
  CHECK(body["metrics"][2]["value"] == "-Infinity");
  CHECK(body["metrics"][3]["value"] == 0.1);
  const std::vector<Item> broken{{.kind = Item::Kind::tag, .key = "t", .text = "no UTF-8: \xFF"}};
  CHECK_NOTHROW(Json::parse(mlflow_batch_body("r", broken)));
}

TEST_CASE("Answers are looked into without trust") {
  CHECK(text_at(R"({"run":{"info":{"run_id":"r"}}})", {"run", "info", "run_id"}) == "r");
  CHECK(text_at(R"({"runs":[{"id":5}]})", {"runs", "0", "id"}) == "5");
  for (const char* body :
       {"", "{", "[]", "null", "{\"run\":[]}", "{\"run\":{\"info\":7}}", "{\"run\":{\"info\":{\"run_id\":{}}}}",
        "\xFF\xFE", "{\"run\":{\"info\":{\"run_id\":1.5}}}"}) {
    INFO(body);
    CHECK(text_at(body, {"run", "info", "run_id"}).empty());
  }
  CHECK(text_at("[1,2]", {"2"}).empty());
  CHECK(text_at("[1,2]", {"-1"}).empty());
  CHECK(text_at(std::string(100000, '['), {"0"}).empty());
  CHECK(one_line("a\nb\x01\xC3\xA4") == "a b   ");
  CHECK(one_line(std::string(1000, 'x')).size() == 200);
}
