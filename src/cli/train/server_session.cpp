// SPDX-License-Identifier: Apache-2.0
#include "cli/train/server_session.hpp"

#include "cli/train/ordered_synchronizer.hpp"
#include "cli/train/parameter_server.hpp"
#include "cli/train/setup.hpp"
#include "trireme/base/error.hpp"
#include "trireme/ps/split.hpp"
#include "trireme/ps/synchronizer.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <numeric>
#include <thread>
#include <utility>

namespace trireme::cli {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds ended_look{20}, longest_look{500};
constexpr std::chrono::milliseconds stop_question{500};
constexpr std::chrono::seconds first_word{5};
constexpr std::chrono::seconds later_word{30};

}  // namespace

ServerSession::ServerSession(const TrainOptions& options, std::shared_ptr<ServerDirectory> directory, WorkerPlace place,
                             int leaves, std::vector<std::uint32_t> serving)
    : options_(options),
      directory_(std::move(directory)),
      place_(place),
      leaves_(static_cast<std::uint32_t>(leaves)),
      serving_(std::move(serving)) {
  if (serving_.empty() && options.sync.servers == 0) {
    serving_.resize(place.workers);
    std::iota(serving_.begin(), serving_.end(), 0u);
  }
  if (options.sync.replicas && servers() > 1) directory_->declare(JobFact::replicated_servers);
  // Where a worker has the only copy of keys, the others cannot go on without it.
  const bool can_lose_workers = serving_.empty() || (options.sync.replicas && servers() > 1);
  if (is_independent() && can_lose_workers) directory_->declare(JobFact::independent_workers);
}

ServerSession::~ServerSession() = default;

std::uint32_t ServerSession::servers() const {
  return options_.sync.servers + static_cast<std::uint32_t>(serving_.size());
}

void ServerSession::split(Communicator workers, Bytes model) {
  split_ = measured_split(std::move(workers), *directory_, options_.sync.servers, model);
  serving_ = split_.serving;
  if (place_.is_first())
    std::fprintf(stderr, "trireme train: --server-split optimal: %s\n", split_.explanation.c_str());
}

void ServerSession::serve(const std::vector<Parameter>& parameters, const std::vector<std::string>& row_sparse,
                          const Optimizer& optimizer) {
  const SyncChoice& sync = options_.sync;
  ps::KeyPlanOptions keys{.servers = servers(), .replicas = sync.replicas && servers() > 1};
  if (sync.servers == 0 && serving_.size() == place_.workers)
    keys.shares = ps::OptimalSplit::of(place_.workers, 0).shares();
  if (sync.splits_optimally) keys.shares = split_.shares;
  if (sync.server_optimizer) keys.scope = optimizer.scope();
  plan_ = std::make_shared<const ps::KeyPlan>(ps::KeyPlan::tensors_of(parameters, row_sparse), keys);

  const JobShape shape{.workers = place_.workers, .leaves = leaves_};
  if (place_.is_first()) directory_->publish(shape);
  const auto own = std::find(serving_.begin(), serving_.end(), place_.worker);
  if (own == serving_.end()) return;
  const auto number = sync.servers + static_cast<std::uint32_t>(own - serving_.begin());
  ps::ServerOptions served = server_options(options_, *directory_, number, servers(), shape, plan_);
  served.log = Log(LogLevel::debug, [log = directory_->log(), left = has_left_](LogLevel level, std::string_view line) {
    if (!*left) log(level, line);  // at the end servers leave each other, too
  });
  server_ = ps::Server::start(std::move(served));
  directory_->publish(server_->card());
}

std::shared_ptr<parallel::SynchronizerFactory> ServerSession::connect(const std::vector<Parameter>& parameters,
                                                                      const std::vector<std::string>& row_sparse,
                                                                      const Optimizer& optimizer) {
  const SyncChoice& sync = options_.sync;
  if (!plan_) serve(parameters, row_sparse, optimizer);
  const Deadline deadline = Deadline::after(directory_->join_timeout());
  directory_->await(servers(), deadline);
  client_ =
      ps::Client::connect({.rank = place_.worker,
                           .workers = place_.workers,
                           .leaves = leaves_,
                           .plan = plan_,
                           .consistency = sync.consistency,
                           .settings = server_settings(options_),
                           .key = directory_->key(),
                           .job_id = directory_->job_id(),
                           .congestion = directory_->congestion(),
                           .tls = directory_->tls(),
                           .servers = [directory = directory_, count = servers()] { return directory->current(count); },
                           .timeout = directory_->timeout(),
                           .log = directory_->log()},
                          deadline);
  ps::SynchronizerOptions way{.client = client_, .plan = plan_, .explanation = split_.explanation};
  if (!sync.server_optimizer) return ps::summing_synchronizer(std::move(way));
  ps::UpdatingOptions updating{.servers = std::move(way), .state = &optimizer};
  auto synchronizer = sync.is_bulk_synchronous() ? ps::updating_synchronizer(std::move(updating))
                                                 : ps::asynchronous_synchronizer(std::move(updating));
  if (!is_independent()) return synchronizer;
  return std::make_shared<OrderedSynchronizer>(std::move(synchronizer), directory_, place_.is_first());
}

