// SPDX-License-Identifier: Apache-2.0
#include "transport/admission.hpp"
#include "transport/tcp/flows.hpp"
#include "transport/tcp/tcp_link.hpp"
#include "trireme/base/error.hpp"
#include "trireme/net/host.hpp"
#include "trireme/transport/tcp.hpp"

#include <algorithm>
#include <array>
#include <atomic>
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

// Of a further flow: a verdict cannot cut its handshake short, so that must end by itself.
constexpr std::chrono::seconds flow_patience{5};

class TcpTransport final : public SocketTransport {
 public:
  TcpTransport(const Membership& self, const TcpOptions& options)
      : self_(self), options_(options), host_(net::host_identity()), interfaces_(net::interface_addresses()) {
    const auto interfaces = net::interface_addresses(options.interface);
    listener_ = listen(options);
    if (options.buffer_bytes != 0) net::set_buffers(listener_, options.buffer_bytes);
    if (!net::settle_congestion(listener_, options.congestion)) {
      fail(ErrorCode::invalid_argument,
           "this process cannot use the congestion control '" + options.congestion +
               "' (TRIREME_TCP_CONGESTION): give one of /proc/sys/net/ipv4/tcp_allowed_congestion_control, or system");
    }
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
      return net::race_tcp(addresses, deadline, options_.buffer_bytes).socket;
    } catch (const Exception& error) {
      fail(error.error().code, "rank " + std::to_string(peer) + ": " + error.error().message);
    }
  }

  std::unique_ptr<Link> introduce(int peer, net::Socket socket, Deadline deadline) const override {
    admit_as_client(socket, self_, peer, deadline);
    FlowProposal proposal{.attempt = ++attempts_, .setting = static_cast<std::uint32_t>(options_.flows)};
    proposal.flows = static_cast<std::uint32_t>(
        options_.flows != 0 ? options_.flows : automatic_flows(is_local(socket), self_.world_size));
    propose_flow(socket, proposal, peer, deadline);
    const std::array<net::Address, 1> there{net::peer_address(socket)};
    std::vector<net::Socket> flows;
    flows.push_back(std::move(socket));
    while (flows.size() < proposal.flows) {
      const Deadline soon = Deadline::at(std::min(deadline.moment(), Deadline::Clock::now() + flow_patience));
      net::Socket further = net::race_tcp(there, soon, options_.buffer_bytes).socket;
      admit_as_client(further, self_, peer, soon);
      proposal.index = static_cast<std::uint32_t>(flows.size());
      propose_flow(further, proposal, peer, soon);
      flows.push_back(std::move(further));
    }
    return link(std::move(flows));
  }

  int listening_descriptor() const override { return listener_.descriptor(); }

  std::optional<net::Socket> take(Deadline deadline) override { return net::accept(listener_, deadline); }

  std::unique_ptr<Admission> admit(net::Socket socket, Deadline deadline, std::string& refusal) const override {
    const auto peer = admit_as_server(socket, self_, deadline, refusal);
    if (!peer) return nullptr;
    const auto proposal = answer_flow(socket, options_.flows, *peer, deadline, refusal);
    if (!proposal) return nullptr;
    return std::make_unique<AdmittedFlow>(*this, *peer, *proposal, std::move(socket));
  }

 private:
  /// One of a link's connections. It joins the others only in seat(): who cuts it before then cuts no link that is in use.
  class AdmittedFlow final : public Admission {
   public:
    AdmittedFlow(const TcpTransport& transport, int peer, const FlowProposal& proposal, net::Socket socket)
        : Admission(peer), transport_(transport), proposal_(proposal), socket_(std::move(socket)) {}
    std::unique_ptr<Link> seat(std::string& refusal) override {
      auto flows = transport_.assembly_.add(peer(), proposal_, std::move(socket_), refusal);
      return flows.empty() ? nullptr : transport_.link(std::move(flows));
    }

   private:
    const TcpTransport& transport_;
    FlowProposal proposal_;
    net::Socket socket_;
  };

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
  static bool is_local(const net::Socket& socket) {
    return net::local_address(socket).host == net::peer_address(socket).host;
  }
  std::unique_ptr<Link> link(std::vector<net::Socket> flows) const {
    for (const auto& flow : flows) net::settle_congestion(flow, options_.congestion);
    return make_tcp_link(std::move(flows), route(flows.front(), flows.size()));
  }
  std::string route(const net::Socket& socket, std::size_t flows) const {
    const std::string own = net::local_address(socket).host;
    std::string text = own;
    for (const auto& each : interfaces_) {
      if (each.address == own) text += " (" + each.interface + ")";
    }
    return text + (flows == 1 ? ", 1 flow" : ", " + std::to_string(flows) + " flows");
  }

  Membership self_;
  TcpOptions options_;
  std::string host_;
  std::vector<net::InterfaceAddress> interfaces_;
  net::Socket listener_;
  std::string card_;
  mutable std::atomic<std::uint64_t> attempts_{0};
  mutable FlowAssembly assembly_;
};

}  // namespace

std::unique_ptr<Transport> make_tcp_transport(const Membership& self, const TcpOptions& options) {
  return std::make_unique<TcpTransport>(self, options);
}

}  // namespace trireme::transport
