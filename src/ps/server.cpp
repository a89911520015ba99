// SPDX-License-Identifier: Apache-2.0
#include "trireme/ps/server.hpp"

#include "ps/acceptor.hpp"
#include "ps/event_loop.hpp"
#include "ps/notary.hpp"
#include "ps/partner_links.hpp"
#include "ps/roster.hpp"
#include "ps/shard_layout.hpp"
#include "ps/wire.hpp"
#include "trireme/base/error.hpp"
#include "trireme/net/host.hpp"

#include <algorithm>
#include <mutex>
#include <random>
#include <utility>

namespace trireme::ps {
namespace {

/// Links of other servers, kept until keys are known.
constexpr std::size_t most_early = 64;

std::uint64_t random_number() {
  std::random_device device;
  return (std::uint64_t{device()} << 32) | device();
}

class LoopServer final : public Server, private Acceptor::Host {
 public:
  explicit LoopServer(ServerOptions options)
      : options_(std::move(options)),
        incarnation_(random_number()),
        acceptor_({.bind = options_.bind,
                   .local = "trireme-ps-" + net_name(incarnation_),
                   .congestion = options_.congestion,
                   .key = options_.key,
                   .identity = net::make_identity(options_.job_id, "server", connection_purpose(options_.tls),
                                                  options_.epoch, static_cast<int>(options_.server)),
                   .tls = options_.tls,
                   .log = options_.log},
                  *this) {
    if (options_.plan) open(options_.plan);
    try {
      acceptor_.start();
    } catch (...) {
      if (links_) links_->stop();  // its thread knows the loops, which go before it
      if (notary_) notary_->stop();
      end_loops();
      throw;
    }
  }

  ~LoopServer() override {
    acceptor_.stop();
    if (links_) links_->stop();    // loops may still tell it of losses
    if (notary_) notary_->stop();  // and ask it
    end_loops();
  }

  ServerCard card() const override {
    return {.server = options_.server,
            .incarnation = incarnation_,
            .host = net::host_identity(),
            .addresses = acceptor_.addresses(),
            .local = acceptor_.local()};
  }

  Statistics statistics() const override {
    Statistics all;
    std::lock_guard lock(mutex_);
    all.refused = acceptor_.refused();
    for (const auto& loop : loops_) {
      const EventLoop::Statistics one = loop->statistics();
      all.connections += one.connections;
      all.pushes += one.shard.pushes;
      all.pulls += one.shard.pulls;
      all.duplicates += one.shard.duplicates;
      all.dropped += one.shard.dropped;
      all.refused += one.refused;
      all.bytes_in += one.bytes_in;
      all.bytes_out += one.bytes_out;
      all.waiting_bytes += one.waiting_bytes;
      all.most_waiting_bytes += one.most_waiting_bytes;
      all.queued_bytes += one.queued_bytes;
      all.most_queued_bytes += one.most_queued_bytes;
      all.served_groups += one.served_groups;
      all.replicated_groups += one.replicated_groups;
      all.most_staleness = std::max(all.most_staleness, one.shard.most_staleness);
    }
    return all;
  }

  std::uint32_t present() const override { return roster_.present(); }
  std::uint32_t left() const override { return roster_.have_left(); }
  std::optional<Error> failure() const override {
    std::lock_guard lock(mutex_);
    const bool all_told =
        std::all_of(loops_.begin(), loops_.end(), [](const auto& loop) { return loop->has_stopped(); });
    return all_told ? failure_ : std::nullopt;
  }

 private:
  static std::string net_name(std::uint64_t number) { return std::to_string(number); }

  void end_loops() {
    std::vector<std::unique_ptr<EventLoop>>
        loops;  // goes without the lock: one that stops meanwhile looks for the others
    std::lock_guard lock(mutex_);
    loops.swap(loops_);
  }

  /// Half a server is none: others are to serve what it served, or nobody. On the thread of the loop that stopped.
  void end_all(const Error& why) {
    acceptor_.refuse_all();
    {
      std::lock_guard lock(mutex_);
      for (const auto& loop : loops_) loop->stop(why);
      if (std::exchange(failure_, why)) return;
    }
    // Without the lock: whoever owns the log may ask for statistics there.
    options_.log(LogLevel::error,
                 "parameter server " + std::to_string(options_.server) + " serves no more: " + why.message);
  }

