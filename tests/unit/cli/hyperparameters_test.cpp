// SPDX-License-Identifier: Apache-2.0
#include "cli/hyperparameters.hpp"

#include "base/near_name.hpp"
#include "cli/train/options.hpp"
#include "cli/train/settings_agreement.hpp"
#include "trireme/base/error.hpp"

#include <catch2/catch.hpp>

using namespace trireme;
using namespace trireme::cli;
using Catch::Matchers::Contains;
using Words = std::vector<std::string>;

namespace {

platform::ClusterSpec telling(Hyperparameters hyperparameters) {
  platform::ClusterSpec cluster;
  cluster.hyperparameters = std::move(hyperparameters);
  return cluster;
}

TrainOptions trained(const Hyperparameters& hyperparameters, const Words& words = {}) {
  const auto options = parse_train_options(words, telling(hyperparameters));
  REQUIRE(options);
  return *options;
}

std::string refusal_to(const Hyperparameters& hyperparameters, const Words& words = {}) {
  try {
    parse_train_options(words, telling(hyperparameters));
  } catch (const Exception& exception) {
    CHECK(exception.error().code == ErrorCode::invalid_argument);
    return exception.error().message;
  }
  return "accepted";
}

}  // namespace

TEST_CASE("The platform's hyperparameters say what flags say, whichever of - and _ is in their names") {
  const TrainOptions told = trained({{"epochs", "3"},
                                     {"batch_size", "64"},
                                     {"learning-rate", "1e-3"},
                                     {"optimizer", "\"adamw\""},
                                     {"hidden", "[64,32]"},
                                     {"no_overlap", "true"},
                                     {"keep-best", "false"},
                                     {"momentum", "null"},
                                     {"bucket-bytes", "\"1MiB\""}});
  const auto typed = parse_train_options({"--epochs=3", "--batch_size", "64", "--learning-rate", "0.001", "--optimizer",
                                          "adamw", "--hidden", "64,32", "--no_overlap", "--bucket-bytes=1MiB"});
  REQUIRE(typed);
  CHECK(settings_of(told) == settings_of(*typed));
}

TEST_CASE("A mesh can be a hyperparameter, in either form of its names, and its refusal says so") {
  const TrainOptions told = trained({{"dataset", "\"text:t\""},
                                     {"mesh", "\"data=2,pipeline=2\""},
                                     {"pipeline_schedule", "\"zb-h1\""},
                                     {"micro-batches", "6"},
                                     {"zero", "1"}});
  const auto typed = parse_train_options({"--dataset=text:t", "--mesh", "data=2,pipeline=2", "--pipeline-schedule",
                                          "zb-h1", "--micro-batches=6", "--zero=1"});
  REQUIRE(typed);
  CHECK(settings_of(told) == settings_of(*typed));
  CHECK_THAT(refusal_to({{"dataset", "\"text:t\""}, {"mesh", "\"model=2\""}}),
             Contains("--mesh: axis 'model'") && Contains("(the platform's hyperparameter 'mesh' says so)"));
}

TEST_CASE("What is typed stands above the platform's hyperparameters") {
  const TrainOptions options =
      trained({{"epochs", "3"}, {"nesterov", "true"}, {"seed", "4"}}, {"--epochs", "5", "--nesterov=false"});
  CHECK(options.epochs == 5);
  CHECK_FALSE(options.optimizer.nesterov);
  CHECK(options.seed == 4);
}

TEST_CASE("A flag that is on or off may have a value, and off is as good as not given") {
  const auto nesterov = [](const Words& words) { return parse_train_options(words)->optimizer.nesterov; };
  for (const char* yes : {"--nesterov", "--nesterov=true", "--nesterov=True", "--nesterov=1"}) CHECK(nesterov({yes}));
  CHECK(nesterov({"--nesterov", "true", "--epochs", "1"}));
  CHECK(nesterov({"--nesterov", "True"}));
  for (const char* no : {"--nesterov=false", "--nesterov=False", "--nesterov=0"}) CHECK_FALSE(nesterov({no}));
  CHECK_FALSE(nesterov({"--nesterov", "--nesterov", "false"}));
  CHECK_FALSE(nesterov({"--optimizer", "adamw", "--nesterov=false"}));  // which has none
  CHECK(refusal_to({}, {"--nesterov=perhaps"}) == "--nesterov: 'perhaps' is neither true nor false");
  CHECK_THAT(refusal_to({{"nesterov", "\"perhaps\""}}), Contains("neither true nor false"));
}

