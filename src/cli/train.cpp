// SPDX-License-Identifier: Apache-2.0
#include "cli/exit_code.hpp"
#include "cli/failure_note.hpp"
#include "cli/subcommand.hpp"
#include "cli/train/checkpoint_scores.hpp"
#include "cli/train/checkpoints.hpp"
#include "cli/train/course.hpp"
#include "cli/train/device.hpp"
#include "cli/train/fallback.hpp"
#include "cli/train/hung_device.hpp"
#include "cli/train/inputs/brought_inputs.hpp"
#include "cli/train/interruption.hpp"
#include "cli/train/json_log.hpp"
#include "cli/train/memory_need.hpp"
#include "cli/train/model_export.hpp"
#include "cli/train/parameter_server.hpp"
#include "cli/train/process_age.hpp"
#include "cli/train/recorder_dump.hpp"
#include "cli/train/replicas.hpp"
#include "cli/train/server_session.hpp"
#include "cli/train/servers_here.hpp"
#include "cli/train/settings_agreement.hpp"
#include "cli/train/setup.hpp"
#include "cli/train/steps_trace.hpp"
#include "cli/train/sync_check.hpp"
#include "cli/train/tasks/load.hpp"
#include "cli/train/tracked_run.hpp"
#include "cli/train/trackers.hpp"
#include "cli/train/trainer.hpp"
#include "trireme/base/error.hpp"
#include "trireme/base/log.hpp"
#include "trireme/interruption/watch.hpp"
#include "trireme/net/host.hpp"
#include "trireme/platform/cluster_spec.hpp"
#include "trireme/platform/secret_variable.hpp"
#include "trireme/world/run_ranks.hpp"

#include <bit>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <unistd.h>

namespace trireme::cli {
namespace {

/// Without --logical-shards and --accumulate, a job goes on with the leaves it had, where there are ranks for them: with the
/// same bits, on however many.
void adopt_leaves(TrainOptions& options, const checkpoint::Manifest& manifest, int replicas) {
  const auto found = manifest.values.find("position/leaves");
  if (options.logical_shards != 0 || options.accumulate != 0 || found == manifest.values.end()) return;
  const auto* leaves = std::get_if<std::uint64_t>(&found->second);
  if (leaves == nullptr || *leaves < static_cast<std::uint64_t>(replicas)) return;
  if (std::has_single_bit(*leaves)) options.logical_shards = static_cast<int>(*leaves);
}

/// Rank 0's trackers, and what they are told before the first step.
void begin_course(Course& course, const Invocation& invocation, const platform::ClusterSpec& cluster,
                  const TrainOptions& options, std::uint32_t workers, Trainer& trainer, bool goes_on) {
  const Log log(LogLevel::info, [](LogLevel, std::string_view line) {
    std::fprintf(stderr, "trireme train: %.*s\n", static_cast<int>(line.size()), line.data());
  });
  const char* const objective = trainer.task().measure() == Measure::accuracy ? "val_accuracy" : "val_loss";
  TrackerChoice choice = choose_trackers(cluster, invocation.environment, options.tracking, objective, log);
  if (choice.mlflow && options.checkpoints.folder)
    follow_run(*choice.mlflow, *options.checkpoints.folder, goes_on, log);
  course.begin(make_trackers(choice, log), settings_of(options), trainer.done());
  course.tag("world", std::to_string(workers));
  course.tag("platform", cluster.platform);
  if (cluster.tuning) course.tag("trial", cluster.tuning->trial_id);
  trainer.report_to([&course](const Metric& metric, double done) { course.note(metric, done); });
}

/// Whom to ask whether this host will be taken away.
/// Errors: invalid_argument naming the variable.
interruption::WatchOptions watch_options(const platform::Environment& environment, const std::string& platform) {
  LogLevel level = LogLevel::warning;
  parse_log_level(environment.find("TRIREME_LOG").value_or(""), level);
  return interruption::watch_options(environment, platform, stderr_log(level));
}

/// Samples, and what it took to load them.
struct Loaded {
  std::unique_ptr<TrainingData> data{};
  double seconds = 0;

