// SPDX-License-Identifier: Apache-2.0
// `trireme train` on tables, text and tokens, and what it makes of its evaluations.
#include "multiprocess/train_job.hpp"
#include "support/stride.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <sstream>

using namespace trireme::testing;
using Catch::Matchers::Contains;
using Words = std::vector<std::string>;

namespace {

constexpr std::size_t table_features = 5;
using Row = std::array<double, table_features>;

/// Numbers in [0, 1), the same in every run.
class Numbers {
 public:
  explicit Numbers(std::uint64_t seed) : state_(seed) {}
  double next() {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return static_cast<double>(state_ >> 40) / static_cast<double>(1 << 24);
  }

 private:
  std::uint64_t state_;
};

/// Rows of features far from 0 whose label is 1 with the probability of a logistic model.
struct Table {
  std::vector<Row> rows;
  std::vector<int> labels;
  std::vector<double> targets;  // of a linear model with noise

  Table(std::size_t count, std::uint64_t seed) {
    Numbers numbers(seed);
    for (std::size_t i = 0; i < count; ++i) {
      Row row{};
      double score = -0.3;
      for (std::size_t k = 0; k < table_features; ++k) {
        const double x = 2 * numbers.next() - 1;
        score += x * (static_cast<double>(k) - 1.5);
        row[k] = std::round(1000 * (100.0 * static_cast<double>(k) + 7 * x)) / 1000;
      }
      rows.push_back(row);
      labels.push_back(numbers.next() < 1 / (1 + std::exp(-score)) ? 1 : 0);
      targets.push_back(std::round(1e6 * (score + 0.2 * (numbers.next() - 0.5))) / 1e6);
    }
  }

  std::string csv(bool with_targets) const {
    std::ostringstream text;
    text << "a,b,c,d,e,y\n";
    for (std::size_t i = 0; i < rows.size(); ++i) {
      for (const double x : rows[i]) text << x << ',';
      char target[32];
      std::snprintf(target, sizeof target, "%.6f", targets[i]);
      with_targets ? text << target << '\n' : text << labels[i] << '\n';
    }
    return text.str();
  }
  /// Labels -1 and 1, as many sets of this format have them; the features around 0, since of sparse ones no mean is taken away.
  std::string libsvm() const {
    std::ostringstream text;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      text << (labels[i] == 1 ? "+1" : "-1");
      for (std::size_t k = 0; k < table_features; ++k)
        text << ' ' << k + 1 << ':' << rows[i][k] - 100.0 * static_cast<double>(k);
      text << '\n';
    }
    return text.str();
  }
};

const Table& training() {
  static const Table table(2000, 1);
  return table;
}
const Table& test() {
  static const Table table(2000, 2);
  return table;
}

/// Solves a x = b by elimination with pivoting.
std::vector<double> solved(std::vector<std::vector<double>> a, std::vector<double> b) {
  const std::size_t n = b.size();
  for (std::size_t c = 0; c < n; ++c) {
    std::size_t pivot = c;
    for (std::size_t r = c; r < n; ++r) pivot = std::abs(a[r][c]) > std::abs(a[pivot][c]) ? r : pivot;
    std::swap(a[c], a[pivot]);
    std::swap(b[c], b[pivot]);
    for (std::size_t r = 0; r < n; ++r) {
      if (r == c) continue;
      const double factor = a[r][c] / a[c][c];
      for (std::size_t k = c; k < n; ++k) a[r][k] -= factor * a[c][k];
      b[r] -= factor * b[c];
    }
  }
  for (std::size_t c = 0; c < n; ++c) b[c] /= a[c][c];
  return b;
}

/// 1 and the features, shifted and scaled so that the equations are well posed; predictions do not depend on it.
std::array<double, table_features + 1> terms(const Row& row) {
  std::array<double, table_features + 1> terms{1.0};
  for (std::size_t k = 0; k < table_features; ++k) terms[k + 1] = (row[k] - 100.0 * static_cast<double>(k)) / 7;
  return terms;
}

double score_of(const std::vector<double>& weights, const Row& row) {
  const auto x = terms(row);
  double score = 0;
  for (std::size_t k = 0; k < x.size(); ++k) score += weights[k] * x[k];
  return score;
}

