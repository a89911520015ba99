// SPDX-License-Identifier: Apache-2.0
#include "cli/train/options.hpp"
#include "support/failures.hpp"
#include "trireme/base/error.hpp"

#include <catch2/catch.hpp>

using namespace trireme;
using namespace trireme::cli;
using Catch::Matchers::Contains;

using testing::error_of;

namespace {

using Words = std::vector<std::string>;

TrainOptions taken(const Words& words) {
  const auto options = parse_train_options(words);
  REQUIRE(options);
  return *options;
}

}  // namespace

TEST_CASE("A data set is named by its kind and its file") {
  CHECK(parse_dataset("--dataset", "fashion-mnist") == DatasetSpec{DatasetKind::images, "fashion-mnist"});
  CHECK(parse_dataset("--dataset", "text:/a/b") == DatasetSpec{DatasetKind::text, "/a/b"});
  CHECK(parse_dataset("--dataset", "tokens:t.bin") == DatasetSpec{DatasetKind::tokens, "t.bin"});
  CHECK(parse_dataset("--dataset", "csv:text:x") == DatasetSpec{DatasetKind::csv, "text:x"});
  CHECK(parse_dataset("--dataset", "libsvm:a9a") == DatasetSpec{DatasetKind::libsvm, "a9a"});
  CHECK(parse_dataset("--dataset", "synthetic:blobs") == DatasetSpec{DatasetKind::synthetic, "blobs"});
  for (const auto& [text, said] : std::vector<std::pair<std::string, std::string>>{
           {"text:", "--test-dataset: text: needs a file"},
           {"parquet:f", "--test-dataset is 'parquet:f'; this version has: fashion-mnist, text:FILE"},
           {"synthetic:spirals", "synthetic:linear, synthetic:logistic, synthetic:blobs"}}) {
    INFO(text);
    const std::string text_copy = text;
    CHECK_THAT(error_of([&] { parse_dataset("--test-dataset", text_copy); }).message, Contains(said));
  }
}

TEST_CASE("Text is for gpt, which brings its own defaults") {
  const TrainOptions options = taken({"--dataset", "text:f"});
  CHECK(options.model == "gpt");
  CHECK(options.optimizer.name == "adamw");
  CHECK(options.optimizer.learning_rate == 2e-3);
  CHECK(options.optimizer.weight_decay == 0.1);
  CHECK(options.schedule.kind == ScheduleKind::cosine);
  CHECK(options.schedule.final_factor == 0.05);
  CHECK(options.warmup_if_long == 20);
  CHECK(options.clip_norm == 1.0);
  CHECK(options.global_batch(1) == 32);
  CHECK(options.gpt.layers == 4);
}

TEST_CASE("What is said of gpt replaces its defaults") {
  const TrainOptions options = taken({"--model",
                                      "gpt",
                                      "--dataset",
                                      "tokens:f",
                                      "--optimizer",
                                      "adam",
                                      "--batch-size",
                                      "8",
                                      "--clip-norm",
                                      "0",
                                      "--lr-schedule",
                                      "constant",
                                      "--layers",
                                      "2",
                                      "--heads",
                                      "3",
                                      "--channels",
                                      "12",
                                      "--context",
                                      "16",
                                      "--stride",
                                      "4",
                                      "--dropout",
                                      "0.25",
                                      "--recompute",
                                      "--sample-tokens",
                                      "7",
                                      "--token-type",
                                      "u32",
                                      "--vocabulary",
                                      "1000"});
  CHECK(options.optimizer.name == "adam");
  CHECK(options.optimizer.learning_rate == 1e-3);
  CHECK(options.optimizer.weight_decay == 0.0);
  CHECK(options.schedule.kind == ScheduleKind::constant);
  CHECK(options.warmup_if_long == 0);
  CHECK(options.clip_norm == 0.0);
  CHECK(options.global_batch(1) == 8);
  CHECK(options.gpt.layers == 2);
  CHECK(options.gpt.heads == 3);
  CHECK(options.gpt.channels == 12);
  CHECK(options.gpt.context == 16);
  CHECK(options.gpt.stride == 4);
  CHECK(options.dropout == 0.25);
  CHECK(options.gpt.recompute);
  CHECK(options.gpt.sample_tokens == 7);
  CHECK(options.data.token_type == data::TokenType::u32);
  CHECK(options.data.vocabulary == 1000);
}

