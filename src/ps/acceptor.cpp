// SPDX-License-Identifier: Apache-2.0
#include "ps/acceptor.hpp"

#include "ps/outgoing_frames.hpp"
#include "rendezvous/quiet_thread.hpp"
#include "trireme/base/error.hpp"
#include "trireme/net/host.hpp"

#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>

#include <sys/socket.h>

namespace trireme::ps {
namespace {

using Clock = Deadline::Clock;

constexpr int backlog = 512;  // all workers of a job may come at once
/// While accepting is not possible (no room, no descriptors), it is tried again after this.
constexpr std::chrono::milliseconds accept_pause{20};

bool is_any(const std::string& host) { return host.empty() || host == "0.0.0.0" || host == "::"; }

/// Loopback is told to nobody, unless there is nothing else.
void add_addresses(const net::Address& bind, std::uint16_t port, std::vector<net::Address>& all) {
  if (!is_any(bind.host)) {
    all.push_back({bind.host, port});
    return;
  }
  std::vector<net::Address> loopback, others;
  for (const net::InterfaceAddress& each : net::interface_addresses()) {
    if (bind.host == "0.0.0.0" && each.ipv6) continue;
    (each.loopback ? loopback : others).push_back({each.address, port});
  }
  const auto& chosen = others.empty() ? loopback : others;
  all.insert(all.end(), chosen.begin(), chosen.end());
}

std::string peer_of(const net::Socket& socket) {
  try {
    return net::peer_address(socket).to_string();
  } catch (const Exception&) {
    return "a peer that is gone";
  }
}

}  // namespace

Acceptor::Acceptor(Options options, Host& host)
    : options_(std::move(options)),
      host_(host),
      dropped_(options_.log, "more connections were dropped"),
      reception_(std::in_place, options_.key, options_.identity, options_.tls, [this] { bell_.ring(); }) {
  for (const net::Address& bind : options_.bind) {
    listeners_.push_back(net::listen_tcp(bind, backlog));
    if (!net::settle_congestion(listeners_.back(), options_.congestion))
      fail(ErrorCode::invalid_argument, "this process cannot use the congestion control '" + options_.congestion + "'");
    add_addresses(bind, net::local_address(listeners_.back()).port, addresses_);
  }
  listeners_.push_back(net::listen_local(options_.local, backlog));
  poller_.add(bell_.descriptor(), listeners_.size());
  for (std::size_t i = 0; i < listeners_.size(); ++i) poller_.add(listeners_[i].descriptor(), i);
}

void Acceptor::start() {
  thread_ = rendezvous::start_quiet_thread([this] { run(); });
}

void Acceptor::refuse_all() {
  stopping_ = true;
  bell_.ring();
}

void Acceptor::stop() {
  refuse_all();
  if (thread_.joinable()) thread_.join();
  listeners_.clear();
}

void Acceptor::run() noexcept {
  try {
    while (!stopping_) turn();
  } catch (const std::exception& exception) {
    options_.log(LogLevel::error, std::string("a parameter server takes no more connections: ") + exception.what());
  }
  listeners_.clear();
  reception_.reset();  // who is not seated yet must not wait here for ever
}

void Acceptor::turn() {
  for (const rendezvous::Poller::Event& event : poller_.wait(accept_again_at_)) {
    if (event.id == listeners_.size())
      bell_.answer();
    else
      accept_from(event.id);
  }
  if (accept_again_at_ && Clock::now() >= *accept_again_at_) {
    accept_again_at_.reset();
    watch(true);
  }
  for (Reception::Guest& guest : reception_->ready()) {
    if (guest.problem.empty()) guest.problem = host_.seat(guest);
    if (!guest.problem.empty()) turn_away(guest, guest.problem);
  }
}

void Acceptor::accept_from(std::size_t listener) {
  const bool is_tcp = listener + 1 != listeners_.size();
  for (;;) {
    if (!reception_->has_room()) return pause_accepting();
    net::Socket socket(::accept4(listeners_[listener].descriptor(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!socket.is_open()) {
      if (errno == EAGAIN || errno == EWOULDBLOCK) return;
      if (errno == EINTR || errno == ECONNABORTED) continue;
      options_.log(LogLevel::warning, std::string("cannot accept connections for now: ") + std::strerror(errno));
      return pause_accepting();
    }
    const std::string from = is_tcp ? peer_of(socket) : "this host";
    try {
      reception_->admit(std::move(socket), from, is_tcp);
    } catch (const std::exception& exception) {
      dropped_.warn("the parameter server dropped a connection from " + from + ": " + exception.what());
      return pause_accepting();
    }
  }
}

void Acceptor::pause_accepting() {
  watch(false);
  accept_again_at_ = Clock::now() + accept_pause;
}

void Acceptor::watch(bool accepts) {
  for (std::size_t i = 0; i < listeners_.size(); ++i) poller_.change(listeners_[i].descriptor(), i, accepts, false);
}

void Acceptor::turn_away(Reception::Guest& guest, const std::string& why) {
  ++refused_;
  if (guest.join && guest.socket.is_open()) {
    OutgoingFrames answer;
    answer.queue(make_frame(Refused{ErrorCode::mismatch, why}));
    answer.flush(guest.socket);
  }
  dropped_.warn("the parameter server dropped a connection from " + guest.from + ": " + why);
}

}  // namespace trireme::ps
