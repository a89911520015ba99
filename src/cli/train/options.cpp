// SPDX-License-Identifier: Apache-2.0
#include "cli/train/options.hpp"

#include "cli/arguments.hpp"
#include "cli/byte_size.hpp"
#include "cli/description.hpp"
#include "cli/hyperparameters.hpp"
#include "cli/train/platform_places.hpp"
#include "cli/train/sync_check.hpp"
#include "cli/train/typed_options.hpp"
#include "trireme/base/error.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cstdio>

namespace trireme::cli {
namespace {

constexpr std::int64_t most_units = 1 << 16;

[[noreturn]] void refuse(const std::string& message) { fail(ErrorCode::invalid_argument, message); }

/// Refuses what was typed for another course of the learning rate than it takes. Not what a platform's hyperparameters say: a
/// search over schedules gives every trial the settings of all of them.
void check_schedule_flags(const Arguments& flags, const Typed& typed, const std::string& schedule,
                          const Hyperparameters& said, const std::vector<std::string>& arguments) {
  struct Owned {
    const char* flag;
    std::vector<ScheduleKind> owners;
  };
  using enum ScheduleKind;
  const auto is_typed = [&](const std::string& flag) {
    return flags.given(flag) && blamed_hyperparameter(flag + " ", said, arguments).empty();
  };
  const std::array owned{Owned{"--lr-final", {linear, cosine, polynomial, one_cycle}},
                         Owned{"--lr-power", {polynomial}}, Owned{"--lr-interval", {step}},
                         Owned{"--lr-decay", {step}}};
  for (const Owned& each : owned) {
    if (!is_typed(each.flag)) continue;
    std::string list;
    bool fits = false;
    for (const ScheduleKind kind : each.owners) {
      fits = fits || name_of(kind) == schedule;
      list += (list.empty() ? "" : ", ") + std::string(name_of(kind));
    }
    if (!fits) refuse(std::string(each.flag) + " belongs to --lr-schedule " + list + "; " + schedule + " has none");
  }
  if (is_typed("--lr-base-batch") && typed.lr_scaling == "none")
    refuse("--lr-base-batch belongs to --lr-scaling linear, square_root; without one nothing is scaled");
}

Schedule schedule_of(const Typed& typed) {
  Schedule schedule{.warmup_steps = typed.warmup_steps,
                    .final_factor = typed.lr_final,
                    .power = typed.lr_power,
                    .interval = typed.lr_interval,
                    .decay = typed.lr_decay};
  int kind = 0;
  while (name_of(static_cast<ScheduleKind>(kind)) != typed.lr_schedule) ++kind;
  schedule.kind = static_cast<ScheduleKind>(kind);
  if (schedule.kind == ScheduleKind::polynomial && schedule.power == 0) refuse("--lr-power must be above 0, got 0");
  if (schedule.kind == ScheduleKind::one_cycle && schedule.warmup_steps != 0)
    refuse("--warmup-steps: the schedule one_cycle begins with a rise of its own");
  return schedule;
}

/// Which models can learn from which samples.
void check_pair(const std::string& model, DatasetKind kind) {
  const bool is_text = kind == DatasetKind::text || kind == DatasetKind::tokens;
  const bool is_images = kind == DatasetKind::images;
  if (model == "gpt" && !is_text) refuse("--model gpt needs --dataset text:FILE or tokens:FILE");
  if (model != "gpt" && is_text) refuse("--dataset text: and tokens: are for --model gpt, not " + model);
  if ((model == "cnn" || model == "resnet") && !is_images)
    refuse("--model " + model + " needs images: --dataset fashion-mnist, or another set with --data-dir");
  if ((model == "linear" || model == "logistic") && is_images)
    refuse("--model " + model + " needs --dataset csv:FILE, libsvm:FILE or synthetic:KIND");
}

LossKind loss_of(const Arguments& flags, const Typed& typed, const std::string& model, DatasetKind kind) {
  const bool is_table = kind == DatasetKind::csv || kind == DatasetKind::libsvm || kind == DatasetKind::synthetic;
  if (flags.given("--loss")) {
    if (model != "mlp" || !is_table) refuse("--loss belongs to --model mlp on a table; " + model + " has its own");
    return typed.loss == "squared" ? LossKind::squared : LossKind::cross_entropy;
  }
  return model == "linear" ? LossKind::squared : LossKind::cross_entropy;
}

double dropout_of(const Arguments& flags, const Typed& typed, const std::string& model) {
  if (flags.given("--dropout") && model != "gpt" && model != "mlp")
    refuse("--dropout belongs to --model gpt and mlp; " + model + " has none");
  return typed.dropout;
}

Precision precision_of(const Typed& typed) {
  return typed.precision == "f32" ? Precision::f32 : typed.precision == "bf16" ? Precision::bf16 : Precision::f16;
}

std::optional<AverageChoice> average_of(const Arguments& flags, const Typed& typed) {
  const bool ema = flags.given("--ema");
  const bool swa = flags.given("--swa-from");
  if (ema && swa) refuse("--ema and --swa-from exclude each other: give one");
  if (ema) {
    return AverageChoice{.rule = {.kind = AverageKind::exponential, .decay = typed.ema, .warmup = true}};
  }
  if (swa) {
    return AverageChoice{.rule = {.kind = AverageKind::equal}, .from_step = typed.swa_from};
  }
  return std::nullopt;
}

/// "3" are epochs, "100steps" steps.
ValidationOptions validation_of(const Typed& typed) {
  ValidationOptions options{.keep_best = typed.keep_best, .patience = typed.patience};
  const std::string& text = typed.eval_every;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), options.every);
  const std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
  if (error != std::errc() || (!unit.empty() && unit != "steps"))
    refuse("--eval-every is '" + text + "': give epochs as in 2, or steps as in 100steps");
  options.every_is_steps = !unit.empty();
  if (options.every_is_steps && options.every == 0) refuse("--eval-every must be above 0steps, or 0");
  if (options.every == 0 && (options.keep_best || options.patience != 0))
    refuse("--eval-every 0 evaluates at the end alone: --keep-best and --early-stop have nothing to go by");
  return options;
}