std::string ServerSession::explain() const { return plan_ ? plan_->explain() : std::string(); }

void ServerSession::begin_without_steps(const std::vector<Parameter>& parameters, const Optimizer& optimizer) {
  if (!holds_state()) return;
  if (is_independent() && !place_.is_first()) return await_first_values(*directory_);
  ps::initialise(*client_, parameters, &optimizer);
  if (is_independent()) directory_->declare(JobFact::servers_have_values);
}

void ServerSession::fetch(const std::vector<Parameter>& parameters, Optimizer& optimizer) {
  if (!holds_state() || was_left_) return;
  ps::fetch_values(*client_, parameters);
  ps::fetch_state(*client_, *plan_, optimizer);
}

void ServerSession::stop_others() {
  if (is_independent() && place_.is_first()) directory_->declare(JobFact::workers_stop);
}

bool ServerSession::must_stop() {
  if (!is_independent() || place_.is_first() || Clock::now() - asked_ < stop_question) return false;
  asked_ = Clock::now();
  return directory_->is_declared(JobFact::workers_stop);
}

bool ServerSession::ends_the_job(const Error& failure) {
  if (!stops_behind_the_first() || failure.code != ErrorCode::peer_lost) return false;
  if (!directory_->is_declared(JobFact::workers_stop)) return false;
  return was_left_ = true;
}

/// Deaths are told by the launcher of ours; under others a worker that is lost is waited for until a signal comes.
void ServerSession::await_ended(std::uint32_t workers, const JobSignals& signals, const char* why) const {
  auto next_word = Clock::now() + first_word;
  for (std::uint32_t ended = 0; signals.stop_signal() == 0;) {
    const auto asked = Clock::now();
    try {
      ended = directory_->workers_ended(place_.workers);
    } catch (const Exception&) {  // the store ends with worker 0, or with the launcher: nobody waits any more
      return;
    }
    if (ended >= workers) return;
    if (Clock::now() >= next_word) {
      std::fprintf(stderr, "trireme train: %s: %u of %u have ended\n", why, ended, workers);
      next_word = Clock::now() + later_word;
    }
    std::this_thread::sleep_for(std::clamp<Clock::duration>(10 * (Clock::now() - asked), ended_look, longest_look));
  }
}

void ServerSession::finish(const std::vector<Parameter>& parameters, const JobSignals& signals) {
  if (!is_independent() || !client_ || was_left_) return;
  client_->wait_acknowledged();
  hold_up_nobody();
  if (!place_.is_first()) return;
  await_ended(place_.workers - 1, signals, "waits for the other workers, whose last updates are part of the result");
  ps::fetch_values(*client_, parameters);
}

void ServerSession::leave(const JobSignals& signals) {
  if (*has_left_ || !client_) return;
  if (is_independent()) {
    directory_->worker_ended(place_.worker);
    hold_up_nobody();
    if (server_) await_ended(place_.workers, signals, "stays for the workers that still need its server");
  }
  leave_now();
  if (is_independent() && server_) part_from_others(*directory_, servers());
}

void ServerSession::leave_now() {
  if (*has_left_ || !client_) return;
  if (was_left_) {
    *has_left_ = true;
    return;
  }
  tell_takeovers();
  tell_skipped();
  *has_left_ = true;
  client_->leave();
}

void ServerSession::tell_takeovers() const {
  const ps::Client::Statistics did = client_->statistics();
  if (did.takeovers == 0) return;
  std::fprintf(
      stderr, "trireme train: worker %u lost a server %llu times; the last one's keys were served again after %.2f s\n",
      place_.worker, static_cast<unsigned long long>(did.takeovers), did.last_takeover_seconds);
}

/// A worker that came late numbers its steps from where the others were, and so goes on beyond the last one of those that have ended and are
/// still there.
void ServerSession::hold_up_nobody() {
  if (options_.sync.consistency.kind != ps::ConsistencyKind::stale_synchronous || was_left_) return;
  if (std::exchange(holds_nobody_up_, true)) return;
  for (std::size_t t = 0; t < plan_->tensors().size(); ++t) client_->push_nothing(t, {.step = ps::no_more_steps});
  client_->wait_acknowledged();
}

void ServerSession::tell_skipped() const {
  const ps::Client::Statistics did = client_->statistics();
  if (did.skipped_steps == 0) return;
  std::fprintf(stderr, "trireme train: worker %u was late: %llu steps were made without it\n", place_.worker,
               static_cast<unsigned long long>(did.skipped_steps));
}

std::uint64_t ServerSession::take_skipped() {
  const std::uint64_t all = client_ ? client_->statistics().skipped_steps : 0;
  return all - std::exchange(skipped_, all);
}

}  // namespace trireme::cli
