// SPDX-License-Identifier: Apache-2.0
#include "cli/run/nodes.hpp"

#include "rendezvous/doorbell.hpp"
#include "trireme/base/error.hpp"
#include "trireme/rendezvous/join.hpp"
#include "trireme/rendezvous/server.hpp"

#include <algorithm>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>

namespace trireme::cli {
namespace {

using rendezvous::Cause;

constexpr std::uint64_t epoch = 0;
constexpr const char* place_key = "ranks";
/// How long a reader sleeps before it looks whether it is still wanted.
constexpr std::chrono::seconds look_up{1};
/// How long a launcher of a former start of the job may take to end.
constexpr std::chrono::seconds former_life{30};
constexpr std::chrono::milliseconds retry_pause{200};
/// How long the journal's last lines may take.
constexpr std::chrono::seconds farewell_limit{2};
constexpr std::uint64_t highest_signal = 64;

constexpr const char* unknown_place = "node 0 says where the ranks meet in words that this version does not know";

/// Apart from that of the ranks, whose rendezvous is another.
std::string id_of_nodes(const std::string& job) { return "nodes/" + job; }

std::string event_key(std::int64_t number) { return "event/" + std::to_string(number); }

class JoinedNodes final : public Nodes,
                          private rendezvous::ControlListener,
                          public std::enable_shared_from_this<JoinedNodes> {
 public:
  explicit JoinedNodes(Options options) : options_(std::move(options)) {}

  ~JoinedNodes() override {
    stop_threads();
    if (control_ && !has_left_) control_->abandon();
    control_.reset();
    server_.reset();
  }

  void meet(Deadline deadline) {
    const std::string node = "node " + std::to_string(options_.node) + " of " + std::to_string(options_.nnodes);
    options_.log(LogLevel::info, node + " meets the others at " + options_.rendezvous.to_string());
    if (options_.node == 0) serve();
    const auto address = server_address();
    const auto store = arrive(address, deadline);
    control_ = rendezvous::connect_control(address, *this, deadline);
    if (options_.reached) options_.reached(shared_from_this());
    options_.log(LogLevel::info, node + " is there");
    try {
      await_cards(*store, deadline);
    } catch (const Exception& exception) {
      refuse(exception);
    }
    writing_ = rendezvous::connect_store(address, deadline);
    reading_ = rendezvous::connect_store(address, deadline);
  }

  void start_threads() {
    writer_ = std::thread([this] { write(); });
    reader_ = std::thread([this] { read(); });
  }

  const std::vector<NodeCard>& cards() const override { return cards_; }

  std::string who(int node) const override {
    const auto number = static_cast<std::size_t>(node);
    std::string name;
    if (number < cards_.size()) name = cards_[number].name;
    if (name.empty() && number < options_.names.size()) name = options_.names[number];
    return "host " + (name.empty() ? "of node " + std::to_string(node) : name + " (node " + std::to_string(node) + ")");
  }

  void give_place(const MeetingPlace& place) override { writing_->set(place_key, to_text(place)); }

  MeetingPlace await_place(Deadline deadline) override {
    try {
      const auto place = parse_meeting_place(writing_->get(place_key, deadline));
      if (!place) fail(ErrorCode::corrupt, unknown_place);
      return *place;
    } catch (const Exception& exception) {
      refuse(exception);
    }
  }

  int descriptor() const override { return bell_.descriptor(); }

  std::vector<NodeEvent> take() override {
    bell_.answer();
    std::lock_guard lock(mutex_);
    return std::exchange(arrived_, {});
  }

  std::optional<Loss> loss() const override {
    std::lock_guard lock(mutex_);
    return loss_;
  }

  void tell(NodeEvent event) override {
    event.node = options_.node;
    {
      std::lock_guard lock(mutex_);
      to_write_.push_back(to_text(event));
    }
    changed_.notify_all();
  }

  void give_up(const std::string& why) override { report(why, 0); }

  void interrupt(int signal) override {
    const std::string name = options_.card.name.empty() ? "" : " (" + options_.card.name + ")";
    report("interrupted by " + signal_name(signal) + " on node " + std::to_string(options_.node) + name +
               " while the hosts were meeting",
           signal);
    {
      std::unique_lock lock(mutex_);
      changed_.wait_for(lock, look_up, [this] { return loss_.has_value(); });
      if (!loss_) return;
    }
    if (server_) server_->settle();  // it has told all
  }

  void leave() override {
    if (reader_.joinable()) {
      tell(NodeEvent(NodeEvent::Kind::farewell));
      std::unique_lock lock(mutex_);
      changed_.wait_for(lock, farewell_limit, [this] { return is_read_ || loss_; });
    }
    if (control_) control_->leave();
    has_left_ = true;
    stop_threads();
    if (server_) server_->settle();
  }

 private:
  /// A launcher performs no operations: their number is free to carry the signal.
  void report(const std::string& why, int signal) {
    Cause cause;
    cause.code = ErrorCode::closed;
    cause.operation = static_cast<std::uint64_t>(signal);
    cause.message = why;
    if (control_) control_->report(cause);
  }

  void serve() {
    try {
      server_ = rendezvous::Server::start({.bind = {"", options_.rendezvous.port},
                                           .key = options_.key,
                                           .job_id = job_id(),
                                           .epoch = epoch,
                                           .world_size = options_.nnodes,
                                           .members = "node",
                                           .linger = options_.linger,
                                           .log = options_.log});
    } catch (const Exception& exception) {
      fail(exception.error().code, "--rendezvous " + options_.rendezvous.to_string() + ": " +
                                       exception.error().message +
                                       " (node 0 listens there for the others; give all launchers the same port)");
    }
  }

  /// A store that knows of this node. Where a platform starts containers again one by one, that of node 0 may still be about to
  /// end, with a node of this number in its books: its successor is waited for a while.
  std::unique_ptr<rendezvous::Store> arrive(const rendezvous::ServerAddress& address, Deadline deadline) const {
    const auto patience = Deadline::at(std::min(deadline.moment(), Deadline::after(former_life).moment()));
    for (;;) {
      try {
        auto store = rendezvous::connect_store(address, deadline);
        agree_on_nnodes(*store, deadline);
        if (store->add("arrivals/" + std::to_string(options_.node), 1) == 1) return store;
      } catch (const Exception& exception) {
        if (exception.error().code != ErrorCode::peer_lost) throw;  // it ended in the middle of a sentence
      }
      if (Deadline::Clock::now() + 2 * retry_pause >= patience.moment()) break;
      std::this_thread::sleep_for(retry_pause);
    }
    const std::string node = std::to_string(options_.node);
    fail(ErrorCode::invalid_argument,
         "node " + node + " is there already: two launchers were started with --node-rank " + node +
             ", or this one was started again while the others were not; start all launchers of a job again");
  }

  std::string job_id() const { return id_of_nodes(options_.job_id); }

  rendezvous::ServerAddress server_address() const {
    rendezvous::ServerAddress address{.address = options_.rendezvous,
                                      .key = options_.key,
                                      .job_id = job_id(),
                                      .epoch = epoch,
                                      .rank = options_.node,
                                      .members = "node",
                                      .log = options_.log};
    if (server_) address.address.host = "127.0.0.1";
    return address;
  }

  /// Node 0's number counts, whoever is there first.
  void agree_on_nnodes(rendezvous::Store& store, Deadline deadline) const {
    const std::string own = std::to_string(options_.nnodes);
    if (options_.node == 0) return store.set("nnodes", own);
    const std::string told = store.get("nnodes", deadline);
    if (told == own) return;
    fail(ErrorCode::invalid_argument,
         "--nnodes is " + own + " here and " + told + " on node 0: give every launcher the same");
  }

  void await_cards(rendezvous::Store& store, Deadline deadline) {
    const auto texts = rendezvous::join(store, epoch, options_.node, options_.nnodes, to_text(options_.card), deadline,
                                        options_.log, {.one = "node", .many = "nodes", .names = options_.names});
    std::vector<NodeCard> cards;
    for (const std::string& text : texts) {
      const auto card = parse_node_card(text);
      if (!card) {
        fail(ErrorCode::mismatch, "node " + std::to_string(cards.size()) +
                                      " introduces itself in words that this version does not know: start the same "
                                      "version of trireme everywhere");
      }
      cards.push_back(*card);
    }
    std::lock_guard lock(mutex_);
    cards_ = std::move(cards);
  }

  /// From within the handler of `exception`: throws what all have been told, if they have; else `exception`, which all then hear.
  [[noreturn]] void refuse(const Exception& exception) {
    const Error& error = exception.error();
    if (error.code == ErrorCode::peer_lost ||
        error.code == ErrorCode::closed) {  // the channel says why, a moment later
      std::unique_lock lock(mutex_);
      changed_.wait_for(lock, look_up, [this] { return loss_.has_value(); });
    }
    if (const auto found = loss()) fail(ErrorCode::peer_lost, found->message);
    give_up(error.message);
    throw;
  }

  // --- the control channel's thread ---

  rendezvous::Status status() noexcept override { return {}; }

  void verdict(const Cause& cause) noexcept override {
    try {
      Loss loss;
      if (cause.code == ErrorCode::peer_lost) {
        loss.node = cause.member >= 0 ? cause.member : 0;  // without a verdict, whoever would have judged is gone
        const bool is_silent = cause.message.find("does not answer") != std::string::npos;
        std::lock_guard lock(mutex_);
        loss.message = who(loss.node) + " is gone";
        if (cause.member >= 0)
          loss.message += is_silent ? ": it does not answer, so it is dead or cut off" : ": its launcher has died";
      } else {
        loss.message = cause.message;
        if (cause.code == ErrorCode::closed && cause.operation <= highest_signal)
          loss.signal = static_cast<int>(cause.operation);
      }
      lose(std::move(loss));
    } catch (const std::exception&) {  // no memory: the launcher learns of it from the journal's end
    }
  }

  void lose(Loss loss) {
    {
      std::lock_guard lock(mutex_);
      if (!loss_) loss_ = std::move(loss);
    }
    changed_.notify_all();
    bell_.ring();
  }

  // --- the journal ---

  void write() noexcept {
    try {
      for (;;) {
        std::string text;
        {
          std::unique_lock lock(mutex_);
          changed_.wait(lock, [this] { return stopping_ || !to_write_.empty(); });
          if (to_write_.empty()) return;
          text = std::move(to_write_.front());
          to_write_.pop_front();
        }
        writing_->set(event_key(writing_->add("events", 1) - 1), text);
      }
    } catch (const std::exception&) {
      journal_broke();
    }
  }

  void read() noexcept {
    try {
      for (std::int64_t next = 0; !is_stopping();) {
        std::string text;
        try {
          text = reading_->get(event_key(next), Deadline::after(look_up));
        } catch (const Exception& exception) {
          if (exception.error().code == ErrorCode::timeout) continue;
          throw;
        }
        ++next;
        if (const auto event = parse_node_event(text)) take_in(*event);
        if (has_parted()) return;
      }
    } catch (const std::exception&) {
      journal_broke();
    }
  }

  /// The control channel knows better, if it has anything to say.
  void journal_broke() noexcept {
    try {
      {
        std::unique_lock lock(mutex_);
        changed_.wait_for(lock, farewell_limit, [this] { return loss_ || stopping_; });
        if (loss_ || stopping_) return;
      }
      lose({0, who(0) + " is gone: it keeps the job's journal no longer"});
    } catch (const std::exception&) {
    }
  }

  void take_in(const NodeEvent& event) {
    {
      std::lock_guard lock(mutex_);
      if (event.kind == NodeEvent::Kind::farewell && event.node == options_.node) is_read_ = true;
      arrived_.push_back(event);
    }
    changed_.notify_all();
    bell_.ring();
  }

  bool is_stopping() {
    std::lock_guard lock(mutex_);
    return stopping_;
  }
  bool has_parted() {
    std::lock_guard lock(mutex_);
    return is_read_;
  }

  void stop_threads() {
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    changed_.notify_all();
    for (std::thread* thread : {&writer_, &reader_}) {
      if (thread->joinable()) thread->join();
    }
  }

  const Options options_;
  std::unique_ptr<rendezvous::Server> server_;  ///< of node 0; ends last
  std::unique_ptr<rendezvous::Store> writing_, reading_;
  rendezvous::Doorbell bell_;  ///< wakes the launcher from poll
  std::vector<NodeCard> cards_;
  bool has_left_ = false;

  mutable std::mutex mutex_;  ///< guards what follows, and cards_ until all have met
  std::condition_variable changed_;
  std::deque<std::string> to_write_;
  std::vector<NodeEvent> arrived_;
  std::optional<Loss> loss_;
  bool stopping_ = false;
  bool is_read_ = false;  ///< the journal, up to our farewell

  std::thread writer_, reader_;
  std::unique_ptr<rendezvous::ControlChannel> control_;
};

}  // namespace

MeetingPlace place_of_ranks(const net::Address& rendezvous, const net::JobKey& key, const std::string& job_id,
                            const Log& log, Deadline deadline) {
  const auto store = rendezvous::connect_store(
      {.address = rendezvous, .key = key, .job_id = id_of_nodes(job_id), .epoch = epoch, .members = "node", .log = log},
      deadline);
  const auto place = parse_meeting_place(store->get(place_key, deadline));
  if (!place) fail(ErrorCode::corrupt, unknown_place);
  return *place;
}

std::shared_ptr<Nodes> Nodes::meet(Options options, Deadline deadline) {
  auto nodes = std::make_shared<JoinedNodes>(std::move(options));
  nodes->meet(deadline);
  nodes->start_threads();
  return nodes;
}

}  // namespace trireme::cli