/// One step of Newton's method from `weights`: of the logistic loss, or of the squared one, where the first is the solution.
std::vector<double> newton_step(const std::vector<double>& weights, bool logistic) {
  const std::size_t n = table_features + 1;
  std::vector<std::vector<double>> hessian(n, std::vector<double>(n));
  std::vector<double> gradient(n);
  for (std::size_t i = 0; i < training().rows.size(); ++i) {
    const auto x = terms(training().rows[i]);
    const double score = score_of(weights, training().rows[i]);
    const double p = logistic ? 1 / (1 + std::exp(-score)) : score;
    const double wanted = logistic ? training().labels[i] : training().targets[i];
    for (std::size_t k = 0; k < n; ++k) {
      gradient[k] += (p - wanted) * x[k];
      for (std::size_t l = 0; l < n; ++l) hessian[k][l] += (logistic ? p * (1 - p) : 1.0) * x[k] * x[l];
    }
  }
  std::vector<double> next = weights;
  const auto step = solved(hessian, gradient);
  for (std::size_t k = 0; k < n; ++k) next[k] -= step[k];
  return next;
}

double reference_accuracy() {
  std::vector<double> weights(table_features + 1);
  for (int step = 0; step < 20; ++step) weights = newton_step(weights, true);
  std::size_t correct = 0;
  for (std::size_t i = 0; i < test().rows.size(); ++i)
    correct += (score_of(weights, test().rows[i]) > 0) == (test().labels[i] == 1) ? 1u : 0u;
  return static_cast<double>(correct) / static_cast<double>(test().rows.size());
}

double reference_rmse() {
  const auto weights = newton_step(std::vector<double>(table_features + 1), false);
  double squares = 0;
  for (std::size_t i = 0; i < test().rows.size(); ++i)
    squares += std::pow(score_of(weights, test().rows[i]) - test().targets[i], 2);
  return std::sqrt(squares / static_cast<double>(test().rows.size()));
}

/// Files of one test case.
struct Files {
  TemporaryFolder folder;
  std::string write(const std::string& name, const std::string& text) const {
    const std::string path = folder.path() + "/" + name;
    std::ofstream(path, std::ios::binary) << text;
    return path;
  }
};

/// Sentences that a tiny model learns something of.
std::string prose() {
  std::string text;
  Numbers numbers(5);
  const std::array<const char*, 6> words{"oars ", "banks ", "three ", "row ", "the ", "hull.\n"};
  while (text.size() < 6000) text += words[static_cast<std::size_t>(6 * numbers.next())];
  return text;
}

Words joined(Words words, const Words& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

Words tiny_gpt(const std::string& dataset, const Words& more = {}) {
  return joined({"train", "--dataset",       dataset, "--layers",         "2", "--heads",         "2",  "--channels",
                 "16",    "--context",       "16",    "--epochs",         "1", "--batch-size",    "20", "--dropout",
                 "0.1",   "--learning-rate", "0.02",  "--logical-shards", "8", "--sample-tokens", "12"},
                more);
}

/// One step an epoch over all rows: gradient descent to the minimum.
Words to_the_minimum(const std::string& model, const std::string& dataset, const std::string& test_dataset) {
  return {"train",      "--model",      model,  "--dataset",        dataset, "--test-dataset",
          test_dataset, "--batch-size", "2000", "--epochs",         "250",   "--learning-rate",
          "0.3",        "--eval-every", "0",    "--logical-shards", "4"};
}

}  // namespace

TEST_CASE("Logistic regression on CSV and LibSVM files reaches the accuracy of Newton's method") {
  const Files files;
  const bool sparse = GENERATE(false, true);
  const std::string kind = sparse ? "libsvm:" : "csv:";
  const std::string train_file = files.write("train", sparse ? training().libsvm() : training().csv(false));
  const std::string test_file = files.write("test", sparse ? test().libsvm() : test().csv(false));
  const Words job = to_the_minimum("logistic", kind + train_file, kind + test_file);
  const double expected = reference_accuracy();
  REQUIRE(expected > 0.75);
  const auto ranks = GENERATE(1, 2);
  const std::string line = result_of(run_ranks(ranks, job));
  CHECK(std::abs(std::stod(value(line, "test_accuracy")) - expected) <= 1e-3);
}

TEST_CASE("Linear regression on a CSV file reaches the error of least squares") {
  const Files files;
  const auto result = run_ranks(2, to_the_minimum("linear", "csv:" + files.write("train", training().csv(true)),
                                                  "csv:" + files.write("test", test().csv(true))));
  const std::string line = result_of(result);
  CHECK(std::stod(value(line, "test_rmse")) == Approx(reference_rmse()).epsilon(1e-3));
  CHECK_THAT(line, !Contains("test_accuracy"));
}

