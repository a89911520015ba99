// SPDX-License-Identifier: Apache-2.0
#include "cli/byte_size.hpp"
#include "cli/train/optimizers.hpp"
#include "cli/train/options.hpp"
#include "support/failures.hpp"
#include "support/temporary_folder.hpp"
#include "trireme/base/error.hpp"
#include "trireme/pipeline/generate.hpp"
#include "trireme/pipeline/schedule_text.hpp"

#include <catch2/catch.hpp>

#include <fstream>

using namespace trireme;
using namespace trireme::cli;
using Catch::Matchers::Contains;

namespace {

template <class F>
std::string refusal_of(F f) {
  try {
    f();
  } catch (const Exception& exception) {
    CHECK(exception.error().code == ErrorCode::invalid_argument);
    CHECK(exception.error().message.find('\n') == std::string::npos);
    return exception.error().message;
  }
  return {};
}

TrainOptions parsed(const std::vector<std::string>& arguments) {
  const auto options = parse_train_options(arguments);
  REQUIRE(options);
  return *options;
}

std::string refusal(const std::vector<std::string>& arguments) {
  return refusal_of([&] { parse_train_options(arguments); });
}

std::unique_ptr<Optimizer> made(const TrainOptions& options) {
  return optimizer_named(options.optimizer.name).make(options.optimizer);
}

}  // namespace

TEST_CASE("A size in bytes is read with and without a binary prefix") {
  const auto bytes = [](std::string_view text) { return parse_byte_size(text, "--x").value; };
  CHECK(bytes("0") == 0);
  CHECK(bytes("65536") == 65536);
  CHECK(bytes("4B") == 4);
  CHECK(bytes("64K") == 65536);
  CHECK(bytes("1MiB") == 1048576);
  CHECK(bytes("25MiB") == 26214400);
  CHECK(bytes("256M") == 268435456);
  CHECK(bytes("2G") == std::uint64_t{2} << 30);
  CHECK(bytes("8589934592Gi") == std::uint64_t{1} << 63);
}

TEST_CASE("What is no size in bytes is refused, naming the flag and the text") {
  for (const char* text :
       {"", "-1", "+1", "1.5M", "1MB", "1kB", "MiB", "1 M", "0x10", "18446744073709551616", "8589934593G"}) {
    INFO(text);
    CHECK_THAT(refusal_of([&] { parse_byte_size(text, "--bucket-bytes"); }),
               Contains("--bucket-bytes is '" + std::string(text) + "'"));
  }
}

TEST_CASE("Layers are numbers with commas between") {
  CHECK(parse_hidden("512,512") == std::vector<std::size_t>{512, 512});
  CHECK(parse_hidden("7") == std::vector<std::size_t>{7});
  CHECK(parse_hidden("").empty());
  for (const char* text : {",", "512,", ",512", "512,,512", "0", "-3", "12x", "70000", "5 5"}) {
    INFO(text);
    CHECK_THAT(refusal_of([&] { parse_hidden(text); }), Contains("--hidden"));
  }
}

TEST_CASE("Without flags train has the defaults of its help") {
  const TrainOptions options = parsed({});
  CHECK(options.hidden == std::vector<std::size_t>{512, 512});
  CHECK_FALSE(options.data_dir);
  CHECK(options.epochs == 10);
  CHECK(options.steps == 0);
  CHECK(options.global_batch(3) == 256);
  CHECK(options.seed == 1);
  CHECK(options.logical_shards == 0);
  CHECK(options.optimizer.name == "sgd");
  CHECK(options.optimizer.momentum == 0.9);
  CHECK(options.bucket_bytes == Bytes{25u << 20});
  CHECK(options.overlap);
  CHECK(options.order == ReductionOrder::canonical);
  CHECK(options.validation.every == 1);
  CHECK_FALSE(options.validation.every_is_steps);
  CHECK_FALSE(options.validation.keep_best);
  CHECK(options.validation.patience == 0);
  CHECK(options.precision == Precision::f32);
  CHECK_FALSE(options.average);
  CHECK(options.data.dataset == DatasetSpec{DatasetKind::images, "fashion-mnist"});
  CHECK(options.log_every == 0);
  CHECK_FALSE(options.trace);
  CHECK_FALSE(options.model_dir);
  CHECK(made(options)->learning_rate() == options.optimizer.learning_rate);
}