TEST_CASE("Tables are for regressions and mlp") {
  CHECK(taken({"--model", "linear", "--dataset", "csv:f"}).loss == LossKind::squared);
  CHECK(taken({"--model", "logistic", "--dataset", "libsvm:f"}).loss == LossKind::cross_entropy);
  CHECK(taken({"--dataset", "csv:f"}).loss == LossKind::cross_entropy);
  const TrainOptions options = taken({"--dataset", "csv:f", "--loss", "squared", "--test-dataset", "csv:g", "--label",
                                      "price", "--separator", "tab", "--no-standardise"});
  CHECK(options.loss == LossKind::squared);
  CHECK(options.data.test == DatasetSpec{DatasetKind::csv, "g"});
  CHECK(options.data.table.label == "price");
  CHECK(options.data.table.separator == '\t');
  CHECK_FALSE(options.data.table.standardise);
  const TrainOptions made_up =
      taken({"--dataset", "synthetic:blobs", "--samples", "70", "--features", "5", "--classes", "4", "--noise", "0.5"});
  CHECK(made_up.data.table.samples == 70);
  CHECK(made_up.data.table.features == 5);
  CHECK(made_up.data.table.classes == 4);
  CHECK(made_up.data.table.noise == 0.5);
}

TEST_CASE("What data cannot be is refused in one line that names the flag") {
  const std::vector<std::pair<Words, std::string>> cases{
      {{"--dataset", "csv:f", "--test-dataset", "libsvm:g"}, "--test-dataset libsvm:g does not fit --dataset"},
      {{"--test-dataset", "fashion-mnist"}, "--test-dataset belongs to --dataset text:, tokens:, csv:, libsvm:"},
      {{"--held-out", "1"}, "--held-out must be at least 0 and below 1"},
      {{"--held-out", "-0.1"}, "--held-out must be at least 0 and below 1"},
      {{"--label", "y"}, "--label belongs to --dataset csv:"},
      {{"--dataset", "csv:f", "--separator", "ab"}, "--separator is 'ab'"},
      {{"--dataset", "csv:f", "--samples", "5"}, "--samples belongs to --dataset synthetic:"},
      {{"--dataset", "csv:f", "--data-dir", "d"}, "--data-dir belongs to --dataset images"},
      {{"--dataset", "text:f", "--vocabulary", "300"}, "--vocabulary belongs to --dataset tokens:"},
      {{"--dataset", "tokens:f", "--vocabulary", "1"}, "--vocabulary must be 2 or more"},
      {{"--dataset", "tokens:f", "--token-type", "u8"}, "--token-type is 'u8'; this version has: u16, u32"},
      {{"--dataset", "text:f", "--heads", "5"}, "--heads 5 does not divide --channels 192"},
      {{"--dataset", "text:f", "--dropout", "1"}, "--dropout must be at least 0 and below 1"},
      {{"--dataset", "tokens:f", "--prompt", "a"}, "--prompt belongs to --dataset text:"},
      {{"--dataset", "synthetic:linear", "--classes", "3"}, "--classes belongs to --dataset synthetic:blobs"},
      {{"--dataset", "synthetic:logistic", "--noise", "1"}, "--noise: the labels of synthetic:logistic"},
      {{"--dataset", "synthetic:linear", "--noise", "-1"}, "--noise must be finite and at least 0"},
  };
  for (const auto& [words, expected] : cases) {
    INFO(words.front() << " " << words.back());
    const Words arguments = words;
    const Error error = error_of([&] { parse_train_options(arguments); });
    CHECK(error.code == ErrorCode::invalid_argument);
    CHECK_THAT(error.message, Contains(expected));
  }
}
