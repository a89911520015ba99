// SPDX-License-Identifier: Apache-2.0
#include "bench/stragglers/job.hpp"

#include "trireme/data/batch_loader.hpp"
#include "trireme/data/distributed_sampler.hpp"
#include "trireme/optim/sgd.hpp"
#include "trireme/parallel/data_parallel.hpp"
#include "trireme/ps/in_process.hpp"
#include "trireme/ps/server.hpp"
#include "trireme/ps/synchronizer.hpp"
#include "trireme/world/run_ranks.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <vector>

#include <sys/prctl.h>

namespace trireme::bench {
namespace {

using Clock = std::chrono::steady_clock;

/// Servers of a run, and the way to them.
class JobServers {
 public:
  JobServers(const StragglersOptions& options, const Way& way, std::span<const Parameter> parameters)
      : options_(options),
        way_(way),
        leaves_(way.is_together() ? options.workers : 1),
        plan_(std::make_shared<const ps::KeyPlan>(
            ps::KeyPlan::tensors_of(parameters, {}),
            ps::KeyPlanOptions{.servers = options.servers, .partition_bytes = Bytes{65'536}})) {
    const auto rule = [momentum = options.momentum] {
      return std::make_unique<Sgd>(SgdOptions{.learning_rate = 0.1, .momentum = momentum});
    };
    if (!options.tcp) {
      in_process_ =
          std::make_unique<ps::InProcessServers>(ps::InProcessOptions{.plan = plan_,
                                                                      .consistency = way.consistency,
                                                                      .workers = options.workers,
                                                                      .leaves = leaves_,
                                                                      .make_optimizer = rule,
                                                                      .staleness_aware = way.staleness_aware});
      return;
    }
    for (std::uint32_t server = 0; server < options.servers; ++server) {
      servers_.push_back(ps::Server::start({.server = server,
                                            .plan = plan_,
                                            .consistency = way.consistency,
                                            .workers = options.workers,
                                            .leaves = leaves_,
                                            .make_optimizer = rule,
                                            .staleness_aware = way.staleness_aware,
                                            .key = key_,
                                            .job_id = "stragglers"}));
    }
  }

  std::shared_ptr<parallel::SynchronizerFactory> synchronizer(std::uint32_t worker) const {
    ps::UpdatingOptions options{.servers = {.client = connect(worker), .plan = plan_}};
    return way_.is_together() ? ps::updating_synchronizer(std::move(options))
                              : ps::asynchronous_synchronizer(std::move(options));
  }
  std::uint64_t most_staleness() const {
    std::uint64_t most = in_process_ ? in_process_->statistics().most_staleness : 0;
    for (const auto& server : servers_) most = std::max(most, server->statistics().most_staleness);
    return most;
  }

 private:
  std::shared_ptr<ps::Client> connect(std::uint32_t worker) const {
    if (in_process_) return in_process_->connect(worker);
    std::vector<ps::ServerCard> cards;
    for (const auto& server : servers_) {
      cards.push_back(server->card());
      cards.back().local.clear();
    }
    return ps::Client::connect({.rank = worker,
                                .workers = options_.workers,
                                .leaves = leaves_,
                                .plan = plan_,
                                .consistency = way_.consistency,
                                .key = key_,
                                .job_id = "stragglers",
                                .servers = [cards] { return cards; }},
                               Deadline::after(std::chrono::seconds(60)));
  }

  const StragglersOptions& options_;
  Way way_;
  std::uint32_t leaves_;
  std::shared_ptr<const ps::KeyPlan> plan_;
  net::JobKey key_ = net::JobKey::random();
  std::unique_ptr<ps::InProcessServers> in_process_;
  std::vector<std::unique_ptr<ps::Server>> servers_;
};

/// What the workers of a run count together.
class Tally {
 public:
  explicit Tally(const StragglersOptions& options) : options_(options) {}

  void begin() { begin_ = Clock::now(); }
  bool is_over() const {
    if (options_.seconds > 0) return elapsed() >= options_.seconds;
    return samples_ >= options_.samples;
  }
  double decay() const {
    return std::max(0.1, 1 - static_cast<double>(samples_) / static_cast<double>(options_.samples));
  }
  /// A step of so many samples is complete, and these are the values behind it.
  void note(std::uint64_t samples, std::span<const Parameter> parameters) {
    if (options_.seconds > 0 && elapsed() > options_.seconds) return;
    const std::uint64_t before = samples_.fetch_add(samples);
    if (options_.samples == 0 || before >= options_.samples || before + samples < options_.samples) return;
    outcome_.at_samples = {elapsed(), values_of(parameters)};  // one worker comes here
  }
  void end(std::uint64_t steps, std::span<const Parameter> parameters) {
    const std::lock_guard lock(mutex_);
    outcome_.least_steps = ended_++ == 0 ? steps : std::min(outcome_.least_steps, steps);
    outcome_.most_steps = std::max(outcome_.most_steps, steps);
    outcome_.seconds = options_.seconds > 0 ? options_.seconds : elapsed();
    outcome_.end = values_of(parameters);
  }
  JobOutcome outcome() {
    outcome_.samples = samples_;
    return std::move(outcome_);
  }

 private:
  double elapsed() const { return std::chrono::duration<double>(Clock::now() - begin_).count(); }

  const StragglersOptions& options_;
  Clock::time_point begin_{};
  std::atomic<std::uint64_t> samples_{0};
  std::mutex mutex_;
  std::uint32_t ended_ = 0;
  JobOutcome outcome_;
};

/// One worker, from its first step to the last.
void work(World& world, const StragglersOptions& options, const Way& way, const testing::Straggling& straggling,
          const data::LabelledImages& set, const data::Normalisation& normalisation, const JobServers& servers,
          Tally& tally) {
  ::prctl(PR_SET_TIMERSLACK, 1000);  // sleeps end when they should
  Communicator all = world.communicator();
  const auto worker = static_cast<std::uint32_t>(world.rank());
  models::Mlp<float> model(model_of(options, set));
  std::uint64_t steps = 0;
  {
    DataParallel data_parallel(way.is_together() ? all : *all.split(world.rank(), 0), model.parameters(),
                               {.synchronizer = servers.synchronizer(worker)});
    auto share = way.is_together() ? data::SamplerOptions{.count = set.size()}
                                   : data::share_of(set.size(), worker, options.workers);
    share.global_batch = way.is_together() ? options.batch * options.workers : options.batch;
    share.seed = options.seed;
    data::DistributedSampler sampler(share);
    data::BatchLoader loader(set, {.depth = 1, .threads = 0, .normalisation = normalisation});
    // An update of one worker's is an Nth of one of all.
    const double rate = way.is_together() ? options.learning_rate : options.learning_rate / options.workers;
    Sgd optimizer({.learning_rate = rate});
    all.barrier({.label = "connected"});
    if (worker == 0) tally.begin();
    all.barrier({.label = "begin"});
    for (bool is_over = false; !is_over;) {
      for (Step& step : data_parallel.steps(sampler)) {
        straggling.compute(worker, steps + 1);
        for (Shard& shard : step.shards()) {
          loader.request(shard.samples());
          const data::Batch batch = loader.next();
          model.forward_backward(batch.features, batch.labels, [&](std::size_t p) { shard.ready(p); });
        }
        if (tally.is_over()) data_parallel.request_stop();
        is_over = step.reduce() != StepOutcome::ready;
        if (is_over) break;
        if (options.decays) optimizer.set_learning_rate(rate * tally.decay());
        step.apply(optimizer);
        ++steps;
        if (worker == 0 || !way.is_together()) tally.note(step.batch_size(), model.parameters());
      }
    }
    tally.end(steps, model.parameters());
  }  // has left its servers: none waits for it
  all.barrier({.label = "end"});
}

}  // namespace

models::MlpOptions model_of(const StragglersOptions& options, const data::LabelledImages& set) {
  models::MlpOptions model{.sizes = {set.pixels()}, .seed = options.seed, .rows = options.batch};
  model.sizes.insert(model.sizes.end(), options.hidden.begin(), options.hidden.end());
  model.sizes.push_back(set.classes);
  return model;
}

JobOutcome run_job(const StragglersOptions& options, const Way& way, const testing::Straggling& straggling,
                   const data::LabelledImages& set, const data::Normalisation& normalisation) {
  const models::Mlp<float> model(model_of(options, set));
  const JobServers servers(options, way, model.parameters());
  Tally tally(options);
  testing::run_ranks(static_cast<int>(options.workers),
                     [&](World& world) { work(world, options, way, straggling, set, normalisation, servers, tally); });
  JobOutcome outcome = tally.outcome();
  outcome.most_staleness = servers.most_staleness();
  return outcome;
}

}  // namespace trireme::bench
