// SPDX-License-Identifier: Apache-2.0
#include "multiprocess/idx_folder.hpp"
#include "multiprocess/train_job.hpp"
#include "trireme/checkpoint/folder.hpp"
#include "trireme/checkpoint/local_files.hpp"
#include "trireme/checkpoint/saver.hpp"
#include "trireme/data/labelled_images.hpp"
#include "trireme/world/run_ranks.hpp"
#include "unit/checkpoint/toy_state.hpp"

#include <catch2/catch.hpp>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <random>

namespace {

using namespace trireme;
using namespace trireme::testing;
using Words = std::vector<std::string>;

/// What a script of ours, which uses other people's packages, prints; nothing where they are missing.
std::optional<std::string> run_script(const std::string& name, const Words& arguments) {
  Words words{PEERS_FOLDER "/" + name};
  words.insert(words.end(), arguments.begin(), arguments.end());
  const auto result =
      Launched(words, {{"PYTHONPATH", PEERS_PYTHON}, {"OMP_NUM_THREADS", "2"}}, "/usr/bin/python3").wait();
  INFO(result.err);
  if (result.exit_code == 77 || result.exit_code == 127) {
    WARN("scripts/bootstrap --peers installs what is missing: " << result.err << "; skipped");
    return std::nullopt;
  }
  REQUIRE(result.exit_code == 0);
  return result.out;
}

/// Trains on two ranks; then a forward pass that has never heard of Trireme finds the same loss on the same test set, and the
/// same accuracy but for samples whose two greatest outputs are equal up to rounding.
void check_agreement(const std::string& test_set, Words job) {
  const TemporaryFolder folder;
  job.insert(job.begin(), "train");
  job.insert(job.end(), {"--model-dir", folder.path()});
  const auto trained = run_ranks(2, job);
  INFO(trained.err);
  REQUIRE(trained.exit_code == 0);
  const std::string ours = result_of(trained);
  const auto found = run_script("forward.py", {folder.path(), test_set});
  if (!found) return;
  const std::string theirs = found->substr(0, found->find('\n'));
  INFO("trireme:    " << ours << "\nforward.py: " << theirs);
  const double loss = std::stod(value(ours, "test_loss"));
  CHECK(std::fabs(std::stod(value(theirs, "loss")) - loss) <= 1e-5 * loss);
  if (ours.find(" test_accuracy=") != std::string::npos)
    CHECK(std::fabs(std::stod(value(theirs, "accuracy")) - std::stod(value(ours, "test_accuracy"))) <= 3.01e-4);
}

void write_text(const std::string& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary);
  file << text;
  REQUIRE(file.good());
}

/// Three classes, of features far from 0 and of different widths.
std::string table(std::size_t rows, unsigned seed) {
  std::mt19937 random(seed);
  std::string text = "width,height,weight,kind\n";
  for (std::size_t i = 0; i < rows; ++i) {
    const int kind = static_cast<int>(random() % 3) * 3 - 1;
    const auto noise = [&] { return static_cast<double>(random() % 1000) / 1000.0; };
    text += std::to_string(kind * 10 + 40 * noise()) + "," + std::to_string(1000 + 0.01 * kind + 0.05 * noise()) + "," +
            std::to_string(noise()) + "," + std::to_string(kind) + "\n";
  }
  return text;
}

/// Two classes of rows in LibSVM's format; those of a test set have a feature that no row of a training set has.
std::string sparse_table(std::size_t rows, unsigned seed, unsigned features) {
  std::mt19937 generator(seed);
  const auto random = [&] { return static_cast<unsigned>(generator()); };
  std::string text;
  for (std::size_t i = 0; i < rows; ++i) {
    const unsigned kind = random() % 2;
    text += kind == 0 ? "-1" : "1";
    for (unsigned k = 1 + random() % 3; k <= features; k += 1 + random() % 9) {
      if (k % 3 == 0 && k % 2 != kind) continue;
      text += " " + std::to_string(k) + ":" + std::to_string(1 + random() % 50);
    }
    text += "\n";
  }
  return text;
}

/// Words in an order that has something to learn.
std::string prose(std::size_t words, unsigned seed) {
  static const char* const all[] = {"oar ", "hull ", "mast ", "rows ", "the ", "a ", "fast\n", "three "};
  std::mt19937 random(seed);
  std::string text;
  for (std::size_t i = 0, last = 0; i < words; ++i) text += all[last = (last * 3 + random() % 3) % 8];
  return text;
}

}  // namespace

