// SPDX-License-Identifier: Apache-2.0
#include "multiprocess/launched.hpp"
#include "multiprocess/mesh_job.hpp"
#include "multiprocess/train_job.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <string>

using namespace trireme::testing;
using Catch::Matchers::Contains;

namespace {

/// One line on stderr of each refused rank, of which the launcher shows one.
void require_ranks_refusal(const Result& result, const std::string& expected) {
  INFO("stdout: " << result.out << "\nstderr: " << result.err);
  CHECK(result.exit_code == 2);
  CHECK(result.out.empty());
  CHECK_THAT(result.err, Contains(expected));
  CHECK_THAT(result.err, !Contains("metric"));
}

}  // namespace

TEST_CASE("Eight processes as 2 x 2 x 2 train the GPT of one, and the same bits again") {
  const Words cube{"--mesh", "data=2,pipeline=2,tensor=2", "--pipeline-schedule", "1f1b", "--micro-batches", "2"};
  const Result first = run_ranks(8, gpt_job(joined(cube, {"--zero", "1"})));
  const Result again = run_ranks(8, gpt_job(cube));
  const Result whole = run_ranks(1, gpt_job({"--logical-shards", "2"}));
  CHECK(hash_of(first) == hash_of(again));
  CHECK(outcome_of(first) == outcome_of(again));
  for (const char* key : {"train_loss", "test_loss"})
    CHECK(number(first, key) == Approx(number(whole, key)).epsilon(1e-5));
  CHECK(std::count(first.out.begin(), first.out.end(), '\n') ==
        std::count(whole.out.begin(), whole.out.end(), '\n'));  // metric lines of rank 0 alone
  CHECK_THAT(first.out, Contains("metric step=3 epoch=1 val_loss="));
  CHECK_THAT(first.err, Contains(" as data=2,pipeline=2,tensor=2, 2 logical shards"));
}

TEST_CASE("Any order of the axes has the same weights") {
  const auto meshed = [](const std::string& mesh) {
    return hash_of(run_ranks(4, gpt_job({"--mesh", mesh, "--micro-batches", "2", "--logical-shards", "2"})));
  };
  const std::string weights = meshed("tensor=2,data=2");
  CHECK(meshed("data=2,tensor=2") == weights);
  CHECK(meshed("pipeline=2,tensor=2") == weights);
  CHECK(meshed("tensor=2,pipeline=2") == weights);
}

TEST_CASE("A mesh of data alone has the weights of no mesh") {
  const std::string whole = outcome_of(run_ranks(1, gpt_job({"--logical-shards", "4"})));
  CHECK(outcome_of(run_ranks(4, gpt_job({"--mesh", "data=4"}))) == whole);
  CHECK(outcome_of(run_ranks(4, gpt_job({"--mesh", "data=-1", "--zero", "3"}))) == whole);
}

TEST_CASE("Every schedule has the same weights, a file's too") {
  const TemporaryFolder folder;
  const std::string file = folder.path() + "/schedule";
  std::ofstream(file) << "rank 0: 0F0 0F1 0B0 0B1  # GPipe\nrank 1: 1F0 1F1 1B0 1B1\n";
  const auto scheduled = [](const std::string& schedule, const Words& more) {
    return hash_of(run_ranks(2, gpt_job(joined({"--mesh", "pipeline=2", "--pipeline-schedule", schedule}, more))));
  };
  const std::string weights = scheduled("1f1b", {"--micro-batches", "2"});
  CHECK(scheduled("gpipe", {}) == weights);
  CHECK(scheduled("zb-h1", {}) == weights);
  CHECK(scheduled(file, {}) == weights);
  const Words deep{"--layers", "4", "--micro-batches", "3"};
  CHECK(scheduled("zb-v", deep) == scheduled("interleaved", deep));
}

