// SPDX-License-Identifier: Apache-2.0
#include "ps/wire.hpp"

#include "support/failures.hpp"
#include "trireme/ps/server.hpp"

#include <catch2/catch.hpp>

#include <limits>
#include <vector>

using namespace trireme;
using namespace trireme::ps;
using testing::code_of;

namespace {

std::vector<Control> one_of_each() {
  const std::uint64_t large = std::numeric_limits<std::uint64_t>::max();
  return {Join{.worker = large,
               .rank = 3,
               .workers = 4,
               .leaves = 8,
               .plan_fingerprint = large - 1,
               .consistency = "ssp:3",
               .settings = "sgd \xff",
               .plan{std::byte{1}, std::byte{0}}},
          Initialise{.sequence = 1, .key = 2, .steps = 3, .state{"m", "v"}},
          Push{.sequence = 9,
               .key = 8,
               .step = 7,
               .weight = 0.5,
               .used = true,
               .sparse = true,
               .rows{0, 5, 6, 0xffffffff},
               .pulled_version = 4,
               .scale = 0.25,
               .clip_value = 1e-300,
               .learning_rate = -0.0},
          Push{.used = false},
          Update{.sequence = 1, .key = 2, .step = 3, .skip = true, .scale = 2, .clip_value = 3, .learning_rate = 4},
          Pull{.request = 5, .key = 4, .step = 3, .sparse = true, .rows{1, 2}},
          ReadState{.request = 1, .key = 2},
          Offer{.key = 1, .step = 2, .bytes = large},
          Leave{},
          Leave{.lost = true},
          Welcome{.server_incarnation = large, .window_bytes = 1},
          Refused{.code = ErrorCode::mismatch, .message = "no"},
          Acknowledged{.sequence = large},
          Reduced{.key = 1, .step = 2, .total_weight = 0.1, .used_by = 3, .block_sums{1.5, -0.0}},
          Reduced{.key = 1, .step = 2, .total_weight = 3, .used_by = 3, .sparse = true, .rows{4, 7}},
          Values{.request = 1, .key = 2, .version = 3, .clock = 4},
          State{.request = 1, .key = 2, .version = 3, .steps = 4, .state{"m"}, .bytes{30, 70}},
          Grant{.bytes = 1, .for_offer = true, .key = 2, .step = 3},
          Failed{.sequence = 1, .code = ErrorCode::closed, .message = "moved"},
          Failed{.code = ErrorCode::closed, .message = "moved", .server = 0, .view = 3, .ask = 2},
          Replicate{.view = 1, .link = 5, .order = 2, .worker = 3, .inner{std::byte{0xff}}},
          ReplicaAcknowledged{.view = 1, .link = 5, .order = 2, .by = 3, .incarnation = large},
          TakeOver{.server = 1, .lost = 0},
          TakeOver{.server = 1},
          Membership{{.server = 1, .number = 3, .primary = {1, large}, .replica = Holder{2, 5}}},
          Membership{{.server = 1, .number = 3, .primary = {1, large}}},
          AskAwaited{.request = large, .key = 2, .step = 3},
          Awaited{.request = large, .key = 2},
          Awaited{.request = 1, .key = 2, .ranks = {0, 7, 0xffffffff}, .replica = 0, .lacks_values = true},
          Transfer{.server = 1,
                   .link = 2,
                   .primary = 1,
                   .incarnation = large,
                   .has_key = true,
                   .more = true,
                   .pushes = {{std::byte{1}}},
                   .pushed_by = {7},
                   .key = 3,
                   .view = 4,
                   .bytes = {100},
                   .workers = {1},
                   .clocks = {2},
                   .sequences = {3}}};
}

KeyPlan plan_of(std::uint32_t servers) {
  return {{{.name = "w", .shape{3, 5}, .dtype = DType::bf16, .accumulator = DType::f32},
           {.name = "rows", .shape{100, 4}, .row_sparse = true}},
          {.servers = servers, .loops = 2, .partition_bytes = Bytes{16384}, .replicas = servers > 1}};
}

}  // namespace

TEST_CASE("What is said to a parameter server is read as it was written") {
  for (const Control& control : one_of_each()) {
    INFO("alternative " << control.index());
    const auto bytes = encode(control);
    const Control read = decode(bytes, 100);
    CHECK(read.index() == control.index());
    CHECK(encode(read) == bytes);
    const auto frame = encode_frame(control, 100);
    const FrameHead head = parse_head(std::span<const std::byte, FrameHead::size>(frame.data(), FrameHead::size), 100);
    CHECK(head.control_bytes == bytes.size());
    CHECK(head.payload_bytes == 100);
    CHECK(std::equal(bytes.begin(), bytes.end(), frame.begin() + FrameHead::size, frame.end()));
  }
}