TEST_CASE("Tables train to the same bits on 1, 2, 3, 4 and 8 ranks, in every precision") {
  const Files files;
  const std::string csv = "csv:" + files.write("t.csv", training().csv(false));
  const std::string libsvm = "libsvm:" + files.write("t.svm", training().libsvm());
  const std::array<Words, 5> jobs{
      Words{"--model", "logistic", "--dataset", csv, "--precision", "bf16"},
      Words{"--hidden", "6", "--dataset", csv, "--precision", "f16", "--ema", "0.9"},
      Words{"--model", "logistic", "--dataset", libsvm, "--clip-norm", "0.5"},
      Words{"--hidden", "6,5", "--dataset", csv, "--dropout", "0.2", "--clip-norm", "0.5"},
      Words{"--hidden", "6", "--dataset", libsvm, "--precision", "f16", "--swa-from", "20", "--dropout", "0.1"}};
  const Words& job = jobs[GENERATE(range(std::size_t{0}, std::size_t{5}))];
  const Words whole = joined({"train", "--epochs", "2", "--batch-size", "90", "--logical-shards", "8", "--optimizer",
                              "adam", "--learning-rate", "0.05"},
                             job);
  const std::string alone = outcome_of(run_trireme(whole));
  CHECK_THAT(alone, Contains("test_accuracy=0.") && Contains("steps=40 "));
  for (const int ranks : thinned({2, 3, 4, 8}, {2, 3})) {
    INFO(ranks << " ranks");
    CHECK(outcome_of(run_ranks(ranks, whole)) == alone);
  }
}

TEST_CASE("Of many sparse features only the rows that occur travel, with the bits of one rank") {
  std::ostringstream text;
  Numbers numbers(9);
  for (int i = 0; i < 60; ++i) {
    const int base = 1 + static_cast<int>(100000 * numbers.next());
    text << i % 3 << ' ' << base << ":1 " << base + 200000 << ":0.5 " << 400000 + i % 3 << ":2\n";
  }
  const Files files;
  const Words job{"train",
                  "--model",
                  "logistic",
                  "--dataset",
                  "libsvm:" + files.write("wide", text.str()),
                  "--epochs",
                  "3",
                  "--logical-shards",
                  "4",
                  "--batch-size",
                  "16",
                  "--log-every",
                  "1",
                  "--clip-norm",
                  "0.3",
                  "--precision",
                  GENERATE("f32", "bf16")};
  const std::string alone = outcome_of(run_trireme(job));
  CHECK_THAT(alone, Contains("test_accuracy=1.0000"));
  for (const int ranks : {2, 3}) {
    INFO(ranks << " ranks");
    CHECK(outcome_of(run_ranks(ranks, job)) == alone);
  }
}

TEST_CASE("gpt learns a text to the same bits on 1, 2, 3, 4 and 8 ranks, and shows what it writes") {
  const Files files;
  const Words job = tiny_gpt("text:" + files.write("prose", prose()), {"--eval-every", "7steps", "--prompt", "the "});
  const Result first = run_trireme(job);
  const std::string alone = outcome_of(first);
  CHECK_THAT(alone, Contains("result: model=gpt steps=17 ") && Contains(" test_perplexity=") && !Contains("accuracy"));
  CHECK_THAT(first.out, Contains("metric step=7 epoch=1 val_loss=") && Contains(" val_perplexity=") &&
                            Contains("\nsample: 12 tokens behind a prompt of 4\nthe "));
  CHECK(std::stod(value(result_of(first), "test_loss")) < 3.0);  // ln 256 is 5.5
  for (const int ranks : thinned({2, 3, 4, 8}, {2, 3})) {
    INFO(ranks << " ranks");
    CHECK(outcome_of(run_ranks(ranks, job)) == alone);
  }
  CHECK(outcome_of(run_trireme(joined(job, {"--recompute"}))) == alone);
}

