// SPDX-License-Identifier: Apache-2.0
#include "rendezvous/protocol.hpp"

#include "rendezvous/frame_reader.hpp"
#include "rendezvous/store_contents.hpp"
#include "trireme/net/wire.hpp"

#include <catch2/catch.hpp>

#include <limits>

using namespace trireme;
using namespace trireme::rendezvous;

namespace {

const Cause some_cause{ErrorCode::peer_lost, 1, 2, 3, 4, "host", "all_reduce #3", "it died"};
const Status some_status{7, 1, std::numeric_limits<std::uint64_t>::max(), true, "broadcast #9", {0, 3, -1}};

std::vector<ClientMessage> client_messages() {
  return {Hello{Hello::Service::control, "host-b", 3},
          SetRequest{1, "key", "value"},
          SetRequest{1, std::string(key_limit, 'k'), std::string(value_limit, 'v')},
          GetRequest{std::numeric_limits<std::uint64_t>::max(), "key"},
          AddRequest{3, "key", std::numeric_limits<std::int64_t>::min()},
          Report{some_cause},
          Answer{some_status},
          Leave{},
          Abandon{}};
}

std::vector<ServerMessage> server_messages() {
  return {Welcome{},
          Refused{ErrorCode::invalid_argument, "no"},
          DoneReply{9},
          ValueReply{9, std::string("a\0b", 3)},
          NumberReply{9, -1},
          FailedReply{9, ErrorCode::corrupt, "why"},
          Query{},
          Verdict{some_cause},
          Goodbye{}};
}

template <class Parse, class Messages>
void check(Parse&& parse, const Messages& messages) {
  for (const auto& message : messages) {
    Bytestring bytes = encode(message);
    INFO("kind " << static_cast<int>(bytes.at(0)));
    REQUIRE(bytes.size() <= frame_limit);
    auto parsed = parse(bytes);
    REQUIRE(parsed);
    REQUIRE(parsed->index() == message.index());
    REQUIRE(encode(*parsed) == bytes);
    if (bytes.size() < 1000) {
      for (std::size_t size = 0; size < bytes.size(); ++size) REQUIRE_FALSE(parse(std::span(bytes).first(size)));
    }
    bytes.push_back(std::byte{0});
    REQUIRE_FALSE(parse(bytes));
  }
}

Bytestring bytes_of(const net::Writer& writer) { return {writer.data().begin(), writer.data().end()}; }

}  // namespace

TEST_CASE("Every message is read as it was written, and nothing that is cut short or has more is read at all") {
  check([](std::span<const std::byte> bytes) { return parse_client_message(bytes); }, client_messages());
  check([](std::span<const std::byte> bytes) { return parse_server_message(bytes); }, server_messages());
}

TEST_CASE("Fields arrive with their values") {
  auto report = std::get<Report>(*parse_client_message(encode(ClientMessage(Report{some_cause})))).cause;
  REQUIRE(report.code == ErrorCode::peer_lost);
  REQUIRE(report.epoch == 1);
  REQUIRE(report.communicator == 2);
  REQUIRE(report.operation == 3);
  REQUIRE(report.member == 4);
  REQUIRE(report.member_host == "host");
  REQUIRE(report.operation_name == "all_reduce #3");
  REQUIRE(report.message == some_cause.message);
  auto status = std::get<Answer>(*parse_client_message(encode(ClientMessage(Answer{some_status})))).status;
  REQUIRE(status.rank == 7);
  REQUIRE(status.communicator == 1);
  REQUIRE(status.operation == some_status.operation);
  REQUIRE(status.in_operation);
  REQUIRE(status.operation_name == "broadcast #9");
  REQUIRE(status.waiting_for == std::vector<std::int32_t>{0, 3, -1});
}

