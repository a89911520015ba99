// SPDX-License-Identifier: Apache-2.0
#include "cli/train/progress.hpp"
#include "cli/train/report.hpp"
#include "cli/train/throughput.hpp"

#include <catch2/catch.hpp>

#include <cmath>
#include <limits>

using namespace trireme;
using namespace trireme::cli;

namespace {

/// What is written to a stream in memory.
struct Written {
  char* text = nullptr;
  std::size_t size = 0;
  std::FILE* file = ::open_memstream(&text, &size);
  ~Written() {
    std::fclose(file);
    std::free(text);
  }
  std::string get() {
    std::fflush(file);
    return {text, size};
  }
};

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

}  // namespace

TEST_CASE("The result line has its keys in the order of the contract") {
  TrainResult result{.model = "mlp",
                     .world = 2,
                     .steps = 2350,
                     .train_loss = 0.25,
                     .test = {.loss = 0.5, .accuracy = 0.8912},
                     .samples_per_s = 51234.56,
                     .weights_xxh3 = "0123456789abcdef",
                     .epochs = 10,
                     .seconds = 12.346,
                     .logical_shards = 4,
                     .ready_s = 0.123,
                     .peak_memory_kib = 2049};
  const std::string expected =
      "result: model=mlp world=2 steps=2350 train_loss=0.25 test_accuracy=0.8912 samples_per_s=51234.6 "
      "test_loss=0.5 epochs=10 seconds=12.35 logical_shards=4 ready_s=0.12 peak_memory_MiB=3";
  CHECK(result_line(result) == expected + " weights_xxh3=0123456789abcdef");
  result.stop_signal = 15;
  CHECK(result_line(result) == expected + " stopped_by_signal=15 weights_xxh3=0123456789abcdef");
}

TEST_CASE("What the test set tells depends on the task, and ends that are out of the ordinary are told") {
  TrainResult result{
      .model = "gpt", .train_loss = not_a_number, .test = {.loss = 2, .perplexity = 7.5}, .weights_xxh3 = "00"};
  CHECK(result_line(result) ==
        "result: model=gpt world=1 steps=0 train_loss=nan samples_per_s=0.0 test_loss=2 test_perplexity=7.5 epochs=0 "
        "seconds=0.00 logical_shards=1 ready_s=0.00 peak_memory_MiB=0 weights_xxh3=00");
  result.test = {.loss = 2, .error = 2};
  result.skipped_steps = 3;
  result.diverged_at = 50;
  result.best_step = 40;
  result.stopped_early_at = 60;
  CHECK(
      result_line(result) ==
      "result: model=gpt world=1 steps=0 train_loss=nan samples_per_s=0.0 test_loss=2 test_rmse=2 epochs=0 "
      "seconds=0.00 logical_shards=1 ready_s=0.00 peak_memory_MiB=0 skipped_steps=3 diverged_at=50 best_step=40 stopped_early_at=60 weights_xxh3=00");
  CHECK(early_stop_line(60, 40, 2) ==
        "trireme train: stopped early at step 60: no lesser loss in 2 evaluations behind step 40");
}

TEST_CASE("What was not evaluated is left out, and a loss that is no number is called so") {
  const std::string line = result_line({.model = "mlp", .train_loss = -not_a_number, .test = {.loss = not_a_number}});
  CHECK(line.find(" train_loss=nan ") != std::string::npos);
  CHECK(line.find("test_loss") == std::string::npos);
}

TEST_CASE("A run that diverged names its step and what to change") {
  CHECK(divergence_line({.diverged_at = 12}, 1e10) ==
        "trireme train: the loss is not finite at step 12: lower --learning-rate (it is 1e+10), or bound the gradients "
        "with --clip-norm");
  CHECK(
      divergence_line({.diverged_at = 12, .overflowed = true}, 0.5) ==
      "trireme train: the gradients overflow f16 at step 12 although nothing scales them: lower --learning-rate (it is "
      "0.5), standardise the features, or use --precision bf16");
}

