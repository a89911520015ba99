// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ps/channels.hpp"
#include "ps/key_holders.hpp"
#include "ps/push_lead.hpp"
#include "ps/redialer.hpp"
#include "ps/request.hpp"
#include "trireme/base/error.hpp"
#include "trireme/ps/client.hpp"

#include <atomic>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

namespace trireme::ps {

/// The background thread of a client: what is wanted, from the call that asks for it until it is done; by which channel it goes, and what
/// comes of what servers say.
class ClientLoop : private Redialer::Host, private Channels::Host, private KeyHolders::Ways {
 public:
  using Clock = Deadline::Clock;
  /// What comes of requests. All on the background thread.
  class Host {
   public:
    virtual ~Host() = default;
    /// Where the payload of a sum goes; empty: nowhere yet. Errors: corrupt.
    virtual std::span<std::byte> place_of_sum(const Reduced& reduced, std::uint64_t payload_bytes) = 0;
    /// Whether the sum has come before: with backup workers it may, without this worker's part.
    virtual bool has_sum(Key key, std::uint64_t step) = 0;
    virtual void summed(Reduced reduced, Payload payload) = 0;
    virtual void has_values(const Request& request, const Values& values) = 0;
    virtual void has_state(const Request& request, State state, Payload payload) = 0;
    /// Nothing of the caller's memory is used for it any more.
    virtual void done(const Request& request) = 0;
    /// All channels are welcome: once.
    virtual void connected() = 0;
    virtual void left() = 0;
    /// Nothing of the caller's memory is used any more; nothing else comes.
    virtual void failed(Error cause) = 0;
  };
  struct Options {
    ClientOptions client;
    WorkerId worker = 0;
    std::uint64_t payload_limit = 0;
  };

  ClientLoop(Options options, Host& host);
  /// Closes all connections, and joins its threads.
  ~ClientLoop();

  // Threads: any.
  void submit(std::vector<std::unique_ptr<Request>> requests);
  void leave();
  /// Makes it fail, unless it has.
  void give_up(Error cause);
  /// When a byte last came from, or went to, a server.
  Deadline::Clock::time_point moved_at() const { return Clock::time_point(Clock::duration(moved_at_.load())); }
  /// Why the server of a key has no connection now; empty: it has.
  std::string absence_of(Key key) const;
  std::string name_of_key_server(Key key) const;
  Client::Statistics statistics() const;
  /// Whom servers wait for, as they say themselves.
  struct HeldUpBy {
    std::set<std::uint32_t> workers{};  ///< whose pushes are missing
    bool lack_values = false;           ///< nobody has given initial ones
    std::set<std::string> replicas{};   ///< "parameter server 0 waits for its replica, parameter server 1"
    std::set<std::string> silent{};     ///< servers that were asked and have not answered
  };
  /// Asks the servers of what is under way, of `tensor` alone if there is one, and waits for what they say until then.
  HeldUpBy ask_awaited(std::optional<std::size_t> tensor, Deadline limit);

 private:
  /// A question to all servers, and what has come of it.
  struct Inquiry {
    std::optional<std::size_t> tensor{};
    bool is_sent = false;
    struct Asked {
      std::uint32_t server = 0;
      bool gives_values = false;  ///< about a key whose initial values this worker gives
    };
    std::map<std::uint64_t, Asked> unanswered{};  ///< by number of the message
    HeldUpBy result{};
  };
  struct Arrival {
    std::uint32_t server = 0, loop = 0;
    net::Connection connection;
    std::string name;
  };

  void dialled(std::uint32_t server, std::uint32_t loop, net::Connection connection, std::string name) override;
  void not_dialled(std::uint32_t server, std::uint32_t loop, Error why) override;

  void has_no_card(std::uint32_t server) override;