ComputeDevice device_of(const Typed& typed, const std::string& model, DatasetKind dataset) {
  if (typed.device == "cpu") return ComputeDevice::cpu;
  const std::string trains = "--device " + typed.device + " trains mlp in this version";
  if (model != "mlp") refuse(trains + ": --model " + model + " needs --device cpu");
  if (dataset != DatasetKind::images) refuse(trains + ", on images: tables need --device cpu");
  return typed.device == "cuda" ? ComputeDevice::cuda : ComputeDevice::emulated;
}

/// What the ranks share out, and what does not go with it.
void settle_sharing(const Arguments& flags, const Typed& typed, TrainOptions& options) {
  options.zero = typed.zero;
  options.shard_group = typed.shard_group;
  const std::string stage = "--zero " + std::to_string(options.zero);
  if (options.zero == 3 && options.model != "gpt")
    refuse(stage + " is for --model gpt; " + options.model + " takes --zero 0 to 2");
  if (options.zero == 3 && options.precision != Precision::f32)
    refuse(stage + " is for --precision f32; " + typed.precision + " takes --zero 0 to 2");
  if (options.zero != 0 && options.device != ComputeDevice::cpu)
    refuse(stage + " needs --device cpu; --device " + typed.device + " takes --zero 0");
  if (options.shard_group != 0 && options.zero == 0)
    refuse("--shard-group says which ranks share what --zero 1 to 3 shares out, and nothing is: give both");
  if (!flags.given("--offload")) return;
  if (typed.offload.empty()) refuse("--offload: the name of the folder is empty");
  options.offload = typed.offload;
}

/// What does not go with a model that ranks have in shares. Behind all else that is checked.
void check_mesh(const TrainOptions& options, const std::string& precision) {
  if (!options.mesh || !options.mesh->cuts_model()) return;
  if (options.zero == 3)
    refuse("--zero 3 shares out values, which --mesh shares out already: --mesh takes --zero 0 to 2");
  if (options.shard_group != 0) refuse("--shard-group does not go with --mesh: all replicas share what --zero says");
  if (options.precision != Precision::f32) refuse("--mesh needs --precision f32 in this version, not " + precision);
  const UpdateScope scope = optimizer_named(options.optimizer.name).make(options.optimizer)->scope();
  if (scope == UpdateScope::tensor && options.mesh->ranks("tensor") > 1) {
    refuse("--optimizer " + options.optimizer.name +
           " sees whole tensors, of which ranks of a tensor axis have shares: give --mesh without one, or "
           "another rule such as adamw or lamb");
  }
}

