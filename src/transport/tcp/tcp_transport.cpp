// SPDX-License-Identifier: Apache-2.0
#include "transport/admission.hpp"
#include "transport/tcp/tcp_link.hpp"
#include "trireme/base/error.hpp"
#include "trireme/net/host.hpp"
#include "trireme/transport/tcp.hpp"

#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

namespace trireme::transport {
namespace {

/// "host-identity/address,address,…": all of a rank's addresses; loopback ones are of use on the same host only.
struct Card {
  std::string host;
  std::vector<std::string> addresses;
};

bool parse_card(std::string_view text, Card& card) {
  const auto slash = text.rfind('/');  // the host identity may hold some itself
  if (slash == std::string_view::npos) return false;
  card.host = text.substr(0, slash);
  for (auto rest = text.substr(slash + 1); !rest.empty();) {
    const auto comma = std::min(rest.find(','), rest.size());
    if (comma != 0) card.addresses.emplace_back(rest.substr(0, comma));
    rest.remove_prefix(std::min(comma + 1, rest.size()));
  }
  return !card.addresses.empty();
}

bool is_loopback(std::string_view address) { return address.starts_with("127.") || address.starts_with("[::1]"); }

class TcpTransport final : public SocketTransport {
 public:
  TcpTransport(const Membership& self, const TcpOptions& options) : self_(self), host_(net::host_identity()) {
    const auto interfaces = net::interface_addresses(options.interface);
    listener_ = listen(options);
    const auto port = net::local_address(listener_).port;
    card_ = host_ + "/";
    // Loopback last: a peer on this host may use it, but prefers nothing by its place here; off-host it is never tried.
    for (bool loopback : {false, true}) {
      for (const auto& each : interfaces) {
        if (each.loopback == loopback) card_ += net::Address{each.address, port}.to_string() + ",";
      }
    }
    if (card_.back() == ',') card_.pop_back();
    if (card_.back() == '/')
      fail(ErrorCode::system, "no network interface is up: transport tcp needs at least loopback");
  }

  std::string_view name() const override { return "tcp"; }
  std::string card() const override { return card_; }
  bool reaches(std::string_view peer_card) const override {
    Card card;
    return parse_card(peer_card, card) && !candidates(card).empty();
  }

  net::Socket reach(int peer, std::string_view peer_card, Deadline deadline) override {
    Card card;
    parse_card(peer_card, card);
    std::vector<net::Address> addresses;
    for (const auto& text : candidates(card)) addresses.push_back(net::Address::parse(text));
    try {
      return net::race_tcp(addresses, deadline).socket;
    } catch (const Exception& error) {
      fail(error.error().code, "rank " + std::to_string(peer) + ": " + error.error().message);
    }
  }

  std::unique_ptr<Link> introduce(int peer, net::Socket socket, Deadline deadline) const override {
    admit_as_client(socket, self_, peer, deadline);
    return std::make_unique<TcpLink>(std::move(socket));
  }

  int listening_descriptor() const override { return listener_.descriptor(); }

  std::optional<net::Socket> take(Deadline deadline) override { return net::accept(listener_, deadline); }

  std::pair<int, std::unique_ptr<Link>> admit(net::Socket socket, Deadline deadline,
                                              std::string& refusal) const override {
    const auto peer = admit_as_server(socket, self_, deadline, refusal);
    if (!peer) return {-1, nullptr};
    return {*peer, std::make_unique<TcpLink>(std::move(socket))};
  }

 private:
  static net::Socket listen(const TcpOptions& options) {
    if (options.first_port == 0) return net::listen_tcp({"", 0});
    for (int port = options.first_port; port <= options.last_port; ++port) {
      try {
        return net::listen_tcp({"", static_cast<std::uint16_t>(port)});
      } catch (const Exception& error) {
        if (port == options.last_port || error.error().code != ErrorCode::invalid_argument) throw;
      }
    }
    fail(ErrorCode::invalid_argument, "the port range " + std::to_string(options.first_port) + "-" +
                                          std::to_string(options.last_port) + " is empty");
  }
  /// On the same host loopback alone: it is always there, whatever the interfaces do. Elsewhere everything but it.
  std::vector<std::string> candidates(const Card& card) const {
    const bool same_host = card.host == host_;
    std::vector<std::string> result;
    for (const auto& address : card.addresses) {
      if (is_loopback(address) == same_host) result.push_back(address);
    }
    return !result.empty() || !same_host ? result : card.addresses;
  }
  Membership self_;
  std::string host_;
  net::Socket listener_;
  std::string card_;
};

}  // namespace

std::unique_ptr<Transport> make_tcp_transport(const Membership& self, const TcpOptions& options) {
  return std::make_unique<TcpTransport>(self, options);
}

}  // namespace trireme::transport
