// SPDX-License-Identifier: Apache-2.0
#include "cli/perf/push_pull_bench.hpp"

#include "cli/perf/raw_tcp.hpp"
#include "cli/perf/statistics.hpp"
#include "trireme/base/error.hpp"
#include "trireme/ps/split.hpp"

#include <algorithm>
#include <chrono>
#include <functional>
#include <optional>
#include <span>
#include <string>

namespace trireme::cli {
namespace {

using BenchClock = std::chrono::steady_clock;

template <class Body>
double seconds_of(Body&& body) {
  const auto begin = BenchClock::now();
  body();
  return std::chrono::duration<double>(BenchClock::now() - begin).count();
}

std::string text_from(const std::vector<std::byte>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::shared_ptr<const ps::KeyPlan> plan_for(const PushPullOptions& options, const ServingRanks& serving,
                                            std::size_t count) {
  std::vector<ps::TensorInfo> tensors;
  for (std::uint32_t key = 0; key < options.keys; ++key)
    tensors.push_back({.name = "key" + std::to_string(key), .shape = {static_cast<std::int64_t>(count)}});
  return std::make_shared<const ps::KeyPlan>(
      std::move(tensors), ps::KeyPlanOptions{.servers = static_cast<std::uint32_t>(serving.ranks.size()),
                                             .loops = options.loops,
                                             .partition_bytes = Bytes{std::max<std::uint64_t>(count * 4, 16384)},
                                             .shares = serving.shares});
}

}  // namespace

ServingRanks serving_ranks(const PushPullOptions& options, int ranks) {
  const auto workers = static_cast<std::uint32_t>(ranks - options.spare);
  std::vector<double> shares(static_cast<std::size_t>(ranks));
  if (!options.split) {
    std::fill_n(shares.begin(), options.servers.value_or(ranks), 1.0);
  } else if (options.split == PushPullSplit::optimal) {
    shares = ps::OptimalSplit::of(workers, static_cast<std::uint32_t>(options.spare)).shares();
  } else {
    const bool on_spare = options.split == PushPullSplit::spare;
    for (std::uint32_t rank = 0; rank < shares.size(); ++rank) shares[rank] = (rank >= workers) == on_spare ? 1.0 : 0.0;
  }
  ServingRanks serving;
  for (int rank = 0; rank < ranks; ++rank) {
    const double share = shares[static_cast<std::size_t>(rank)];
    if (share <= 0) continue;
    serving.ranks.push_back(rank);
    serving.shares.push_back(share);
  }
  return serving;
}

PushPullBench::PushPullBench(World& world, const PushPullOptions& options, std::size_t bytes)
    : world_(world),
      options_(options),
      bytes_(bytes),
      count_(bytes / 4),
      workers_(static_cast<std::uint32_t>(world.size() - options.spare)) {
  Communicator communicator = world.communicator();
  const auto rank = static_cast<std::uint32_t>(world.rank());
  const ServingRanks serving = serving_ranks(options, world.size());
  const std::string own_key = net::JobKey::random().to_text();
  const auto key = net::JobKey::from_text(
      text_from(communicator.broadcast_bytes(std::as_bytes(std::span(own_key)), 0, {.label = "key"})));
  const auto plan = plan_for(options, serving, count_);
  std::string card;
  const auto place = std::find(serving.ranks.begin(), serving.ranks.end(), world.rank());
  if (place != serving.ranks.end()) {
    const std::string host = world.local_size() == world.size() ? "127.0.0.1" : "";
    server_ = ps::Server::start(
        {.server = static_cast<std::uint32_t>(place - serving.ranks.begin()),
         .plan = plan,
         .workers = workers_,
         .leaves = workers_,
         .memory = Bytes{std::max<std::uint64_t>(std::uint64_t{1} << 30, 8 * options.keys * bytes * workers_)},
         .bind = {{host, 0}},
         .congestion = options.congestion,
         .key = key,
         .job_id = "perf",
         .tls = options.tls});
    card = server_->card().to_text();
  }
  std::vector<ps::ServerCard> cards;
  for (const auto& text : communicator.all_gather_bytes(std::as_bytes(std::span(card)), {.label = "cards"})) {
    if (text.empty()) continue;
    cards.push_back(ps::ServerCard::parse(text_from(text)));
    if (options.tcp) cards.back().local.clear();
  }
  if (!is_worker()) {
    communicator.barrier({.label = "connected"});
    return;
  }
  gradients_.resize(count_ * options.keys);
  means_.resize(count_ * options.keys);
  client_ = ps::Client::connect({.rank = rank,
                                 .workers = workers_,
                                 .leaves = workers_,
                                 .plan = plan,
                                 .key = key,
                                 .job_id = "perf",
                                 .congestion = options.congestion,
                                 .tls = options.tls,
                                 .servers = [cards] { return cards; }},
                                Deadline::after(std::chrono::seconds(60)));
  // Small even numbers times rank + 1: sums and means are exact.
  for (std::size_t i = 0; i < gradients_.size(); ++i) gradients_[i] = static_cast<float>(2 * (i % 61) * (rank + 1));
  communicator.barrier({.label = "connected"});
}

PushPullBench::~PushPullBench() = default;

void PushPullBench::run_once() {
  if (!is_worker()) return;
  ++step_;
  const std::span<float> means(means_), gradients(gradients_);
  for (std::size_t t = 0; t < options_.keys; ++t) {
    client_->expect_sum(t, step_, means.subspan(t * count_, count_));
    client_->push(t, {0, count_}, std::span<const float>(gradients.subspan(t * count_, count_)), {.step = step_});
  }
  for (std::size_t t = 0; t < options_.keys; ++t) client_->wait_sum(t, step_, means.subspan(t * count_, count_));
}

std::uint64_t PushPullBench::wrong() const {
  std::uint64_t count = 0;
  for (std::size_t i = 0; i < means_.size(); ++i) count += means_[i] != static_cast<float>((i % 61) * (workers_ + 1));
  return count;
}

PushPullRow PushPullBench::row_of(const std::vector<double>& mine, std::uint64_t iterations) {
  const auto ranks = static_cast<std::size_t>(world_.size());
  std::vector<double> all(mine.size() * ranks);
  Communicator communicator = world_.communicator();
  communicator.all_gather(std::span<const double>(mine), std::span<double>(all), {.label = "times"});
  const std::vector<double> times = slowest(all, ranks);
  PushPullRow row{.bytes = bytes_, .iterations = iterations};
  const double median = percentile(times, 0.5);
  row.p50_us = median * 1e6;
  row.p99_us = percentile(times, 0.99) * 1e6;
  row.keys_per_s = median > 0 ? options_.keys / median : 0.0;
  row.gbps = algorithm_bandwidth(Bytes{std::uint64_t{bytes_} * options_.keys}, median);
  return row;
}

PushPullBench::Rows PushPullBench::measure() {
  Communicator communicator = world_.communicator();
  std::optional<RawTcp> raw;
  if (world_.rank() == 0) raw.emplace(options_.keys, bytes_, options_.congestion);
  const auto from = std::as_bytes(std::span<const float>(gradients_));
  const auto to = std::as_writable_bytes(std::span(means_));
  std::uint64_t bad = 0;
  for (std::uint64_t i = 0; i < options_.warmup; ++i) {
    std::fill(means_.begin(), means_.end(), -1.0f);
    run_once();
    bad += wrong();
    if (!raw) continue;  // the first rank is a worker
    raw->exchange(from, to);
    if (means_ != gradients_) fail(ErrorCode::corrupt, "the yardstick's own result is wrong");
  }
  const std::uint64_t iterations = options_.iterations_for(bytes_);
  std::vector<double> ours, plain(iterations);
  // In turn: whatever else the machine does, it does to both.
  for (std::uint64_t i = 0; i < iterations; ++i) {
    communicator.barrier({.label = "push_pull"});
    if (raw) plain[i] = seconds_of([&] { raw->exchange(from, to); });
    communicator.barrier({.label = "push_pull"});
    ours.push_back(seconds_of([&] { run_once(); }));
  }
  bad += wrong();
  Rows rows{.ours = row_of(ours, iterations), .raw_tcp = row_of(plain, iterations)};
  std::vector<std::uint64_t> counts(static_cast<std::size_t>(world_.size()));
  const std::vector<std::uint64_t> own{bad};
  communicator.all_gather(std::span<const std::uint64_t>(own), std::span<std::uint64_t>(counts), {.label = "wrong"});
  for (const std::uint64_t each : counts) rows.ours.wrong += each;
  return rows;
}

}  // namespace trireme::cli
