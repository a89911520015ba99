// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ps/channel.hpp"
#include "ps/push_lead.hpp"
#include "rendezvous/doorbell.hpp"
#include "rendezvous/poller.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

namespace trireme::ps {

/// A worker's channels to all event loops of all servers: waits for all of them at once, takes in what comes, and lets pushes go in
/// one order over all.
/// Threads: one, but for ring().
class Channels {
 public:
  using Clock = Deadline::Clock;
  /// What comes of them, in the midst of wait() and pump().
  class Host {
   public:
    virtual ~Host() = default;
    /// False: nothing more is to be taken in.
    virtual bool receive(Channel& channel, Message message) = 0;
    /// The connection has ended.
    virtual void lose(Channel& channel) = 0;
    /// What comes by it is nonsense: Channel::problem() says of what kind.
    virtual void refuse(Channel& channel) = 0;
    /// Bytes came from, or went to, a server that has let this worker in.
    virtual void moved() = 0;
    /// It is sent, under its number.
    virtual void sent(Request& request) = 0;
  };

  Channels(std::uint32_t servers, std::uint32_t loops, const std::function<std::uint64_t()>& next_number);

  Channel& of(std::uint32_t server, std::uint32_t loop) { return *channels_[server * loops_ + loop]; }
  const Channel& of(std::uint32_t server, std::uint32_t loop) const { return *channels_[server * loops_ + loop]; }
  const std::vector<std::unique_ptr<Channel>>& all() const { return channels_; }
  /// Whether all are let in; those to one server.
  bool are_welcome() const;
  bool are_welcome(std::uint32_t server) const;
  void open(Channel& channel, net::Connection connection, const Control& join, std::uint64_t payload_limit,
            IncomingFrames::Place place);
  /// Closes all.
  void clear() { channels_.clear(); }

  /// Ends the wait under way, or the next one. Threads: any.
  void ring() { bell_.ring(); }
  /// Until something comes or can go, or `moment`. Does not wait while frames are known to be there.
  using Events = std::vector<rendezvous::Poller::Event>;
  Events wait(Clock::time_point moment);
  /// Takes in what has come.
  void take_in(const Events& events, Host& host);
  /// Lets pushes begin, the most urgent of all channels first, as far as the lead allows.
  void admit_pushes(PushLead& lead, Host& host);
  /// Sends what can be sent now. `gone`: ids of requests whose memory is not sent from any more.
  void pump(std::vector<std::uint64_t>& gone, Host& host);

  std::uint64_t bytes_sent() const;
  std::uint64_t bytes_received() const;

 private:
  std::uint64_t id_of(const Channel& channel) const { return 1 + channel.server() * loops_ + channel.loop(); }
  void receive(Channel& channel, Host& host);

  const std::uint32_t loops_;
  rendezvous::Doorbell bell_;
  rendezvous::Poller poller_;
  std::vector<std::unique_ptr<Channel>> channels_;  ///< by server and loop
  std::vector<Channel*> unfinished_;  ///< frames may be in their buffers, of which the poller knows nothing
};

}  // namespace trireme::ps
