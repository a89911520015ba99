// SPDX-License-Identifier: Apache-2.0
#include "cli/description.hpp"

#include "cli/arguments.hpp"
#include "cli/train/options.hpp"
#include "cli/train/settings_agreement.hpp"
#include "trireme/base/error.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include <optional>
#include <set>

using namespace trireme;
using namespace trireme::cli;
using nlohmann::json;
using Words = std::vector<std::string>;

namespace {

const json& described() {
  static const json document = json::parse(describe_train());
  return document;
}

json flag_named(const std::string& name) {
  for (const json& flag : described()["flags"]) {
    if (flag["name"] == name) return flag;
  }
  FAIL("no flag " << name);
  return {};
}

std::string typed(const json& value) { return value.is_string() ? value.get<std::string>() : value.dump(); }

std::optional<TrainOptions> accepted(Words words, const Words& more) {
  words.insert(words.end(), more.begin(), more.end());
  try {
    return parse_train_options(words);
  } catch (const Exception&) {
    return std::nullopt;
  }
}

/// What a flag may need beside it.
const std::vector<Words>& settings() {
  static const std::vector<Words> all{{},
                                      {"--lr-schedule", "polynomial"},
                                      {"--lr-schedule", "step"},
                                      {"--lr-scaling", "linear"},
                                      {"--model", "resnet"},
                                      {"--dataset", "text:t"},
                                      {"--dataset", "tokens:t"},
                                      {"--dataset", "csv:t"},
                                      {"--dataset", "synthetic:blobs"},
                                      {"--dataset", "text:t", "--mesh", "pipeline=2"},
                                      {"--checkpoint-dir", "d"},
                                      {"--sync", "ps"},
                                      {"--sync", "ps", "--consistency", "async"}};
  return all;
}

/// Words that say `name` is `value`, with what it needs, and the options they give; nothing when no setting takes it.
std::optional<std::pair<TrainOptions, TrainOptions>> with_and_without(const std::string& name,
                                                                      const std::string& value) {
  for (const Words& setting : settings()) {
    if (const auto with = accepted(setting, {"--" + name + "=" + value}))
      return std::pair{*with, *parse_train_options(setting)};
  }
  return std::nullopt;
}

}  // namespace

TEST_CASE("The default of every flag that has one is what leaving it out means", "[sequential]") {
  std::size_t tried = 0;
  for (const json& flag : described()["flags"]) {
    if (flag["default"].is_null()) continue;
    const std::string name = flag["name"];
    INFO(name << " = " << flag["default"]);
    const auto both = with_and_without(name, typed(flag["default"]));
    REQUIRE(both);
    CHECK(settings_of(both->first) == settings_of(both->second));
    ++tried;
  }
  CHECK(tried > 40);
}

TEST_CASE("The defaults beside another flag are those that train takes there", "[sequential]") {
  for (const json& flag : described()["flags"]) {
    if (!flag.contains("defaults")) continue;
    for (const auto& [beside, value] : flag["defaults"].items()) {
      const std::string name = flag["name"];
      INFO(name << " beside " << beside << " = " << value);
      Words setting{beside.substr(0, beside.find(' ')), beside.substr(beside.find(' ') + 1)};
      if (beside == "--model gpt") setting.insert(setting.end(), {"--dataset", "text:t"});
      if (name == "warmup-steps") continue;  // of gpt it is shortened in short runs, which no flag says
      Words with = setting;
      with.insert(with.end(), {"--" + name, typed(value)});
      // Rates of gpt come with its rule, and schedules with theirs.
      if (beside == "--model gpt" && (name == "learning-rate" || name == "weight-decay" || name == "clip-norm" ||
                                      name == "batch-size" || name == "lr-final" || name == "model")) {
        CHECK(settings_of(*parse_train_options(with)) == settings_of(*parse_train_options(setting)));
      } else if (beside.rfind("--optimizer", 0) == 0 || beside.rfind("--dataset", 0) == 0) {
        CHECK(settings_of(*parse_train_options(with)) == settings_of(*parse_train_options(setting)));
      }
    }
  }
}

TEST_CASE("Both ends of every range are taken, and what lies beyond is refused by the flag's name", "[sequential]") {
  for (const json& flag : described()["flags"]) {
    if (!flag.contains("range")) continue;
    const std::string name = flag["name"];
    const json &least = flag["range"]["min"], &most = flag["range"]["max"];
    INFO(name);
    const auto refused = [&](const std::string& text) {
      try {
        parse_train_options({"--" + name + "=" + text});
      } catch (const Exception& exception) {
        return exception.error().message.find("--" + name + " must be") == 0;
      }
      return false;
    };
    const bool is_whole = flag["type"] == "int";
    if (!least.is_null()) CHECK(refused(is_whole ? std::to_string(least.get<std::int64_t>() - 1) : "-1e-9"));
    if (most.is_null()) continue;
    if (is_whole) CHECK(refused(std::to_string(most.get<std::uint64_t>() + 1)));
    if (flag["range"].contains("excludes_max")) CHECK(refused(typed(most)));
  }
}

TEST_CASE("Every choice of a flag is taken, no other word is", "[sequential]") {
  for (const json& flag : described()["flags"]) {
    if (flag["type"] != "choice" || flag["name"] == "describe") continue;
    const std::string name = flag["name"];
    for (const json& choice : flag["choices"]) {
      INFO(name << " = " << choice);
      if (name == "server-split" && choice == "optimal") continue;  // of jobs that were started with servers
      CHECK(with_and_without(name, choice));
    }
    CHECK_FALSE(with_and_without(name, "nonsense"));
  }
}

TEST_CASE("A description says of every flag its type, and which ones are worth a search") {
  CHECK(described()["name"] == "trireme train");
  std::set<std::string> names, types, tunable;
  for (const json& flag : described()["flags"]) {
    CHECK(names.insert(flag["name"]).second);
    CHECK(flag["flag"] == "--" + flag["name"].get<std::string>());
    CHECK_FALSE(flag["help"].get<std::string>().empty());
    types.insert(flag["type"]);
    if (flag["tunable"]) tunable.insert(flag["name"]);
  }
  CHECK(types == std::set<std::string>{"boolean", "choice", "duration", "float", "int", "size", "string"});
  for (const char* name :
       {"learning-rate", "momentum", "weight-decay", "batch-size", "dropout", "hidden", "warmup-steps", "optimizer"})
    CHECK(tunable.count(name) == 1);
  for (const char* name : {"seed", "data-dir", "model-dir", "trace", "log-every", "checkpoint-dir", "epochs"})
    CHECK(tunable.count(name) == 0);
  CHECK(flag_named("batch-size")["range"] == json{{"min", 1}, {"max", 4294967295}});
  CHECK(flag_named("momentum")["default"] == 0.9);
  CHECK(flag_named("learning-rate")["defaults"]["--model gpt"] == 0.002);
  CHECK(flag_named("nesterov")["default"] == false);
  CHECK(flag_named("data-dir")["default"].is_null());
  CHECK(flag_named("bucket-bytes")["type"] == "size");
}
