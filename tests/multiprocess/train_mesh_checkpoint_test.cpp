// SPDX-License-Identifier: Apache-2.0
#include "multiprocess/launched.hpp"
#include "multiprocess/mesh_job.hpp"
#include "multiprocess/train_job.hpp"

#include <catch2/catch.hpp>

#include <csignal>
#include <fstream>
#include <iterator>
#include <string>
#include <utility>

using namespace trireme::testing;
using Catch::Matchers::Contains;

TEST_CASE("A checkpoint of a mesh goes on on others, and on none, and back") {
  const Words kept{"--ema", "0.9", "--keep-best", "--logical-shards", "2", "--steps", "10"};
  const TemporaryFolder folder;
  const auto start = [&](int ranks, const std::string& name, const Words& how) {
    return run_ranks(ranks, gpt_job(joined(joined(kept, {"--checkpoint-dir", folder.path() + "/" + name}), how)));
  };
  SECTION("with the same bits where the arithmetic is the same") {
    const std::string whole =
        outcome_of(run_ranks(2, gpt_job(joined(kept, {"--mesh", "tensor=2", "--micro-batches", "2"}))));
    CHECK(
        start(8, "bits", {"--mesh", "data=2,pipeline=2,tensor=2", "--zero", "1", "--stop-after", "3steps"}).exit_code ==
        143);
    CHECK(start(4, "bits", {"--mesh", "tensor=2,pipeline=2", "--stop-after", "3steps"}).exit_code == 143);
    const Result last = start(4, "bits", {"--mesh", "data=2,tensor=2", "--micro-batches", "2", "--zero", "2"});
    CHECK(outcome_of(last) == whole);
    CHECK_THAT(last.err, Contains("--mesh pipeline=1,data=2,tensor=2 (before: data=1,tensor=2,pipeline=2)"));
    CHECK_THAT(last.err, !Contains("but for rounding"));
  }
  SECTION("with a warning where it is another") {
    const Result whole = run_ranks(1, gpt_job(kept));
    CHECK(start(4, "other", {"--mesh", "pipeline=2,tensor=2", "--zero", "1", "--stop-after", "3steps"}).exit_code ==
          143);
    const Result alone = start(1, "other", {"--stop-after", "3steps"});
    CHECK(alone.exit_code == 143);
    CHECK_THAT(alone.err,
               Contains("warning: the model is computed as whole now, as tensor=2 in 2 micro-batches before"));
    const Result last = start(2, "other", {"--mesh", "pipeline=2"});
    INFO(last.err);
    REQUIRE(last.exit_code == 0);
    CHECK(value(result_of(last), "resumed_from") == "6");
    CHECK(number(last, "test_loss") == Approx(number(whole, "test_loss")).epsilon(1e-5));
  }
}

TEST_CASE("A signal to one rank stops all of a mesh at one step, with a checkpoint") {
  const TemporaryFolder folder;
  const Words cut{"--mesh", "pipeline=2,tensor=2"};
  const Words job = gpt_job(joined(cut, {"--steps", "24", "--epochs", "20", "--log-every", "1", "--eval-every", "0"}));
  const std::string whole = hash_of(run_ranks(4, job));
  const Words kept = joined(job, {"--checkpoint-dir", folder.path()});
  // Rank 3, of the last stage, asks: rank 0 has to hear of it.
  const std::string program = std::string("if [ $RANK = 3 ]; then echo $$ > ") + folder.path() + "/pid.new && mv " +
                              folder.path() + "/pid.new " + folder.path() + "/pid; fi; exec \"$@\"";
  Launched stopped(joined({"run", "-n", "4", "--", "/bin/sh", "-c", program, "sh", TRIREME_PROGRAM}, kept));
  stopped.await_out("metric step=2 ");
  std::ifstream pid_file(folder.path() + "/pid");
  pid_t pid = 0;
  REQUIRE(pid_file >> pid);
  ::kill(pid, SIGTERM);
  const Result ended = stopped.wait();
  INFO(ended.err);
  CHECK((ended.exit_code == 143 || ended.exit_code == 0));  // a fast machine may have been through
  CHECK(hash_of(run_ranks(4, kept)) == whole);
}

TEST_CASE("An export and a sample of a mesh are those of its whole model") {
  const TemporaryFolder folder;
  const Words more{"--sample-tokens", "20", "--steps", "2", "--logical-shards", "2"};
  const auto sample_of = [](const Result& result) {
    INFO(result.err);
    REQUIRE(result.exit_code == 0);
    const auto sample = result.out.find("sample: ");
    REQUIRE(sample != std::string::npos);
    return result.out.substr(sample, result.out.find("\nresult: ") - sample);
  };
  const auto exported = [&](int ranks, const std::string& name, const Words& how) {
    const Result result =
        run_ranks(ranks, gpt_job(joined(more, joined({"--model-dir", folder.path() + "/" + name}, how))));
    std::ifstream weights(folder.path() + "/" + name + "/model.safetensors", std::ios::binary);
    const std::string bytes(std::istreambuf_iterator<char>(weights), {});
    REQUIRE(!bytes.empty());
    return std::pair(sample_of(result), bytes);
  };
  const auto tensor = exported(2, "tensor", {"--mesh", "tensor=2", "--micro-batches", "2"});
  CHECK(exported(4, "both", {"--mesh", "pipeline=2,tensor=2"}) == tensor);
  CHECK(sample_of(run_ranks(1, gpt_job(more))) == tensor.first);
}

TEST_CASE("An evaluator scores the checkpoints of a mesh") {
  const TemporaryFolder folder;
  const Words job = gpt_job({"--mesh", "pipeline=2", "--ema", "0.9", "--checkpoint-dir", folder.path()});
  const Result trained = run_ranks(2, job);
  REQUIRE(trained.exit_code == 0);
  const Result scored = run_trireme(job, {{"TRIREME_ROLE", "evaluator"}});
  INFO(scored.err);
  REQUIRE(scored.exit_code == 0);
  CHECK(hash_of(scored) == hash_of(trained));
  CHECK(std::stod(value(result_of(scored), "val_loss")) == Approx(number(trained, "test_loss")).epsilon(1e-6));
}
