// SPDX-License-Identifier: Apache-2.0
#include "cli/train/server_split.hpp"

#include "trireme/ps/client.hpp"
#include "trireme/ps/split.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

namespace trireme::cli {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t probe_elements = 262'144;  // 1 MB: several times what a limiter lets through at once
constexpr int attempts = 3;
/// A dedicated server that holds nothing is one all the same.
constexpr double least_share = 1e-9;

std::string probe_name(std::uint32_t server) { return "probe/" + std::to_string(server); }
std::string probe_job(const std::string& job_id) { return job_id + "/probe"; }

std::shared_ptr<const ps::KeyPlan> probe_plan() {
  return std::make_shared<const ps::KeyPlan>(
      std::vector<ps::TensorInfo>{{.name = "probe", .shape = {static_cast<std::int64_t>(probe_elements)}}},
      ps::KeyPlanOptions{.partition_bytes = Bytes{4 * probe_elements}});
}

/// Bytes per second each way.
double speed_to(const ps::ServerCard& card, ServerDirectory& directory, std::uint64_t first_step) {
  ps::ServerCard only = card;
  only.server = 0;
  const auto client = ps::Client::connect({.plan = probe_plan(),
                                           .key = directory.key(),
                                           .job_id = probe_job(directory.job_id()),
                                           .congestion = directory.congestion(),
                                           .tls = directory.tls(),
                                           .servers = [only] { return std::vector{only}; },
                                           .timeout = directory.timeout()},
                                          Deadline::after(directory.join_timeout()));
  std::vector<float> elements(probe_elements);
  const std::span<float> all(elements);
  double best = 0.0;
  for (int attempt = 0; attempt < attempts; ++attempt) {
    const std::uint64_t step = first_step + static_cast<std::uint64_t>(attempt);
    const auto began = Clock::now();
    client->expect_sum(0, step, all);
    client->push(0, {0, probe_elements}, std::span<const float>(all), {.step = step});
    client->wait_sum(0, step, all);
    const double seconds = std::chrono::duration<double>(Clock::now() - began).count();
    best = std::max(best, 2 * static_cast<double>(all.size_bytes()) / std::max(seconds, 1e-9));
  }
  client->leave();
  return best;
}

}  // namespace

ServerSplit split_over(std::span<const double> workers, std::span<const double> servers, Bytes model) {
  const ps::MeasuredSplit measured = ps::split_for(workers, servers, model);
  ServerSplit split{.serving = {}, .shares = {}, .explanation = measured.explanation};
  for (std::size_t s = 0; s < servers.size(); ++s)
    split.shares.push_back(std::max(measured.shares[workers.size() + s], least_share));
  for (std::size_t w = 0; w < workers.size(); ++w) {
    if (measured.shares[w] <= 0) continue;
    split.serving.push_back(static_cast<std::uint32_t>(w));
    split.shares.push_back(measured.shares[w]);
  }
  return split;
}

std::unique_ptr<ps::Server> offer_probe(ServerDirectory& directory, std::uint32_t server) {
  auto probe = ps::Server::start({.server = 0,
                                  .plan = probe_plan(),
                                  .bind = directory.listen_addresses(),
                                  .congestion = directory.congestion(),
                                  .key = directory.key(),
                                  .job_id = probe_job(directory.job_id()),
                                  .tls = directory.tls()});
  directory.first_said(probe_name(server), directory.told(probe->card()).to_text());
  return probe;
}

ServerSplit measured_split(Communicator workers, ServerDirectory& directory, std::uint32_t servers, Bytes model) {
  const auto ranks = static_cast<std::uint32_t>(workers.size()), rank = static_cast<std::uint32_t>(workers.rank());
  const Deadline deadline = Deadline::after(directory.join_timeout());
  std::vector<double> own;
  for (std::uint32_t turn = 0; turn < ranks; ++turn) {
    for (std::uint32_t s = 0; s < servers && turn == rank; ++s) {
      const auto card = ps::ServerCard::parse(directory.heard(probe_name(s), deadline));
      own.push_back(speed_to(card, directory, 1 + std::uint64_t{rank} * attempts));
    }
    workers.barrier({.label = "links to servers"});
  }
  std::vector<double> all(own.size() * ranks);
  workers.all_gather(std::span<const double>(own), std::span(all), {.label = "links to servers"});
  std::vector<double> of_workers(ranks, 0.0), of_servers(servers, 0.0);
  for (std::uint32_t w = 0; w < ranks; ++w) {
    for (std::uint32_t s = 0; s < servers; ++s) {
      const double speed = all[std::size_t{w} * servers + s];
      of_workers[w] = std::max(of_workers[w], speed);
      of_servers[s] = std::max(of_servers[s], speed);
    }
  }
  return split_over(of_workers, of_servers, model);
}

}  // namespace trireme::cli
