// SPDX-License-Identifier: Apache-2.0
// `trireme train --device`, on devices that threads play: the same program, plans and kernels as on GPUs.
#include "multiprocess/idx_folder.hpp"
#include "multiprocess/launched.hpp"
#include "multiprocess/train_job.hpp"

#include <catch2/catch.hpp>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

using namespace trireme::testing;
using Words = std::vector<std::string>;

namespace {

const IdxFolder& images() {
  static const IdxFolder folder(90, 40);
  return folder;
}

Words device_job(const std::string& device, const Words& more = {}) {
  Words words{"train",       "--data-dir",  images().path(),
              "--hidden",    "16",          "--batch-size",
              "44",          "--epochs",    "4",
              "--optimizer", "adamw",       "--seed",
              "7",           "--dropout",   "0.2",
              "--clip-norm", "1",           "--logical-shards",
              "4",           "--keep-best", "--device",
              device};
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

std::string bytes_of(const std::string& file) {
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

}  // namespace

TEST_CASE("training on devices ends with the host's weights, on one rank and on several that share a device") {
  const TemporaryFolder here, there;
  const std::string expected = outcome_of(run_trireme(device_job("cpu", {"--model-dir", here.path()})));
  CHECK(outcome_of(run_trireme(device_job("emulated", {"--model-dir", there.path()}))) == expected);
  for (const int ranks : {2, 3}) CHECK(outcome_of(run_ranks(ranks, device_job("emulated"))) == expected);
  CHECK(bytes_of(here.path() + "/model.safetensors") == bytes_of(there.path() + "/model.safetensors"));
  CHECK(bytes_of(here.path() + "/model.safetensors").size() > 1000);
}

TEST_CASE("a checkpoint of a device is gone on from there or on a host, with the undisturbed weights") {
  const std::string expected = value(result_of(run_trireme(device_job("cpu"))), "weights_xxh3");
  for (const auto& [first, then] : {std::pair("emulated", "emulated"), std::pair("emulated", "cpu")}) {
    const TemporaryFolder folder;
    const Words more{"--checkpoint-dir", folder.path() + "/checkpoints"};
    Words stops = device_job(first, more);
    stops.insert(stops.end(), {"--stop-after", "5"});
    const Result stopped = run_trireme(stops);
    CAPTURE(stopped.err);
    CHECK(stopped.exit_code == 143);
    const Result resumed =
        std::string(then) == "cpu" ? run_trireme(device_job(then, more)) : run_ranks(2, device_job(then, more));
    CAPTURE(resumed.err);
    CHECK(value(result_of(resumed), "weights_xxh3") == expected);
  }
}

TEST_CASE("averages of weights and parameters of 16 bits on a device are the host's") {
  const Words more = GENERATE(Words{"--swa-from", "3"}, Words{"--precision", "bf16"});
  CAPTURE(more.front());
  const std::string expected = outcome_of(run_trireme(device_job("cpu", more)));
  CHECK(outcome_of(run_ranks(2, device_job("emulated", more))) == expected);
}

TEST_CASE("so are those that a checkpoint of either brings back") {
  const Words precise{"--precision", "f16", "--ema", "0.9"};
  const std::string expected = value(result_of(run_trireme(device_job("cpu", precise))), "weights_xxh3");
  for (const auto& [first, then] : {std::pair("emulated", "emulated"), std::pair("cpu", "emulated")}) {
    const TemporaryFolder folder;
    Words goes_on = precise;
    goes_on.insert(goes_on.end(), {"--checkpoint-dir", folder.path() + "/checkpoints"});
    Words stops = device_job(first, goes_on);
    stops.insert(stops.end(), {"--stop-after", "5"});
    CHECK(run_trireme(stops).exit_code == 143);
    const Result resumed = run_trireme(device_job(then, goes_on));
    CAPTURE(first, then, resumed.err);
    CHECK(value(result_of(resumed), "weights_xxh3") == expected);
  }
}

TEST_CASE("a device that is not there is refused in one line") {
  require_refusal(run_trireme(device_job("cuda:3")), "--device is 'cuda:3'");
  require_refusal(run_trireme({"train", "--data-dir", images().path(), "--model", "cnn", "--device", "emulated"}),
                  "--device emulated trains mlp");
}
