// SPDX-License-Identifier: Apache-2.0
// Several TCP connections to a peer: how many, which belong together, and how each is set up.
#include "transport/tcp/flows.hpp"

#include "support/failures.hpp"
#include "trireme/net/wire.hpp"
#include "trireme/transport/arena.hpp"
#include "trireme/transport/doorbell.hpp"
#include "trireme/transport/endpoint.hpp"
#include "trireme/transport/tcp.hpp"

#include <catch2/catch.hpp>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

using namespace trireme;
using testing::error_of;
using testing::has;
using transport::FlowAssembly;
using transport::FlowProposal;
using transport::TcpOptions;

namespace {

Deadline in_time() { return Deadline::after(std::chrono::seconds(20)); }

struct SocketPair {
  SocketPair() {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0)
      fail_system("socketpair", errno);
    left = net::Socket(ends[0]);
    right = net::Socket(ends[1]);
  }
  net::Socket left, right;
};

const net::JobKey flows_key = net::JobKey::from_text("a key for the tests of the flows");

std::unique_ptr<transport::Transport> tcp_of(int rank, const TcpOptions& options) {
  return transport::make_tcp_transport({.job_id = "flows",
                                        .epoch = 0,
                                        .rank = rank,
                                        .world_size = 2,
                                        .key = flows_key,
                                        .arena = std::make_shared<transport::Arena>(Bytes{1u << 20}),
                                        .doorbell = std::make_shared<transport::Doorbell>()},
                                       options);
}

/// Both ends of a link between two transports.
struct Ends {
  Ends(const TcpOptions& low, const TcpOptions& high) : zero(tcp_of(0, low)), one(tcp_of(1, high)) {
    std::thread accepting([&] {
      while (!accepted && refusal.empty()) accepted = zero->accept(in_time(), refusal).second;
    });
    failure = error_of([&] { connected = one->connect(0, zero->card(), in_time()); });
    accepting.join();
  }
  std::unique_ptr<transport::Transport> zero, one;
  std::unique_ptr<transport::Link> accepted, connected;
  std::string refusal;
  Error failure;
};

int option_of(int descriptor, int level, int name) {
  int value = -1;
  socklen_t length = sizeof value;
  return ::getsockopt(descriptor, level, name, &value, &length) == 0 ? value : -1;
}

std::vector<std::unique_ptr<transport::Link>> all_lanes(std::unique_ptr<transport::Link> link) {
  auto lanes = link->take_lanes();
  lanes.insert(lanes.begin(), std::move(link));
  return lanes;
}

}  // namespace

TEST_CASE("as many connections as asked for make one link, and each end knows them in the same order") {
  const int flows = GENERATE(1, 2, 3, 16);
  Ends ends({.flows = flows}, {.flows = flows});
  REQUIRE(ends.failure.message.empty());
  REQUIRE(has(ends.connected->route(), flows == 1 ? ", 1 flow" : ", " + std::to_string(flows) + " flows"));
  REQUIRE(has(ends.accepted->route(), "127.0.0.1 (lo)"));
  const auto left = all_lanes(std::move(ends.connected)), right = all_lanes(std::move(ends.accepted));
  REQUIRE(left.size() == static_cast<std::size_t>(flows));
  REQUIRE(right.size() == left.size());
  for (std::size_t i = 0; i < left.size(); ++i) {
    const auto mark = static_cast<std::byte>(i + 1);
    const std::span<const std::byte> part(&mark, 1);
    REQUIRE(left[i]->write({&part, 1}) == 1);
    std::byte got{};
    for (int tries = 0; tries < 10000 && right[i]->read({&got, 1}) == 0; ++tries) std::this_thread::yield();
    REQUIRE(got == mark);
  }
}

TEST_CASE("between ranks of one host there is one flow unless more are asked for") {
  Ends ends({}, {});
  REQUIRE(all_lanes(std::move(ends.connected)).size() == 1);
  REQUIRE(all_lanes(std::move(ends.accepted)).size() == 1);
}