TrainOptions check(const Arguments& flags, const Typed& typed, const DataFlags& data, const GptFlags& language,
                   const MeshFlags& mesh, const CheckpointFlags& checkpoints, const PlatformPlaces& places,
                   const Hyperparameters& said, const std::vector<std::string>& arguments) {
  const auto given = [&](const char* flag) { return flags.given(flag); };
  const DatasetSpec dataset = parse_dataset("--dataset", typed.dataset);
  const bool is_text = dataset.kind == DatasetKind::text || dataset.kind == DatasetKind::tokens;
  const std::string model = !given("--model") && is_text ? "gpt" : typed.model;
  check_pair(model, dataset.kind);
  if (given("--hidden") && model != "mlp") refuse("--hidden belongs to --model mlp; " + model + " has none");
  if (typed.sync_batch_norm && model != "resnet")
    refuse("--sync-batch-norm belongs to --model resnet; " + model + " has no batch normalisation");
  const bool is_gpt = model == "gpt";
  const OptimizerEntry& entry = optimizer_named(is_gpt && !given("--optimizer") ? "adamw" : typed.optimizer);

  TrainOptions options;
  options.model = model;
  options.hidden = parse_hidden(typed.hidden);
  options.sync_batch_norm = typed.sync_batch_norm;
  options.dropout = dropout_of(flags, typed, model);
  options.gpt = language.checked(flags, model, dataset.kind == DatasetKind::text);
  options.data = data.checked(flags, dataset);
  options.loss = loss_of(flags, typed, model, dataset.kind);
  options.precision = precision_of(typed);
  options.device = device_of(typed, model, dataset.kind);
  options.device_given = flags.given("--device");
  settle_sharing(flags, typed, options);
  options.mesh = mesh.checked(flags, model, options.gpt.layers);
  options.average = average_of(flags, typed);
  options.validation = validation_of(typed);
  if (given("--data-dir")) {
    if (typed.data_dir.empty()) refuse("--data-dir: the name of the folder is empty");
    options.data_dir = typed.data_dir;
  }
  options.epochs = typed.epochs;
  options.steps = typed.steps;
  options.batch_size = is_gpt && !given("--batch-size") ? gpt_batch_size : typed.batch_size;
  if (given("--batch-size-per-rank")) {
    if (given("--batch-size")) refuse("--batch-size and --batch-size-per-rank exclude each other: give one");
    options.batch_size_per_rank = typed.batch_size_per_rank;
  }
  options.seed = typed.seed;
  options.logical_shards = typed.logical_shards;
  if (options.logical_shards != 0 && !std::has_single_bit(static_cast<unsigned>(options.logical_shards))) {
    refuse("--logical-shards must be a power of two, or 0 for one per rank, got " +
           std::to_string(options.logical_shards));
  }
  options.accumulate = typed.accumulate;
  if (options.accumulate != 0 && !std::has_single_bit(static_cast<unsigned>(options.accumulate)))
    refuse("--accumulate must be a power of two, or 0, got " + std::to_string(options.accumulate));
  check_schedule_flags(flags, typed, is_gpt && !given("--lr-schedule") ? "cosine" : typed.lr_schedule, said, arguments);
  options.schedule = schedule_of(typed);
  if (is_gpt && !given("--lr-schedule")) {
    options.schedule.kind = ScheduleKind::cosine;
    if (!given("--lr-final")) options.schedule.final_factor = gpt_final_factor;
    if (!given("--warmup-steps")) options.warmup_if_long = gpt_warmup_steps;
  }
  options.lr_scaling = typed.lr_scaling == "linear"        ? BatchScaling::linear
                       : typed.lr_scaling == "square_root" ? BatchScaling::square_root
                                                           : BatchScaling::none;
  options.lr_base_batch = typed.lr_base_batch;
  options.clip_norm = is_gpt && !given("--clip-norm") ? 1.0 : typed.clip_norm;
  options.clip_value = typed.clip_value;
  options.bucket_bytes = parse_byte_size(typed.bucket_bytes, "--bucket-bytes");
  if (options.bucket_bytes.value == 0) refuse("--bucket-bytes must be above 0");
  options.overlap = !typed.no_overlap;
  options.order = typed.order == "fastest" ? ReductionOrder::fastest : ReductionOrder::canonical;
  options.log_every = typed.log_every;
  options.logs_json = typed.log_format == "json";
  options.checkpoints = checkpoints.checked(flags, places.checkpoint_dir());
  if (given("--model-dir")) {
    if (typed.model_dir.empty()) refuse("--model-dir: the name of the folder is empty");
    options.model_dir = typed.model_dir;
  }
  if (given("--trace")) {
    if (typed.trace.empty()) refuse("--trace: the name of the file is empty");
    options.trace = typed.trace;
  }

  OptimizerChoice& optimizer = options.optimizer;
  optimizer.name = entry.name;
  const bool own_rule = is_gpt && !given("--optimizer");
  optimizer.learning_rate = given("--learning-rate") ? typed.learning_rate
                            : own_rule               ? gpt_learning_rate
                                                     : entry.learning_rate;
  optimizer.weight_decay = given("--weight-decay") ? typed.weight_decay
                           : own_rule              ? gpt_weight_decay
                                                   : entry.weight_decay;
  optimizer.l2_penalty = typed.l2_penalty;
  const auto belongs = [&](const char* flag, bool has, bool OptimizerEntry::*needs) {
    if (has || !given(flag)) return;
    std::string owners;
    for (const OptimizerEntry& each : optimizers()) {
      if (each.*needs) owners += (owners.empty() ? "" : ", ") + std::string(each.name);
    }
    refuse(std::string(flag) + " belongs to --optimizer " + owners + "; " + optimizer.name + " has none");
  };
  belongs("--momentum", entry.has_momentum, &OptimizerEntry::has_momentum);
  belongs("--nesterov", entry.has_nesterov, &OptimizerEntry::has_nesterov);
  optimizer.momentum = typed.momentum;
  if (!given("--momentum")) optimizer.momentum = entry.momentum;
  optimizer.nesterov = typed.nesterov;
  if (optimizer.nesterov && optimizer.momentum == 0) refuse("--nesterov needs --momentum above 0");
  check_mesh(options, typed.precision);
  return options;
}

