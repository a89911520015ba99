// SPDX-License-Identifier: Apache-2.0
#include "transport/tcp/flows.hpp"

#include "trireme/base/error.hpp"
#include "trireme/net/wire.hpp"
#include "trireme/transport/tcp.hpp"

#include <algorithm>
#include <utility>

namespace trireme::transport {
namespace {

constexpr std::size_t longest_note = 64;

std::string text_of(std::uint32_t setting) { return setting == 0 ? "the default" : std::to_string(setting); }

/// The same words on both sides.
std::string difference(const std::string& here, std::uint32_t own, const std::string& there, std::uint32_t theirs) {
  return "the number of TCP flows differs: " + here + " has " + text_of(own) + ", " + there + " has " +
         text_of(theirs) + "; give TRIREME_TCP_FLOWS the same value on all ranks";
}

}  // namespace

void propose_flow(const net::Socket& socket, const FlowProposal& proposal, int peer, Deadline deadline) {
  net::Writer writer;
  writer.u64(proposal.attempt);
  writer.u32(proposal.setting);
  writer.u32(proposal.flows);
  writer.u32(proposal.index);
  net::send_message(socket, writer.data(), deadline);
  const auto answer = net::receive_message(socket, longest_note, deadline);
  net::Reader reader(answer);
  const std::uint32_t theirs = reader.u32();
  if (!reader.finished()) fail(ErrorCode::corrupt, "rank " + std::to_string(peer) + " answered no number of TCP flows");
  if (theirs != proposal.setting) {
    fail(ErrorCode::mismatch, difference("this rank", proposal.setting, "rank " + std::to_string(peer), theirs));
  }
}

std::optional<FlowProposal> answer_flow(const net::Socket& socket, int setting, int peer, Deadline deadline,
                                        std::string& refusal) {
  const auto message = net::receive_message(socket, longest_note, deadline);
  net::Reader reader(message);
  FlowProposal proposal;
  proposal.attempt = reader.u64();
  proposal.setting = reader.u32();
  proposal.flows = reader.u32();
  proposal.index = reader.u32();
  const bool may_be = proposal.setting <= TcpOptions::most_flows && proposal.flows >= 1 &&
                      proposal.flows <= TcpOptions::most_flows && proposal.index < proposal.flows &&
                      (proposal.setting == 0 || proposal.setting == proposal.flows);
  if (!reader.finished() || !may_be)
    fail(ErrorCode::corrupt, "rank " + std::to_string(peer) + " proposes an impossible number of TCP flows");
  const auto own = static_cast<std::uint32_t>(setting);
  net::Writer writer;
  writer.u32(own);
  net::send_message(socket, writer.data(), deadline);
  if (proposal.setting == own) return proposal;
  refusal = difference("this rank", own, "rank " + std::to_string(peer), proposal.setting);
  return std::nullopt;
}

std::vector<net::Socket> FlowAssembly::add(int peer, const FlowProposal& proposal, net::Socket socket,
                                           std::string& refusal) {
  std::lock_guard lock(mutex_);
  Partial& partial = partial_[peer];
  if (proposal.attempt < partial.attempt) {
    refusal = "rank " + std::to_string(peer) + " has begun anew since";
    return {};
  }
  if (proposal.attempt > partial.attempt || partial.sockets.size() != proposal.flows) {
    partial.attempt = proposal.attempt;
    partial.sockets.clear();
    partial.sockets.resize(proposal.flows);
    partial.present = 0;
  }
  net::Socket& place = partial.sockets[proposal.index];
  if (place.is_open()) {
    refusal = "rank " + std::to_string(peer) + " has made this flow already";
    return {};
  }
  place = std::move(socket);
  if (++partial.present < partial.sockets.size()) return {};
  partial.present = 0;
  return std::exchange(partial.sockets, {});
}

}  // namespace trireme::transport
