// SPDX-License-Identifier: Apache-2.0
#include "trireme/rendezvous/server.hpp"

#include "rendezvous/dial.hpp"
#include "rendezvous/doorbell.hpp"
#include "rendezvous/framed_socket.hpp"
#include "rendezvous/poller.hpp"
#include "rendezvous/quiet_thread.hpp"
#include "rendezvous/reception.hpp"
#include "rendezvous/sparing_log.hpp"
#include "rendezvous/store_service.hpp"
#include "trireme/base/error.hpp"
#include "trireme/rendezvous/coordinator.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <map>
#include <mutex>
#include <set>

#include <netdb.h>
#include <sys/socket.h>

namespace trireme::rendezvous {
namespace {

using Clock = Deadline::Clock;

constexpr std::uint64_t listener_id = 0;
constexpr std::uint64_t bell_id = 1;
constexpr std::uint64_t first_connection_id = 2;
/// While accepting is not possible (no room, no descriptors), it is tried again after this.
constexpr std::chrono::milliseconds accept_pause{100};
/// After goodbye, how long clients have to close: bytes of theirs that nobody reads would reset what we sent.
constexpr std::chrono::milliseconds goodbye_limit{500};
/// A peer that asks but does not read is not read from while this much waits for it.
constexpr std::size_t queue_limit = 4u << 20;

struct Connection {
  Connection(std::uint64_t id_, net::Socket socket_, std::string from_, int rank_, Hello::Service service_)
      : id(id_), socket(std::move(socket_)), from(std::move(from_)), rank(rank_), service(service_) {}
  std::uint64_t id;
  FramedSocket socket;
  std::string from;
  int rank;
  Hello::Service service;
  bool reads = true, writes = false;  ///< what the poller watches for
  bool is_over = false;               ///< said goodbye or ended: closed at the end of the turn
};

std::string describe_peer(const net::Socket& socket) {
  sockaddr_storage storage{};
  socklen_t length = sizeof storage;
  char host[NI_MAXHOST], port[NI_MAXSERV];
  auto* address = reinterpret_cast<sockaddr*>(&storage);
  if (::getpeername(socket.descriptor(), address, &length) != 0 ||
      ::getnameinfo(address, length, host, sizeof host, port, sizeof port, NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
    return "an unknown address";
  }
  return net::Address{host, static_cast<std::uint16_t>(std::strtoul(port, nullptr, 10))}.to_string();
}

class TcpServer final : public Server {
 public:
  explicit TcpServer(Options options)
      : log_(options.log),
        dropped_(options.log, "more connections were dropped"),
        linger_(options.linger),
        epoch_(options.epoch),
        serving_rank_(options.serving_rank),
        members_(options.members),
        listener_(net::listen_tcp(options.bind, 1024)),
        address_(net::local_address(listener_)),
        coordinator_({.world_size = options.world_size, .collection = options.collection, .epoch = options.epoch}),
        reception_(options.key, net::make_identity(options.job_id, "rendezvous", connection_purpose, options.epoch, -1),
                   bell_) {
    poller_.add(listener_.descriptor(), listener_id);
    poller_.add(bell_.descriptor(), bell_id);
    thread_ = start_quiet_thread([this] { run(); });
  }

  ~TcpServer() override { settle(); }

  void settle() override {
    stopping_ = true;
    bell_.ring();
    if (thread_.joinable()) thread_.join();
  }

  net::Address address() const override { return address_; }

  void process_ended(int rank, std::string detail) override {
    {
      std::lock_guard lock(mutex_);
      ended_.emplace_back(rank, std::move(detail));
    }
    bell_.ring();
  }

  void process_interrupted(int rank, std::string detail) override {
    {
      std::lock_guard lock(mutex_);
      interrupted_.emplace_back(rank, std::move(detail));
    }
    bell_.ring();
  }

  void process_succeeded(int rank) override {
    {
      std::lock_guard lock(mutex_);
      succeeded_.push_back(rank);
    }
    bell_.ring();
  }

  bool left_open(int rank) const override {
    std::lock_guard lock(mutex_);
    return left_open_.count(rank) != 0;
  }

  std::optional<Cause> verdict() const override {
    std::lock_guard lock(mutex_);
    return verdict_;
  }

  bool everyone_joined() const override { return everyone_joined_; }

 private:
  void run() noexcept {
    try {
      while (must_run()) turn();
    } catch (const std::exception& exception) {
      log_(LogLevel::error, std::string("the rendezvous server stops: ") + exception.what());
    }
    connections_.clear();
    listener_.close();
  }

  /// A collection that has begun is ended even when stopping, so that the others hear why and not only that we are gone.
  /// Without one, those who have not left yet may be about to; whoever is still there then is let go.
  bool must_run() {
    if (!stopping_) return true;
    take_ended_processes();
    if (coordinator_.next_moment()) return true;
    if (coordinator_.verdict() || !has_controls()) return false;
    const auto now = Clock::now();
    if (!stop_at_) stop_at_ = now + linger_;
    if (now < *stop_at_) return true;
    if (said_goodbye_) return false;
    said_goodbye_ = true;
    stop_at_ = now + goodbye_limit;
    for (auto& [rank, id] : controls_) {
      if (Connection* control = control_of(rank)) send(*control, Goodbye{});
    }
    close_finished();
    return has_controls();
  }

  bool has_controls() {
    return std::any_of(controls_.begin(), controls_.end(),
                       [this](const auto& seat) { return control_of(seat.first) != nullptr; });
  }

  /// One wait, and what came of it.
  void turn() {
    std::optional<Clock::time_point> moment = coordinator_.next_moment();
    for (const auto& other : {accept_again_at_, stop_at_}) {
      if (other && (!moment || *other < *moment)) moment = other;
    }
    for (const Poller::Event& event : poller_.wait(moment)) {
      if (event.id == listener_id) {
        accept_waiting();
      } else if (event.id == bell_id) {
        bell_.answer();
      } else if (auto entry = connections_.find(event.id); entry != connections_.end()) {
        serve(*entry->second, event);
      }
    }
    if (accept_again_at_ && Clock::now() >= *accept_again_at_) {
      accept_again_at_.reset();
      poller_.change(listener_.descriptor(), listener_id, true, false);
      accept_waiting();
    }
    for (Reception::Guest& guest : reception_.ready()) seat(std::move(guest));
    take_ended_processes();
    coordinate();
    close_finished();
  }

  // --- arriving ---

  void accept_waiting() {
    for (;;) {
      if (!reception_.has_room()) return pause_accepting();
      net::Socket socket(::accept4(listener_.descriptor(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
      if (!socket.is_open()) {
        if (errno == EAGAIN || errno == EWOULDBLOCK) return;
        if (errno == EINTR || errno == ECONNABORTED) continue;
        log_(LogLevel::warning, std::string("cannot accept connections for now: ") + std::strerror(errno));
        return pause_accepting();
      }
      std::string from = describe_peer(socket);
      try {
        reception_.admit(std::move(socket), from);
      } catch (const std::exception& exception) {
        drop_line(from, exception.what());
        return pause_accepting();
      }
    }
  }

  void pause_accepting() {
    poller_.change(listener_.descriptor(), listener_id, false, false);
    accept_again_at_ = Clock::now() + accept_pause;
  }

  void seat(Reception::Guest guest) {
    if (!guest.identity || !guest.hello) return drop_line(guest.from, guest.problem);
    int rank = guest.identity->rank;
    bool is_control = guest.hello->service == Hello::Service::control;
    auto connection =
        std::make_unique<Connection>(next_id_++, std::move(guest.socket), guest.from, rank, guest.hello->service);
    if (auto refusal = disagreement(rank, guest.hello->world_size)) {
      turn_away(*connection, ErrorCode::mismatch, *refusal);
      if (coordinator_.everyone_joined()) return;
      // Its place stays empty: those who wait for it must hear, too.
      const int member = rank < coordinator_.world_size() ? rank : -1;
      return coordinator_.reported(
          0, {.code = ErrorCode::mismatch, .epoch = epoch_, .member = member, .message = *refusal}, Clock::now());
    }
    if (auto refusal = refuse(rank, is_control)) return turn_away(*connection, ErrorCode::invalid_argument, *refusal);
    Connection& seated = *connection;
    poller_.add(seated.socket.descriptor(), seated.id);
    connections_.emplace(seated.id, std::move(connection));
    if (is_control) {
      coordinator_.joined(rank, guest.hello->host);
      controls_[rank] = seated.id;
      everyone_joined_ = coordinator_.everyone_joined();  // before the last rank can know that it has joined
    }
    send(seated, Welcome{});
    visited_ = true;
    if (is_control && coordinator_.verdict()) send(seated, Verdict{*coordinator_.verdict()});
  }

  /// What is wrong with the number of ranks that `rank` was told.
  std::optional<std::string> disagreement(int rank, std::uint32_t told) const {
    const std::string own = std::to_string(coordinator_.world_size());
    if (told == 0 || std::to_string(told) == own) return std::nullopt;
    return "rank " + std::to_string(rank) + " was started with WORLD_SIZE " + std::to_string(told) + ", " +
           (serving_rank_ < 0 ? "the launcher" : "rank " + std::to_string(serving_rank_)) + " with " + own +
           ": give every process the same WORLD_SIZE";
  }

  std::optional<std::string> refuse(int rank, bool is_control) const {
    if (is_control) return coordinator_.refusal(rank);
    if (rank >= 0 && rank < coordinator_.world_size()) return std::nullopt;
    return members_ + " " + std::to_string(rank) + " is outside the world of " +
           std::to_string(coordinator_.world_size()) + " " + members_ + "s";
  }

  void turn_away(Connection& guest, ErrorCode code, const std::string& why) {
    guest.socket.queue(encode(ServerMessage(Refused{code, why})));
    guest.socket.flush();
    drop_line(guest.from, why);
  }

  void drop_line(const std::string& from, const std::string& why) {
    dropped_.warn("dropped a connection from " + from + ": " + why);
  }

  // --- serving ---

  void serve(Connection& connection, const Poller::Event& event) {
    if (event.writable) flush(connection);
    bool is_open = !event.readable || connection.socket.receive();
    while (!connection.is_over) {
      // What is asked beyond the limit waits in the reader until the peer has taken its answers.
      if (connection.socket.queued_bytes() >= queue_limit) break;
      auto body = connection.socket.next();
      if (!body) break;
      auto message = parse_client_message(*body);
      if (!message || !std::visit([&](auto& request) { return handle(connection, request); }, *message)) {
        drop_line(connection.from, "it sent what is not of this protocol");
        is_open = false;
        break;
      }
    }
    if (connection.socket.is_corrupt()) {
      drop_line(connection.from, "it sent a frame beyond the limit");
      is_open = false;
    }
    if (!is_open) end(connection);
    if (!connection.is_over) flush(connection);
  }

  bool handle(Connection&, Hello&) { return false; }

  bool handle(Connection& connection, SetRequest& request) {
    return connection.service == Hello::Service::store && send_all(store_.set(connection.id, request));
  }
  bool handle(Connection& connection, GetRequest& request) {
    return connection.service == Hello::Service::store && send_all(store_.get(connection.id, request));
  }
  bool handle(Connection& connection, AddRequest& request) {
    return connection.service == Hello::Service::store && send_all(store_.add(connection.id, request));
  }

  bool handle(Connection& connection, Report& report) {
    if (connection.service != Hello::Service::control) return false;
    log_(LogLevel::debug, "rank " + std::to_string(connection.rank) + " reports: " + report.cause.message);
    if (report.cause.member >= coordinator_.world_size() || report.cause.member < -1) report.cause.member = -1;
    coordinator_.reported(connection.rank, std::move(report.cause), Clock::now());
    return true;
  }

  bool handle(Connection& connection, Answer& answer) {
    if (connection.service != Hello::Service::control) return false;
    answer.status.rank = connection.rank;  // nobody answers for another
    coordinator_.answered(answer.status);
    return true;
  }

  bool handle(Connection& connection, Leave&) {
    if (connection.service != Hello::Service::control) return false;
    coordinator_.left(connection.rank);
    send(connection, Goodbye{});
    finish(connection);
    return true;
  }

  bool handle(Connection& connection, Abandon&) {
    if (connection.service != Hello::Service::control) return false;
    coordinator_.lost(connection.rank, "an exception closed its World", Clock::now());
    send(connection, Goodbye{});
    finish(connection);
    return true;
  }

  bool send_all(const std::vector<StoreService::Outgoing>& outgoing) {
    for (const auto& [id, message] : outgoing) {
      if (auto entry = connections_.find(id); entry != connections_.end()) send(*entry->second, message);
    }
    return true;
  }

  void send(Connection& connection, const ServerMessage& message) {
    if (connection.is_over) return;
    connection.socket.queue(encode(message));
    flush(connection);
  }

  void flush(Connection& connection) {
    if (!connection.socket.flush()) return end(connection);
    bool writes = connection.socket.queued_bytes() > 0;
    bool reads = connection.socket.queued_bytes() < queue_limit;
    if (reads == connection.reads && writes == connection.writes) return;
    connection.reads = reads;
    connection.writes = writes;
    poller_.change(connection.socket.descriptor(), connection.id, reads, writes);
  }

  /// The connection has ended without a goodbye.
  void end(Connection& connection) {
    if (connection.is_over) return;
    finish(connection);
    if (connection.service != Hello::Service::control) return;
    if (said_goodbye_) return coordinator_.left(connection.rank);
    if (!coordinator_.verdict()) vanished_.insert(connection.rank);
    if (connection.socket.is_silent())
      coordinator_.fell_silent(connection.rank, Clock::now());
    else
      coordinator_.lost(connection.rank, "", Clock::now());
  }

  void finish(Connection& connection) {
    connection.is_over = true;
    finished_.push_back(connection.id);
  }

  // --- deciding ---

  void take_ended_processes() {
    std::vector<std::pair<int, std::string>> ended;
    {
      std::lock_guard lock(mutex_);
      ended.swap(ended_);
      stopped_.insert(stopped_.end(), interrupted_.begin(), interrupted_.end());
      interrupted_.clear();
      missed_.insert(missed_.end(), succeeded_.begin(), succeeded_.end());
      succeeded_.clear();
    }
    for (auto& [rank, detail] : ended) coordinator_.lost(rank, std::move(detail), Clock::now());
    std::erase_if(stopped_, [this](auto& stopped) {
      if (control_of(stopped.first) != nullptr) return false;  // its goodbye, or the want of one, is still to be read
      coordinator_.lost(stopped.first, std::move(stopped.second), Clock::now());
      return true;
    });
    if (!visited_) return;  // a program that opens no World is none of our business
    std::erase_if(missed_, [this](int rank) {
      if (!coordinator_.has_joined(rank)) {
        coordinator_.lost(rank, "", Clock::now());
        return true;
      }
      if (control_of(rank) != nullptr) return false;  // its goodbye, or the want of one, is still to be read
      if (vanished_.count(rank) != 0) {
        coordinator_.exited_well(rank);
        std::lock_guard lock(mutex_);
        left_open_.insert(rank);
      }
      return true;
    });
  }

  void coordinate() {
    Coordinator::Actions actions = coordinator_.poll(Clock::now());
    for (int rank : actions.query) {
      if (Connection* control = control_of(rank)) send(*control, Query{});
    }
    if (!actions.publish) return;
    log_(LogLevel::info, "verdict: " + actions.publish->message);
    {
      std::lock_guard lock(mutex_);
      verdict_ = actions.publish;
    }
    for (auto& [rank, id] : controls_) {
      if (Connection* control = control_of(rank)) send(*control, Verdict{*actions.publish});
    }
    send_all(store_.fail_waiting(*actions.publish));
  }

  Connection* control_of(int rank) {
    auto seat = controls_.find(rank);
    if (seat == controls_.end()) return nullptr;
    auto entry = connections_.find(seat->second);
    return entry == connections_.end() || entry->second->is_over ? nullptr : entry->second.get();
  }

  void close_finished() {
    for (std::uint64_t id : finished_) {
      store_.forget(id);
      connections_.erase(id);
    }
    finished_.clear();
  }

  Log log_;
  SparingLog dropped_;
  const std::chrono::milliseconds linger_;
  const std::uint64_t epoch_;
  const int serving_rank_;
  const std::string members_;
  Doorbell bell_;
  Poller poller_;
  net::Socket listener_;
  net::Address address_;

  // The thread's alone.
  Coordinator coordinator_;
  StoreService store_;
  Reception reception_;
  std::map<std::uint64_t, std::unique_ptr<Connection>> connections_;
  std::map<int, std::uint64_t> controls_;  ///< rank to connection
  std::vector<std::uint64_t> finished_;
  std::uint64_t next_id_ = first_connection_id;
  std::optional<Clock::time_point> accept_again_at_;
  std::optional<Clock::time_point> stop_at_;  ///< when stopping: the end of what we wait for
  bool said_goodbye_ = false;
  bool visited_ = false;                              ///< some rank has come
  std::vector<int> missed_;                           ///< ranks that ended with success, not yet looked at
  std::vector<std::pair<int, std::string>> stopped_;  ///< ranks that ended interrupted, not yet looked at
  std::set<int> vanished_;  ///< ranks whose control channel ended without goodbye before any verdict

  std::atomic<bool> stopping_{false};
  std::atomic<bool> everyone_joined_{false};
  mutable std::mutex mutex_;  ///< guards what follows
  std::vector<std::pair<int, std::string>> ended_;
  std::vector<std::pair<int, std::string>> interrupted_;
  std::vector<int> succeeded_;
  std::set<int> left_open_;
  std::optional<Cause> verdict_;
  std::thread thread_;
};

}  // namespace

std::unique_ptr<Server> Server::start(Options options) { return std::make_unique<TcpServer>(std::move(options)); }

}  // namespace trireme::rendezvous