TEST_CASE("Every flag of train reaches its option") {
  const TrainOptions options = parsed({"--model",
                                       "mlp",
                                       "--hidden",
                                       "8,4",
                                       "--dataset",
                                       "fashion-mnist",
                                       "--data-dir",
                                       "d",
                                       "--epochs",
                                       "3",
                                       "--steps",
                                       "7",
                                       "--batch-size-per-rank",
                                       "5",
                                       "--seed",
                                       "18446744073709551615",
                                       "--logical-shards",
                                       "4",
                                       "--learning-rate",
                                       "0.5",
                                       "--momentum",
                                       "0.25",
                                       "--nesterov",
                                       "--weight-decay",
                                       "0.125",
                                       "--l2-penalty",
                                       "0.0625",
                                       "--accumulate",
                                       "8",
                                       "--lr-schedule",
                                       "polynomial",
                                       "--warmup-steps",
                                       "11",
                                       "--lr-final",
                                       "0.5",
                                       "--lr-power",
                                       "3",
                                       "--lr-scaling",
                                       "square_root",
                                       "--lr-base-batch",
                                       "13",
                                       "--clip-norm",
                                       "2",
                                       "--clip-value",
                                       "0.75",
                                       "--bucket-bytes",
                                       "1MiB",
                                       "--no-overlap",
                                       "--order",
                                       "fastest",
                                       "--eval-every",
                                       "30steps",
                                       "--keep-best",
                                       "--early-stop",
                                       "5",
                                       "--precision",
                                       "f16",
                                       "--ema",
                                       "0.99",
                                       "--held-out",
                                       "0.25",
                                       "--log-every",
                                       "9",
                                       "--model-dir",
                                       "out/model",
                                       "--trace",
                                       "t.json"});
  CHECK(options.hidden == std::vector<std::size_t>{8, 4});
  CHECK(options.data_dir == std::string("d"));
  CHECK(options.epochs == 3);
  CHECK(options.steps == 7);
  CHECK(options.global_batch(3) == 15);
  CHECK(options.seed == 18446744073709551615u);
  CHECK(options.logical_shards == 4);
  CHECK(options.optimizer.learning_rate == 0.5);
  CHECK(options.optimizer.momentum == 0.25);
  CHECK(options.optimizer.nesterov);
  CHECK(options.optimizer.weight_decay == 0.125);
  CHECK(options.optimizer.l2_penalty == 0.0625);
  CHECK(options.accumulate == 8);
  CHECK(options.schedule.kind == ScheduleKind::polynomial);
  CHECK(options.schedule.warmup_steps == 11);
  CHECK(options.schedule.final_factor == 0.5);
  CHECK(options.schedule.power == 3);
  CHECK(options.lr_scaling == BatchScaling::square_root);
  CHECK(options.lr_base_batch == 13);
  CHECK(options.clip_norm == 2);
  CHECK(options.clip_value == 0.75);
  CHECK(options.bucket_bytes == Bytes{1u << 20});
  CHECK_FALSE(options.overlap);
  CHECK(options.order == ReductionOrder::fastest);
  CHECK(options.validation.every == 30);
  CHECK(options.validation.every_is_steps);
  CHECK(options.validation.keep_best);
  CHECK(options.validation.patience == 5);
  CHECK(options.precision == Precision::f16);
  REQUIRE(options.average);
  CHECK(options.average->rule.decay == 0.99);
  CHECK(options.data.held_out == 0.25);
  CHECK(options.log_every == 9);
  CHECK(options.trace == std::string("t.json"));
  CHECK(options.model_dir == std::string("out/model"));
}

TEST_CASE("Of a flag given twice the last counts, as in scripts that pass their arguments on") {
  CHECK(parsed({"--epochs", "3", "--seed", "5", "--epochs", "4"}).epochs == 4);
}

TEST_CASE("No leaves named, and 0 named, is one leaf per rank") {
  CHECK(parsed({"--logical-shards", "0"}).logical_shards == 0);
}

TEST_CASE("An optimizer brings its own defaults") {
  const TrainOptions adamw = parsed({"--optimizer", "adamw"});
  CHECK(made(adamw)->name() == "adamw");
  CHECK(adamw.optimizer.learning_rate == 0.001);
  CHECK(adamw.optimizer.weight_decay == 0.01);
  CHECK(parsed({"--optimizer", "adamw", "--learning-rate", "0.5", "--weight-decay", "0"}).optimizer.weight_decay == 0);
  CHECK(made(parsed({}))->name() == "sgd");
  CHECK(parsed({"--optimizer", "rmsprop"}).optimizer.momentum == 0.0);
  CHECK(parsed({"--optimizer", "rmsprop", "--momentum", "0.5"}).optimizer.momentum == 0.5);
}

