// SPDX-License-Identifier: Apache-2.0
#include "net/handshake_messages.hpp"

#include "support/failures.hpp"

#include <catch2/catch.hpp>

#include <algorithm>

using namespace trireme;
using namespace trireme::net;
using namespace trireme::testing;

namespace {

Introduction introduction_of(const std::string& role, std::byte nonce) {
  Introduction introduction{{}, encode_identity(make_identity("job", role, "data", 2, 5))};
  introduction.nonce.fill(nonce);
  return introduction;
}

std::optional<FrameHeader> header_of(std::span<const std::byte> frame, std::string& problem) {
  return parse_frame_header(frame.first<frame_header_bytes>(), problem);
}

}  // namespace

TEST_CASE("An identity is the same after its way through bytes") {
  Identity sent = make_identity("job", "worker", "data", 1ull << 40, -1);
  sent.protocol = 9;
  Identity received = parse_identity(encode_identity(sent)).value();
  CHECK(received.job_id == sent.job_id);
  CHECK(received.role == sent.role);
  CHECK(received.purpose == sent.purpose);
  CHECK(received.epoch == sent.epoch);
  CHECK(received.rank == sent.rank);
  CHECK(received.protocol == sent.protocol);
  CHECK(received.build == sent.build);
  CHECK(received.isa == sent.isa);
}

TEST_CASE("This build knows its version and architecture") {
  Identity identity = make_identity("job", "worker", "data", 0, 0);
  CHECK(identity.build.find('.') != std::string::npos);
  CHECK(identity.isa.find("-little/") != std::string::npos);
  CHECK(identity.protocol >= 1);
}

TEST_CASE("An introduction with a byte missing or to spare is not one") {
  auto payload = encode_introduction(introduction_of("worker", std::byte{1}));
  CHECK(parse_introduction(payload).has_value());
  for (std::size_t cut = 0; cut < payload.size(); ++cut) {
    CHECK_FALSE(parse_introduction(std::span(payload).first(cut)).has_value());
  }
  payload.push_back(std::byte{0});
  CHECK_FALSE(parse_introduction(payload).has_value());
}

TEST_CASE("A frame header says what follows, and nothing else is accepted") {
  std::string problem;
  auto frame = make_frame(FrameKind::proof, std::vector<std::byte>(proof_bytes));
  auto header = header_of(frame, problem);
  REQUIRE(header.has_value());
  CHECK(header->kind == FrameKind::proof);
  CHECK(header->payload_bytes == proof_bytes);
  CHECK(may_start_frame(frame.front()));

  auto refused_for = [&](std::vector<std::byte> bytes) {
    problem.clear();
    CHECK_FALSE(header_of(bytes, problem).has_value());
    return problem;
  };
  auto foreign = frame;
  foreign[3] = std::byte{'x'};
  CHECK(has(refused_for(foreign), "does not speak"));
  auto newer = frame;
  newer[7] = std::byte{2};
  CHECK(has(refused_for(newer), "version 2"));
  CHECK(has(refused_for(make_frame(static_cast<FrameKind>(5), {})), "kind 5"));
  CHECK(has(refused_for(make_frame(static_cast<FrameKind>(0), {})), "kind 0"));
  CHECK(has(refused_for(make_frame(FrameKind::proof, std::vector<std::byte>(31))), "31 bytes"));
  CHECK(has(refused_for(make_frame(FrameKind::refusal, std::vector<std::byte>(1))), "1 bytes"));
  CHECK(has(refused_for(make_frame(FrameKind::hello, std::vector<std::byte>(32))), "32 bytes"));
  CHECK(has(refused_for(make_frame(FrameKind::hello, std::vector<std::byte>(4097))), "4097 bytes"));
}

TEST_CASE("A proof depends on the key, the side, and every part of both introductions") {
  JobKey key = JobKey::random();
  auto client = introduction_of("worker", std::byte{1});
  auto server = introduction_of("store", std::byte{2});
  std::vector<Proof> proofs = {
      make_proof(key, Side::client, client, server),
      make_proof(key, Side::server, client, server),
      make_proof(JobKey::random(), Side::client, client, server),
      make_proof(key, Side::client, server, client),
      make_proof(key, Side::client, introduction_of("worker", std::byte{3}), server),
      make_proof(key, Side::client, client, introduction_of("store", std::byte{3})),
      make_proof(key, Side::client, introduction_of("worke", std::byte{1}), server),
      make_proof(key, Side::client, client, introduction_of("stor", std::byte{2})),
  };
  CHECK(is_proof(proofs[0], make_proof(key, Side::client, client, server)));
  for (std::size_t i = 0; i < proofs.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) CHECK_FALSE(is_proof(proofs[i], proofs[j]));
  }
  CHECK_FALSE(is_proof(std::span(proofs[0]).first(31), proofs[0]));
  CHECK_FALSE(is_proof({}, proofs[0]));
}

TEST_CASE("Bytes cannot move from one identity to the other under the same proof") {
  JobKey key = JobKey::random();
  Introduction first{{}, std::vector<std::byte>(10)};
  Introduction second{{}, std::vector<std::byte>(12)};
  CHECK_FALSE(is_proof(make_proof(key, Side::client, first, second), make_proof(key, Side::client, second, first)));
}