TEST_CASE("Token files of 16 and 32 bits are one data set, whose vocabulary is found") {
  const Files files;
  std::string narrow, wide;
  for (const char each : prose()) {
    const int token = 3 * static_cast<unsigned char>(each);  // more than a byte can be
    narrow += {static_cast<char>(token & 0xff), static_cast<char>(token >> 8)};
    wide += {static_cast<char>(token & 0xff), static_cast<char>(token >> 8), '\0', '\0'};
  }
  const std::string narrow_file = files.write("n.bin", narrow);
  const Words narrow_job = tiny_gpt("tokens:" + narrow_file);
  const Result first = run_trireme(narrow_job);
  const std::string alone = outcome_of(first);
  CHECK_THAT(first.err, Contains("vocabulary 358"));  // 3 * 'w' + 1
  CHECK_THAT(first.out, Contains("sample: 12 tokens behind a prompt of 16\n"));
  CHECK(outcome_of(run_ranks(2, tiny_gpt("tokens:" + files.write("w.bin", wide), {"--token-type", "u32"}))) == alone);
  require_refusal(run_trireme(joined(narrow_job, {"--vocabulary", "300"})), narrow_file);
}

TEST_CASE("The best evaluation is kept, and training ends when nothing becomes better, alike on all ranks") {
  // A rate that overshoots: the loss falls, then rises.
  const Words job{"train",
                  "--dataset",
                  "synthetic:blobs",
                  "--samples",
                  "400",
                  "--features",
                  "6",
                  "--noise",
                  "3",
                  "--hidden",
                  "64",
                  "--optimizer",
                  "adam",
                  "--learning-rate",
                  "0.05",
                  "--epochs",
                  "200",
                  "--batch-size",
                  "60",
                  "--eval-every",
                  "5steps",
                  "--keep-best",
                  "--early-stop",
                  "3",
                  "--logical-shards",
                  "8"};
  const Result first = run_trireme(job);
  const std::string alone = outcome_of(first);
  const std::string line = result_of(first);
  const int best = std::stoi(value(line, "best_step"));
  const int stopped = std::stoi(value(line, "stopped_early_at"));
  CHECK(stopped == best + 15);
  CHECK(value(line, "steps") == std::to_string(stopped));
  CHECK_THAT(first.err, Contains("warning: --keep-best chooses by the samples that the result's test_loss is of, ") &&
                            Contains("give --test-dataset to tell them apart"));
  CHECK_THAT(first.err, Contains("stopped early at step " + std::to_string(stopped) + ": no lesser loss in 3"));
  // The result is that of the step that was best: of a run that was to end there.
  Words planned(job.begin(), job.end());
  planned.erase(std::find(planned.begin(), planned.end(), "--keep-best"));
  const std::string expected =
      result_of(run_trireme(joined(planned, {"--early-stop", "0", "--steps", std::to_string(best)})));
  for (const char* key : {"test_loss", "test_accuracy", "weights_xxh3"})
    CHECK(value(line, key) == value(expected, key));
  for (const int ranks : {2, 3}) {
    INFO(ranks << " ranks");
    CHECK(outcome_of(run_ranks(ranks, job)) == alone);
  }
}

TEST_CASE("Data that do not fit are one line and exit code 2") {
  const Files files;
  const std::string csv = files.write("t.csv", "a,b,y\n1,2,0\n3,4,1\n5,6,0\n");
  require_refusal(run_trireme({"train", "--dataset", "csv:/nowhere.csv"}), "/nowhere.csv");
  require_refusal(run_trireme({"train", "--dataset", "csv:" + csv, "--label", "z"}), csv);
  require_refusal(run_trireme({"train", "--dataset", "csv:" + csv, "--held-out", "0.1"}),
                  "--held-out: of 3 samples that is 0");
  const Result little = run_trireme({"train", "--dataset", "csv:" + csv});
  CHECK(little.exit_code == 0);
  CHECK_THAT(little.err, Contains("warning: 3 rows are too few to hold a tenth of them out: nothing is evaluated; "));
  require_refusal(run_trireme({"train", "--dataset", "csv:" + csv, "--test-dataset",
                               "csv:" + files.write("w.csv", "b,a,y\n1,2,0\n")}),
                  "feature 0 is 'b' in ");
  require_refusal(run_trireme({"train", "--model", "logistic", "--dataset",
                               "libsvm:" + files.write("huge", "1 4000000000:1\n0 1:1\n")}),
                  "has 4000000000 features");
  require_refusal(run_trireme({"train", "--dataset", "csv:" + csv, "--swa-from", "11"}),
                  "--swa-from 11 is beyond the last step, 10");
  const Result warned = run_trireme({"train", "--dataset", "csv:" + csv, "--warmup-steps", "11"});
  CHECK(warned.exit_code == 0);
  CHECK_THAT(warned.err, Contains("warning: --warmup-steps 11 is beyond the last step, 10: "));
  require_refusal(run_trireme({"train", "--dataset", "csv:" + csv, "--test-dataset",
                               "csv:" + files.write("v.csv", "a,b,y\n1,2,7\n")}),
                  "--test-dataset has the label 7");
  require_refusal(run_trireme({"train", "--dataset", "csv:" + csv, "--held-out", "0", "--keep-best"}),
                  "--keep-best: no samples are held out");
  require_refusal(run_trireme({"train", "--dataset", "csv:" + csv, "--held-out", "0", "--test-dataset",
                               "csv:" + files.write("u.csv", "a,y\n1,2\n")}),
                  "has 1 features");
  require_refusal(
      run_trireme({"train", "--dataset", "csv:" + files.write("f.csv", "a,y\n1,0.5\n2,1\n"), "--held-out", "0"}),
      "the label 0.5 is no class");
  require_refusal(run_trireme({"train", "--dataset", "text:" + files.write("short", "short")}), "short");
  require_refusal(run_trireme({"train", "--dataset", "libsvm:" + files.write("bad", "1 2:x\n")}), "bad");
  const auto several = run_ranks(3, {"train", "--dataset", "csv:" + csv, "--label", "z"});
  CHECK(several.exit_code == 2);
  CHECK_THAT(several.err, Contains(csv));
}