TEST_CASE("A message is cut off nowhere without being corrupt or another one") {
  for (const Control& control : one_of_each()) {
    const auto bytes = encode(control);
    for (std::size_t length = 0; length < bytes.size(); ++length) {
      try {
        const Control read = decode(std::span(bytes).first(length), 100);
        CHECK(encode(read) != bytes);
      } catch (const Exception& exception) {
        CHECK(exception.error().code == ErrorCode::corrupt);
      }
    }
  }
}

TEST_CASE("Lengths that are only claimed, rows without bytes and parts that do not add up are corrupt") {
  const auto head = encode_head({.control_bytes = most_control_bytes + 1, .payload_bytes = 0});
  CHECK(code_of([&] { parse_head(head, 0); }) == ErrorCode::corrupt);
  const auto payload = encode_head({.control_bytes = 1, .payload_bytes = 101});
  CHECK(code_of([&] { parse_head(payload, 100); }) == ErrorCode::corrupt);
  CHECK(parse_head(payload, 101).payload_bytes == 101);
  const auto push = encode(Push{.sparse = true, .rows{1, 2, 3}});
  CHECK(code_of([&] { decode(push, 2); }) == ErrorCode::corrupt);
  CHECK(std::get<Push>(decode(push, 3)).rows == std::vector<std::uint32_t>{1, 2, 3});
  CHECK(code_of([] { encode(Push{.sparse = true, .rows{2, 2}}); }) == ErrorCode::invalid_argument);
  const auto state = encode(State{.state{"m"}, .bytes{10, std::numeric_limits<std::uint64_t>::max()}});
  CHECK(code_of([&] { decode(state, 9); }) == ErrorCode::corrupt);
  CHECK(code_of([] { decode({}, 0); }) == ErrorCode::corrupt);
}

TEST_CASE("A plan of keys travels: who reads it has the same keys") {
  for (const std::uint32_t servers : {1u, 3u}) {
    const KeyPlan plan = plan_of(servers);
    const auto bytes = encode(plan);
    CHECK(decode_plan(bytes)->fingerprint() == plan.fingerprint());
    for (std::size_t length = 0; length < bytes.size(); ++length) {
      try {
        const auto read = decode_plan(std::span(bytes).first(length));
        CHECK(read->fingerprint() != plan.fingerprint());
      } catch (const Exception& exception) {
        CHECK(exception.error().code == ErrorCode::corrupt);
      }
    }
  }
}

TEST_CASE("A view reads as it was written; what is none is corrupt") {
  for (const View& view : {View{.server = 3, .number = 7, .primary = {4, 99}},
                           View{.server = 0, .number = ~0ull, .primary = {0, ~0ull}, .replica = Holder{1, 0}}})
    CHECK(View::parse(view.to_text()) == view);
  for (const char* text :
       {"", "keys=0", "keys=0 view=0 primary=1:2", "keys=0 view=1 primary=1", "keys=0 view=1 primary=1:2 ",
        "keys=0 view=1 primary=1:2 replica=1:3", "keys=0 view=1 primary=1:2 replica=2:", "keys=-1 view=1 primary=1:2",
        "keys=0 view=1 primary=1:2 replica=2:3 more"}) {
    INFO(text);
    CHECK(code_of([&] { View::parse(text); }) == ErrorCode::corrupt);
  }
}

TEST_CASE("A server's card reads as it was written; what is none is corrupt") {
  const ServerCard card{.server = 2,
                        .incarnation = 99,
                        .host = "boot 1%/net\n",
                        .addresses{{"10.0.0.1", 4000}, {"fd00::1", 4001}},
                        .local = "trireme ps"};
  const ServerCard read = ServerCard::parse(card.to_text());
  CHECK(read.server == card.server);
  CHECK(read.incarnation == card.incarnation);
  CHECK(read.host == card.host);
  CHECK(read.addresses == card.addresses);
  CHECK(read.local == card.local);
  CHECK(card.to_text().find('\n') == std::string::npos);
  for (const char* text :
       {"", "server", "server=1", "server=x incarnation=1 host= local=", "server=1 incarnation=1 host=% local=",
        "server=1 incarnation=1 host=%zz local=", "server=1 server=1 incarnation=1 host= local=",
        "server=1 incarnation=1 host= address=nowhere local="}) {
    INFO(text);
    CHECK(code_of([&] { ServerCard::parse(text); }) == ErrorCode::corrupt);
  }
}