constexpr const char* command = "trireme train";

/// What `use` returns of the command's flags, described anew.
template <class Use>
auto with_flags(Use use) {
  Typed typed;
  Arguments flags("Trains a model on images, tables or text, alone or as one of the ranks that `trireme run` starts.",
                  command);
  flags.footer("The last line on rank 0's stdout is `result: key=value …`.");
  describe(flags, typed);
  DataFlags data(flags);
  GptFlags language(flags);
  MeshFlags mesh(flags);
  CheckpointFlags checkpoints(flags);
  TrackingFlags tracking(flags);
  SyncFlags sync(flags);
  LabFlags lab(flags);
  return use(flags, typed, data, language, mesh, checkpoints, tracking, sync, lab);
}

}  // namespace

std::vector<std::size_t> parse_hidden(std::string_view text) {
  std::vector<std::size_t> hidden;
  while (!text.empty()) {
    const std::size_t comma = text.find(',');
    const std::string_view part = text.substr(0, comma);
    std::int64_t units = 0;
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), units);
    const bool complete = error == std::errc() && end == part.data() + part.size();
    const bool dangling = comma != std::string_view::npos && comma + 1 == text.size();
    if (!complete || dangling || units < 1 || units > most_units) {
      refuse("--hidden: give layers of 1 to " + std::to_string(most_units) +
             " units with commas between, as in 512,512");
    }
    hidden.push_back(static_cast<std::size_t>(units));
    text = comma == std::string_view::npos ? std::string_view() : text.substr(comma + 1);
  }
  return hidden;
}

bool asks_for_no_training(const std::vector<std::string>& arguments) {
  return std::any_of(arguments.begin(), arguments.end(), [](const std::string& word) {
    return word == "--help" || word == "-h" || word == "--describe" || word.rfind("--describe=", 0) == 0;
  });
}

bool asks_for_json_log(const std::vector<std::string>& arguments) {
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    std::string flag = arguments[i];
    std::replace(flag.begin(), flag.end(), '_', '-');
    if (flag == "--log-format=json") return true;
    if (flag == "--log-format" && i + 1 < arguments.size() && arguments[i + 1] == "json") return true;
  }
  return false;
}

std::string describe_train() {
  return with_flags([](const Arguments& flags, auto&...) { return description_of(command, flags.flags()); });
}

std::optional<TrainOptions> parse_train_options(const std::vector<std::string>& arguments,
                                                const platform::ClusterSpec& cluster, const std::string& root) {
  const Hyperparameters said = asks_for_no_training(arguments) ? Hyperparameters() : cluster.hyperparameters;
  const PlatformPlaces places(cluster, root);
  return with_flags([&](Arguments& flags, const Typed& typed, const auto& data, const auto& language, const auto& mesh,
                        const auto& checkpoints, const auto& tracking, const auto& sync,
                        const auto& lab) -> std::optional<TrainOptions> {
    std::vector<std::string> words = flag_words(said, flags.flags());
    words.insert(words.end(), arguments.begin(), arguments.end());  // the last of a flag counts
    try {
      if (!flags.parse(words)) return std::nullopt;
      if (flags.given("--describe")) {
        std::printf("%s\n", describe_train().c_str());
        return std::nullopt;
      }
      TrainOptions options = check(flags, typed, data, language, mesh, checkpoints, places, said, arguments);
      places.settle(options);
      options.tracking = tracking.checked(flags);
      options.sync =
          sync.checked(flags, cluster.role == platform::Role::evaluator ? sync.typed_servers() : cluster.servers);
      options.straggling = lab.checked(options.seed);
      check_sync(options);
      return options;
    } catch (const Exception& refusal) {
      const Error& error = refusal.error();
      const std::string name = blamed_hyperparameter(error.message, said, arguments);
      if (name.empty()) throw;
      fail(error.code, error.message + " (the platform's hyperparameter '" + name + "' says so)");
    }
  });
}

}  // namespace trireme::cli