TEST_CASE("A program that reads only the export finds the accuracy and loss of Fashion-MNIST that the result tells") {
  if (!std::filesystem::exists(data::fashion_mnist_default_directory)) {
    WARN("no Fashion-MNIST: scripts/bootstrap installs it; skipped");
    return;
  }
  const Words job =
      GENERATE(Words{"--epochs", "2", "--steps", "300"}, Words{"--steps", "100", "--precision", "f16", "--ema", "0.9"},
               Words{"--model", "cnn", "--steps", "80", "--learning-rate", "0.05"});
  check_agreement(data::fashion_mnist_default_directory, job);
}

TEST_CASE("A program that reads only the export finds what the result tells of a resnet, a text and tables") {
  const TemporaryFolder folder;
  const IdxFolder images(200, 500);
  const auto resnet = Words{"--model", "resnet", "--data-dir", images.path(), "--epochs", "3", "--batch-size", "50"};
  check_agreement(images.path(), resnet);

  const std::string path = folder.path();
  write_text(path + "/train.txt", prose(20000, 1));
  write_text(path + "/test.txt", prose(4000, 2));
  for (const char* precision : {"f32", "bf16"}) {
    check_agreement(path + "/test.txt", {"--dataset",       "text:" + path + "/train.txt",
                                         "--test-dataset",  "text:" + path + "/test.txt",
                                         "--steps",         "40",
                                         "--layers",        "2",
                                         "--heads",         "2",
                                         "--channels",      "64",
                                         "--context",       "64",
                                         "--dropout",       "0.1",
                                         "--sample-tokens", "0",
                                         "--precision",     precision});
  }

  write_text(path + "/train.csv", table(2000, 1));
  write_text(path + "/test.csv", table(600, 2));
  for (const Words& model : {Words{"logistic"}, Words{"linear"}, Words{"mlp", "--hidden", "32,16", "--keep-best"}}) {
    Words job{"--dataset", "csv:" + path + "/train.csv", "--test-dataset", "csv:" + path + "/test.csv", "--model"};
    job.insert(job.end(), model.begin(), model.end());
    check_agreement(path + "/test.csv", job);
  }

  write_text(path + "/train.libsvm", sparse_table(2000, 1, 60));
  write_text(path + "/test.libsvm", sparse_table(600, 2, 63));
  for (const char* model : {"logistic", "mlp"}) {
    check_agreement(path + "/test.libsvm", {"--dataset", "libsvm:" + path + "/train.libsvm", "--test-dataset",
                                            "libsvm:" + path + "/test.libsvm", "--model", model});
  }
}

TEST_CASE("The safetensors package opens an export, and the parts of a checkpoint of two ranks") {
  const TemporaryFolder folder;
  const IdxFolder images(90, 40);
  const std::string model = folder.path() + "/model";
  const auto trained = run_ranks(2, {"train", "--model", "resnet", "--data-dir", images.path(), "--steps", "2",
                                     "--precision", "bf16", "--model-dir", model});
  REQUIRE(trained.exit_code == 0);

  const std::string path = folder.path() + "/checkpoints";
  testing::run_ranks(2, [&](World& world) {
    const auto files = checkpoint::local_files();
    auto opened = checkpoint::Folder::open(world.communicator(), *files, {.path = path});
    checkpoint::Saver saver(opened, {});
    ToyState toy(world.rank(), world.size());
    toy.fill(1);
    checkpoint::TrainingState state;
    state.add("toy", toy);
    saver.save(1, state);
    saver.finish();
  });
  Words parts{model + "/model.safetensors"};
  for (const auto& each : std::filesystem::recursive_directory_iterator(path)) {
    if (each.path().extension() == ".safetensors") parts.push_back(each.path());
  }
  REQUIRE(parts.size() == 3);
  const auto said = run_script("open_safetensors.py", parts);
  if (!said) return;
  INFO(*said);
  CHECK_THAT(*said, Catch::Matchers::StartsWith("opened ") && Catch::Matchers::Contains(" of them bf16"));
  CHECK(said->find(" 0 of them bf16") == std::string::npos);
}
