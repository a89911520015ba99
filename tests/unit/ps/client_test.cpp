// SPDX-License-Identifier: Apache-2.0
#include "support/failures.hpp"
#include "support/relay.hpp"
#include "unit/ps/served.hpp"

#include <catch2/catch.hpp>

#include <atomic>
#include <cstring>
#include <numeric>

using namespace trireme;
using namespace trireme::testing;

namespace {

std::vector<float> ramp(std::size_t count, float first) {
  std::vector<float> values(count);
  std::iota(values.begin(), values.end(), first);
  return values;
}

void initialise(ps::Client& client, std::span<const std::vector<float>> tensors) {
  std::vector<ps::Client::InitialTensor> initial;
  for (const auto& values : tensors) initial.push_back({.values = std::span<const float>(values)});
  client.initialise(initial);
}

/// One small exchange through a relay, cut at `cut_at`: what the counter is afterwards.
struct Exchange {
  float counter = 0.0f;
  std::uint64_t to_server = 0, from_server = 0;
  bool has_cut = false;  ///< or a dial was given up before so much had passed
};
Exchange exchange_through_relay(std::optional<std::uint64_t> cut_at, Relay::Side side) {
  Served served({tensor("w", 8)});
  ps::Server& server = served.start(0);
  Relay relay(server.card().addresses.front(), cut_at, side);
  served.by_tcp = true;
  served.cards[0].addresses = {relay.address()};
  auto client = served.client();
  const std::vector<std::vector<float>> zeros{std::vector<float>(8, 0.0f)};
  initialise(*client, zeros);
  const std::vector<float> ones(8, 1.0f);
  for (std::uint64_t step = 1; step <= 2; ++step)
    client->push(0, {0, 8}, std::span<const float>(ones), {.step = step, .learning_rate = 1.0});
  client->wait_acknowledged();
  std::vector<float> values(8);
  client->pull(0, 2, std::span(values));
  client->wait_values(0);
  for (const float value : values) {
    if (value != values[0]) throw std::logic_error("elements of one key differ");
  }
  return {-values[0], relay.bytes(Relay::Side::to_server), relay.bytes(Relay::Side::from_server),
          relay.has_cut() || relay.connections() > 1};
}

}  // namespace