TEST_CASE("A metric line leaves out what was not measured") {
  CHECK(metric_line({.step = 235,
                     .epoch = 1,
                     .train_loss = 0.5,
                     .validation = Score{.loss = 0.25, .accuracy = 0.87},
                     .samples_per_s = 1000}) ==
        "metric step=235 epoch=1 train_loss=0.5 val_accuracy=0.8700 val_loss=0.25 samples_per_s=1000.0");
  CHECK(metric_line({.step = 7, .validation = Score{.loss = 2, .perplexity = 7.5}, .samples_per_s = 1}) ==
        "metric step=7 epoch=1 val_loss=2 val_perplexity=7.5 samples_per_s=1.0");
  CHECK(metric_line({.step = 7, .validation = Score{.loss = 2, .error = 2}, .samples_per_s = 1}) ==
        "metric step=7 epoch=1 val_loss=2 val_rmse=2 samples_per_s=1.0");
  CHECK(metric_line({.step = 10, .epoch = 2, .step_loss = 0.125, .samples_per_s = 10}) ==
        "metric step=10 epoch=2 step_loss=0.125 samples_per_s=10.0");
}

TEST_CASE("Durations read like a clock") {
  CHECK(duration_text(0) == "0:00");
  CHECK(duration_text(41.7) == "0:42");
  CHECK(duration_text(725) == "12:05");
  CHECK(duration_text(3723) == "1:02:03");
  CHECK(duration_text(not_a_number) == "-:--");
  CHECK(duration_text(-1) == "-:--");
  CHECK(duration_text(std::numeric_limits<double>::infinity()) == "-:--");
}

TEST_CASE("A progress line tells epoch, step, loss, speed and time left, in less than 80 columns") {
  CHECK(progress_text({3, 10, 612, 2350, 0.31234, 51234.4, 42}) ==
        "epoch 3/10  step 612/2350  loss 0.3123  51234 samples/s  ETA 0:42");
  CHECK(progress_text({100, 100, 999999, 999999, 10.5, 999999, 359999}).size() < 80);
}

TEST_CASE("Rank 0 alone shows progress, and the launcher knows where stderr leads") {
  using platform::Environment;
  CHECK(progress_mode(1, Environment{{"TRIREME_PROGRESS", "tty"}}, true) == ProgressMode::none);
  CHECK(progress_mode(0, Environment{}, true) == ProgressMode::terminal);
  CHECK(progress_mode(0, Environment{}, false) == ProgressMode::lines);
  CHECK(progress_mode(0, Environment{{"TRIREME_PROGRESS", "tty"}}, false) == ProgressMode::terminal);
  CHECK(progress_mode(0, Environment{{"TRIREME_PROGRESS", "plain"}}, true) == ProgressMode::lines);
}

TEST_CASE("On a terminal progress rewrites one line; elsewhere it is a log line now and then") {
  using namespace std::chrono_literals;
  const auto now = Progress::Clock::now() + 60s;
  Written written;
  SECTION("terminal") {
    Progress progress(ProgressMode::terminal, written.file);
    REQUIRE(progress.due(now));
    progress.note(3.0, 4);
    progress.note(1.0, 4);
    progress.show({1, 1, 1, 2, 0, 8, 1}, now);
    CHECK(written.get() == "epoch 1/1  step 1/2  loss 0.5000  8 samples/s  ETA 0:01\033[K\r");
    CHECK_FALSE(progress.due(now + 99ms));
    CHECK(progress.due(now + 100ms));
    progress.clear();
    progress.clear();  // nothing is left to wipe
    CHECK(written.get() == "epoch 1/1  step 1/2  loss 0.5000  8 samples/s  ETA 0:01\033[K\r\033[K\r");
  }
  SECTION("log file") {
    Progress progress(ProgressMode::lines, written.file);
    progress.note(2.0, 4);
    progress.show({1, 1, 1, 2, 0, 8, 1}, now);
    progress.clear();
    CHECK(written.get() == "trireme train: epoch 1/1  step 1/2  loss 0.5000  8 samples/s  ETA 0:01\n");
    CHECK_FALSE(progress.due(now + 4s));
    CHECK(progress.due(now + 5s));
  }
  SECTION("another rank") { CHECK_FALSE(Progress(ProgressMode::none, written.file).due(now)); }
}

TEST_CASE("The first twenty steps do not count for the speed, once there are more") {
  Throughput throughput;
  CHECK(throughput.samples_per_s() == 0);
  for (int step = 0; step < 20; ++step) throughput.add(10, 10.0);
  CHECK(throughput.samples_per_s() == 1.0);
  for (int step = 0; step < 5; ++step) throughput.add(10, 1.0);
  CHECK(throughput.samples_per_s() == 10.0);
  CHECK(throughput.seconds() == 205.0);
  CHECK(throughput.take_recent() == Approx(250 / 205.0));
  throughput.add(30, 1.0);
  CHECK(throughput.take_recent() == 30.0);
}
