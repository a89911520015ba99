// SPDX-License-Identifier: Apache-2.0
#include "world/control_relay.hpp"

#include <utility>

#include <fcntl.h>
#include <sys/socket.h>

namespace trireme {

using rendezvous::Cause;
using rendezvous::ControlChannel;

namespace {

/// The context's channel: ends before the relay that passes on what it hears.
class HandedOver final : public ControlChannel {
 public:
  HandedOver(std::shared_ptr<ControlRelay> relay, std::unique_ptr<ControlChannel> channel)
      : relay_(std::move(relay)), channel_(std::move(channel)) {}
  void report(const Cause& cause) noexcept override { channel_->report(cause); }
  void leave() noexcept override { channel_->leave(); }
  void abandon() noexcept override { channel_->abandon(); }

 private:
  std::shared_ptr<ControlRelay> relay_;
  std::unique_ptr<ControlChannel> channel_;
};

}  // namespace

std::shared_ptr<ControlRelay> ControlRelay::open(int rank, std::uint64_t epoch, const Open& open_channel) {
  std::shared_ptr<ControlRelay> relay(new ControlRelay(rank, epoch));
  relay->channel_ = open_channel(*relay);
  return relay;
}

ControlRelay::~ControlRelay() { channel_.reset(); }

void ControlRelay::learn(std::vector<std::string> hosts) {
  std::lock_guard lock(mutex_);
  hosts_ = std::move(hosts);
}

void ControlRelay::check() const {
  std::lock_guard lock(mutex_);
  if (!verdict_) return;
  const Cause cause = with_host(*verdict_);
  Error error;
  error.code = cause.code;
  error.message = cause.message;
  error.rank = rank_;
  error.peer_rank = cause.member;
  error.peer_host = cause.member_host;
  throw Exception(std::move(error));
}

ControlRelay::Severing::Severing(ControlRelay& relay, const net::Socket& socket)
    : relay_(relay), duplicate_(::fcntl(socket.descriptor(), F_DUPFD_CLOEXEC, 0)) {
  std::lock_guard lock(relay_.mutex_);
  relay_.severed_ = duplicate_.descriptor();
  if (relay_.verdict_ && duplicate_.is_open()) ::shutdown(duplicate_.descriptor(), SHUT_RDWR);
}

ControlRelay::Severing::~Severing() {
  std::lock_guard lock(relay_.mutex_);
  relay_.severed_ = -1;
}

void ControlRelay::give_up(const Error& error) noexcept {
  if (!channel_) return;
  bool told = false;
  {
    std::lock_guard lock(mutex_);
    told = verdict_.has_value();
  }
  if (told) {
    channel_->leave();
  } else {
    // A timeout would make the coordinator ask who waits for whom; in an opening world nobody can say.
    const bool is_timeout = error.code == ErrorCode::timeout;
    channel_->report({.code = is_timeout ? ErrorCode::peer_lost : error.code,
                      .epoch = epoch_,
                      .member = rank_,
                      .message = "rank " + std::to_string(rank_) + " cannot open its world: " + error.message});
    channel_->abandon();
  }
  channel_.reset();
}

std::unique_ptr<ControlChannel> ControlRelay::hand_over(rendezvous::ControlListener& heir) {
  auto channel = std::make_unique<HandedOver>(shared_from_this(), std::move(channel_));
  std::lock_guard lock(mutex_);
  heir_ = &heir;
  if (verdict_) heir.verdict(with_host(*verdict_));
  return channel;
}

rendezvous::Status ControlRelay::status() noexcept {
  std::lock_guard lock(mutex_);
  if (heir_ != nullptr) return heir_->status();
  return {.rank = rank_};
}

void ControlRelay::verdict(const Cause& cause) noexcept {
  std::lock_guard lock(mutex_);
  if (heir_ != nullptr) return heir_->verdict(with_host(cause));
  if (verdict_) return;
  verdict_ = cause;
  if (severed_ >= 0) ::shutdown(severed_, SHUT_RDWR);
  bell_.ring();
}

Cause ControlRelay::with_host(Cause cause) const {
  const bool is_known = cause.member >= 0 && static_cast<std::size_t>(cause.member) < hosts_.size();
  if (!is_known || !cause.member_host.empty()) return cause;
  cause.member_host = hosts_[static_cast<std::size_t>(cause.member)];
  const std::string bare = "rank " + std::to_string(cause.member);
  if (cause.message.starts_with(bare + ",")) cause.message.insert(bare.size(), " (" + cause.member_host + ")");
  return cause;
}

}  // namespace trireme
