// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "rendezvous/doorbell.hpp"
#include "trireme/base/error.hpp"
#include "trireme/net/socket.hpp"
#include "trireme/rendezvous/control.hpp"

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace trireme {

/// The control channel while a world opens: listens to it before there is a context, so that a rank that dies or fails then
/// is named to all at once; afterwards passes it on to the context.
/// Threads: the owner's; verdicts come on the channel's.
class ControlRelay final : public rendezvous::ControlListener, public std::enable_shared_from_this<ControlRelay> {
 public:
  using Open = std::function<std::unique_ptr<rendezvous::ControlChannel>(rendezvous::ControlListener&)>;
  /// Errors: as `open_channel`.
  static std::shared_ptr<ControlRelay> open(int rank, std::uint64_t epoch, const Open& open_channel);
  ~ControlRelay();

  /// The names of the ranks' hosts, for verdicts that lack one.
  void learn(std::vector<std::string> hosts);
  std::uint64_t epoch() const { return epoch_; }
  /// Errors: the verdict, when there is one.
  void check() const;
  /// Readable from the verdict on.
  int descriptor() const { return bell_.descriptor(); }

  /// As long as this lives the verdict shuts `socket` down: whoever waits for it finds it closed.
  class Severing {
   public:
    Severing(ControlRelay& relay, const net::Socket& socket);
    Severing(const Severing&) = delete;
    ~Severing();

   private:
    ControlRelay& relay_;
    net::Socket duplicate_;  // of its own: the socket may move, end, and its number go to somebody else
  };

  /// Ends the channel because this rank cannot open its world: the others hear why, unless it was they who told.
  void give_up(const Error& error) noexcept;
  /// From now on `heir` listens, and hears what came before; the channel is its own.
  std::unique_ptr<rendezvous::ControlChannel> hand_over(rendezvous::ControlListener& heir);

  rendezvous::Status status() noexcept override;
  void verdict(const rendezvous::Cause& cause) noexcept override;

 private:
  ControlRelay(int rank, std::uint64_t epoch) : rank_(rank), epoch_(epoch) {}
  rendezvous::Cause with_host(rendezvous::Cause cause) const;

  const int rank_;
  const std::uint64_t epoch_;
  rendezvous::Doorbell bell_;
  mutable std::mutex mutex_;  ///< guards what follows, but for the channel
  rendezvous::ControlListener* heir_ = nullptr;
  std::optional<rendezvous::Cause> verdict_;
  std::vector<std::string> hosts_;
  int severed_ = -1;  ///< what the verdict shuts down
  std::unique_ptr<rendezvous::ControlChannel> channel_;
};

}  // namespace trireme
