// SPDX-License-Identifier: Apache-2.0
#include "net/handshake_messages.hpp"

#include "net/quoted.hpp"
#include "trireme/base/error.hpp"
#include "trireme/net/wire.hpp"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <string_view>

namespace trireme::net {
namespace {

constexpr std::string_view magic = "TRIREME";
constexpr std::uint8_t format_version = 1;

bool length_fits(FrameKind kind, std::size_t length) {
  switch (kind) {
    case FrameKind::hello:
    case FrameKind::challenge: return length > nonce_bytes && length <= frame_limit_bytes;
    case FrameKind::proof: return length == proof_bytes;
    case FrameKind::refusal: return length == 0;
  }
  return false;  // a kind that does not exist has no length
}

void write_field(Writer& writer, const char* name, const std::string& text) {
  if (text.size() > identity_text_limit) {
    fail(ErrorCode::invalid_argument, std::string("the ") + name + " " + quoted(text) + " has " +
                                          std::to_string(text.size()) + " bytes: at most " +
                                          std::to_string(identity_text_limit) + " fit into the handshake");
  }
  writer.text(text);
}

/// "little" of "x86_64-little/avx2".
std::string_view byte_order(std::string_view isa) {
  const std::string_view machine = isa.substr(0, isa.find('/'));
  const auto dash = machine.rfind('-');
  return dash == std::string_view::npos ? std::string_view() : machine.substr(dash + 1);
}

std::string differ(const char* field, const std::string& own, const std::string& peer) {
  return std::string(field) + ": " + own + " here, " + peer + " there";
}

}  // namespace

std::vector<std::byte> make_frame(FrameKind kind, std::span<const std::byte> payload) {
  Writer writer;
  writer.bytes(std::as_bytes(std::span(magic)));
  writer.u8(format_version);
  writer.u32(static_cast<std::uint32_t>(kind));
  writer.u32(static_cast<std::uint32_t>(payload.size()));
  writer.bytes(payload);
  return {writer.data().begin(), writer.data().end()};
}

bool may_start_frame(std::byte first) { return first == static_cast<std::byte>(magic.front()); }

std::optional<FrameHeader> parse_frame_header(std::span<const std::byte, frame_header_bytes> bytes,
                                              std::string& problem) {
  Reader reader(bytes);
  auto start = reader.bytes(magic.size());
  if (!std::equal(start.begin(), start.end(), std::as_bytes(std::span(magic)).begin())) {
    problem = "does not speak the Trireme protocol";
    return std::nullopt;
  }
  std::uint8_t version = reader.u8();
  if (version != format_version) {
    problem = "speaks version " + std::to_string(version) + " of the Trireme handshake, this process version " +
              std::to_string(format_version) + ": run the same version everywhere";
    return std::nullopt;
  }
  auto kind = static_cast<FrameKind>(reader.u32());
  std::size_t length = reader.u32();
  if (!length_fits(kind, length)) {
    problem = "sent a handshake frame of kind " + std::to_string(static_cast<std::uint32_t>(kind)) + " with " +
              std::to_string(length) + " bytes, which does not exist";
    return std::nullopt;
  }
  return FrameHeader{kind, length};
}

std::vector<std::byte> encode_identity(const Identity& identity) {
  Writer writer;
  writer.u32(identity.protocol);
  write_field(writer, "build", identity.build);
  write_field(writer, "job id", identity.job_id);
  write_field(writer, "role", identity.role);
  write_field(writer, "purpose", identity.purpose);
  writer.u64(identity.epoch);
  writer.i32(identity.rank);
  write_field(writer, "isa", identity.isa);
  return {writer.data().begin(), writer.data().end()};
}

std::optional<Identity> parse_identity(std::span<const std::byte> bytes) {
  Reader reader(bytes);
  Identity identity;
  identity.protocol = reader.u32();
  identity.build = reader.text(identity_text_limit);
  identity.job_id = reader.text(identity_text_limit);
  identity.role = reader.text(identity_text_limit);
  identity.purpose = reader.text(identity_text_limit);
  identity.epoch = reader.u64();
  identity.rank = reader.i32();
  identity.isa = reader.text(identity_text_limit);
  if (!reader.finished()) return std::nullopt;
  return identity;
}

std::vector<std::byte> encode_introduction(const Introduction& introduction) {
  Writer writer;
  writer.bytes(introduction.nonce);
  writer.bytes(introduction.identity);
  return {writer.data().begin(), writer.data().end()};
}

std::optional<Introduction> parse_introduction(std::span<const std::byte> payload) {
  Reader reader(payload);
  auto nonce = reader.bytes(nonce_bytes);
  if (!reader.ok() || payload.size() > frame_limit_bytes) return std::nullopt;
  auto identity = payload.subspan(nonce_bytes);
  if (!parse_identity(identity)) return std::nullopt;
  Introduction introduction;
  std::copy(nonce.begin(), nonce.end(), introduction.nonce.begin());
  introduction.identity.assign(identity.begin(), identity.end());
  return introduction;
}

namespace {

std::array<std::byte, 32> keyed_hash(const JobKey& key, const char* label, const Introduction& client,
                                     const Introduction& server) {
  Writer statement;
  statement.text(label);
  statement.bytes(client.nonce);
  statement.bytes(server.nonce);
  // Lengths in front: no two pairs of identities give the same statement.
  for (const Introduction* each : {&client, &server}) {
    statement.u32(static_cast<std::uint32_t>(each->identity.size()));
    statement.bytes(each->identity);
  }
  std::array<std::byte, 32> proof{};
  unsigned int length = 0;
  auto data = statement.data();
  const unsigned char* done = HMAC(EVP_sha256(), key.bytes().data(), static_cast<int>(key.bytes().size()),
                                   reinterpret_cast<const unsigned char*>(data.data()), data.size(),
                                   reinterpret_cast<unsigned char*>(proof.data()), &length);
  if (done == nullptr || length != proof.size()) fail(ErrorCode::system, "OpenSSL cannot compute HMAC-SHA256");
  return proof;
}

}  // namespace

Proof make_proof(const JobKey& key, Side side, const Introduction& client, const Introduction& server) {
  return keyed_hash(key, side == Side::client ? "trireme handshake 1 client" : "trireme handshake 1 server", client,
                    server);
}

SessionSecret make_session_secret(const JobKey& key, const Introduction& client, const Introduction& server) {
  return keyed_hash(key, "trireme handshake 1 session", client, server);
}

bool is_proof(std::span<const std::byte> payload, const Proof& expected) {
  return payload.size() == expected.size() && CRYPTO_memcmp(payload.data(), expected.data(), expected.size()) == 0;
}

std::string describe_mismatch(const Identity& own, const Identity& peer) {
  auto number = [](std::uint64_t value) { return std::to_string(value); };
  if (own.protocol != peer.protocol) return differ("protocol", number(own.protocol), number(peer.protocol));
  if (own.build != peer.build) return differ("build", quoted(own.build), quoted(peer.build));
  if (byte_order(own.isa) != byte_order(peer.isa)) {
    return differ("byte order", quoted(own.isa), quoted(peer.isa));  // what follows is memory as it lies there
  }
  if (own.job_id != peer.job_id) return differ("job id", quoted(own.job_id), quoted(peer.job_id));
  if (own.purpose != peer.purpose) return differ("purpose", quoted(own.purpose), quoted(peer.purpose));
  if (own.epoch != peer.epoch) return differ("epoch", number(own.epoch), number(peer.epoch));
  return {};
}

}  // namespace trireme::net