TEST_CASE("Every optimizer that is offered is made, with the rates it was given") {
  for (const OptimizerEntry& each : optimizers()) {
    INFO(each.name);
    const auto optimizer =
        made(parsed({"--optimizer", std::string(each.name), "--weight-decay", "0.5", "--l2-penalty", "0.25"}));
    CHECK(optimizer->name() == each.name);
    CHECK(parsed({"--optimizer", std::string(each.name)}).optimizer.momentum == each.momentum);
    CHECK(optimizer->learning_rate() == each.learning_rate);
    CHECK(optimizer->rates("p").weight_decay == 0.5);
    CHECK(optimizer->rates("p").l2_penalty == 0.25);
  }
}

TEST_CASE("What train cannot do is refused in one line that names the flag") {
  using Arguments = std::vector<std::string>;
  const std::vector<std::pair<Arguments, std::string>> cases{
      {{"--frobnicate"}, "unknown flag '--frobnicate'"},
      {{"--api-token=hush"}, "unknown flag '--api-token'"},  // whatever it is, others will read this
      {{"--mesh", "data=2"}, "--mesh is for --model gpt; mlp has replicas on all ranks, without it"},
      {{"--pipeline-schedule", "gpipe"}, "--pipeline-schedule belongs to --mesh, which is not given"},
      {{"stray"}, "unexpected argument 'stray'"},
      {{"--epochs"}, "--epochs"},
      {{"--epochs", "many"}, "--epochs"},
      {{"--epochs", "0"}, "--epochs must be at least 1"},
      {{"--steps", "-1"}, "--steps must be at least 0"},
      {{"--batch-size", "0"}, "--batch-size must be from 1 to"},
      {{"--batch-size", "8", "--batch-size-per-rank", "8"}, "exclude each other"},
      {{"--logical-shards", "3"}, "--logical-shards must be a power of two"},
      {{"--logical-shards", "-4"}, "--logical-shards must be from 0 to 32768, got -4"},
      {{"--seed", "-1"}, "--seed must be at least 0, got -1"},
      {{"--seed", "18446744073709551616"}, "--seed must be at most 18446744073709551615"},
      {{"--hidden="}, "--hidden needs a value"},
      {{"--model", "transformer"}, "--model is 'transformer'; this version has: mlp, cnn, resnet"},
      {{"--model", "cnn", "--hidden", "64"}, "--hidden belongs to --model mlp; cnn has none"},
      {{"--dataset", "imagenet"}, "--dataset is 'imagenet'"},
      {{"--data-dir", ""}, "--data-dir"},
      {{"--trace", ""}, "--trace: the name of the file is empty"},
      {{"--model-dir", ""}, "--model-dir: the name of the folder is empty"},
      {{"--optimizer", "sdg"}, "--optimizer is 'sdg'; this version has: sgd, adam, adamw"},
      {{"--order", "random"}, "--order is 'random'"},
      {{"--learning-rate", "-1"}, "--learning-rate must be finite and at least 0"},
      {{"--learning-rate", "nan"}, "--learning-rate"},
      {{"--clip-norm", "-1"}, "--clip-norm"},
      {{"--clip-value", "inf"}, "--clip-value must be finite and at least 0"},
      {{"--momentum", "1"}, "--momentum must be at least 0 and below 1, got 1"},
      {{"--momentum", "0", "--nesterov"}, "--nesterov needs --momentum above 0"},
      {{"--optimizer", "adamw", "--nesterov"}, "--nesterov belongs to --optimizer sgd, lars; adamw has none"},
      {{"--optimizer", "lion", "--momentum", "0.5"},
       "--momentum belongs to --optimizer sgd, rmsprop, lars, muon; lion has none"},
      {{"--accumulate", "3"}, "--accumulate must be a power of two"},
      {{"--lr-schedule", "sine"}, "--lr-schedule is 'sine'; this version has: constant, linear, cosine"},
      {{"--lr-schedule", "one_cycle", "--warmup-steps", "3"}, "--warmup-steps: the schedule one_cycle"},
      {{"--lr-schedule", "polynomial", "--lr-power", "0"}, "--lr-power must be above 0"},
      {{"--lr-decay", "0.5"}, "--lr-decay belongs to --lr-schedule step; constant has none"},
      {{"--lr-schedule", "cosine", "--lr-interval", "5"},
       "--lr-interval belongs to --lr-schedule step; cosine has none"},
      {{"--lr-schedule", "step", "--lr-power", "3"}, "--lr-power belongs to --lr-schedule polynomial; step has none"},
      {{"--lr-final", "0.1"},
       "--lr-final belongs to --lr-schedule linear, cosine, polynomial, one_cycle; constant has"},
      {{"--dataset", "text:f", "--lr-decay", "0.1"}, "--lr-decay belongs to --lr-schedule step; cosine has none"},
      {{"--lr-base-batch", "13"}, "--lr-base-batch belongs to --lr-scaling linear, square_root; without one nothing"},
      {{"--lr-final", "-1"}, "--lr-final must be finite and at least 0"},
      {{"--lr-interval", "0"}, "--lr-interval must be at least 1"},
      {{"--lr-scaling", "cubic"}, "--lr-scaling is 'cubic'"},
      {{"--lr-base-batch", "0"}, "--lr-base-batch must be from 1 to"},
      {{"--l2-penalty", "-1"}, "--l2-penalty must be finite and at least 0"},
      {{"--eval-every", "-1"}, "--eval-every is '-1'"},
      {{"--eval-every", "3 steps"}, "--eval-every is '3 steps'"},
      {{"--eval-every", "0steps"}, "--eval-every must be above 0steps"},
      {{"--eval-every", "0", "--keep-best"}, "--eval-every 0 evaluates at the end alone"},
      {{"--eval-every", "0", "--early-stop", "1"}, "--eval-every 0 evaluates at the end alone"},
      {{"--precision", "f64"}, "--precision is 'f64'"},
      {{"--ema", "1"}, "--ema must be at least 0 and below 1, got 1"},
      {{"--ema", "0.5", "--swa-from", "3"}, "--ema and --swa-from exclude each other"},
      {{"--swa-from", "0"}, "--swa-from must be at least 1, got 0"},
      {{"--loss", "squared"}, "--loss belongs to --model mlp on a table"},
      {{"--model", "gpt"}, "--model gpt needs --dataset text:FILE or tokens:FILE"},
      {{"--model", "linear"}, "--model linear needs --dataset csv:FILE"},
      {{"--model", "cnn", "--dataset", "csv:f"}, "--model cnn needs images"},
      {{"--model", "mlp", "--dataset", "text:f"}, "--dataset text: and tokens: are for --model gpt, not mlp"},
      {{"--layers", "3"}, "--layers belongs to --model gpt; mlp has none"},
      {{"--dropout", "1"}, "--dropout must be at least 0 and below 1, got 1"},
      {{"--dropout", "-0.1"}, "--dropout must be at least 0 and below 1, got -0.1"},
      {{"--dropout", "half"}, "--dropout"},
      {{"--model", "cnn", "--dropout", "0.1"}, "--dropout belongs to --model gpt and mlp; cnn has none"},
      {{"--model", "resnet", "--dropout", "0"}, "--dropout belongs to --model gpt and mlp; resnet has none"},
      {{"--model", "logistic", "--dataset", "csv:f", "--dropout", "0.1"},
       "--dropout belongs to --model gpt and mlp; logistic has none"},
      {{"--bucket-bytes", "0"}, "--bucket-bytes must be above 0"},
      {{"--bucket-bytes", "25MB"}, "--bucket-bytes is '25MB'"},
  };
  for (const auto& [arguments, expected] : cases) {
    INFO(arguments.front() << " " << arguments.back());
    CHECK_THAT(refusal(arguments), Contains(expected));
  }
}

