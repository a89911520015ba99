// SPDX-License-Identifier: Apache-2.0
#include "handshake_pair.hpp"
#include "net/handshake_messages.hpp"

#include <catch2/catch.hpp>

#include <random>

using namespace trireme;
using namespace trireme::net;
using namespace trireme::testing;
using namespace trireme::net::testing;

TEST_CASE("Two holders of the key learn who the other is") {
  JobKey key = JobKey::random();
  Party client = worker(key, 3);
  client.identity.isa = "x86_64-little/other";  // reported, not refused
  Outcome outcome =
      shake_hands(GENERATE(0, 1) == 0 ? make_pair() : make_tcp_pair("127.0.0.1"), client, store(key), soon());
  REQUIRE_FALSE(outcome.client_error);
  REQUIRE_FALSE(outcome.server_error);
  CHECK(outcome.seen_by_client.role == "store");
  CHECK(outcome.seen_by_client.rank == -1);
  CHECK(outcome.seen_by_server.role == "worker");
  CHECK(outcome.seen_by_server.rank == 3);
  CHECK(outcome.seen_by_server.job_id == "job-7");
  CHECK(outcome.seen_by_server.isa == "x86_64-little/other");
}

TEST_CASE("The connection is left at the first byte behind the handshake") {
  JobKey key = JobKey::random();
  Pair pair = make_pair();
  auto serving = std::async(std::launch::async, [&] {
    handshake_as_server(pair.right, key, store(key).identity, soon());
    send_message(pair.right, bytes_of("welcome"), soon());
  });
  handshake_as_client(pair.left, key, worker(key).identity, soon());
  CHECK(receive_message(pair.left, 16, soon()).size() == 7);
  serving.get();
}

TEST_CASE("A wrong job key is reported as such on both sides") {
  Outcome outcome = shake_hands(make_pair(), worker(JobKey::random()), store(JobKey::random()), soon());
  CHECK(outcome.client_error.code == ErrorCode::invalid_argument);
  CHECK(outcome.server_error.code == ErrorCode::invalid_argument);
  CHECK(has(outcome.client_error.message, "wrong job key"));
  CHECK(has(outcome.server_error.message, "wrong job key"));
}

TEST_CASE("With a wrong key no field is compared and nothing of the peer is shown") {
  Party stranger = worker(JobKey::random());
  stranger.identity.job_id = "another-job";
  stranger.identity.role = "somebody";
  Outcome outcome = shake_hands(make_pair(), stranger, store(JobKey::random()), soon());
  CHECK(outcome.server_error.code == ErrorCode::invalid_argument);
  CHECK_FALSE(has(outcome.server_error.message, "another-job"));
  CHECK_FALSE(has(outcome.server_error.message, "somebody"));
}

TEST_CASE("No message of the handshake's failures holds the key") {
  Party client = worker(JobKey::random());
  Party server = store(JobKey::random());
  Outcome outcome = shake_hands(make_pair(), client, server, soon());
  for (const Error& error : {outcome.client_error, outcome.server_error}) {
    CHECK_FALSE(has(error.message, client.key.to_text()));
    CHECK_FALSE(has(error.message, server.key.to_text()));
  }
}

TEST_CASE("A field that must be equal and is not is named on both sides with both values") {
  struct Case {
    std::string field;
    void (*change)(Identity&);
    std::string own;
    std::string other;
  };
  auto one = GENERATE(values<Case>({
      {"job id", [](Identity& identity) { identity.job_id = "job-8"; }, "'job-7'", "'job-8'"},
      {"purpose", [](Identity& identity) { identity.purpose = "data"; }, "'control'", "'data'"},
      {"epoch", [](Identity& identity) { identity.epoch = 5; }, "4", "5"},
      {"protocol", [](Identity& identity) { identity.protocol = 77; }, "1", "77"},
      {"build", [](Identity& identity) { identity.build = "9.9\n"; }, "'0", "'9.9\\x0a'"},
      {"byte order", [](Identity& identity) { identity.isa = "s390x-big/portable"; }, "-little/",
       "'s390x-big/portable'"},
  }));
  CAPTURE(one.field);
  JobKey key = JobKey::random();
  Party client = worker(key);
  one.change(client.identity);
  Outcome outcome = shake_hands(make_pair(), client, store(key), soon());
  for (const Error& error : {outcome.client_error, outcome.server_error}) {
    CAPTURE(error.message);
    CHECK(error.code == ErrorCode::mismatch);
    CHECK(has(error.message, one.field + ": "));
    CHECK(has(error.message, one.own));
    CHECK(has(error.message, one.other));
    CHECK(error.message.find('\n') == std::string::npos);
  }
  CHECK(has(outcome.client_error.message, one.other + " here"));
  CHECK(has(outcome.server_error.message, one.other + " there"));
}

TEST_CASE("An identity too long to send is refused before anything is sent") {
  JobKey key = JobKey::random();
  Party client = worker(key);
  client.identity.job_id = std::string(identity_text_limit + 1, 'j');
  Outcome outcome = shake_hands(make_pair(), client, store(key), soon());
  CHECK(outcome.client_error.code == ErrorCode::invalid_argument);
  CHECK(has(outcome.client_error.message, "job id"));
  CHECK(outcome.server_error.code == ErrorCode::closed);
  CHECK(has(outcome.server_error.message, "0 of 1 bytes"));
}

