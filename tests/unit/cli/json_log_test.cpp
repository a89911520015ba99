// SPDX-License-Identifier: Apache-2.0
#include "cli/train/json_log.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

using nlohmann::json;
using trireme::cli::json_log_line;

TEST_CASE("A line is a JSON object with its severity; metrics are numbers in it") {
  CHECK(json::parse(json_log_line("trireme train: \"quoted\"")) ==
        json{{"severity", "INFO"}, {"message", "trireme train: \"quoted\""}});
  CHECK(json::parse(json_log_line("trireme train: warning: no room"))["severity"] == "WARNING");
  const std::string metric = "metric step=12 epoch=1 train_loss=0.25 val_loss=nan samples_per_s=1.5e3";
  CHECK(json::parse(json_log_line(metric)) ==
        json{{"severity", "INFO"},
             {"message", metric},
             {"metric",
              {{"step", 12}, {"epoch", 1}, {"train_loss", 0.25}, {"val_loss", nullptr}, {"samples_per_s", 1500.0}}}});
  const json result = json::parse(json_log_line("result: model=mlp steps=3 weights_xxh3=1234567890123456"));
  CHECK(result["result"] == json{{"model", "mlp"}, {"steps", 3}, {"weights_xxh3", "1234567890123456"}});
  CHECK(json_log_line("{\"a\": 1}") == "{\"a\": 1}");
  CHECK(json::parse(json_log_line("{no object"))["message"] == "{no object");
  CHECK(json::accept(json_log_line("\xff\xfe")));
  CHECK(json::parse(json_log_line(""))["message"] == "");
}
