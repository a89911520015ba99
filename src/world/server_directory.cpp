// SPDX-License-Identifier: Apache-2.0
#include "trireme/world/server_directory.hpp"

#include "trireme/base/error.hpp"
#include "trireme/net/host.hpp"
#include "trireme/rendezvous/server.hpp"
#include "world/server_listing.hpp"
#include "world/settings.hpp"

#include <algorithm>
#include <mutex>
#include <thread>
#include <utility>

namespace trireme {
namespace {

using Clock = Deadline::Clock;
using std::chrono::milliseconds;

constexpr std::uint64_t store_epoch = 0;
constexpr std::chrono::seconds first_reminder{5};
constexpr std::chrono::seconds reminder{30};
constexpr milliseconds shortest_pause{5};
constexpr milliseconds longest_pause{250};

std::string listed(const std::vector<std::uint32_t>& servers) {
  std::string text = servers.size() == 1 ? "server " : "servers ";
  for (std::size_t i = 0; i < servers.size(); ++i) text += (i == 0 ? "" : ", ") + std::to_string(servers[i]);
  return text;
}

/// The store knows ranks; a server, which is none, goes by its own number in messages.
Log log_of_server(const Log& log, int server) {
  return Log(LogLevel::debug, [log, server](LogLevel level, std::string_view line) {
    std::string text(line);
    constexpr std::string_view wrong = "server 0 looks";
    if (const auto at = text.find(wrong); at != std::string::npos)
      text.replace(at, wrong.size(), "server " + std::to_string(server) + " looks");
    log(level, text);
  });
}

rendezvous::ServerAddress store_address(const Settings& settings, bool is_server) {
  const auto& cluster = settings.cluster;
  return {.address = {cluster.store_host.value_or(cluster.master.value_or("")),
                      cluster.store_port.value_or(cluster.port.value_or(0))},
          .key = settings.key,
          .job_id = cluster.job_id,
          .epoch = store_epoch,
          .rank = is_server ? 0 : cluster.rank,
          .serving_rank = cluster.store_served ? -1 : 0,
          .members = is_server ? "server" : "rank",
          .log = is_server ? log_of_server(settings.log, cluster.server_index.value_or(0)) : settings.log};
}

Log log_of(const Options& options, const platform::Environment& environment) {
  LogLevel level = LogLevel::warning;
  parse_log_level(environment.find("TRIREME_LOG").value_or(""), level);
  return options.log ? *options.log : stderr_log(level);
}

bool is_loopback(const std::string& host) { return host == "localhost" || host == "::1" || host.starts_with("127."); }

class StoreDirectory final : public ServerDirectory {
 public:
  struct Parts {
    std::unique_ptr<rendezvous::Server> server{};  ///< worker 0's, where nobody else serves the store
    std::unique_ptr<rendezvous::Store> store;
    net::JobKey key;
    std::string job_id;
    std::chrono::milliseconds join_timeout = std::chrono::minutes(15);
    std::chrono::milliseconds timeout = std::chrono::minutes(10);
    Log log{};
    bool tls = false;
    std::vector<net::Address> listen{{"127.0.0.1", 0}};
    std::string congestion{};
    bool by_tcp = false;  ///< also between processes of one host
  };
  explicit StoreDirectory(Parts parts) : parts_(std::move(parts)) {}

  const net::JobKey& key() const override { return parts_.key; }
  const std::string& job_id() const override { return parts_.job_id; }
  std::chrono::milliseconds join_timeout() const override { return parts_.join_timeout; }
  milliseconds timeout() const override { return parts_.timeout; }
  const Log& log() const override { return parts_.log; }
  bool tls() const override { return parts_.tls; }
  std::vector<net::Address> listen_addresses() const override { return parts_.listen; }
  std::string congestion() const override { return parts_.congestion; }