TEST_CASE("The settings of a schedule are taken beside it") {
  const TrainOptions step = parsed({"--lr-schedule", "step", "--lr-interval", "12", "--lr-decay", "0.25"});
  CHECK(step.schedule.interval == 12);
  CHECK(step.schedule.decay == 0.25);
  CHECK(parsed({"--lr-schedule", "one_cycle", "--lr-final", "0.5"}).schedule.final_factor == 0.5);
  CHECK(parsed({"--dataset", "text:f", "--lr-final", "0.5"}).schedule.final_factor == 0.5);
}

TEST_CASE("train computes on the CPU, or on GPUs what it can compute there") {
  CHECK(parsed({}).device == ComputeDevice::cpu);
  CHECK(parsed({"--device", "cpu", "--model", "cnn"}).device == ComputeDevice::cpu);
  CHECK(parsed({"--device", "cuda"}).device == ComputeDevice::cuda);
  CHECK_THAT(refusal({"--device", "gpu"}), Contains("--device"));
  CHECK(refusal({"--device", "cuda", "--model", "cnn"}) ==
        "--device cuda trains mlp in this version: --model cnn needs --device cpu");
  CHECK_THAT(refusal({"--device", "cuda", "--dataset", "csv:f"}), Contains("tables need --device cpu"));
  CHECK(parsed({"--device", "cuda", "--precision", "bf16"}).precision == Precision::bf16);
  CHECK(parsed({"--device", "cuda", "--ema", "0.9"}).average.has_value());
}