TEST_CASE("Only one level of quoting is taken off a hyperparameter, and that was the platform's") {
  CHECK(hyperparameter_words({{"name", R"("\"quoted\"")"}}) == Words{"--name=\"quoted\""});
  CHECK_THAT(refusal_to({{"optimizer", R"("\"sgd\"")"}}), Contains(R"(--optimizer is '"sgd"')"));
  CHECK(trained({{"epochs", "\"7\""}}).epochs == 7);
}

TEST_CASE("An empty text is a hyperparameter's value") {
  CHECK(trained({{"hidden", "\"\""}}).hidden.empty());
  CHECK(trained({{"hidden", "[]"}}).hidden.empty());
  CHECK(trained({{"hidden", "512"}}).hidden == std::vector<std::size_t>{512});
}

TEST_CASE("A hyperparameter that is no flag is refused with the known ones, and with the one that was meant") {
  const std::string message = refusal_to({{"learning_rat", "0.1"}});
  CHECK_THAT(message,
             Contains("the hyperparameter 'learning_rat' is unknown; did you mean learning-rate? Known are: ") &&
                 Contains(" batch-size, ") && Contains(" weight-decay"));
  CHECK(message.find('\n') == std::string::npos);
  CHECK_THAT(refusal_to({{"lr", "0.1"}}), Contains("did you mean learning-rate?"));
  CHECK_THAT(refusal_to({{"Epochs", "1"}}), Contains("'Epochs' is unknown; did you mean epochs?"));
  CHECK_THAT(refusal_to({{"frobnicate", "1"}}), Contains("'frobnicate' is unknown; Known are: "));
  for (const char* name : {"help", "describe"}) CHECK_THAT(refusal_to({{name, "\"json\""}}), Contains("is unknown"));
}

TEST_CASE("A hyperparameter's value is judged as its flag's, and the refusal says where it came from") {
  CHECK(refusal_to({{"epochs", "0"}}) ==
        "--epochs must be at least 1, got 0 (the platform's hyperparameter 'epochs' says so)");
  CHECK_THAT(refusal_to({{"batch_size", "2.5"}}),
             Contains("--batch-size: '2.5' is not an integer (the platform's hyperparameter 'batch_size' says so)"));
  CHECK_THAT(refusal_to({{"model", "\"transformer\""}}), Contains("--model is 'transformer'; this version has: mlp"));
  CHECK_THAT(refusal_to({{"hidden", "[1.5]"}}), Contains("--hidden: give layers"));
  CHECK_THAT(refusal_to({{"hidden", "[[1]]"}}), Contains("'hidden' is a list of what are no single values"));
  CHECK_THAT(refusal_to({{"hidden", "{}"}}), Contains("'hidden' is a JSON object"));
  CHECK_THAT(refusal_to({{"epochs", "{"}}), Contains("'epochs' has no value that is JSON"));
  CHECK_THAT(refusal_to({{"batch-size", "1"}, {"batch_size", "1"}}), Contains("'batch_size' is given twice"));
  CHECK(refusal_to({{"epochs", "0"}}, {"--epochs", "1", "--seed", "-1"}) == "--seed must be at least 0, got -1");
}

TEST_CASE("Hyperparameters may have settings of every schedule, which typed flags may not") {
  const Hyperparameters search{{"lr_decay", "0.5"}, {"lr_power", "3"}, {"lr_base_batch", "32"}};
  CHECK(trained(search).schedule.kind == ScheduleKind::constant);
  CHECK(trained(search, {"--lr-schedule", "step"}).schedule.decay == 0.5);
  CHECK(refusal_to(search, {"--lr-decay=0.25"}) == "--lr-decay belongs to --lr-schedule step; constant has none");
}

TEST_CASE("Another program gets every hyperparameter as one word, under the name it has") {
  CHECK(hyperparameter_words({{"Layers_a", "[512, 512]"},
                              {"b-c", "0.10"},
                              {"d", "true"},
                              {"e", "\"two words\""},
                              {"f", "{\"k\":1}"},
                              {"g", "\"\""}}) ==
        Words{"--Layers_a=[512, 512]", "--b-c=0.10", "--d=true", "--e=two words", "--f={\"k\":1}", "--g="});
}

TEST_CASE("A near name is one that differs by few letters, or whose initials are meant") {
  const Words known{"batch-size", "learning-rate", "steps", "wd"};
  CHECK(near_name("batchsize", known) == std::string("batch-size"));
  CHECK(near_name("STEPS", known) == std::string("steps"));
  CHECK(near_name("step", known) == std::string("steps"));
  CHECK(near_name("bs", known) == std::string("batch-size"));
  CHECK_FALSE(near_name("zero", known));
  CHECK_FALSE(near_name("", known));
  CHECK_FALSE(near_name(std::string(5000, 'x'), known));
}