TEST_CASE("Values, gradients and state go to their keys and come back, over all loops of all servers") {
  Served served({tensor("a", 20'000), tensor("b", 3), tensor("empty", 0), tensor("c", 9'000)},
                {.servers = 2, .loops = 2, .partition_bytes = Bytes{16'384}});
  served.by_tcp = GENERATE(false, true);
  served.start_all();
  auto client = served.client();
  const std::vector<std::vector<float>> first{ramp(20'000, 1.0f), ramp(3, -1.0f), {}, ramp(9'000, 0.5f)};
  initialise(*client, first);
  std::vector<std::vector<float>> values = first;
  for (auto& each : values) std::fill(each.begin(), each.end(), 0.0f);
  for (std::size_t t = 0; t < 4; ++t) client->pull(t, 0, std::span(values[t]));
  for (std::size_t t = 0; t < 4; ++t) CHECK(client->wait_values(t) == 0);
  CHECK(values == first);

  // In pieces that are no keys, the last first.
  const auto gradient = ramp(20'000, 0.0f);
  for (const auto& [begin, end] : {std::pair<std::size_t, std::size_t>{15'001, 20'000}, {0, 5}, {5, 15'001}})
    client->push(0, {begin, end}, std::span(gradient).subspan(begin, end - begin), {.step = 1, .learning_rate = 1.0});
  for (std::size_t t = 1; t < 4; ++t) client->push_nothing(t, {.step = 1, .learning_rate = 1.0});
  client->wait_acknowledged();
  client->pull(0, 1, std::span(values[0]));
  CHECK(client->wait_values(0) == 1);
  CHECK(values[0] == std::vector<float>(20'000, 1.0f));
  const auto state = client->read_state(0);
  CHECK(state.steps == 1);
  REQUIRE(state.values.size() == 80'000);
  CHECK(std::memcmp(state.values.data(), values[0].data(), 80'000) == 0);
  const auto statistics = client->statistics();
  CHECK(statistics.retries == 0);
  CHECK(statistics.bytes_sent > 80'000 + 80'000);
}

TEST_CASE("What a worker has waited for is in its statistics by then") {
  Served served({tensor("w", 8)});
  served.start(0);
  auto client = served.client();
  const std::vector<std::vector<float>> zeros{std::vector<float>(8, 0.0f)};
  initialise(*client, zeros);
  std::vector<float> values(8);
  std::uint64_t late = 0, before = client->statistics().bytes_received;
  for (int times = 0; times < 2000; ++times) {
    client->pull(0, 0, std::span(values));
    client->wait_values(0);
    const std::uint64_t received = client->statistics().bytes_received;
    late += received < before + 8 * sizeof(float);
    before = received;
  }
  CHECK(late == 0);
}

TEST_CASE("A worker that leaves while a server is dialled again says so there, too: it is not lost") {
  Served served({tensor("w", 8)}, {}, {});
  served.with_optimizer = false;
  ps::Server& server = served.start(0);
  Relay relay(server.card().addresses.front(), std::nullopt, Relay::Side::to_server);
  served.by_tcp = true;
  served.cards[0].addresses = {relay.address()};
  auto options = served.client_options();
  options.takeover = std::chrono::minutes(1);
  auto client = ps::Client::connect(options, soon());
  relay.block(true);
  REQUIRE(comes_true([&] { return client->statistics().retries >= 1; }));
  std::thread leaving([&] { client->leave(); });
  relay.block(false);
  leaving.join();
  client.reset();
  CHECK(comes_true([&] { return server.present() == 0; }));
  CHECK(server.left() == 1);
}

TEST_CASE("What does not fit a plan is refused before it is sent, naming the tensor") {
  Served served({tensor("weights", 8)});
  served.start(0);
  auto client = served.client();
  std::vector<float> seven(7), eight(8);
  std::vector<double> wide(8);
  const auto refused = [](auto&& call) {
    const Error error = error_of(call);
    return error.code == ErrorCode::invalid_argument && has(error.message, "weights");
  };
  CHECK(refused([&] { client->push(0, {0, 8}, std::span<const float>(seven), {.step = 1}); }));
  CHECK(refused([&] { client->push(0, {1, 9}, std::span<const float>(eight), {.step = 1}); }));
  CHECK(refused([&] { client->push(0, {0, 8}, std::span<const double>(wide), {.step = 1}); }));
  CHECK(refused([&] { client->pull(0, 1, std::span(seven)); }));
  CHECK(refused([&] { client->push_rows(0, {}, std::span<const float>(), {.step = 1}); }));
  client->push(0, {0, 4}, std::span<const float>(eight).first(4), {.step = 1});
  CHECK(refused([&] { client->push(0, {3, 8}, std::span<const float>(eight).first(5), {.step = 1}); }));
  CHECK(code_of([&] { client->pull(1, 1, std::span(seven)); }) == ErrorCode::invalid_argument);
}

TEST_CASE("What is too long for any message is refused by name, and nothing of it is sent") {
  Served served({tensor("weights", 8)});
  served.start(0);
  auto client = served.client();
  const std::vector<float> values(8), state(1 << 20);
  const std::vector<ps::Client::InitialTensor> initial{
      {.values = std::span<const float>(values), .steps = 1, .state = {{"factor", std::span<const float>(state)}}}};
  const Error error = error_of([&] { client->initialise(initial); });
  CHECK(error.code == ErrorCode::invalid_argument);
  CHECK(has(error.message, "'weights'"));
  CHECK(has(error.message, std::to_string((8 + (1 << 20)) * sizeof(float))));
  const std::vector<std::vector<float>> zeros{values};
  initialise(*client, zeros);
}

TEST_CASE("A sum whose rows are more than a message holds is said to be so to those who wait for it") {
  constexpr std::int64_t rows = 2'600'000;
  Served served({{.name = "table", .shape = {rows, 1}, .row_sparse = true}}, {.partition_bytes = Bytes{16 << 20}}, {});
  served.workers = 2;
  served.with_optimizer = false;
  served.start(0);
  const auto one = served.client(0), two = served.client(1);
  std::vector<std::uint32_t> even, odd;
  for (std::uint32_t row = 0; row < 1'200'000; ++row) (row % 2 == 0 ? even : odd).push_back(row);
  const std::vector<float> elements(even.size(), 1.0f);
  one->push_rows(0, even, std::span<const float>(elements), {.step = 1});
  two->push_rows(0, odd, std::span<const float>(elements), {.step = 1});
  std::vector<float> mean(rows);
  for (const auto& client : {one.get(), two.get()}) {
    const Error error = error_of([&] { client->wait_sum(0, 1, std::span(mean)); });
    CHECK(error.code == ErrorCode::invalid_argument);
    CHECK(has(error.message, "smaller partitions need fewer"));
    CHECK(client->statistics().retries == 0);
  }
}

TEST_CASE("What has no room in the window is offered, and sent when it is granted: a server's memory is kept to") {
  constexpr std::size_t count = 4096, tensors = 12;
  constexpr std::uint64_t memory = 6 * count * 4;
  std::vector<ps::TensorInfo> infos;
  for (std::size_t t = 0; t < tensors; ++t) infos.push_back(tensor("t" + std::to_string(t), count));
  Served served(std::move(infos), {}, {});
  served.workers = 2;
  served.with_optimizer = false;
  auto options = served.server_options(0);
  options.memory = Bytes{memory};
  served.servers[0] = ps::Server::start(options);
  served.cards[0] = served.servers[0]->card();
  const auto one = served.client(0), two = served.client(1);
  const auto low = ramp(count, 0.0f), high = ramp(count, 2.0f), middle = ramp(count, 1.0f);
  for (std::uint64_t step = 1; step <= 3; ++step) {
    for (std::size_t t = 0; t < tensors; ++t) one->push(t, {0, count}, std::span<const float>(low), {.step = step});
    for (std::size_t t = tensors; t-- > 0;) two->push(t, {0, count}, std::span<const float>(high), {.step = step});
    std::vector<float> mean(count);
    for (std::size_t t = 0; t < tensors; ++t) {
      for (const auto& client : {one.get(), two.get()}) {
        CHECK(client->wait_sum(t, step, std::span(mean)).total_weight == 2.0);
        CHECK(mean == middle);
      }
    }
  }
  const auto statistics = served.servers[0]->statistics();
  CHECK(statistics.pushes == 2 * 3 * tensors);
  CHECK(statistics.most_waiting_bytes > 0);
  CHECK(statistics.most_waiting_bytes <= memory);
}

TEST_CASE(
    "Workers whose gradients come in opposite orders do not wait for each other, however little each has under way") {
  constexpr std::size_t count = 1 << 20;  // of each tensor 4 MiB in 32 keys, and the lead is 2 MiB
  Served served({tensor("a", count), tensor("b", count)}, {.partition_bytes = Bytes{128 << 10}},
                ps::Consistency::parse("bsp"));
  served.workers = 2;
  served.with_optimizer = false;
  ps::Server& server = served.start(0);
  const std::vector<float> ones(count, 1.0f);
  std::vector<std::unique_ptr<ps::Client>> clients;
  for (std::uint32_t rank = 0; rank < 2; ++rank) clients.push_back(served.client(rank));
  const auto push = [&](std::uint32_t rank, std::size_t t) {
    clients[rank]->push(t, {0, count}, std::span<const float>(ones), {.step = 1});
  };
  push(0, 0);
  push(1, 1);
  CHECK(comes_true([&] { return server.statistics().pushes >= 2; }));
  push(0, 1);
  push(1, 0);
  std::vector<float> means(count);
  for (auto& client : clients) {
    for (std::size_t t = 0; t < 2; ++t) {
      client->wait_sum(t, 1, std::span(means));
      CHECK(means.front() == 1.0f);
      CHECK(means.back() == 1.0f);
    }
  }
}

TEST_CASE("A push that is sent again after a cut is applied once, wherever the cut was") {
  const Exchange whole = exchange_through_relay(std::nullopt, Relay::Side::to_server);
  REQUIRE(whole.counter == 2.0f);
  // The end of the conversation is the frames; what lies before is the handshake, of which every 40th byte is enough.
  const auto cuts = [](std::uint64_t total) {
    std::vector<std::uint64_t> at;
    for (std::uint64_t byte = 1; byte < total; byte += byte + 400 < total ? 41 : 7) at.push_back(byte);
    at.push_back(total - 1);
    return at;
  };
  for (const std::uint64_t at : cuts(whole.to_server)) {
    const Exchange one = exchange_through_relay(at, Relay::Side::to_server);
    INFO("after " << at << " of " << whole.to_server << " bytes to the server");
    CHECK(one.has_cut);
    CHECK(one.counter == 2.0f);
  }
  for (const std::uint64_t at : cuts(whole.from_server)) {
    const Exchange one = exchange_through_relay(at, Relay::Side::from_server);
    INFO("after " << at << " of " << whole.from_server << " bytes from the server");
    CHECK(one.counter == 2.0f);
  }
}

TEST_CASE("A server that is started again elsewhere is found by its new card") {
  Served served({tensor("a", 5'000), tensor("b", 5'000)}, {.loops = 2, .partition_bytes = Bytes{16'384}}, {});
  served.with_optimizer = false;  // sums only: nothing is lost with it
  served.by_tcp = true;
  served.start(0);
  auto client = served.client();
  std::vector<float> gradient = ramp(5'000, 1.0f), mean(5'000);
  for (std::uint64_t step = 1; step <= 6; ++step) {
    const auto before = served.published()[0].incarnation;  // ports may be given again
    if (step % 2 == 0) {
      served.servers[0].reset();
      served.start(0);
      CHECK(served.published()[0].incarnation != before);
    }
    for (std::size_t t = 0; t < 2; ++t) client->push(t, {0, 5'000}, std::span<const float>(gradient), {.step = step});
    for (std::size_t t = 0; t < 2; ++t) {
      const auto sum = client->wait_sum(t, step, std::span(mean));
      CHECK(sum.used);
      CHECK(sum.total_weight == 1.0);
      CHECK(mean == gradient);
    }
  }
  CHECK(client->statistics().retries >= 3);
}

TEST_CASE("Who waits in vain is told for what, from whom") {
  Served served({tensor("embedding", 8)}, {}, {});
  served.workers = 2;
  served.with_optimizer = false;
  served.start(0);
  auto options = served.client_options(0);
  options.timeout = std::chrono::milliseconds(200);
  auto client = ps::Client::connect(options, soon());
  std::vector<float> ones(8, 1.0f), mean(8);
  client->push(0, {0, 8}, std::span<const float>(ones), {.step = 3});
  const Error error = error_of([&] { client->wait_sum(0, 3, std::span(mean)); });
  CHECK(error.code == ErrorCode::timeout);
  CHECK(error.rank == 0);
  CHECK(error.label == "embedding");
  for (const char* part : {"rank 0", "embedding", "step 3", "parameter server 0", "pushes of worker 1 are missing"}) {
    INFO(error.message);
    CHECK(has(error.message, part));
  }
  CHECK(error.peer_rank == 1);
  CHECK(code_of([&] { client->wait_acknowledged(); }) == ErrorCode::timeout);  // it does nothing any more
}

TEST_CASE("A worker that others are not to leave behind is named by who has waited for it for too long") {
  Served served({tensor("w", 8)}, {}, ps::Consistency::parse("ssp:1"));
  served.workers = 4;
  served.start(0);
  auto options = served.client_options(0);
  options.timeout = std::chrono::milliseconds(1500);
  auto client = ps::Client::connect(options, soon());
  std::vector<std::unique_ptr<ps::Client>> others;
  for (std::uint32_t rank = 1; rank < 4; ++rank) others.push_back(served.client(rank));
  std::vector<float> values(8, 0.0f);
  const std::vector<float> ones(8, 1.0f);
  const std::vector<std::vector<float>> first{values};
  initialise(*client, first);
  const auto push = [&](ps::Client& by, std::uint64_t step) {
    by.push(0, {0, 8}, std::span<const float>(ones), {.step = step, .learning_rate = 1.0});
    by.wait_acknowledged();
  };
  for (const std::uint64_t step : {1, 2, 3}) push(*client, step);
  for (const std::uint64_t step : {1, 2}) push(*others[1], step);  // worker 2; none behind its bound
  client->pull(0, 3, std::span(values));
  const Error error = error_of([&] { client->wait_values(0); });
  INFO(error.message);
  CHECK(error.code == ErrorCode::timeout);
  CHECK(has(error.message, "; pushes of workers 1, 3 are missing"));
  CHECK(error.peer_rank == -1);
}

TEST_CASE("A server that waits for its replica says so to who has waited for too long") {
  Served served({tensor("w", 8)}, {.servers = 2, .replicas = true});
  served.by_tcp = true;
  const std::uint32_t primary = served.plan->keys()[0].server, partner = 1 - primary;
  served.start(partner);
  Relay relay(served.servers[partner]->card().addresses.front(), std::nullopt, Relay::Side::to_server);
  served.ways[partner] = relay.address();
  served.start(primary);
  REQUIRE(comes_true([&] {
    const auto now = served.servers[primary]->statistics();
    return now.served_groups > 0 && now.replicated_groups == now.served_groups;
  }));
  auto options = served.client_options(0);
  options.timeout = std::chrono::milliseconds(1500);
  auto client = ps::Client::connect(options, soon());
  const std::vector<std::vector<float>> zeros{std::vector<float>(8, 0.0f)};
  initialise(*client, zeros);
  relay.hold();
  const std::vector<float> ones(8, 1.0f);
  client->push(0, {0, 8}, std::span<const float>(ones), {.step = 1, .learning_rate = 1.0});
  const Error error = error_of([&] { client->wait_acknowledged(); });
  INFO(error.message);
  CHECK(error.code == ErrorCode::timeout);
  CHECK(has(error.message, "waits for its replica, parameter server " + std::to_string(partner)));
}

TEST_CASE("A server that is gone and that nobody replaces is named") {
  Served served({tensor("w", 8)});
  served.start(0);
  auto options = served.client_options(0);
  options.timeout = std::chrono::milliseconds(200);
  auto client = ps::Client::connect(options, soon());
  served.servers[0].reset();
  REQUIRE(comes_true([&] { return client->statistics().retries >= 1; }));  // it knows
  std::vector<float> ones(8, 1.0f);
  const Error error = error_of([&] {
    client->push(0, {0, 8}, std::span<const float>(ones), {.step = 1, .learning_rate = 1.0});
    client->wait_acknowledged();
  });
  CHECK(error.code == ErrorCode::peer_lost);
  CHECK(has(error.message, "parameter server 0"));

  const Error nobody = error_of([&] { ps::Client::connect(options, Deadline::after(std::chrono::milliseconds(200))); });
  CHECK(nobody.code == ErrorCode::timeout);
  CHECK(has(nobody.message, "parameter server 0"));
}

TEST_CASE(
    "Who dials a server that is silent ends at once when told to, however long he would wait, and dials no more") {
  Served served({tensor("w", 8)});
  served.start(0);
  const net::Socket deaf = net::listen_tcp({"127.0.0.1", 0});
  served.by_tcp = true;
  served.cards[0].addresses = {net::local_address(deaf)};
  ps::DialBreaker breaker;
  const auto dialled = [&] {
    return error_of([&] {
      static_cast<void>(ps::dial(served.published().at(0), {.key = served.key, .job_id = "served", .rank = 0},
                                 {.loop = 0}, soon(), &breaker));
    });
  };
  Error error;
  std::thread dialling([&] { error = dialled(); });
  const auto heard = net::accept(deaf, soon());
  CHECK((heard && net::wait_readable(*heard, soon())));  // now it waits for an answer
  breaker.stop();
  dialling.join();
  CHECK(error.code != ErrorCode::none);
  CHECK(error.code != ErrorCode::timeout);
  CHECK(dialled().code == ErrorCode::closed);
}

TEST_CASE("Who dials a server that is not there ends when told to, however long he would try again") {
  Served served({tensor("w", 8)});
  served.start(0);
  served.by_tcp = GENERATE(false, true);
  const std::vector<ps::ServerCard> cards = served.published();
  served.servers[0].reset();
  ps::DialBreaker breaker;
  Error error;
  std::atomic<bool> began{false};
  std::thread dialling([&] {
    error = error_of([&] {
      began = true;
      static_cast<void>(ps::dial(cards.at(0), {.key = served.key, .job_id = "served", .rank = 0}, {.loop = 0},
                                 Deadline::after(std::chrono::hours(1)), &breaker));
    });
  });
  CHECK(comes_true([&] { return began.load(); }));
  std::this_thread::sleep_for(std::chrono::milliseconds(100));  // most likely it tries to connect by now
  breaker.stop();
  dialling.join();
  CHECK(error.code == ErrorCode::closed);
}

TEST_CASE("A server that is silent is named when there is no more time for it") {
  Served served({tensor("w", 8)});
  served.start(0);
  const net::Socket deaf = net::listen_tcp({"127.0.0.1", 0});
  served.by_tcp = true;
  served.cards[0].addresses = {net::local_address(deaf)};
  const Error error =
      error_of([&] { ps::Client::connect(served.client_options(), Deadline::after(std::chrono::milliseconds(100))); });
  CHECK(error.code == ErrorCode::timeout);
  CHECK(has(error.message, "parameter server 0"));
}

namespace {

constexpr std::size_t summed = 100'000;

/// Two workers sum once, in the memory that they push; the first by way of a relay that cuts it off once, when so many bytes have come
/// from the server.
struct CutSum {
  explicit CutSum(std::optional<std::uint64_t> cut_at)
      : served({tensor("w", summed)}, {}, {}), relay(prepare(), cut_at, Relay::Side::from_server) {
    auto options = served.client_options(0);
    options.servers = [this] {
      auto cards = served.published();
      if (!is_direct) cards[0].addresses = {relay.address()};
      return cards;
    };
    one = ps::Client::connect(options, soon());
    two = served.client(1);
  }
  net::Address prepare() {
    served.workers = 2;
    served.with_optimizer = false;
    served.by_tcp = true;
    return served.start(0).card().addresses.front();
  }
  void push(ps::Client& client, std::vector<float>& memory) {
    client.expect_sum(0, 1, std::span(memory));
    client.push(0, {0, summed}, std::span<const float>(memory), {.step = 1});
  }
  Served served;
  Relay relay;
  std::atomic<bool> is_direct{false};
  std::vector<float> low = std::vector<float>(summed, 1.0f), high = std::vector<float>(summed, 3.0f);
  std::unique_ptr<ps::Client> one, two;  ///< go before their memory
};

/// Bytes from the server up to the end of the sum, of which the last 400'000 are its elements.
std::uint64_t bytes_of_whole_sum() {
  CutSum whole(std::nullopt);
  whole.push(*whole.one, whole.low);
  whole.push(*whole.two, whole.high);
  whole.one->wait_sum(0, 1, std::span(whole.low));
  // The relay counts what it has passed on afterwards.
  REQUIRE(comes_true([&] { return whole.relay.bytes(Relay::Side::from_server) > 4 * summed; }));
  return whole.relay.bytes(Relay::Side::from_server);
}

}  // namespace

TEST_CASE(
    "A sum that is cut off on its way into the memory that was pushed comes again, and that memory is not summed") {
  CutSum cut(bytes_of_whole_sum() - 200'000);
  cut.push(*cut.one, cut.low);
  cut.push(*cut.two, cut.high);
  cut.one->wait_sum(0, 1, std::span(cut.low));
  cut.two->wait_sum(0, 1, std::span(cut.high));
  CHECK(cut.relay.has_cut());
  CHECK((cut.low == std::vector<float>(summed, 2.0f)));
  CHECK((cut.high == std::vector<float>(summed, 2.0f)));
  CHECK(cut.one->statistics().retries >= 1);
}

TEST_CASE("A server that is new would sum memory that a sum has partly taken: its worker ends, and says so") {
  CutSum cut(bytes_of_whole_sum() - 200'000);
  cut.relay.block_after_cut();
  cut.push(*cut.one, cut.low);
  cut.push(*cut.two, cut.high);
  REQUIRE(comes_true([&] { return cut.relay.has_cut(); }));
  cut.served.servers[0].reset();
  cut.served.start(0);
  cut.is_direct = true;
  const Error error = error_of([&] { cut.one->wait_sum(0, 1, std::span(cut.low)); });
  CHECK(error.code == ErrorCode::peer_lost);
  CHECK(has(error.message, "in the midst of a sum"));
  CHECK(has(error.message, "parameter server 0"));
}

TEST_CASE("A push whose sum comes by a new connection is not sent again: its memory may be the sum's by then") {
  const auto sum_behind_cut = [](std::optional<std::uint64_t> cut_at) {
    Served served({tensor("w", 8)}, {}, {});
    served.workers = 2;
    served.with_optimizer = false;
    served.by_tcp = true;
    ps::Server& server = served.start(0);
    Relay relay(server.card().addresses.front(), cut_at, Relay::Side::from_server);
    relay.block_after_cut();
    std::atomic<bool> is_direct = false;
    std::vector<float> low(8, 1.0f), high(8, 3.0f);
    auto options = served.client_options(0);
    options.servers = [&] {
      auto cards = served.published();
      if (!is_direct) cards[0].addresses = {relay.address()};
      return cards;
    };
    const auto one = ps::Client::connect(options, soon()), two = served.client(1);
    if (!cut_at) return relay.bytes(Relay::Side::from_server);
    one->expect_sum(0, 1, std::span(low));
    one->push(0, {0, 8}, std::span<const float>(low), {.step = 1});
    REQUIRE(comes_true([&] { return relay.has_cut(); }));
    two->push(0, {0, 8}, std::span<const float>(high), {.step = 1});
    two->wait_sum(0, 1, std::span(high));
    is_direct = true;
    one->wait_sum(0, 1, std::span(low));
    CHECK(low == std::vector<float>(8, 2.0f));
    one->wait_acknowledged();
    CHECK(server.statistics().pushes == 2);
    CHECK(server.statistics().duplicates == 0);
    return std::uint64_t{0};
  };
  sum_behind_cut(sum_behind_cut(std::nullopt) + 4);  // in the midst of the acknowledgement
}

TEST_CASE("A worker that ends itself touches its memory no more, fails later calls, and the others are told at once") {
  Served served({tensor("w", summed)}, {}, {});
  served.workers = 2;
  served.with_optimizer = false;
  served.start(0);
  auto one = served.client(0), two = served.client(1);
  std::vector<float> low(summed, 1.0f), high(summed, 3.0f);
  one->expect_sum(0, 1, std::span(low));
  one->push(0, {0, summed}, std::span<const float>(low), {.step = 1});
  two->end();
  CHECK(code_of([&] { two->push(0, {0, summed}, std::span<const float>(high), {.step = 1}); }) == ErrorCode::closed);
  CHECK(code_of([&] { two->pull(0, 0, std::span(high)); }) == ErrorCode::closed);
  const Error error = error_of([&] { one->wait_sum(0, 1, std::span(low)); });
  CHECK(error.code == ErrorCode::peer_lost);
  CHECK(has(error.message, "worker 1"));
  CHECK((high == std::vector<float>(summed, 3.0f)));
  CHECK(served.lines.with("worker 1 has ended itself") == 1);
}