  void load(const TrainOptions& options) {
    const auto begin = std::chrono::steady_clock::now();
    data = load_training_data(options);
    seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  }
};

/// Those whose files only the ranks together can bring here.
std::unique_ptr<BroughtInputs> bring_inputs(const Invocation& invocation, World& world, const std::string& node_name,
                                            TrainOptions& options) {
  return std::make_unique<BroughtInputs>(
      world.communicator(), options.data,
      BringOptions{.host = net::host_identity() + "/" + node_name,
                   .scratch = invocation.environment.find("TMPDIR").value_or("/tmp"),
                   .say = [](const std::string& line) { std::fprintf(stderr, "trireme train: %s\n", line.c_str()); }});
}

/// What is kept of a job that fails: what the ranks of its world did last, whoever was at fault, and what its trackers hear.
void keep_traces(const Invocation& invocation, const JobSignals& signals, Course& course, const Error& error) {
  if (is_failure_of_world(error)) {
    const std::string said =
        keep_recorders(signals.rank(), signals.recorders(), invocation.environment.find("TRIREME_RECORDER_DIR"));
    std::fwrite(said.data(), 1, said.size(), stderr);
  }
  course.fail(error.message);
}

/// `trireme run` judges what its ranks say; under another launcher nobody else tells the platform.
void note_failure(const Invocation& invocation, const Error& error) {
  const auto spec = cluster_here(invocation.environment);
  if (spec && spec->launcher != "trireme")
    leave_failure_note(failure_places(*spec), "trireme train: " + error.message, invocation.environment);
}

int exit_code_of(const Error& error) { return is_users(error.code) ? 2 : 1; }

void say_as_json(const Error& error) {
  std::fprintf(stderr, "%s\n", json_error_line("trireme train: " + words_of(error)).c_str());
}

/// All that is said of a failure where the process cannot end in order.
int last_words(const Invocation& invocation, const TrainOptions& options, const JobSignals& signals, Course& course,
               const Error& error) {
  keep_traces(invocation, signals, course, error);
  note_failure(invocation, error);
  if (options.logs_json) {
    say_as_json(error);
  } else {
    std::fprintf(stderr, "trireme train: %s\n", words_of(error).c_str());
  }
  std::fputs("trireme train: the device still works on what was given up: ending without waiting for it\n", stderr);
  return exit_code_of(error);
}

/// What a job has from its start to its end, whatever world it trains in.
struct Job {
  const Invocation& invocation;
  const platform::ClusterSpec& cluster;
  JobSignals& signals;
  Course& course;
  std::string& memory_words;
  interruption::WatchOptions watched;  ///< refused before there is a world
  std::optional<StepsTrace> trace{};   ///< outlives the world: others do not wait while it is written
};

/// `directory`: of independent workers, each in a world of its own; else null.
int train_in_world(Job& job, TrainOptions options, Loaded loaded, World& world,
                   std::shared_ptr<ServerDirectory> directory) {
  const Invocation& invocation = job.invocation;
  const platform::ClusterSpec& cluster = job.cluster;
  JobSignals& signals = job.signals;
  Course& course = job.course;
  std::optional<StepsTrace>& trace = job.trace;
  const bool is_independent = directory != nullptr;
  const WorkerPlace place = is_independent ? place_of(cluster) : place_in(world);
  check_backup_workers(options, place.workers);
  signals.number(static_cast<int>(place.worker));
  signals.watch(world.communicator());
  // One rank of every host asks.
  auto watch = world.local_rank() == 0 ? interruption::start_watch(job.watched) : nullptr;
  const ProgressMode mode =
      progress_mode(static_cast<int>(place.worker), invocation.environment, ::isatty(STDERR_FILENO) == 1);
  trace.emplace(options.trace, static_cast<int>(place.worker), static_cast<int>(place.workers),
                world.host(world.rank()));
  trace->agree_on_origin(world.communicator());
  Communicator communicator = world.communicator();
  std::unique_ptr<BroughtInputs> inputs;
  if (!loaded.data) {
    const auto begin = std::chrono::steady_clock::now();
    inputs = bring_inputs(invocation, world, cluster.node_name, options);
    loaded.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    loaded.load(options);
  }
  const TrainingData& data = *loaded.data;
  const std::string content = data.content();
  compare_settings(communicator, options, content);
  std::optional<std::uint64_t> others_step;
  if (is_independent) {
    compare_settings(*directory, place.worker, options, content);
    if (!place.is_first()) others_step = leave_to_the_first(options);
  }
  inputs.reset();  // all ranks have opened their files
  Replicas replicas(communicator, options.mesh);
  check_against_world(options, replicas, data.samples());  // before a folder of checkpoints is taken over
  check_model_dir(communicator, options);
  job.memory_words = check_memory(world, replicas, options, data);
  std::unique_ptr<Checkpoints> checkpoints;
  if (options.checkpoints.folder) {
    auto settings = settings_of(options);
    settings.emplace_back("the content of --dataset", content);
    checkpoints = std::make_unique<Checkpoints>(
        world, options.checkpoints, SettingsRecord(std::move(settings)), "trireme train --model " + options.model,
        [&](const std::string& line) { std::fprintf(stderr, "trireme train: %s\n", line.c_str()); });
    if (checkpoints->newest()) adopt_leaves(options, *checkpoints->newest(), replicas.count());
  }
  std::unique_ptr<ServerSession> servers;
  if (options.sync.on_servers) {
    if (!directory) directory = directory_beside(world, cluster, invocation.environment);
    const int leaves = !is_independent                      ? leaves_of(options, world.size())
                       : options.sync.is_bulk_synchronous() ? static_cast<int>(place.workers)
                                                            : 1;
    servers = std::make_unique<ServerSession>(options, directory, place, leaves);
  }
  const auto trainer = std::make_unique<Trainer>(world, replicas, options, data, mode, checkpoints.get(),
                                                 trace->recorder(), servers.get());
  std::optional<ps::Fallback> fallback;
  if (options.sync.falls_back && world.size() > 1) {
    fallback.emplace(trainer->data_parallel(),
                     fallback_options(world, options,
                                      {.directory = directory_beside(world, cluster, invocation.environment),
                                       .leaves = leaves_of(options, world.size()),
                                       .parameters = trainer->data_parallel().parameters(),
                                       .row_sparse = trainer->task().row_sparse()},
                                      trainer->optimizer()));
    trainer->watch_links(*fallback);
  }
  if (others_step) trainer->go_on_behind(*others_step);
  if (place.is_first()) {
    if (!options.from_platform.empty()) std::fprintf(stderr, "trireme train: %s\n", options.from_platform.c_str());
    std::fprintf(stderr, "%s\n", start_line(trainer->start()).c_str());
    begin_course(course, invocation, cluster, options, place.workers, *trainer, checkpoints && checkpoints->newest());
  }

  signals.watch(trainer->reductions());
  if (const Mesh* mesh = replicas.mesh()) {
    for (const char* axis : {"pipeline", "tensor"}) signals.watch(mesh->axis(axis));
  }
  signals.attend();
  std::optional<Interruption> interruption;
  if (watch)
    interruption.emplace(
        std::move(watch), NoticeReaction(world.host(world.rank()), checkpoints != nullptr),
        Interruption::Parts{
            .signals = signals,
            .save_seconds = [&] { return checkpoints ? checkpoints->save_seconds() : 0.0; },
            .say = [](const std::string& line) { std::fprintf(stderr, "trireme train: %s\n", line.c_str()); }});
  const double ready_s = process_age() - loaded.seconds;
  TrainResult result = outlive_device(
      [&] { return trainer->run(signals); },
      {.device_hangs = [&] { return world.device_hangs(); },
       .say = [&](const Error& error) { return last_words(invocation, options, signals, course, error); }});
  result.ready_s = ready_s;
  interruption.reset();
  const bool is_first = place.is_first();
  if (servers) servers->leave(signals);
  if (fallback) fallback->leave();
  world.communicator().barrier({.label = "end"});  // rank 0, which may serve the others, leaves last
  world.close();
  const bool has_result = !result.diverged_at || result.best_step != 0;
  bool exported = true;
  if (is_first && has_result) {
    if (!result.is_interrupted) exported = export_result(options, *trainer, result);
    if (const auto sample = result.is_interrupted ? std::nullopt : trainer->sample())
      std::printf("%s\n", sample->c_str());
    std::printf("%s\n", result_line(result).c_str());
    std::fflush(stdout);
  }
  if (result.diverged_at) {
    const std::string cause = divergence_line(result, options.optimizer.learning_rate);
    std::fprintf(stderr, "%s\n", cause.c_str());
    course.fail(cause);
    return 1;
  }
  if (!exported) {
    course.fail("the trained model could not be written to --model-dir");
    return 1;
  }
  if (result.is_unsaved) {
    if (is_first)
      std::fprintf(stderr, "trireme train: %s without a checkpoint of step %llu\n",
                   result.is_interrupted ? "stopped" : "complete, but", static_cast<unsigned long long>(result.steps));
    course.fail("the last checkpoint could not be written");
    return 1;
  }
  course.finish(result);
  // Checkpoints are worker 0's: the others stop for another time without.
  const bool goes_on_later = result.is_interrupted || (is_independent && !is_first && result.stop_signal != 0);
  if (!goes_on_later) return result.stop_signal == 0 ? 0 : 128 + result.stop_signal;
  const CheckpointChoice& choice = options.checkpoints;
  return choice.interrupted_exit_code.value_or(result.stop_signal == SIGINT ? 128 + SIGINT : 128 + SIGTERM);
}

/// As one rank of the job's world, or as a worker on its own beside the job's servers.
int train_as_worker(Job job, const TrainOptions& options, Loaded loaded) {
  if (!options.sync.is_independent()) {
    World world = World::open(world_options(options, job.invocation.environment));
    return train_in_world(job, options, std::move(loaded), world, nullptr);
  }
  const auto directory = directory_of_independent(job.cluster, job.invocation.environment);
  int exit_code = 1;
  testing::run_ranks(
      1, [&](World& world) { exit_code = train_in_world(job, options, std::move(loaded), world, directory); });
  return exit_code;
}

/// Errors: invalid_argument, unsupported for a role that this cannot play.
platform::Role checked_role(platform::Role role, const TrainOptions& options) {
  if (role == platform::Role::server && !options.sync.on_servers)
    fail(ErrorCode::invalid_argument, "the role 'server' is of parameter servers, which need --sync ps");
  if (role == platform::Role::evaluator && !options.checkpoints.folder)
    fail(ErrorCode::invalid_argument, "the role 'evaluator' needs --checkpoint-dir: it scores the checkpoints there");
  if (role == platform::Role::evaluator && options.data.needs_world())
    fail(ErrorCode::unsupported,
         "the role 'evaluator' cannot read a pipe or a sharded channel, which the workers share "
         "out among themselves: give it a replicated channel or a path");
  return role;
}

/// A batch script is one process of its job; most that train there have forgotten srun.
void warn_without_srun(const platform::Environment& environment, const platform::ClusterSpec& cluster) {
  const auto tasks = environment.find("SLURM_NTASKS");
  if (cluster.platform != "slurm" || cluster.launcher != "none" || !tasks || *tasks == "1") return;
  std::fprintf(
      stderr,
      "trireme train: SLURM_NTASKS is %s, but srun did not start this process, so it trains alone; for all tasks "
      "write srun before it\n",
      tasks->c_str());
}

/// Where memory runs out: what was wanted, and what to do. `train` learns the former while it runs.
template <class Train>
int train_within_memory(Train&& train) {
  std::string words;
  try {
    return train(words);
  } catch (const Exception& failure) {
    const Error& error = failure.error();
    const bool is_arena = error.code == ErrorCode::system && error.message.find("the arena") != std::string::npos;
    if (!is_arena || words.empty()) throw;
    Error told = error;
    told.message += "; " + words;
    throw Exception(told);
  } catch (const std::system_error& failure) {  // of a thread: no room for its stack, or no more of them
    fail(ErrorCode::system, "a thread cannot be started (" + failure.code().message() + ")" +
                                (words.empty() ? "" : ": memory may be short: " + words));
  } catch (const std::bad_alloc&) {
    fail(ErrorCode::system, words.empty() ? "this process has run out of memory" : "out of memory: " + words);
  }
}

int train_and_record(const Invocation& invocation, bool& logs_json) {
  const auto& environment = invocation.environment;
  const bool asks_only = asks_for_no_training(invocation.arguments);
  const auto cluster = asks_only ? platform::ClusterSpec() : platform::detect(environment);
  const auto options =
      parse_train_options(invocation.arguments, cluster, environment.find("TRIREME_ROOT").value_or(std::string()));
  if (!options) return 0;
  logs_json = options->logs_json;
  prepare_device(options->device);
  warn_without_srun(environment, cluster);
  scrub_tracking_secrets();  // before what takes long
  spare_address_space();
  const platform::Role role = checked_role(cluster.role, *options);
  if (role == platform::Role::server) {
    JobSignals signals(true);
    return serve_parameters(*options, cluster, environment, signals);
  }
  Loaded loaded;
  if (!options->data.needs_world()) loaded.load(*options);

  const auto patience =
      std::chrono::seconds(invocation.environment.integer("TRIREME_TRACKING_TIMEOUT_S", 0, 3600).value_or(10));
  Course course(patience, Redactor(invocation.environment));    // outlives the world
  JobSignals signals(options->checkpoints.folder.has_value());  // before any thread: all of them inherit the mask
  std::optional<JsonLog> json_log;
  if (options->logs_json) json_log.emplace();
  if (role != platform::Role::evaluator) check_device(*options, environment);  // scores are found on the host
  if (role == platform::Role::evaluator) {
    platform::scrub_variable("TRIREME_JOB_KEY");  // a rank's is taken by its world
    return score_checkpoints(*options, *loaded.data, signals);
  }
  try {
    return train_within_memory([&](std::string& memory_words) {
      return train_as_worker({.invocation = invocation,
                              .cluster = cluster,
                              .signals = signals,
                              .course = course,
                              .memory_words = memory_words,
                              .watched = watch_options(environment, cluster.platform)},
                             *options, std::move(loaded));
    });
  } catch (const Exception& failure) {
    keep_traces(invocation, signals, course, failure.error());
    throw;
  }
}

}  // namespace

int train(const Invocation& invocation) {
  bool logs_json = asks_for_json_log(invocation.arguments);
  try {
    return train_and_record(invocation, logs_json);
  } catch (const Exception& exception) {
    note_failure(invocation, exception.error());
    if (!logs_json) throw;
    say_as_json(exception.error());
    return exit_code_of(exception.error());
  }
}

}  // namespace trireme::cli
