// SPDX-License-Identifier: Apache-2.0
#include "trireme/net/handshake.hpp"

#include "net/handshake_messages.hpp"
#include "net/quoted.hpp"
#include "net/sockaddr.hpp"
#include "trireme/base/error.hpp"

#include <openssl/rand.h>

namespace trireme::net {
namespace {

[[noreturn]] void fail_corrupt(const Socket& socket, const std::string& problem) {
  fail(ErrorCode::corrupt, peer_text(socket) + " " + problem);
}

/// Names the peer by its address only: what it said about itself is not proved.
[[noreturn]] void fail_wrong_key(const Socket& socket, const std::string& how) {
  fail(ErrorCode::invalid_argument, "handshake with " + peer_text(socket) + ": wrong job key (" + how +
                                        "): give the same TRIREME_JOB_KEY_FILE or TRIREME_JOB_KEY to every process");
}

Introduction introduce(const Identity& self) {
  Introduction own;
  own.identity = encode_identity(self);
  if (RAND_bytes(reinterpret_cast<unsigned char*>(own.nonce.data()), static_cast<int>(own.nonce.size())) != 1) {
    fail(ErrorCode::system, "the system's random generator gives no nonce");
  }
  return own;
}

struct Frame {
  FrameKind kind = FrameKind::hello;
  std::vector<std::byte> payload;
};

Frame receive_frame(const Socket& socket, Deadline deadline) {
  std::array<std::byte, frame_header_bytes> header{};
  // The first byte alone: a foreign client that sends less than a header and then listens is told apart at once.
  receive_all(socket, std::span(header).first(1), deadline);
  if (!may_start_frame(header.front())) fail_corrupt(socket, "does not speak the Trireme protocol");
  receive_all(socket, std::span(header).subspan(1), deadline);
  std::string problem;
  auto parsed = parse_frame_header(header, problem);
  if (!parsed) fail_corrupt(socket, problem);
  Frame frame{parsed->kind, std::vector<std::byte>(parsed->payload_bytes)};
  receive_all(socket, frame.payload, deadline);
  return frame;
}

void send_frame(const Socket& socket, FrameKind kind, std::span<const std::byte> payload, Deadline deadline) {
  send_all(socket, make_frame(kind, payload), deadline);
}

Introduction receive_introduction(const Socket& socket, FrameKind kind, Deadline deadline) {
  Frame frame = receive_frame(socket, deadline);
  if (frame.kind != kind) fail_corrupt(socket, "sent a handshake frame out of turn");
  auto introduction = parse_introduction(frame.payload);
  if (!introduction) fail_corrupt(socket, "sent a malformed identity");
  return *std::move(introduction);
}

/// Only called once the peer's proof is verified, on both sides alike: each knows both identities, so each finds the
/// same difference without being told.
Identity agree(const Socket& socket, const Identity& self, const Introduction& peer) {
  auto identity = parse_identity(peer.identity);
  if (!identity) fail_corrupt(socket, "sent a malformed identity");
  std::string difference = describe_mismatch(self, *identity);
  if (!difference.empty()) {
    std::string who = quoted(identity->role) + (identity->rank >= 0 ? " rank " + std::to_string(identity->rank) : "");
    fail(ErrorCode::mismatch, "handshake with " + who + " at " + peer_text(socket) + " differs in " + difference);
  }
  return *std::move(identity);
}

}  // namespace

Identity handshake_as_client(const Socket& socket, const JobKey& key, const Identity& self, Deadline deadline,
                             SessionSecret* session) {
  const Introduction client = introduce(self);
  send_frame(socket, FrameKind::hello, encode_introduction(client), deadline);
  const Introduction server = receive_introduction(socket, FrameKind::challenge, deadline);
  send_frame(socket, FrameKind::proof, make_proof(key, Side::client, client, server), deadline);
  Frame answer = receive_frame(socket, deadline);
  if (answer.kind == FrameKind::refusal) fail_wrong_key(socket, "the peer refused this process's proof");
  if (answer.kind != FrameKind::proof) fail_corrupt(socket, "sent a handshake frame out of turn");
  if (!is_proof(answer.payload, make_proof(key, Side::server, client, server))) {
    fail_wrong_key(socket, "the peer's proof does not fit, or the connection was tampered with");
  }
  if (session != nullptr) *session = make_session_secret(key, client, server);
  return agree(socket, self, server);
}

Identity handshake_as_server(const Socket& socket, const JobKey& key, const Identity& self, Deadline deadline,
                             SessionSecret* session) {
  const Introduction server = introduce(self);
  const Introduction client = receive_introduction(socket, FrameKind::hello, deadline);
  send_frame(socket, FrameKind::challenge, encode_introduction(server), deadline);
  Frame answer = receive_frame(socket, deadline);
  if (answer.kind != FrameKind::proof) fail_corrupt(socket, "sent a handshake frame out of turn");
  if (!is_proof(answer.payload, make_proof(key, Side::client, client, server))) {
    send_frame(socket, FrameKind::refusal, {}, deadline);
    fail_wrong_key(socket, "the peer's proof does not fit, or the connection was tampered with");
  }
  send_frame(socket, FrameKind::proof, make_proof(key, Side::server, client, server), deadline);
  if (session != nullptr) *session = make_session_secret(key, client, server);
  return agree(socket, self, client);
}

}  // namespace trireme::net