TEST_CASE("Averages, dropout, offloaded state and rules of whole tensors go with a mesh") {
  const TemporaryFolder folder;
  const auto same = [](const Words& mesh, const Words& whole) {
    const Result meshed = run_ranks(4, gpt_job(mesh)), alone = run_ranks(1, gpt_job(whole));
    INFO(mesh.back());
    CHECK(hash_of(meshed).size() == 16);
    CHECK(number(meshed, "test_loss") == Approx(number(alone, "test_loss")).epsilon(1e-5));
  };
  const Words two{"--logical-shards", "2"};
  const Words kept{"--ema", "0.9", "--keep-best", "--dropout", "0.1", "--recompute"};
  same(joined(kept, {"--mesh", "data=2,tensor=2", "--zero", "2", "--offload", folder.path()}), joined(kept, two));
  const Words lamb{"--optimizer", "lamb"};
  same(joined(lamb, {"--mesh", "pipeline=2,data=2", "--zero", "1"}), joined(lamb, two));
  same(joined(lamb, {"--mesh", "data=2,tensor=2", "--zero", "1"}), joined(lamb, two));
}

TEST_CASE("Gradients are clipped by the norm of the whole model, of which ranks have parts") {
  const Words clip{"--clip-norm", "0.02", "--optimizer", "sgd", "--learning-rate", "1"};
  const Result whole = run_ranks(1, gpt_job(joined(clip, {"--logical-shards", "2"})));
  const Result loose = run_ranks(1, gpt_job(joined(clip, {"--logical-shards", "2", "--clip-norm", "0.2"})));
  CHECK(std::abs(number(whole, "test_loss") - number(loose, "test_loss")) > 1e-3);  // it makes a difference
  for (const char* zero : {"0", "1", "2"}) {
    const Result meshed = run_ranks(8, gpt_job(joined(clip, {"--mesh", "data=2,pipeline=2,tensor=2", "--zero", zero})));
    CHECK(number(meshed, "test_loss") == Approx(number(whole, "test_loss")).epsilon(1e-5));
  }
}

TEST_CASE("Stages of other lengths have the same weights, and positions may be shared") {
  const Words deep{"--layers", "4", "--mesh", "pipeline=2,tensor=2"};
  const Result even = run_ranks(4, gpt_job(deep));
  CHECK(hash_of(run_ranks(4, gpt_job(joined(deep, {"--stage-layers", "1,3"})))) == hash_of(even));
  const Result shared = run_ranks(4, gpt_job(joined(deep, {"--sequence-parallel", "--stage-layers", "3,1"})));
  CHECK(number(shared, "test_loss") == Approx(number(even, "test_loss")).epsilon(1e-5));
}

TEST_CASE("A mesh that does not fit the world is refused by all ranks in one line") {
  require_ranks_refusal(run_ranks(4, gpt_job({"--mesh", "data=2,tensor=4"})),
                        "--mesh: mesh pipeline=1,data=2,tensor=4 has 8 ranks, but there are 4");
  require_ranks_refusal(run_ranks(3, gpt_job({"--mesh", "data=-1,tensor=2"})), "does not divide the 3 ranks there are");
  require_ranks_refusal(run_ranks(2, gpt_job({"--mesh", "pipeline=2", "--micro-batches", "9", "--batch-size", "8"})),
                        "--micro-batches: 9 of a pass over 8 samples, a batch of 8 in 1 leaf: give fewer of them");
  require_ranks_refusal(
      run_ranks(4, gpt_job({"--mesh", "data=2,tensor=2", "--accumulate", "2", "--logical-shards", "8"})),
      "--logical-shards 8 and --accumulate 2 on 2 replicas, which make 4, do not agree");
  require_ranks_refusal(run_ranks(4, gpt_job({"--mesh", "data=4", "--logical-shards", "2"})),
                        "--logical-shards 2 is below the 4 replicas");
  const Result differently =
      run_trireme({"run", "-n", "2", "--", "/bin/sh", "-c",
                   std::string("exec ") + TRIREME_PROGRAM + " train --dataset text:" + text_file() +
                       " --mesh $([ $RANK = 0 ] && echo tensor || echo pipeline)=2"});
  require_ranks_refusal(
      differently,
      "the ranks were told to train differently: --mesh is tensor=1,data=1,pipeline=2 on rank 1, pipeline=1,data=1,tensor=2 on rank 0");
  require_refusal(run_trireme(gpt_job({"--mesh", "tensor=2"})), "has 2 ranks, but there are 1");
}
