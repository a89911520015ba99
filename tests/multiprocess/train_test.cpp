// SPDX-License-Identifier: Apache-2.0
#include "multiprocess/idx_folder.hpp"
#include "multiprocess/launched.hpp"
#include "multiprocess/train_job.hpp"
#include "support/stride.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <fstream>
#include <sstream>

using namespace trireme::testing;
using Catch::Matchers::Contains;
using Words = std::vector<std::string>;
using Variables = std::map<std::string, std::string>;

namespace {

/// One data set for all cases that do not damage theirs: 90 samples, so that the last batch of an epoch is short.
const IdxFolder& samples() {
  static const IdxFolder folder(90, 40);
  return folder;
}

/// Few enough samples in the last batch (90 mod 44 = 2) that some of the four leaves are empty.
Words small_job(const Words& more) {
  Words words{"train",  "--data-dir", samples().path(),   "--hidden", "16,8", "--batch-size", "44", "--epochs", "2",
              "--seed", "7",          "--logical-shards", "4"};
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

/// One rank alone, without a launcher.
const std::string& alone() {
  static const std::string outcome = outcome_of(run_trireme(small_job({})));
  return outcome;
}

}  // namespace

TEST_CASE("A world of one trains and ends with the result line") {
  const auto result =
      run_trireme(small_job({"--epochs", "12", "--optimizer", "adamw", "--learning-rate", "0.03", "--log-every", "5"}));
  const std::string line = result_of(result);
  REQUIRE(result.exit_code == 0);
  CHECK(line.rfind("result: model=mlp world=1 steps=36 train_loss=", 0) == 0);
  CHECK(line.find(" weights_xxh3=") + std::string(" weights_xxh3=").size() + 16 == line.size());
  CHECK(std::stod(value(line, "test_accuracy")) > 0.8);
  CHECK(std::stod(value(line, "samples_per_s")) > 0);
  CHECK_THAT(result.out, Contains("metric step=3 epoch=1 train_loss=") && Contains(" val_accuracy=") &&
                             Contains("metric step=5 epoch=2 step_loss="));
}

TEST_CASE("Worlds of 1, 2, 3 and 4 ranks end with the same weights over shm and tcp") {
  const auto ranks = GENERATE(1, 2, 3, 4);
  const std::string transport = GENERATE("shm", "tcp");
  INFO(ranks << " ranks over " << transport);
  const auto result = run_ranks(ranks, small_job({}), {{"TRIREME_TRANSPORT", transport}});
  CHECK(outcome_of(result) == alone());
  CHECK(value(result_of(result), "world") == std::to_string(ranks));
}

TEST_CASE("Algorithm, bucket size and overlap do not change the weights") {
  const auto ranks = GENERATE(2, 3);
  const std::string algorithm = GENERATE("direct", "tree", "recursive_doubling");
  if (algorithm == "recursive_doubling" && ranks == 3) return;
  INFO(ranks << " ranks, " << algorithm);
  const Words how =
      algorithm == "direct" ? Words{"--bucket-bytes", "64"} : Words{"--no-overlap", "--bucket-bytes", "1KiB"};
  CHECK(outcome_of(run_ranks(ranks, small_job(how), {{"TRIREME_ALGORITHM", algorithm}})) == alone());
}

TEST_CASE("Every canonical algorithm, transport, bucket size and overlap give the same weights", "[.full]") {
  const auto ranks = GENERATE(2, 3, 4);
  const std::string transport = GENERATE("shm", "tcp");
  const std::string algorithm = GENERATE("auto", "direct", "tree", "recursive_doubling");
  const std::string bucket = GENERATE("64", "1KiB", "25MiB");
  const bool overlap = GENERATE(true, false);
  if (algorithm == "recursive_doubling" && ranks == 3) return;
  INFO(ranks << " ranks over " << transport << ", " << algorithm << ", buckets of " << bucket << ", overlap "
             << overlap);
  Words how{"--bucket-bytes", bucket};
  if (!overlap) how.push_back("--no-overlap");
  const Variables environment{{"TRIREME_TRANSPORT", transport}, {"TRIREME_ALGORITHM", algorithm}};
  CHECK(outcome_of(run_ranks(ranks, small_job(how), environment)) == alone());
}

TEST_CASE("AdamW with clipping keeps the bits as well") {
  const Words how{"--optimizer", "adamw", "--clip-norm", "0.5", "--learning-rate", "0.01"};
  const std::string expected = outcome_of(run_trireme(small_job(how)));
  CHECK(expected != alone());
  CHECK(outcome_of(run_ranks(3, small_job(how))) == expected);
}

TEST_CASE("Dropout, AdamW, clipping and accumulation in f16 and f32 keep the bits on 1, 2, 3, 4 and 8 ranks") {
  // Of eight leaves a rank alone has eight passes a step, and one of eight ranks has one.
  const std::string precision = GENERATE("f32", "f16");
  Words job = small_job({"--model", "mlp", "--optimizer", "adamw", "--learning-rate", "0.01", "--precision", precision,
                         "--clip-norm", "0.5", "--logical-shards", "8"});
  const std::string without = outcome_of(run_trireme(job));
  job.insert(job.end(), {"--dropout", "0.2"});
  const std::string expected = outcome_of(run_trireme(job));
  CHECK(expected != without);
  for (const int ranks : thinned({2, 3, 4, 8}, {3, 8})) {
    INFO(ranks << " ranks, " << precision);
    CHECK(outcome_of(run_ranks(ranks, job)) == expected);
  }
}

TEST_CASE("Dropout's masks follow the place in the batch, however it is cut into leaves") {
  const bool images = GENERATE(true, false);
  const auto loss = [&](const Words& more) {
    Words job = images ? Words{"train", "--data-dir", samples().path()}
                       : Words{"train", "--dataset", "synthetic:blobs", "--samples", "100", "--noise", "5"};
    job.insert(job.end(), {"--hidden", "16,8", "--batch-size", "44", "--epochs", "2"});
    job.insert(job.end(), more.begin(), more.end());
    return std::stod(value(result_of(run_trireme(job)), "train_loss"));
  };
  const double whole = loss({"--dropout", "0.4"});
  CHECK(loss({"--dropout", "0.4", "--logical-shards", "8"}) == Approx(whole).epsilon(1e-5));
  CHECK(std::abs(loss({}) - whole) > 1e-3 * whole);
}

TEST_CASE("Dropout's masks change from step to step") {
  const IdxFolder one(1, 1);
  const TemporaryFolder folder;
  std::ofstream(folder.path() + "/one.csv") << "a,b,y\n1,-2,3\n";
  const bool images = GENERATE(true, false);
  const auto losses = [&](const std::string& dropout) {
    Words job = images ? Words{"train", "--data-dir", one.path()}
                       : Words{"train",  "--dataset",       "csv:" + folder.path() + "/one.csv",
                               "--loss", "squared",         "--held-out",
                               "0",      "--no-standardise"};
    job.insert(job.end(),
               {"--hidden", "64", "--learning-rate", "0", "--epochs", "3", "--log-every", "1", "--dropout", dropout});
    const Result result = run_trireme(job);
    REQUIRE(result.exit_code == 0);
    std::vector<std::string> found;
    std::istringstream stream(result.out);
    for (std::string line; std::getline(stream, line);) {
      if (line.find(" step_loss=") != std::string::npos) found.push_back(value(line, "step_loss"));
    }
    REQUIRE(found.size() == 3);
    return found;
  };
  const auto same = losses("0");
  CHECK(same == std::vector<std::string>(3, same[0]));
  const auto masked = losses("0.5");
  CHECK(masked[0] != masked[1]);
  CHECK(masked[1] != masked[2]);
}

TEST_CASE("A batch smaller than the number of leaves trains on all ranks") {
  const Words job{"train",   "--data-dir", samples().path(),   "--hidden", "8", "--batch-size", "3",
                  "--steps", "7",          "--logical-shards", "8"};
  const std::string expected = outcome_of(run_trireme(job));
  CHECK(outcome_of(run_ranks(4, job)) == expected);
}

TEST_CASE("Convolutional models end with the same weights, loss and accuracy on 1, 2, 3 and 4 ranks") {
  const std::string model = GENERATE("cnn", "resnet");
  const Words job{"train",
                  "--data-dir",
                  samples().path(),
                  "--model",
                  model,
                  "--batch-size",
                  "22",
                  "--epochs",
                  "1",
                  "--logical-shards",
                  "4",
                  "--learning-rate",
                  "0.05"};
  const auto alone_result = run_trireme(job);
  CHECK(result_of(alone_result).rfind("result: model=" + model + " world=1 steps=5 ", 0) == 0);
  const std::string expected = outcome_of(alone_result);
  for (const int ranks : thinned({2, 3, 4}, {2, 3})) {
    INFO(ranks << " ranks");
    CHECK(outcome_of(run_ranks(ranks, job)) == expected);
  }
}

TEST_CASE("Batch normalisation over all ranks trains as one rank with one leaf does, up to rounding") {
  // 90 mod 22 = 2 samples in the last batch: one of three ranks has none.
  const auto job = [](const Words& more) {
    Words words{"train",    "--data-dir", samples().path(), "--model", "resnet",          "--batch-size", "22",
                "--epochs", "1",          "--seed",         "7",       "--learning-rate", "0.05"};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  };
  const auto plain = run_trireme(job({}));
  CHECK(outcome_of(run_trireme(job({"--sync-batch-norm"}))) == outcome_of(plain));
  const double loss = std::stod(value(result_of(plain), "train_loss"));
  for (const int ranks : {2, 3}) {
    INFO(ranks << " ranks");
    const auto result = run_ranks(ranks, job({"--sync-batch-norm"}));
    outcome_of(result);
    const std::string line = result_of(result);
    CHECK(value(line, "steps") == "5");
    CHECK(std::stod(value(line, "train_loss")) == Approx(loss).epsilon(1e-3));
  }
  require_refusal(run_trireme(job({"--sync-batch-norm", "--logical-shards", "4"})),
                  "--sync-batch-norm needs one leaf per rank, and --logical-shards 4 makes 4 leaves on 1 rank");
  const auto refused = run_ranks(2, job({"--sync-batch-norm", "--accumulate", "2"}));
  CHECK(refused.exit_code == 2);
  CHECK_THAT(refused.err, Contains("--sync-batch-norm needs one leaf per rank, and --accumulate 2 makes 4 leaves"));
}

TEST_CASE("The seed decides the weights") {
  CHECK(outcome_of(run_trireme(small_job({}))) == alone());
  Words other = small_job({});
  *std::find(other.begin(), other.end(), "7") = "8";
  CHECK(outcome_of(run_trireme(other)) != alone());
}

TEST_CASE("The ring is refused by name in canonical order, and trains in the fastest") {
  const Variables ring{{"TRIREME_ALGORITHM", "ring"}};
  const auto refused = run_ranks(2, small_job({}), ring);
  CHECK(refused.exit_code == 2);
  CHECK_THAT(refused.err, Contains("TRIREME_ALGORITHM: ring") && Contains("direct"));
  CHECK_THAT(refused.err, Contains("] trireme train: "));
  CHECK(refused.err.find("] trireme train: ") == refused.err.rfind("] trireme train: "));

  const auto trained = run_ranks(
      3, small_job({"--order", "fastest", "--epochs", "12", "--optimizer", "adamw", "--learning-rate", "0.03"}), ring);
  const std::string line = result_of(trained);
  CHECK(trained.exit_code == 0);
  CHECK(std::stod(value(line, "test_accuracy")) > 0.8);
}

TEST_CASE("Fewer leaves than ranks are refused") {
  const auto result = run_ranks(3, {"train", "--data-dir", samples().path(), "--logical-shards", "2"});
  CHECK(result.exit_code == 2);
  CHECK_THAT(result.err, Contains("--logical-shards 2 is below the 3 ranks"));
}

TEST_CASE("A batch per rank grows with the world") {
  const Words job{"train",    "--data-dir", samples().path(), "--hidden", "8", "--batch-size-per-rank", "15",
                  "--epochs", "1"};
  CHECK(value(result_of(run_trireme(job)), "steps") == "6");
  CHECK(value(result_of(run_ranks(2, job)), "steps") == "3");
}

TEST_CASE("What was typed wrong is one line and exit code 2") {
  require_refusal(run_trireme({"train", "--frobnicate"}), "trireme train: unknown flag '--frobnicate'");
  require_refusal(run_trireme({"train", "--epochs", "0"}), "--epochs must be at least 1");
  require_refusal(run_trireme({"train", "--device", "cuda"}), "trireme train: --device cuda: ");
  require_refusal(run_trireme({"train", "--device", "cuda", "--model", "cnn"}), "--device cuda trains mlp");
  require_refusal(run_trireme({"train", "--data-dir", samples().path() + "/nowhere"}), "does not exist");
  require_refusal(run_trireme({"run", "-n", "0", "--", TRIREME_PROGRAM, "train"}),
                  "trireme run: -n must be at least 1");
}

TEST_CASE("A wrong flag is told once, not by every rank") {
  const auto result = run_ranks(3, {"train", "--frobnicate"});
  CHECK(result.exit_code == 2);
  const std::string told = "trireme train: unknown flag '--frobnicate'";
  CHECK_THAT(result.err, Contains(told));
  CHECK(result.err.find(told) == result.err.rfind(told));
}

TEST_CASE("A refusal of one rank alone is heard") {
  const auto result = run_trireme({"run", "-n", "2", "--", "sh", "-c",
                                   "if [ $RANK = 1 ]; then exec \"$0\" train --data-dir /nowhere/at/all; fi; sleep 60",
                                   TRIREME_PROGRAM});
  CHECK(result.exit_code == 2);
  CHECK_THAT(result.err, Contains("[1] trireme train: ") && Contains("/nowhere/at/all"));
}

TEST_CASE(
    "Ranks that were told to train differently name the flag before they start, instead of waiting for one another") {
  const auto result = run_trireme(
      {"run", "-n", "3", "--", "sh", "-c",
       "if [ $RANK = 1 ]; then set -- --steps 3; fi; exec \"$0\" train --data-dir " + samples().path() + " \"$@\"",
       TRIREME_PROGRAM});
  INFO("stdout: " << result.out << "\nstderr: " << result.err);
  CHECK(result.exit_code == 2);
  CHECK(result.out.empty());
  CHECK_THAT(result.err, !Contains("last operations"));
  CHECK_THAT(result.err, Contains("--steps is 3 on rank 1, 0 on rank 0"));
}

TEST_CASE("A damaged data set is one line that names the file, and exit code 2") {
  const IdxFolder folder(30, 10);
  const Words job{"train", "--data-dir", folder.path()};
  SECTION("truncated images") {
    folder.truncate("train-images-idx3-ubyte", 500);
    require_refusal(run_trireme(job), "train-images-idx3-ubyte");
  }
  SECTION("truncated header") {
    folder.truncate("t10k-labels-idx1-ubyte", 3);
    require_refusal(run_trireme(job), "t10k-labels-idx1-ubyte");
  }
  SECTION("something else") {
    folder.overwrite("train-labels-idx1-ubyte", "these are no labels");
    require_refusal(run_trireme(job), "train-labels-idx1-ubyte");
  }
  SECTION("damaged gzip, on several ranks") {
    folder.overwrite("t10k-images-idx3-ubyte", "\x1f\x8b\x08 and nothing of the kind");
    const auto result = run_ranks(2, job);
    CHECK(result.exit_code == 2);
    const std::string told = "] trireme train: ";  // by one rank, whichever was first
    CHECK_THAT(result.err, Contains(told) && Contains("t10k-images-idx3-ubyte"));
    CHECK(result.err.find(told) == result.err.rfind(told));
  }
}

TEST_CASE("SIGTERM ends training after the step under way, with a result and exit code 143") {
  const auto ranks = GENERATE(1, 2);
  Words words{"run", "-n", std::to_string(ranks), "--", TRIREME_PROGRAM};
  const Words job = small_job({"--epochs", "100000000", "--log-every", "1", "--eval-every", "0"});
  words.insert(words.end(), job.begin(), job.end());
  Launched launched(words);
  launched.await_out("metric step=3 ");
  launched.signal(SIGTERM);
  launched.signal(SIGTERM);  // platforms repeat it
  const Result result = launched.wait();
  INFO("stdout: " << result.out.substr(0, 2000) << "\nstderr: " << result.err);
  CHECK(result.exit_code == 143);
  const std::string line = result_of(result);
  CHECK_THAT(line, Contains("stopped_by_signal=15"));
  CHECK(std::stoull(value(line, "steps")) >= 3);

  // Loss, accuracy and weights are those of one state: of a run that was to end there.
  const auto planned =
      run_trireme(small_job({"--epochs", "100000000", "--eval-every", "0", "--steps", value(line, "steps")}));
  const std::string expected = result_of(planned);
  for (const char* key : {"train_loss", "test_accuracy", "weights_xxh3"})
    CHECK(value(line, key) == value(expected, key));
}

TEST_CASE("A loss that is not finite ends training on all ranks at the same step, in one line and with exit code 1") {
  const auto said = [](const Result& result) {
    INFO("stdout: " << result.out << "\nstderr: " << result.err);
    CHECK(result.exit_code == 1);
    CHECK_THAT(result.out, !Contains("result: "));
    const auto begin = result.err.find("trireme train: the loss is not finite at step ");
    REQUIRE(begin != std::string::npos);
    CHECK(begin == result.err.rfind("trireme train: the loss"));
    return result.err.substr(begin, result.err.find('\n', begin) - begin);
  };
  const Words job = small_job({"--learning-rate", "1e10", "--epochs", "100"});
  const std::string alone_said = said(run_trireme(job));
  CHECK_THAT(alone_said, Contains("--learning-rate"));
  const auto ranks = GENERATE(2, 3);
  CHECK(said(run_ranks(ranks, job)) == alone_said);
}

TEST_CASE("Weights that the last step broke are no result") {
  const auto result = run_ranks(2, small_job({"--learning-rate", "1e35", "--steps", "1"}));
  INFO("stdout: " << result.out << "\nstderr: " << result.err);
  CHECK(result.exit_code == 1);
  CHECK_THAT(result.out, !Contains("result: "));
  CHECK_THAT(result.err, Contains("the loss is not finite at step 1:"));
}

TEST_CASE("SIGUSR1 without --checkpoint-dir does not end training, which says once that there is none") {
  Launched launched(small_job({"--epochs", "100000000", "--log-every", "1", "--eval-every", "0"}));
  launched.await_out("metric step=3 ");
  launched.signal(SIGUSR1);
  launched.await_out("metric step=20 ");
  launched.signal(SIGUSR1);
  launched.await_out("metric step=40 ");
  launched.signal(SIGINT);
  const Result result = launched.wait();
  CHECK(result.exit_code == 130);
  const std::string said = "there is no --checkpoint-dir";
  CHECK_THAT(result.err, Contains(said));
  CHECK(result.err.find(said) == result.err.rfind(said));
}

TEST_CASE("SIGUSR2 shows the flight recorder as one line of JSON and training goes on") {
  Launched launched(small_job({"--epochs", "100000000", "--log-every", "1", "--eval-every", "0"}));
  launched.await_out("metric step=3 ");
  launched.signal(SIGUSR2);
  launched.await_out("metric step=20 ");
  launched.signal(SIGINT);
  const Result result = launched.wait();
  CHECK(result.exit_code == 130);
  std::istringstream stream(result.err);
  int lines = 0;
  for (std::string text; std::getline(stream, text);) {
    if (text.rfind("{\"rank\": 0", 0) != 0) continue;
    ++lines;
    CHECK_THAT(text, Contains("'bucket") || Contains("bucket 0"));
    CHECK(text.back() == '}');
  }
  CHECK(lines == 1);
}