TEST_CASE("train takes a dropout for perceptrons of images and of tables") {
  CHECK(parsed({}).dropout == 0.0);
  CHECK(parsed({"--dropout", "0.2"}).dropout == 0.2);
  CHECK(parsed({"--model", "mlp", "--dropout", "0"}).dropout == 0.0);
  CHECK(parsed({"--dataset", "csv:f", "--dropout", "0.5"}).dropout == 0.5);
}

TEST_CASE("train offers convolutional models, and resnet batch normalisation over all ranks") {
  CHECK(parsed({}).model == "mlp");
  CHECK(parsed({"--model", "cnn"}).model == "cnn");
  CHECK(parsed({"--model", "resnet"}).model == "resnet");
  CHECK_FALSE(parsed({"--model", "resnet"}).sync_batch_norm);
  CHECK(parsed({"--model", "resnet", "--sync-batch-norm"}).sync_batch_norm);
  CHECK_THAT(refusal({"--sync-batch-norm"}), Contains("--sync-batch-norm belongs to --model resnet; mlp has no"));
  CHECK_THAT(refusal({"--model", "cnn", "--sync-batch-norm"}),
             Contains("--sync-batch-norm belongs to --model resnet; cnn has no"));
}

TEST_CASE("A mesh has axes in the order given, and a schedule for its pipeline") {
  const std::vector<std::string> gpt{"--dataset", "text:t", "--layers", "4"};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), gpt.begin(), gpt.end());
    return more;
  };
  CHECK(!parsed(gpt).mesh);
  const TrainOptions cube = parsed(with({"--mesh", "tensor=2,data=-1,pipeline=2", "--micro-batches", "8"}));
  REQUIRE(cube.mesh);
  CHECK(layout::to_text(cube.mesh->axes) == "tensor=2,data=-1,pipeline=2");
  CHECK(cube.mesh->schedule == pipeline::one_forward_one_backward(2, 8));
  CHECK(cube.mesh->schedule_name == "1f1b");
  CHECK(cube.mesh->cuts_model());
  const TrainOptions plain = parsed(with({"--mesh", "data=4"}));
  CHECK(layout::to_text(plain.mesh->axes) == "tensor=1,pipeline=1,data=4");
  CHECK(!plain.mesh->cuts_model());
  CHECK(parsed(with({"--mesh", "data=4", "--micro-batches", "2"})).mesh->cuts_model());
  CHECK(parsed(with({"--mesh", "pipeline=2", "--pipeline-schedule", "interleaved"})).mesh->schedule ==
        pipeline::interleaved(2, 2, 2));
  CHECK(parsed(with({"--mesh", "pipeline=2", "--optimizer", "muon"})).mesh);
  const TrainOptions uneven =
      parsed(with({"--mesh", "pipeline=2,tensor=2", "--stage-layers", "3,1", "--sequence-parallel"}));
  CHECK(uneven.mesh->layers == std::vector<std::size_t>{3, 1});
  CHECK(uneven.mesh->sequence_parallel);

  const trireme::testing::TemporaryFolder folder;
  const auto file = [&](const std::string& name, const std::string& text) {
    std::ofstream(folder.path() + "/" + name) << text;
    return folder.path() + "/" + name;
  };
  const std::string good = file("good", pipeline::to_text(pipeline::gpipe(2, 3)));
  CHECK(parsed(with({"--mesh", "pipeline=2", "--pipeline-schedule", good})).mesh->schedule == pipeline::gpipe(2, 3));
  const std::string named = parsed(with({"--mesh", "pipeline=2", "--pipeline-schedule", good})).mesh->schedule_name;
  const std::string copy = file("copy", "# another name\n" + pipeline::to_text(pipeline::gpipe(2, 3)));
  CHECK(parsed(with({"--mesh", "pipeline=2", "--pipeline-schedule", copy})).mesh->schedule_name == named);

  const std::vector<std::pair<std::vector<std::string>, std::string>> refused{
      {{"--mesh", "data=2,expert=2"}, "--mesh: axis 'expert': a mesh of train has the axes data, pipeline and tensor"},
      {{"--mesh", "data=2,data=2"}, "--mesh: axis 'data' stands twice"},
      {{"--mesh", "tensor=-1"}, "--mesh: axis 'tensor' has -1 ranks: data alone may take"},
      {{"--mesh", "tensor=0"}, "--mesh: axis 'tensor' has 0 ranks"},
      {{"--mesh", "tensor"}, "--mesh: mesh 'tensor': 'tensor' is not name=size"},
      {{"--mesh", ""}, "--mesh"},
      {{"--micro-batches", "2"}, "--micro-batches belongs to --mesh, which is not given"},
      {{"--mesh", "pipeline=8"}, "--layers 4 are fewer than the 8 stages"},
      {{"--mesh", "pipeline=4", "--pipeline-schedule", "zb-v"}, "--layers 4 are fewer than the 8 stages"},
      {{"--mesh", "pipeline=2", "--pipeline-schedule", "zb-h2"}, "which is no file and none of: gpipe, 1f1b"},
      {{"--mesh", "pipeline=3", "--pipeline-schedule", good}, "has 2 ranks, and the pipeline axis of --mesh 3"},
      {{"--mesh", "pipeline=2", "--pipeline-schedule", good, "--micro-batches", "2"},
       "has 3 micro-batches, and --micro-batches says 2"},
      {{"--mesh", "pipeline=2", "--pipeline-schedule", file("words", "rank 0: now\n")},
       "/words, line 1, column 9: expected an action"},
      {{"--mesh", "pipeline=2", "--pipeline-schedule", file("stuck", "rank 0: 0B0 0F0\nrank 1: 1F0 1B0\n")},
       "--pipeline-schedule: "},
      {{"--mesh", "pipeline=2", "--pipeline-schedule", folder.path()}, " is a folder: give a file"},
      {{"--mesh", "pipeline=2", "--micro-batches", "0"}, "--micro-batches must be from 1 to 65536, got 0"},
      {{"--stage-layers", "2,2"}, "--stage-layers belongs to --mesh, which is not given"},
      {{"--mesh", "pipeline=2", "--stage-layers", "2,,2"}, "--stage-layers is '2,,2': give the layers of each stage"},
      {{"--mesh", "pipeline=2", "--stage-layers", "4,0"}, "--stage-layers is '4,0': give the layers of each stage"},
      {{"--mesh", "pipeline=2", "--stage-layers", "4"},
       "--stage-layers 4 is of 1 stages, and --pipeline-schedule 1f1b has 2"},
      {{"--mesh", "pipeline=2", "--stage-layers", "2,1"}, "--stage-layers 2,1 are 3, and --layers says 4"},
      {{"--mesh", "pipeline=2", "--sequence-parallel"}, "--sequence-parallel shares positions out to the tensor ranks"},
      {{"--mesh", "tensor=2", "--zero", "3"}, "--mesh takes --zero 0 to 2"},
      {{"--mesh", "data=2,tensor=2", "--zero", "1", "--shard-group", "2"}, "--shard-group does not go with --mesh"},
      {{"--mesh", "tensor=2", "--precision", "bf16"}, "--mesh needs --precision f32 in this version, not bf16"},
      {{"--mesh", "tensor=2", "--optimizer", "adafactor"}, "--optimizer adafactor sees whole tensors"},
      {{"--mesh", "tensor=2", "--optimizer", "muon"}, "--optimizer muon sees whole tensors"},
      {{"--mesh", "tensor=2", "--device", "cuda"}, "--model gpt needs --device cpu"},
  };
  for (const auto& [words, expected] : refused) {
    INFO(expected);
    CHECK_THAT(refusal(with(words)), Contains(expected));
  }
}
