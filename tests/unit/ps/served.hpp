// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ps/dial.hpp"
#include "ps/incoming_frames.hpp"
#include "ps/outgoing_frames.hpp"
#include "ps/wire.hpp"
#include "trireme/base/error.hpp"
#include "trireme/net/host.hpp"
#include "trireme/optim/sgd.hpp"
#include "trireme/ps/client.hpp"
#include "trireme/ps/server.hpp"

#include <atomic>
#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace trireme::testing {

inline Deadline soon() { return Deadline::after(std::chrono::seconds(60)); }

/// Looks until it holds; false after a minute.
template <class Condition>
bool comes_true(Condition&& condition) {
  const Deadline limit = soon();
  while (!condition()) {
    if (limit.passed()) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

/// Lines that something logged.
class Lines {
 public:
  Log log() {
    return {LogLevel::debug, [this](LogLevel, std::string_view line) {
              if (before) before(line);
              std::lock_guard lock(mutex_);
              lines_.emplace_back(line);
            }};
  }
  std::size_t with(const std::string& part) const {
    std::lock_guard lock(mutex_);
    std::size_t count = 0;
    for (const auto& line : lines_) count += line.find(part) != std::string::npos;
    return count;
  }
  /// Called with each line first; what it throws, whoever logs gets.
  std::function<void(std::string_view)> before{};

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> lines_;
};

/// Servers of one plan, their keys and where they are now.
struct Served {
  explicit Served(std::vector<ps::TensorInfo> tensors, ps::KeyPlanOptions plan_options = {},
                  ps::Consistency consistency_ = ps::Consistency::parse("async"))
      : plan(std::make_shared<const ps::KeyPlan>(std::move(tensors), plan_options)), consistency(consistency_) {
    servers.resize(plan->options().servers);
    cards.resize(servers.size());
  }
  ~Served() { servers.clear(); }

  ps::ServerOptions server_options(std::uint32_t server) {
    ps::ServerOptions options{.server = server,
                              .plan = plan,
                              .consistency = consistency,
                              .workers = workers,
                              .leaves = workers,
                              .key = key,
                              .job_id = "served",
                              .tls = tls,
                              .log = lines.log()};
    // A learning rate of 1: what is pushed is taken off the values, so they count pushes.
    if (with_optimizer) options.make_optimizer = [] { return std::make_unique<Sgd>(SgdOptions{.learning_rate = 1.0}); };
    if (!plan->options().replicas) return options;
    options.others = [this, server] { return reached_from(server); };
    options.first_said = [this, server](const std::string& what, const std::string& text) {
      if (said_elsewhere) return said_elsewhere(server, what, text);
      std::lock_guard lock(mutex);
      return decided.try_emplace(what, text).first->second;
    };
    return options;
  }
  ps::Server& start(std::uint32_t server) {
    servers[server] = ps::Server::start(server_options(server));
    std::lock_guard lock(mutex);
    cards[server] = servers[server]->card();
    return *servers[server];
  }
  /// It has ended for good: nothing leads to it any more.
  void withdraw(std::uint32_t server) {
    std::lock_guard lock(mutex);
    cards[server] = {};
  }
  void start_all() {
    for (std::uint32_t server = 0; server < servers.size(); ++server) start(server);
  }
  /// The cards that a server sees: those of servers that it does not reach are not among them.
  std::vector<ps::ServerCard> reached_from(std::uint32_t server) {
    std::vector<ps::ServerCard> all = published();
    std::lock_guard lock(mutex);
    std::erase_if(all, [&](const ps::ServerCard& card) { return cuts.contains({server, card.server}); });
    for (ps::ServerCard& card : all) {
      const auto way = ways.find(card.server);
      if (way == ways.end()) continue;
      card.addresses = {way->second};
      card.local.clear();
    }
    return all;
  }
  std::vector<ps::ServerCard> published() {
    std::lock_guard lock(mutex);
    std::vector<ps::ServerCard> all;
    for (const auto& card : cards) {
      if (card.addresses.empty()) continue;
      all.push_back(card);
      if (by_tcp) all.back().local.clear();
    }
    return all;
  }

  ps::ClientOptions client_options(std::uint32_t rank = 0) {
    return {.rank = rank,
            .workers = workers,
            .leaves = workers,
            .plan = plan,
            .consistency = consistency,
            .key = key,
            .job_id = "served",
            .tls = tls,
            .servers = [this] { return published(); },
            .timeout = std::chrono::seconds(60),
            .takeover = std::chrono::milliseconds(100),
            .log = lines.log()};
  }
  std::unique_ptr<ps::Client> client(std::uint32_t rank = 0) {
    return ps::Client::connect(client_options(rank), soon());
  }

  std::shared_ptr<const ps::KeyPlan> plan;
  ps::Consistency consistency;
  std::uint32_t workers = 1;
  bool with_optimizer = true;
  bool by_tcp = false;
  bool tls = false;
  net::JobKey key = net::JobKey::random();
  Lines lines;
  /// Where a server has views decided, if not here.
  std::function<std::string(std::uint32_t server, const std::string& what, const std::string& text)> said_elsewhere{};
  std::mutex mutex;  ///< guards what follows
  std::map<std::string, std::string> decided;
  std::set<std::pair<std::uint32_t, std::uint32_t>> cuts;  ///< from a server to another
  std::map<std::uint32_t, net::Address> ways;              ///< by which other servers reach one, if not by its card
  std::vector<ps::ServerCard> cards;
  std::vector<std::unique_ptr<ps::Server>> servers;
};

/// Ends the event loop of a server that logs this, once: as if there were no memory for the line.
inline std::function<void(std::string_view)> throw_at(std::string part) {
  return [part = std::move(part), thrown = std::make_shared<std::atomic<bool>>(false)](std::string_view line) {
    if (line.find(part) != std::string_view::npos && !thrown->exchange(true))
      throw std::runtime_error("no room for a line");
  };
}

/// A tensor of f32.
inline ps::TensorInfo tensor(std::string name, std::int64_t count) {
  return {.name = std::move(name), .shape = {count}};
}

/// A worker that a test plays itself, byte for byte, from one thread.
struct RawWorker {
  RawWorker(Served& served, std::uint32_t server, std::uint32_t loop, std::uint32_t rank = 0)
      : socket(ps::dial(served.published().at(server),
                        {.key = served.key, .job_id = "served", .rank = static_cast<int>(rank), .tls = served.tls},
                        {.loop = loop}, soon())),
        incoming(64u << 20) {
    say(ps::Join{.worker = (std::uint64_t{rank} << 32) | 1,
                 .rank = rank,
                 .workers = served.workers,
                 .leaves = served.workers,
                 .plan_fingerprint = served.plan->fingerprint(),
                 .consistency = served.consistency.to_string()});
  }

  void say(const ps::Control& control, std::span<const std::byte> payload = {}) {
    net::send_all(socket, ps::encode_frame(control, payload.size()), soon());
    net::send_all(socket, payload, soon());
  }
  ps::Message hear() {
    ps::Message message;
    for (;;) {
      switch (incoming.next(socket, message)) {
        case ps::IncomingFrames::Outcome::frame: return message;
        case ps::IncomingFrames::Outcome::nothing:
          if (!net::wait_readable(socket.socket(), soon()))
            throw std::runtime_error("a server said nothing for a minute");
          break;
        case ps::IncomingFrames::Outcome::ended: throw std::runtime_error("a server has closed the connection");
        case ps::IncomingFrames::Outcome::corrupt: throw std::runtime_error("a server sent nonsense");
      }
    }
  }
  /// Waits for the server to close the connection.
  bool is_closed() {
    ps::Message message;
    for (;;) {
      const auto outcome = incoming.next(socket, message);
      if (outcome == ps::IncomingFrames::Outcome::ended) return true;
      if (outcome == ps::IncomingFrames::Outcome::corrupt) return false;
      if (outcome == ps::IncomingFrames::Outcome::nothing && !net::wait_readable(socket.socket(), soon())) return false;
    }
  }
  /// The next message of a kind; others are passed over.
  template <class Kind>
  std::pair<Kind, ps::Payload> hear_of() {
    for (;;) {
      ps::Message message = hear();
      if (auto* kind = std::get_if<Kind>(&message.control)) return {std::move(*kind), std::move(message.payload)};
    }
  }

  net::Connection socket;
  ps::IncomingFrames incoming;
};

inline std::size_t threads_of_this_process() {
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& each : std::filesystem::directory_iterator("/proc/self/task")) ++count;
  return count;
}

inline std::size_t descriptors_of_this_process() {
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& each : std::filesystem::directory_iterator("/proc/self/fd")) ++count;
  return count;
}

}  // namespace trireme::testing
