// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/parameter.hpp"
#include "trireme/ps/in_process.hpp"
#include "trireme/ps/key_plan.hpp"
#include "trireme/ps/server.hpp"
#include "trireme/ps/synchronizer.hpp"

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace trireme::testing {

/// Servers for ranks that are threads.
class ServedRanks {
 public:
  struct Options {
    std::uint32_t servers = 2;
    std::uint32_t loops = 2;
    std::uint64_t partition_bytes = 16'384;
    ps::Consistency consistency{};
    std::uint32_t workers = 1;
    std::uint32_t backup_workers = 0;
    std::uint32_t leaves = 1;
    std::vector<std::string> row_sparse{};
    std::function<std::unique_ptr<Optimizer>()> make_optimizer{};
    bool staleness_aware = false;
    bool by_sockets = false;  ///< servers with threads and sockets of their own
  };

  ServedRanks(std::span<const Parameter> parameters, const Options& options)
      : plan_(std::make_shared<const ps::KeyPlan>(
            ps::KeyPlan::tensors_of(parameters, options.row_sparse),
            ps::KeyPlanOptions{
                .servers = options.servers,
                .loops = options.loops,
                .partition_bytes = Bytes{options.partition_bytes},
                .scope = options.make_optimizer ? options.make_optimizer()->scope() : UpdateScope::elements})),
        options_(options) {
    if (!options.by_sockets) {
      in_process_ =
          std::make_unique<ps::InProcessServers>(ps::InProcessOptions{.plan = plan_,
                                                                      .consistency = options.consistency,
                                                                      .workers = options.workers,
                                                                      .backup_workers = options.backup_workers,
                                                                      .leaves = options.leaves,
                                                                      .make_optimizer = options.make_optimizer,
                                                                      .staleness_aware = options.staleness_aware});
      return;
    }
    for (std::uint32_t server = 0; server < options.servers; ++server) {
      servers_.push_back(ps::Server::start({.server = server,
                                            .plan = plan_,
                                            .consistency = options.consistency,
                                            .workers = options.workers,
                                            .backup_workers = options.backup_workers,
                                            .leaves = options.leaves,
                                            .make_optimizer = options.make_optimizer,
                                            .staleness_aware = options.staleness_aware,
                                            .key = key_,
                                            .job_id = "served"}));
    }
  }

  const std::shared_ptr<const ps::KeyPlan>& plan() const { return plan_; }
  ps::InProcessServers& in_process() const { return *in_process_; }
  /// Pushes that came too late to be summed.
  std::uint64_t dropped() const {
    std::uint64_t all = in_process_ ? in_process_->statistics().dropped : 0;
    for (const auto& server : servers_) all += server->statistics().dropped;
    return all;
  }
  std::shared_ptr<ps::Client> connect(int rank) const {
    const auto number = static_cast<std::uint32_t>(rank);
    if (in_process_) return in_process_->connect(number, std::chrono::seconds(60));
    return ps::Client::connect({.rank = number,
                                .workers = options_.workers,
                                .leaves = options_.leaves,
                                .plan = plan_,
                                .consistency = options_.consistency,
                                .key = key_,
                                .job_id = "served",
                                .servers =
                                    [this] {
                                      std::vector<ps::ServerCard> cards;
                                      for (const auto& server : servers_) cards.push_back(server->card());
                                      return cards;
                                    },
                                .timeout = std::chrono::seconds(60)},
                               Deadline::after(std::chrono::seconds(60)));
  }
  ps::SynchronizerOptions synchronizer(int rank) const { return {.client = connect(rank), .plan = plan_}; }

 private:
  std::shared_ptr<const ps::KeyPlan> plan_;
  Options options_;
  net::JobKey key_ = net::JobKey::random();
  std::unique_ptr<ps::InProcessServers> in_process_;
  std::vector<std::unique_ptr<ps::Server>> servers_;
};

}  // namespace trireme::testing