TEST_CASE("Ranks with other data say so before they start") {
  const Files files;
  files.write("t0.csv", training().csv(false));
  files.write("t1.csv", test().csv(false));
  const auto result = run_trireme(
      {"run", "-n", "2", "--", "sh", "-c",
       "exec \"$0\" train --model logistic --dataset csv:" + files.folder.path() + "/t$RANK.csv", TRIREME_PROGRAM});
  INFO("stdout: " << result.out << "\nstderr: " << result.err);
  CHECK(result.exit_code == 2);
  CHECK(result.out.empty());
  CHECK_THAT(result.err, Contains("the content of --dataset is 2000 rows of 5 features"));
}

TEST_CASE("The best weights survive a later divergence, whose exit code stays 1") {
  // Small enough at first to learn, then without bound.
  const Words job{"train",
                  "--model",
                  "linear",
                  "--dataset",
                  "synthetic:linear",
                  "--batch-size",
                  "300",
                  "--optimizer",
                  "sgd",
                  "--learning-rate",
                  "3",
                  "--lr-schedule",
                  "linear",
                  "--lr-final",
                  "1e30",
                  "--warmup-steps",
                  "60",
                  "--momentum",
                  "0",
                  "--eval-every",
                  "1steps",
                  "--keep-best",
                  "--logical-shards",
                  "4"};
  const auto ranks = GENERATE(1, 2);
  const Result result = run_ranks(ranks, job);
  INFO("stdout: " << result.out << "\nstderr: " << result.err);
  CHECK(result.exit_code == 1);
  const std::string line = result_of(result);
  CHECK(std::stoi(value(line, "best_step")) < std::stoi(value(line, "diverged_at")));
  CHECK(std::stod(value(line, "test_loss")) < 100);
  CHECK_THAT(result.err, Contains("the loss is not finite at step " + value(line, "diverged_at")));
}

TEST_CASE("Gradients that f16 cannot hold end training with the reason, and skipped steps are told") {
  const Files files;
  std::string text = "a,y\n";
  for (int i = 1; i <= 64; ++i) text += std::to_string(i * 100000) + "," + std::to_string(i * 1000) + "\n";
  const Words job{"train",
                  "--model",
                  "linear",
                  "--dataset",
                  "csv:" + files.write("large.csv", text),
                  "--no-standardise",
                  "--precision",
                  "f16",
                  "--epochs",
                  "40",
                  "--held-out",
                  "0"};
  const auto ranks = GENERATE(1, 2);
  const Result ended = run_ranks(ranks, job);
  INFO("stdout: " << ended.out << "\nstderr: " << ended.err);
  CHECK(ended.exit_code == 1);
  CHECK_THAT(ended.err, Contains("the gradients overflow f16 at step 17 although nothing scales them"));
  Words few = job;
  *std::find(few.begin(), few.end(), "40") = "3";
  const Result warned = run_ranks(ranks, few);
  CHECK(warned.exit_code == 0);
  CHECK_THAT(warned.err, Contains("nothing was learnt: the gradients of all 3 steps overflowed f16"));
  CHECK(value(result_of(warned), "skipped_steps") == "3");
}
