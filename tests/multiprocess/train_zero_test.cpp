// SPDX-License-Identifier: Apache-2.0
#include "multiprocess/idx_folder.hpp"
#include "multiprocess/launched.hpp"
#include "multiprocess/train_job.hpp"

#include <catch2/catch.hpp>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

using namespace trireme::testing;
using Catch::Matchers::Contains;
using Words = std::vector<std::string>;

namespace {

/// 2000 bytes of text with some order in it.
const std::string& text_file() {
  static const TemporaryFolder folder;
  static const std::string path = [] {
    std::string name = folder.path() + "/text";
    std::ofstream out(name, std::ios::binary);
    for (int i = 0; i < 2000; ++i) out << static_cast<char>('a' + (i * i / 7 + i) % 23);
    return name;
  }();
  return path;
}

const IdxFolder& shared_images() {
  static const IdxFolder folder(90, 40);
  return folder;
}

Words joined(Words words, const Words& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

/// A GPT whose parameters are neither multiples of the ranks nor of a block, and whose last batch leaves leaves empty.
Words gpt_job(const Words& more) {
  return joined({"train",
                 "--dataset",
                 "text:" + text_file(),
                 "--layers",
                 "2",
                 "--heads",
                 "2",
                 "--channels",
                 "36",
                 "--context",
                 "16",
                 "--stride",
                 "16",
                 "--batch-size",
                 "9",
                 "--steps",
                 "14",
                 "--epochs",
                 "4",
                 "--seed",
                 "3",
                 "--logical-shards",
                 "4"},
                more);
}

Words mlp_job(const Words& more) {
  return joined({"train", "--data-dir", shared_images().path(), "--hidden", "16,8", "--batch-size", "44", "--epochs",
                 "2", "--logical-shards", "4", "--clip-norm", "1"},
                more);
}

std::string hash_of(const Result& result) { return value(result_of(result), "weights_xxh3"); }

}  // namespace

TEST_CASE("A GPT comes out the same at every stage of ZeRO, on any number of ranks") {
  const Words more{"--dropout", "0.1"};
  const std::string whole = outcome_of(run_ranks(1, gpt_job(more)));
  CHECK(outcome_of(run_ranks(3, gpt_job(joined(more, {"--zero", "1"})))) == whole);
  CHECK(outcome_of(run_ranks(2, gpt_job(joined(more, {"--zero", "2"})))) == whole);
  CHECK(outcome_of(run_ranks(3, gpt_job(joined(more, {"--zero", "3"})))) == whole);
  CHECK(outcome_of(run_ranks(4, gpt_job(joined(more, {"--zero", "3", "--shard-group", "2", "--recompute"})))) == whole);
  CHECK(outcome_of(run_ranks(1, gpt_job(joined(more, {"--zero", "3"})))) == whole);
}

TEST_CASE("Optimizer state in a file changes no weight") {
  const TemporaryFolder folder;
  const std::string whole = outcome_of(run_ranks(1, gpt_job({})));
  CHECK(outcome_of(run_ranks(2, gpt_job({"--offload", folder.path()}))) == whole);
  CHECK(outcome_of(run_ranks(2, gpt_job({"--zero", "3", "--offload", folder.path()}))) == whole);
  CHECK(std::filesystem::is_empty(folder.path()));
  const Result refused = run_trireme(gpt_job({"--offload", folder.path() + "/nowhere"}));
  CHECK(refused.exit_code == 2);
  CHECK_THAT(refused.err, Contains("trireme train: --offload: "));
  // A folder that is missing for one rank alone is the one cause that all tell.
  const Result missing = run_trireme({"run",
                                      "-n",
                                      "3",
                                      "--",
                                      "/bin/sh",
                                      "-c",
                                      "exec \"$@\" --offload " + folder.path() + "$([ $RANK = 1 ] && echo /nowhere)",
                                      "sh",
                                      TRIREME_PROGRAM,
                                      "train",
                                      "--dataset",
                                      "text:" + text_file(),
                                      "--layers",
                                      "2",
                                      "--heads",
                                      "2",
                                      "--channels",
                                      "12",
                                      "--context",
                                      "16"});
  INFO(missing.err);
  CHECK(missing.exit_code == 2);
  CHECK(missing.out.empty());
  CHECK_THAT(missing.err, Contains("trireme train: --offload: rank 1 (") && Contains("/nowhere' cannot be made"));
  CHECK_THAT(missing.err, !Contains("peer_lost"));
}

TEST_CASE("Models with gradients of their own share out state and gradients, in 16 bits as well") {
  for (const Words& how : {Words{"--optimizer", "adamw", "--precision", "bf16"}, Words{"--optimizer", "muon"},
                           Words{"--optimizer", "lamb", "--ema", "0.9", "--keep-best"}}) {
    INFO(how[1]);
    const std::string whole = outcome_of(run_ranks(2, mlp_job(how)));
    CHECK(outcome_of(run_ranks(2, mlp_job(joined(how, {"--zero", "1"})))) == whole);
    CHECK(outcome_of(run_ranks(3, mlp_job(joined(how, {"--zero", "2"})))) == whole);
  }
}

TEST_CASE("Averages and the best weights are kept in parts at stage 3") {
  const Words kept{"--ema", "0.9", "--keep-best", "--eval-every", "4steps"};
  const std::string whole = outcome_of(run_ranks(1, gpt_job(kept)));
  CHECK(outcome_of(run_ranks(3, gpt_job(joined(kept, {"--zero", "3"})))) == whole);
}

TEST_CASE("A checkpoint of any stage goes on at any other, on other ranks") {
  const Words kept{"--ema", "0.9", "--keep-best", "--eval-every", "4steps"};
  const std::string whole = outcome_of(run_ranks(1, gpt_job(kept)));
  const TemporaryFolder folder;
  const auto start = [&](int ranks, const Words& how) {
    const Result result = run_ranks(ranks, gpt_job(joined(joined(kept, {"--checkpoint-dir", folder.path()}), how)));
    INFO(result.err);
    CHECK(result.exit_code == (how.back() == "3steps" ? 143 : 0));
    return result;
  };
  start(3, {"--zero", "3", "--stop-after", "3steps"});
  start(1, {"--stop-after", "3steps"});
  start(4, {"--zero", "3", "--shard-group", "2", "--stop-after", "3steps"});
  const Result last = start(2, {"--zero", "2"});
  CHECK(outcome_of(last) == whole);
  CHECK_THAT(last.err, Contains("--zero 2 (before: 3)"));
}

TEST_CASE("A signal stops a job of stage 3 with a checkpoint, from which it goes on without") {
  const TemporaryFolder folder;
  const std::string whole = hash_of(run_ranks(1, gpt_job({"--steps", "60", "--epochs", "20"})));
  Words job = gpt_job({"--steps", "60", "--epochs", "20", "--log-every", "1", "--checkpoint-dir", folder.path()});
  Words launched = joined({"run", "-n", "2", "--", TRIREME_PROGRAM}, joined(job, {"--zero", "3"}));
  Launched stopped(launched);
  stopped.await_out("metric step=2 ");
  stopped.signal(SIGTERM);
  const Result ended = stopped.wait();
  INFO(ended.err);
  CHECK((ended.exit_code == 143 || ended.exit_code == 0));  // a fast machine may have been through
  CHECK(hash_of(run_ranks(1, job)) == whole);
}

TEST_CASE("An export and a sample of stage 3 are those of stage 0") {
  const TemporaryFolder folder;
  const auto made = [&](int ranks, const std::string& name, const Words& how) {
    const Result result =
        run_ranks(ranks, gpt_job(joined({"--model-dir", folder.path() + "/" + name, "--sample-tokens", "20"}, how)));
    INFO(result.err);
    REQUIRE(result.exit_code == 0);
    std::ifstream weights(folder.path() + "/" + name + "/model.safetensors", std::ios::binary);
    std::string bytes(std::istreambuf_iterator<char>(weights), {});
    REQUIRE(!bytes.empty());
    const auto sample = result.out.find("sample: ");
    REQUIRE(sample != std::string::npos);
    return bytes + result.out.substr(sample, result.out.find("\nresult: ") - sample);
  };
  CHECK(made(3, "parts", {"--zero", "3"}) == made(1, "whole", {}));
}

TEST_CASE("An evaluator scores the checkpoints of a job of stage 3") {
  const TemporaryFolder folder;
  const Words job = gpt_job({"--zero", "3", "--ema", "0.9", "--checkpoint-dir", folder.path()});
  const Result trained = run_ranks(2, job);
  REQUIRE(trained.exit_code == 0);
  const Result scored = run_trireme(job, {{"TRIREME_ROLE", "evaluator"}});
  INFO(scored.err);
  REQUIRE(scored.exit_code == 0);
  CHECK(hash_of(scored) == hash_of(trained));
  CHECK(value(result_of(scored), "val_loss") == value(result_of(trained), "test_loss"));
}

TEST_CASE("What does not go with a stage is refused by name") {
  require_refusal(run_trireme(mlp_job({"--zero", "3"})), "--zero 3 is for --model gpt; mlp takes --zero 0 to 2");
  require_refusal(run_trireme(gpt_job({"--zero", "3", "--precision", "bf16"})),
                  "--zero 3 is for --precision f32; bf16 takes --zero 0 to 2");
  require_refusal(run_trireme(mlp_job({"--zero", "1", "--device", "emulated"})),
                  "--zero 1 needs --device cpu; --device emulated takes --zero 0");
  require_refusal(run_trireme(gpt_job({"--shard-group", "2"})), "--shard-group says which ranks share");
  require_refusal(run_trireme(gpt_job({"--zero", "4"})), "--zero");
  const Result refused = run_ranks(2, gpt_job({"--zero", "1", "--shard-group", "4"}));
  CHECK(refused.exit_code == 2);
  CHECK_THAT(refused.err, Contains("--shard-group 4 does not divide the 2 ranks"));
  const Result differently =
      run_trireme({"run", "-n", "2", "--", "/bin/sh", "-c",
                   std::string("exec ") + TRIREME_PROGRAM + " train --dataset text:" + text_file() + " --zero $RANK"});
  CHECK(differently.exit_code == 2);
  CHECK_THAT(differently.err, Contains("the ranks were told to train differently: --zero is 1 on rank 1, 0 on rank 0"));
}