  ps::ServerCard told(ps::ServerCard card) const override {
    if (parts_.by_tcp) card.local.clear();
    return card;
  }
  void publish(const ps::ServerCard& card) override {
    const std::lock_guard lock(mutex_);
    listing_.publish(*parts_.store, told(card));
  }
  std::vector<ps::ServerCard> await(std::uint32_t servers, Deadline deadline) override {
    const auto begin = Clock::now();
    auto next_reminder = begin + first_reminder;
    for (milliseconds pause = shortest_pause;; pause = std::min(pause * 2, longest_pause)) {
      std::vector<std::uint32_t> missing;
      {
        const std::lock_guard lock(mutex_);  // not while it sleeps: others ask who is there meanwhile
        missing = listing_.missing(*parts_.store, servers);
        if (missing.empty()) return listing_.cards();
      }
      const auto waited = std::chrono::duration_cast<std::chrono::seconds>(Clock::now() - begin).count();
      const std::string progress = std::to_string(servers - missing.size()) + " of " + std::to_string(servers) +
                                   " parameter servers are there; missing: " + listed(missing);
      if (deadline.passed())
        fail(ErrorCode::timeout,
             progress + ", after " + std::to_string(waited) + " s: start as many as were announced");
      if (Clock::now() >= next_reminder) {
        parts_.log(LogLevel::warning, progress + " (" + std::to_string(waited) + " s so far)");
        next_reminder = Clock::now() + reminder;
      }
      std::this_thread::sleep_for(std::min(pause, milliseconds(deadline.milliseconds_left())));
    }
  }
  std::vector<ps::ServerCard> current(std::uint32_t servers) override {
    const std::lock_guard lock(mutex_);
    return listing_.current(*parts_.store, servers);
  }
  void declare(JobFact fact) override {
    const std::lock_guard lock(mutex_);
    trireme::declare(*parts_.store, fact);
  }
  std::string first_said(const std::string& what, const std::string& text) override {
    const std::lock_guard lock(mutex_);
    const std::string key = "ps/said/" + what;
    try {
      parts_.store->set(key, text);
      return text;
    } catch (const Exception& caught) {
      if (caught.error().code != ErrorCode::invalid_argument) throw;
      return parts_.store->get(key, Deadline::after(first_reminder));
    }
  }
  std::string heard(const std::string& what, Deadline deadline) override {
    for (milliseconds pause = shortest_pause;; pause = std::min(pause * 2, longest_pause)) {
      {
        const std::lock_guard lock(mutex_);
        try {
          return parts_.store->get("ps/said/" + what, Deadline::after(longest_pause));
        } catch (const Exception& caught) {
          if (caught.error().code != ErrorCode::timeout) throw;
        }
      }
      if (deadline.passed()) fail(ErrorCode::timeout, "nobody has said anything of '" + what + "'");
      std::this_thread::sleep_for(std::min(pause, milliseconds(deadline.milliseconds_left())));
    }
  }
  bool is_declared(JobFact fact) override {
    const std::lock_guard lock(mutex_);
    return trireme::is_declared(*parts_.store, fact);
  }
  void publish(const JobShape& shape) override {
    const std::lock_guard lock(mutex_);
    listing_.publish(*parts_.store, shape);
  }
  JobShape await_shape(Deadline deadline) override {
    const std::lock_guard lock(mutex_);
    return listing_.await_shape(*parts_.store, deadline);
  }
  void worker_ended(std::uint32_t worker) override {
    const std::lock_guard lock(mutex_);
    note_ended_worker(*parts_.store, worker);
  }
  std::uint32_t workers_ended(std::uint32_t workers) override {
    const std::lock_guard lock(mutex_);
    return listing_.workers_ended(*parts_.store, workers);
  }
  void server_ended() override {
    const std::lock_guard lock(mutex_);
    listing_.note_ended_server(*parts_.store);
  }
  std::uint32_t servers_ended() override {
    const std::lock_guard lock(mutex_);
    return listing_.servers_ended(*parts_.store);
  }
  bool is_open() override {
    const std::lock_guard lock(mutex_);
    try {
      static_cast<void>(trireme::is_declared(*parts_.store, JobFact::independent_workers));
      return true;
    } catch (const Exception&) {
      return false;
    }
  }

 private:
  std::mutex mutex_;  ///< of the store, which takes one caller at a time
  Parts parts_;
  ServerListing listing_;
};

std::vector<net::Address> listen_on(const Settings& settings) {
  const std::string host = settings.cluster.store_host.value_or(settings.cluster.master.value_or("127.0.0.1"));
  if (is_loopback(host) && settings.tcp.interface.empty()) return {{"127.0.0.1", 0}};
  std::vector<net::Address> addresses;
  for (const auto& each : net::interface_addresses(settings.tcp.interface)) {
    if (!each.loopback) addresses.push_back({each.address, 0});
  }
  if (addresses.empty()) addresses.push_back({"127.0.0.1", 0});
  return addresses;
}

}  // namespace

std::shared_ptr<ServerDirectory> ServerDirectory::open(const Options& options, const platform::Environment& environment,
                                                       Opened opened) {
  Options quiet = options;  // what is to be warned of, the World beside this warns of
  if (opened == Opened::beside_world) quiet.log = Log();
  const Settings settings = settle(quiet, environment);
  Log log = opened == Opened::beside_world ? log_of(options, environment) : settings.log;
  const auto& cluster = settings.cluster;
  const bool is_server = opened == Opened::by_server;
  if (is_server) scrub_secrets();
  const auto address = store_address(settings, is_server);
  if (address.address.host.empty() || address.address.port == 0)
    fail(
        ErrorCode::invalid_argument,
        "a parameter server and its workers meet in the job's store, and nothing tells where that is: start the job with "
        "`trireme run --servers K`, or set TRIREME_STORE=1 and TRIREME_STORE_ADDR");
  const Deadline deadline = Deadline::after(settings.join_timeout);
  std::unique_ptr<rendezvous::Server> server;
  if (opened == Opened::before_world && !cluster.store_served && cluster.rank == 0) {
    server = rendezvous::Server::start({.bind = {"", address.address.port},
                                        .key = settings.key,
                                        .job_id = cluster.job_id,
                                        .epoch = store_epoch,
                                        .world_size = cluster.world,
                                        .serving_rank = 0,
                                        .log = settings.log});
  }
  auto store = rendezvous::connect_lasting_store(address, deadline);
  return std::make_shared<StoreDirectory>(StoreDirectory::Parts{.server = std::move(server),
                                                                .store = std::move(store),
                                                                .key = settings.key,
                                                                .job_id = cluster.job_id,
                                                                .join_timeout = settings.join_timeout,
                                                                .timeout = settings.timeout,
                                                                .log = std::move(log),
                                                                .tls = settings.server_tls,
                                                                .listen = listen_on(settings),
                                                                .congestion = settings.tcp.congestion,
                                                                .by_tcp = settings.transport == "tcp"});
}

std::shared_ptr<ServerDirectory> ServerDirectory::over(std::unique_ptr<rendezvous::Store> store, net::JobKey key,
                                                       std::string job_id) {
  return std::make_shared<StoreDirectory>(
      StoreDirectory::Parts{.store = std::move(store), .key = std::move(key), .job_id = std::move(job_id)});
}

}  // namespace trireme