TEST_CASE("The longest identities fit") {
  JobKey key = JobKey::random();
  std::string longest(identity_text_limit, 'x');
  Party client{key, make_identity(longest, longest, longest, 4, 1)};
  client.identity.build = longest;
  client.identity.isa.resize(identity_text_limit, 'x');
  Outcome outcome = shake_hands(make_pair(), client, client, soon());
  CHECK_FALSE(outcome.client_error);
  CHECK_FALSE(outcome.server_error);
}

TEST_CASE("A silent peer ends the handshake at the deadline") {
  JobKey key = JobKey::random();
  Pair pair = make_pair();
  CHECK(code_of([&] { handshake_as_client(pair.left, key, worker(key).identity, shortly()); }) == ErrorCode::timeout);
  Pair other = make_pair();
  CHECK(code_of([&] { handshake_as_server(other.left, key, store(key).identity, shortly()); }) == ErrorCode::timeout);
}

TEST_CASE("A foreign protocol is corrupt at its first bytes, without waiting for more") {
  JobKey key = JobKey::random();
  std::mt19937 generator(11);
  std::string noise(64, '\0');
  for (char& each : noise) each = static_cast<char>(generator() & 0xff);
  noise[0] = 'T';
  std::string text = GENERATE_COPY(as<std::string>{}, "G", "GET / HTTP/1.1\r\n\r\n", "SSH-2.0-OpenSSH_9\r\n",
                                   "\x16\x03\x01", "TRACE / HTTP/1.1\r\n", std::string(16, '\0'), noise);
  CAPTURE(text);
  Pair pair = make_pair();
  send_all(pair.left, bytes_of(text), soon());
  SECTION("from a client") {
    CHECK(code_of([&] { handshake_as_server(pair.right, key, store(key).identity, soon()); }) == ErrorCode::corrupt);
  }
  SECTION("from a server") {
    CHECK(code_of([&] { handshake_as_client(pair.right, key, worker(key).identity, soon()); }) == ErrorCode::corrupt);
  }
}

TEST_CASE("A frame longer than its kind can be is corrupt at its header") {
  JobKey key = JobKey::random();
  auto kind = GENERATE(FrameKind::hello, FrameKind::challenge, FrameKind::proof, FrameKind::refusal);
  auto frame = make_frame(kind, std::vector<std::byte>(frame_limit_bytes + 1));
  Pair pair = make_pair();
  send_all(pair.left, std::span(frame).first(frame_header_bytes), soon());
  CHECK(code_of([&] { handshake_as_server(pair.right, key, store(key).identity, soon()); }) == ErrorCode::corrupt);
}

TEST_CASE("A frame out of turn is corrupt") {
  JobKey key = JobKey::random();
  auto frame =
      GENERATE(make_frame(FrameKind::proof, std::vector<std::byte>(proof_bytes)), make_frame(FrameKind::refusal, {}));
  Pair pair = make_pair();
  send_all(pair.left, frame, soon());
  CHECK(code_of([&] { handshake_as_server(pair.right, key, store(key).identity, soon()); }) == ErrorCode::corrupt);
}

TEST_CASE("A client's own messages sent back to it prove nothing") {
  JobKey key = JobKey::random();
  Pair pair = make_pair();
  auto mirror = std::async(std::launch::async, [&] {
    std::size_t introduction = nonce_bytes + encode_identity(worker(key).identity).size();
    std::vector<std::byte> bytes(frame_header_bytes + introduction);
    receive_all(pair.right, bytes, soon());
    auto payload = std::span(bytes).subspan(frame_header_bytes);
    send_all(pair.right, make_frame(FrameKind::challenge, payload), soon());
    std::vector<std::byte> proof(frame_header_bytes + proof_bytes);
    receive_all(pair.right, proof, soon());
    send_all(pair.right, proof, soon());
  });
  Error error = error_of([&] { handshake_as_client(pair.left, key, worker(key).identity, soon()); });
  CHECK(error.code == ErrorCode::invalid_argument);
  CHECK(has(error.message, "wrong job key"));
  mirror.get();
}

TEST_CASE("A recorded handshake played again is refused") {
  JobKey key = JobKey::random();
  Introduction client{{}, encode_identity(worker(key).identity)};
  auto play = [&](const Introduction& heard_before) {
    Pair pair = make_pair();
    auto serving = std::async(std::launch::async, [&] {
      return error_of([&] { handshake_as_server(pair.right, key, store(key).identity, soon()); });
    });
    send_all(pair.left, make_frame(FrameKind::hello, encode_introduction(client)), soon());
    std::vector<std::byte> bytes(frame_header_bytes + nonce_bytes + encode_identity(store(key).identity).size());
    receive_all(pair.left, bytes, soon());
    auto heard = parse_introduction(std::span(bytes).subspan(frame_header_bytes)).value();
    bool first_time = heard_before.identity.empty();
    auto proof = make_proof(key, Side::client, client, first_time ? heard : heard_before);
    send_all(pair.left, make_frame(FrameKind::proof, proof), soon());
    return std::pair(serving.get(), heard);
  };
  auto [first_error, heard] = play({});
  CHECK_FALSE(first_error);
  auto [second_error, heard_again] = play(heard);
  CHECK(second_error.code == ErrorCode::invalid_argument);
  CHECK(heard_again.nonce != heard.nonce);
}