  /// From here on keys have a place. The acceptor's thread, or the constructor's.
  void open(std::shared_ptr<const KeyPlan> plan) {
    if (options_.server >= plan->options().servers)
      fail(ErrorCode::invalid_argument, "parameter server " + std::to_string(options_.server) +
                                            " has no keys in a plan of " + std::to_string(plan->options().servers) +
                                            " servers");
    const std::uint32_t loops = plan->options().loops;
    const bool has_views = options_.others && plan->options().replicas && plan->options().servers > 1;
    if (has_views && !options_.first_said)
      fail(ErrorCode::invalid_argument, "a parameter server's options: replicas need first_said, where servers agree");
    if (has_views) {
      notary_ = std::make_unique<Notary>(options_.first_said, plan->options().servers, options_.log);
      links_ = std::make_unique<PartnerLinks>(PartnerLinks::Options{.server = options_.server,
                                                                    .servers = plan->options().servers,
                                                                    .caller{.key = options_.key,
                                                                            .job_id = options_.job_id,
                                                                            .epoch = options_.epoch,
                                                                            .rank = static_cast<int>(options_.server),
                                                                            .congestion = options_.congestion,
                                                                            .tls = options_.tls},
                                                                    .others = options_.others,
                                                                    .log = options_.log});
    }
    std::vector<EventLoop*> places;
    std::vector<std::unique_ptr<EventLoop>> opened;
    struct Stops {  // before loops go that it knows, if not all can be opened
      Notary* notary;
      ~Stops() {
        if (notary != nullptr) notary->stop();
      }
    } stops{notary_.get()};
    for (std::uint32_t loop = 0; loop < loops; ++loop) {
      opened.push_back(std::make_unique<EventLoop>(
          EventLoop::Options{.shard{.server = options_.server,
                                    .loop = loop,
                                    .incarnation = incarnation_,
                                    .plan = plan,
                                    .consistency = options_.consistency,
                                    .workers = options_.workers,
                                    .backup_workers = options_.backup_workers,
                                    .leaves = options_.leaves,
                                    .settings = options_.settings,
                                    .make_optimizer = options_.make_optimizer,
                                    .staleness_aware = options_.staleness_aware,
                                    .memory_bytes = options_.memory.value / loops,
                                    .has_views = has_views},
                             .payload_limit = most_payload_bytes(*plan),
                             .queue_limit = std::max<std::uint64_t>(options_.memory.value / 64, 1u << 20),
                             .most_queued = std::max<std::uint64_t>(options_.memory.value, 64u << 20),
                             .replica_lost =
                                 [this, loop] {
                                   if (links_) links_->lost(loop);
                                 },
                             .stopped = [this](const Error& why) { end_all(why); },
                             .propose =
                                 [this, loop](const View& view, std::function<void(const View&)> decided) {
                                   notary_->ask(loop, view, std::move(decided));
                                 },
                             .log = options_.log},
          roster_));
      places.push_back(opened.back().get());
    }
    {
      std::lock_guard lock(mutex_);
      loops_ = std::move(opened);
      for (const auto& loop : loops_) {
        if (failure_) loop->stop(*failure_);
      }
    }
    stops.notary = nullptr;
    plan_ = std::move(plan);
    if (links_) links_->start(std::move(places));
  }

  /// Another server, to which a worker came sooner.
  std::string keep_until_keys_are_known(Reception::Guest& guest) {
    std::erase_if(early_, [&](const Reception::Guest& each) {  // it has dialled again
      return each.identity.rank == guest.identity.rank && each.role.loop == guest.role.loop;
    });
    if (early_.size() == most_early) return "this server knows no keys yet";
    early_.push_back(std::move(guest));
    return {};
  }

  /// Where a guest belongs; or why it must go.
  std::string seat(Reception::Guest& guest) override {
    if (!plan_) {
      if (!guest.join) return keep_until_keys_are_known(guest);
      if (guest.join->plan.empty()) return "this server knows no keys, and the worker brings none";
      try {
        auto plan = decode_plan(guest.join->plan);
        if (plan->fingerprint() != guest.join->plan_fingerprint) return "the plan it brings is not the one it names";
        open(std::move(plan));
      } catch (const Exception& exception) {
        return exception.error().message;
      }
      for (Reception::Guest& each : std::exchange(early_, {})) {
        if (each.role.loop < loops_.size()) {
          loops_[each.role.loop]->add(std::move(each));
        } else {
          options_.log(LogLevel::warning, "the parameter server dropped a connection from " + each.from +
                                              ": it asks for event loop " + std::to_string(each.role.loop) + " of " +
                                              std::to_string(loops_.size()));
        }
      }
    }
    if (guest.role.loop >= loops_.size())
      return "it asks for event loop " + std::to_string(guest.role.loop) + " of " + std::to_string(loops_.size());
    loops_[guest.role.loop]->add(std::move(guest));
    return {};
  }

  const ServerOptions options_;
  const std::uint64_t incarnation_;
  Roster roster_;
  std::shared_ptr<const KeyPlan> plan_;  ///< the acceptor's
  std::vector<Reception::Guest> early_;  ///< the same
  std::unique_ptr<Notary> notary_;
  std::unique_ptr<PartnerLinks> links_;
  mutable std::mutex mutex_;  ///< guards what follows: loops appear while others ask for statistics
  std::optional<Error> failure_;
  std::vector<std::unique_ptr<EventLoop>> loops_;
  Acceptor acceptor_;
};

}  // namespace

std::unique_ptr<Server> Server::start(ServerOptions options) {
  return std::make_unique<LoopServer>(std::move(options));
}

}  // namespace trireme::ps