  bool receive(Channel& channel, Message message) override;
  void lose(Channel& channel) override;
  void refuse(Channel& channel) override;
  void moved() override { moved_at_ = Clock::now().time_since_epoch().count(); }
  void sent(Request& request) override { by_number_[request.number] = &request; }

  bool is_welcome(std::uint32_t server, std::uint32_t loop) const override {
    return channels_.of(server, loop).is_welcome();
  }
  std::optional<Clock::time_point> lost_since(std::uint32_t server, std::uint32_t loop) const override {
    return channels_.of(server, loop).lost_since();
  }
  bool is_gone(std::uint32_t server) const override { return is_gone_[server]; }
  bool is_wanted(std::uint32_t server, std::uint32_t loop) const override {
    return channels_.of(server, loop).has_requests();
  }

  void run() noexcept;
  void turn();
  void take_in();
  void seat(Arrival arrival);
  void handle(Channel& channel, Message message);
  void handle_welcome(Channel& channel, const Welcome& welcome);
  void handle_failed(Channel& channel, const Failed& failed);
  void handle_sum(Message message);
  std::span<std::byte> place_of(const Control& control, std::uint64_t payload_bytes);
  void finish(Request& request);
  void inquire();
  void answered(std::uint64_t number, const Awaited* awaited);
  void pump_all();
  bool hear_goodbye() const;
  void look_after_lost();
  void give_up_on(std::uint32_t lost);
  void give_up_keys_of(std::uint32_t server);
  void take_over(std::uint32_t server, std::uint32_t loop, std::uint32_t holder);
  void served(const Request& request);
  std::uint32_t loop_of(const Request& request) const { return plan_->keys()[request.key].loop; }
  Channel& channel_of(const Request& request) {
    return channels_.of(holders_.of(request.group, loop_of(request)), loop_of(request));
  }
  std::uint32_t holder_locked(Key key) const {
    return told_holders_[plan_->keys()[key].server * loops_ + plan_->keys()[key].loop];
  }
  void fail_all(Error cause);
  void publish();
  std::string name_of(std::uint32_t server) const;

  const Options options_;
  const std::shared_ptr<const KeyPlan> plan_;
  const std::uint32_t servers_, loops_;
  Host& host_;

  // The thread's alone.
  std::uint64_t next_number_ = 1;
  Channels channels_;
  KeyHolders holders_;
  Join join_;
  std::vector<bool> is_gone_, began_anew_;                                ///< servers
  std::vector<bool> was_counted_;                                         ///< servers whose loss was
  std::unordered_map<std::uint64_t, std::unique_ptr<Request>> requests_;  ///< by id
  std::unordered_map<std::uint64_t, Request*> by_number_;
  std::map<std::pair<Key, std::uint64_t>, Request*> summing_;  ///< by key and step
  PushLead lead_;
  std::uint64_t joins_ = 0;
  bool has_connected_ = false, has_failed_ = false, is_leaving_ = false, said_leave_ = false, has_left_ = false;
  Clock::time_point looked_{};
  Client::Statistics counted_;

  std::atomic<Clock::rep> moved_at_{0};
  std::atomic<bool> stopping_{false};
  std::atomic<bool> asleep_{false};
  mutable std::mutex mutex_;  ///< guards what follows
  std::vector<std::unique_ptr<Request>> submitted_;
  std::vector<Arrival> arrivals_;
  std::vector<std::uint32_t> without_card_;  ///< servers
  std::vector<std::string> names_;           ///< of servers
  std::vector<std::string> absences_;        ///< of servers: why there is no connection
  std::vector<std::uint32_t> told_holders_;  ///< of keys, by server and loop
  std::optional<Error> given_up_;
  bool leave_asked_ = false;
  std::optional<Inquiry> inquiry_;
  bool takes_no_questions_ = false;  ///< it has failed
  std::condition_variable has_answered_;
  Client::Statistics statistics_;
  std::unique_ptr<Redialer> redialer_;
  std::thread thread_;
};

}  // namespace trireme::ps