TEST_CASE("between hosts there are four, unless the world is so large that descriptors would run out") {
  REQUIRE(transport::automatic_flows(true, 2) == 1);
  REQUIRE(transport::automatic_flows(false, 2) == 4);
  REQUIRE(transport::automatic_flows(false, 128) == 4);
  REQUIRE(transport::automatic_flows(false, 129) == 1);
}

TEST_CASE("ranks that want different numbers of flows refuse each other, and both say what both want") {
  Ends ends({.flows = 2}, {.flows = GENERATE(0, 1, 3)});
  REQUIRE(ends.failure.code == ErrorCode::mismatch);
  REQUIRE(has(ends.failure.message, "the number of TCP flows differs: this rank has "));
  REQUIRE(has(ends.failure.message, "rank 0 has 2"));
  REQUIRE(has(ends.failure.message, "TRIREME_TCP_FLOWS"));
  REQUIRE(has(ends.refusal, "this rank has 2, rank 1 has "));
  REQUIRE(ends.accepted == nullptr);
}

TEST_CASE("an impossible proposal is refused before anything is answered") {
  const auto [attempt, setting, flows, index] =
      GENERATE(table<std::uint64_t, std::uint32_t, std::uint32_t, std::uint32_t>(
          {{1, 0, 0, 0}, {1, 0, 17, 0}, {1, 17, 17, 0}, {1, 0, 4, 4}, {1, 2, 3, 0}, {1, 0, 0xffffffffu, 0}}));
  SocketPair pair;
  net::Writer writer;
  writer.u64(attempt);
  writer.u32(setting);
  writer.u32(flows);
  writer.u32(index);
  const bool cut = GENERATE(false, true);
  net::send_message(pair.left, cut ? writer.data().first(10) : writer.data(), in_time());
  std::string refusal;
  const Error error = error_of([&] { transport::answer_flow(pair.right, 0, 1, in_time(), refusal); });
  REQUIRE(error.code == ErrorCode::corrupt);
  REQUIRE(has(error.message, "rank 1 proposes an impossible number of TCP flows"));
  REQUIRE_FALSE(net::wait_readable(pair.left, Deadline::after(std::chrono::milliseconds(0))));
}

TEST_CASE("connections come together by peer and attempt, in any order; what is void is dropped with a reason") {
  FlowAssembly assembly;
  std::string refusal;
  std::vector<SocketPair> pairs(8);
  const auto add = [&](int peer, std::uint64_t attempt, std::uint32_t index, std::size_t pair) {
    return assembly.add(peer, {.attempt = attempt, .setting = 3, .flows = 3, .index = index},
                        std::move(pairs[pair].right), refusal);
  };
  REQUIRE(add(1, 1, 2, 0).empty());
  REQUIRE(add(2, 1, 0, 1).empty());  // another peer
  REQUIRE(add(1, 2, 1, 2).empty());  // begins anew: the first one is void
  REQUIRE(refusal.empty());
  std::byte byte{};
  REQUIRE(::recv(pairs[0].left.descriptor(), &byte, 1, 0) == 0);
  REQUIRE(add(1, 1, 0, 3).empty());
  REQUIRE(refusal == "rank 1 has begun anew since");
  refusal.clear();
  REQUIRE(add(1, 2, 1, 4).empty());
  REQUIRE(refusal == "rank 1 has made this flow already");
  refusal.clear();
  REQUIRE(add(1, 2, 2, 5).empty());
  const auto whole = add(1, 2, 0, 6);
  REQUIRE(refusal.empty());
  REQUIRE(whole.size() == 3);
  // Index 1 is what came with pair 2.
  const std::byte mark{9};
  net::send_all(pairs[2].left, {&mark, 1}, in_time());
  net::receive_all(whole[1], {&byte, 1}, in_time());
  REQUIRE(byte == mark);
}