TEST_CASE("A text that would break out of its line is mended when written and refused when read") {
  Cause cause = some_cause;
  cause.message =
      "one\ntwo\x1b[0m\x7f"
      "…";
  auto parsed = parse_server_message(encode(ServerMessage(Verdict{cause})));
  REQUIRE(parsed);
  REQUIRE(std::get<Verdict>(*parsed).cause.message == "one two [0m …");

  net::Writer refused;
  refused.u8(65);
  refused.u8(1);
  refused.text("one\ntwo");
  REQUIRE_FALSE(parse_server_message(bytes_of(refused)));
}

TEST_CASE("Long texts are cut when written and refused when read") {
  Cause cause = some_cause;
  cause.message = std::string(10'000, 'm');
  auto parsed = parse_server_message(encode(ServerMessage(Verdict{cause})));
  REQUIRE(parsed);
  REQUIRE(std::get<Verdict>(*parsed).cause.message == std::string(text_limit, 'm'));

  net::Writer refused;
  refused.u8(65);
  refused.u8(1);
  refused.text(std::string(text_limit + 1, 'm'));
  REQUIRE_FALSE(parse_server_message(bytes_of(refused)));

  net::Writer key;
  key.u8(3);
  key.u64(1);
  key.text(std::string(key_limit + 1, 'k'));
  REQUIRE_FALSE(parse_client_message(bytes_of(key)));
}

TEST_CASE("Values that no sender of ours writes are refused") {
  auto with_first = [](Bytestring bytes, std::size_t position, int value) {
    bytes.at(position) = static_cast<std::byte>(value);
    return bytes;
  };
  REQUIRE_FALSE(parse_client_message(with_first(encode(ClientMessage(Hello{})), 1, 2)));              // no such service
  REQUIRE_FALSE(parse_client_message(with_first(encode(ClientMessage(Report{some_cause})), 1, 10)));  // no such code
  REQUIRE_FALSE(parse_client_message(with_first(encode(ClientMessage(Leave{})), 0, 200)));            // no such kind
  REQUIRE_FALSE(parse_client_message(encode(ServerMessage(Welcome{}))));
  REQUIRE_FALSE(parse_server_message(encode(ClientMessage(Leave{}))));

  // A status that claims more ranks than it brings, or than there may be.
  for (std::uint32_t count : {4u, static_cast<std::uint32_t>(waiting_limit) + 1, 0xffffffffu}) {
    net::Writer status;
    status.u8(6);
    status.i32(1);
    status.u64(0);
    status.u64(0);
    status.u8(1);
    status.text("");
    status.u32(count);
    for (int i = 0; i < 3; ++i) status.i32(i);
    REQUIRE_FALSE(parse_client_message(bytes_of(status)));
  }
}

TEST_CASE("Frames come out whole, however the bytes arrive") {
  std::vector<Bytestring> bodies{
      {}, Bytestring(1, std::byte{7}), Bytestring(300, std::byte{9}), Bytestring(1000, std::byte{1})};
  Bytestring stream;
  for (const Bytestring& body : bodies) {
    net::Writer prefix;
    prefix.u32(static_cast<std::uint32_t>(body.size()));
    stream.insert(stream.end(), prefix.data().begin(), prefix.data().end());
    stream.insert(stream.end(), body.begin(), body.end());
  }
  std::size_t step = GENERATE(1u, 3u, 4u, 100u, 5000u);
  FrameReader reader(1000);
  std::vector<Bytestring> frames;
  for (std::size_t begin = 0; begin < stream.size(); begin += step) {
    reader.append(std::span(stream).subspan(begin, std::min(step, stream.size() - begin)));
    while (auto frame = reader.next()) frames.push_back(*frame);
  }
  REQUIRE(frames == bodies);
  REQUIRE_FALSE(reader.is_corrupt());
}

TEST_CASE("A frame beyond the limit makes its stream corrupt for good") {
  FrameReader reader(1000);
  net::Writer prefix;
  prefix.u32(1001);
  reader.append(prefix.data());
  REQUIRE_FALSE(reader.next());
  REQUIRE(reader.is_corrupt());
  net::Writer good;
  good.u32(0);
  reader.append(good.data());
  REQUIRE_FALSE(reader.next());
  REQUIRE(reader.is_corrupt());
}