TEST_CASE("every flow sends at once, is probed when idle, outlives a closed window, and has the buffers asked for") {
  const std::size_t buffer_bytes = GENERATE(0u, 65536u);
  Ends ends({.flows = 3, .buffer_bytes = buffer_bytes}, {.flows = 3, .buffer_bytes = buffer_bytes});
  REQUIRE(ends.failure.message.empty());
  for (auto* side : {&ends.connected, &ends.accepted}) {
    const auto lanes = all_lanes(std::move(*side));
    for (std::size_t lane = 0; lane < lanes.size(); ++lane) {
      CAPTURE(buffer_bytes, lane);
      const int descriptor = lanes[lane]->descriptor();
      CHECK(option_of(descriptor, IPPROTO_TCP, TCP_NODELAY) == 1);
      CHECK(option_of(descriptor, SOL_SOCKET, SO_KEEPALIVE) == 1);
      CHECK(option_of(descriptor, IPPROTO_TCP, TCP_KEEPIDLE) == 2);
      CHECK(option_of(descriptor, IPPROTO_TCP, TCP_KEEPINTVL) == 1);
      CHECK(option_of(descriptor, IPPROTO_TCP, TCP_KEEPCNT) == (lane == 0 ? 3 : 60));
      CHECK(option_of(descriptor, IPPROTO_TCP, TCP_USER_TIMEOUT) == 0);  // a SilenceWatch looks instead
      CHECK(option_of(descriptor, IPPROTO_TCP, TCP_NOTSENT_LOWAT) == (lane == 0 ? 0 : 512 * 1024));
      if (buffer_bytes != 0) {
        CHECK(option_of(descriptor, SOL_SOCKET, SO_SNDBUF) == 2 * 65536);  // the kernel doubles it for its own needs
        CHECK(option_of(descriptor, SOL_SOCKET, SO_RCVBUF) == 2 * 65536);
      }
      // Which buffers were ever fixed: none, or both.
      const int locked = option_of(descriptor, SOL_SOCKET, SO_BUF_LOCK);
      if (locked < 0) {
        WARN("half skipped: this kernel does not tell whether buffers were fixed");
      } else {
        CHECK(locked == (buffer_bytes == 0 ? 0 : 3));
      }
    }
  }
}

TEST_CASE("a small message is one packet: header and payload leave in one call") {
  Ends ends({}, {});
  const int descriptor = ends.connected->descriptor();
  transport::Endpoint sender(1, 2, std::make_shared<transport::Doorbell>(), {});
  transport::Endpoint receiver(0, 2, std::make_shared<transport::Doorbell>(), {});
  sender.attach(0, std::move(ends.connected));
  receiver.attach(1, std::move(ends.accepted));
  // tcpi_data_segs_out, which the C library's tcp_info ends before; without those that the kernel sent again because this
  // process was long off its processor, tcpi_total_retrans.
  const auto packets = [&] {
    constexpr std::size_t place = 156, place_of_repeated = 100;
    std::array<std::byte, place + sizeof(std::uint32_t)> info{};
    socklen_t length = info.size();
    REQUIRE(::getsockopt(descriptor, IPPROTO_TCP, TCP_INFO, info.data(), &length) == 0);
    std::uint32_t count = 0, repeated = 0;
    std::memcpy(&count, info.data() + place, sizeof count);
    std::memcpy(&repeated, info.data() + place_of_repeated, sizeof repeated);
    return count - repeated;
  };
  const auto before = packets();
  constexpr std::uint32_t messages = 100;
  for (std::uint32_t i = 0; i < messages; ++i) {
    std::array<std::byte, 100> payload{}, target{};
    transport::SendRequest send;
    send.peer = 0;
    send.key = {1, i, 0};
    send.data = payload.data();
    send.bytes = payload.size();
    transport::ReceiveRequest receive;
    receive.peer = 1;
    receive.key = {1, i, 0};
    receive.destination = target.data();
    receive.bytes = target.size();
    receiver.receive(receive);
    sender.send(send);
    REQUIRE(send.state == transport::RequestState::done);
    for (int tries = 0; tries < 1000000 && receive.state == transport::RequestState::pending; ++tries)
      receiver.progress();
    REQUIRE(receive.state == transport::RequestState::done);
  }
  REQUIRE(packets() - before == messages);
}
