// SPDX-License-Identifier: Apache-2.0
#include "support/failures.hpp"
#include "support/relay.hpp"
#include "trireme/ps/in_process.hpp"
#include "unit/ps/served.hpp"

#include <catch2/catch.hpp>

#include <new>
#include <numeric>

using namespace trireme;
using namespace trireme::testing;

namespace {

std::vector<std::byte> floats(std::size_t count, float value) {
  std::vector<float> values(count, value);
  const auto bytes = std::as_bytes(std::span(values));
  return {bytes.begin(), bytes.end()};
}

}  // namespace

TEST_CASE("A stranger is refused by a parameter server, and others are served") {
  Served served({tensor("w", 8)});
  ps::Server& server = served.start(0);
  auto options = served.client_options();
  options.key = net::JobKey::random();
  const Error wrong_key = error_of([&] { ps::Client::connect(options, soon()); });
  CHECK(wrong_key.code == ErrorCode::invalid_argument);
  CHECK(has(wrong_key.message, "wrong job key"));
  CHECK(has(wrong_key.message, "parameter server 0"));

  options = served.client_options();
  options.job_id = "another";
  CHECK(code_of([&] { ps::Client::connect(options, soon()); }) == ErrorCode::mismatch);

  options = served.client_options();
  options.settings = "another optimizer";
  const Error settings = error_of([&] { ps::Client::connect(options, soon()); });
  CHECK(settings.code == ErrorCode::mismatch);
  CHECK(has(settings.message, "settings"));

  options = served.client_options();
  options.plan = std::make_shared<const ps::KeyPlan>(std::vector{tensor("w", 9)}, ps::KeyPlanOptions{});
  CHECK(code_of([&] { ps::Client::connect(options, soon()); }) == ErrorCode::mismatch);

  net::Socket nonsense = net::connect_tcp(server.card().addresses.front(), soon());
  net::send_all(nonsense, floats(100, 1.0f), soon());
  CHECK(comes_true([&] { return server.statistics().refused >= 5; }));
  CHECK(server.present() == 0);

  const auto client = served.client();
  CHECK(server.present() == 1);
  CHECK(client->statistics().takeovers == 0);
}

TEST_CASE("Servers and workers use the congestion control they are told to, or say that they cannot") {
  Served served({tensor("w", 8)});
  ps::ServerOptions server = served.server_options(0);
  server.congestion = "no_such_one";
  const Error by_server = error_of([&] { ps::Server::start(server); });
  CHECK(by_server.code == ErrorCode::invalid_argument);
  CHECK(has(by_server.message, "no_such_one"));
  server.congestion = "reno";
  const auto started = ps::Server::start(server);
  ps::ServerCard by_tcp = started->card();
  by_tcp.local.clear();
  const net::Connection socket =
      ps::dial(by_tcp, {.key = served.key, .job_id = "served", .rank = 0, .congestion = "reno"}, {}, soon());
  CHECK(net::congestion(socket.socket()) == "reno");
  const Error by_worker = error_of([&] {
    ps::dial(by_tcp, {.key = served.key, .job_id = "served", .rank = 0, .congestion = "no_such_one"}, {}, soon());
  });
  CHECK(by_worker.code == ErrorCode::invalid_argument);
  CHECK(has(by_worker.message, "no_such_one"));
}

TEST_CASE("Where another server answers than the card is of, it is not taken for that one") {
  Served served({tensor("w", 8)}, {.servers = 2});
  served.start_all();
  for (const bool by_tcp : {false, true}) {
    served.by_tcp = by_tcp;
    ps::ServerCard card = served.published().at(0);
    card.addresses = served.published().at(1).addresses;
    card.local = served.published().at(1).local;
    const Error error =
        error_of([&] { ps::dial(card, {.key = served.key, .job_id = "served", .rank = 0}, {}, soon()); });
    CHECK(error.code == ErrorCode::peer_lost);
    CHECK(has(error.message, "parameter server 0"));
    CHECK(has(error.message, "server 1 answers there"));
  }
}

TEST_CASE("256 connections are served at once by the same few threads") {
  constexpr std::uint32_t connections = 256, loops = 2;
  Served served({tensor("a", 8), tensor("b", 8)}, {.loops = loops});
  served.workers = connections / loops;
  const std::size_t before = threads_of_this_process();  // those that have just ended may still be among them
  ps::Server& server = served.start(0);
  std::vector<std::unique_ptr<RawWorker>> workers;
  for (std::uint32_t i = 0; i < connections; ++i)
    workers.push_back(std::make_unique<RawWorker>(served, 0, i % loops, i / loops));
  for (const auto& worker : workers) worker->hear_of<ps::Welcome>();
  CHECK(comes_true([&] { return server.statistics().connections == connections; }));
  CHECK(server.present() == connections / loops);
  // One accepts, each loop is one; those that shook hands are gone.
  CHECK(comes_true([&] { return threads_of_this_process() <= before + 1 + loops; }));

  const auto zeros = floats(8, 0.0f), ones = floats(8, 1.0f);
  const auto key_of = [&](std::uint32_t loop) {
    ps::Key key = 0;
    while (served.plan->keys()[key].loop != loop) ++key;
    return key;
  };
  for (std::uint32_t i = 0; i < connections; ++i) {
    const ps::Key key = key_of(i % loops);
    if (i < loops) {
      workers[i]->say(ps::Initialise{.sequence = 1, .key = key}, zeros);
      workers[i]->hear_of<ps::Acknowledged>();
    }
    workers[i]->say(ps::Push{.sequence = 2, .key = key, .step = 1, .weight = 1, .learning_rate = 1}, ones);
  }
  for (std::uint32_t i = 0; i < connections; ++i) CHECK(workers[i]->hear_of<ps::Acknowledged>().first.sequence == 2);
  for (std::uint32_t loop = 0; loop < loops; ++loop) {
    workers[loop]->say(ps::Pull{.request = 3, .key = key_of(loop), .step = 1});
    const auto [values, payload] = workers[loop]->hear_of<ps::Values>();
    CHECK(values.version == connections / loops);
    CHECK(std::vector(payload.begin(), payload.end()) == floats(8, -static_cast<float>(connections / loops)));
  }
  CHECK(threads_of_this_process() <= before + 1 + loops);
}

TEST_CASE("Who is silent at the door keeps nobody waiting who is inside") {
  Served served({tensor("w", 8)});
  ps::Server& server = served.start(0);
  auto client = served.client();
  std::vector<float> values(8, 0.0f), ones(8, 1.0f);
  const std::vector<ps::Client::InitialTensor> initial{{.values = std::span<const float>(values)}};
  client->initialise(initial);
  std::vector<net::Socket> silent;
  for (int i = 0; i < 100; ++i) silent.push_back(net::connect_tcp(server.card().addresses.front(), soon()));
  for (std::uint64_t step = 1; step <= 20; ++step) {
    client->push(0, {0, 8}, std::span<const float>(ones), {.step = step, .learning_rate = 1.0});
    client->wait_acknowledged();
    client->pull(0, step, std::span(values));
    CHECK(client->wait_values(0) == step);
    CHECK(values == std::vector<float>(8, -static_cast<float>(step)));
  }
}

TEST_CASE("What a worker has an answer to is counted by then") {
  Served served({tensor("w", 8)});
  ps::Server& server = served.start(0);
  RawWorker worker(served, 0, 0, 1);
  worker.hear_of<ps::Welcome>();
  worker.say(ps::Initialise{.sequence = 1}, floats(8, 0.0f));
  worker.hear_of<ps::Acknowledged>();
  std::uint64_t late = 0;
  for (std::uint64_t step = 1; step <= 2000; ++step) {
    worker.say(ps::Push{.sequence = step + 1, .step = step, .weight = 1, .learning_rate = 1}, floats(8, 1.0f));
    worker.hear_of<ps::Acknowledged>();
    late += server.statistics().pushes != step;
  }
  CHECK(late == 0);
}

TEST_CASE("A connection that ends in the middle of a frame is one line in the log, and nobody else's trouble") {
  Served served({tensor("w", 1024)});
  ps::Server& server = served.start(0);
  auto client = served.client();
  std::vector<float> values(1024, 0.0f);
  const std::vector<ps::Client::InitialTensor> initial{{.values = std::span<const float>(values)}};
  client->initialise(initial);
  const auto frame = ps::encode_frame(ps::Push{.sequence = 1, .step = 1, .weight = 1, .learning_rate = 1}, 4096);
  std::uint32_t cut = 0;
  {
    RawWorker worker(served, 0, 0, ++cut);
    worker.hear_of<ps::Welcome>();
    net::send_all(worker.socket, floats(1000, -1.0f), soon());  // a head beyond all limits
    CHECK(worker.is_closed());
  }
  CHECK(comes_true([&] { return served.lines.with("claims") == 1; }));
  CHECK(served.lines.with("dropped a connection") == 1);
  for (const std::size_t bytes : {std::size_t{1}, ps::FrameHead::size - 1, ps::FrameHead::size, ps::FrameHead::size + 1,
                                  frame.size() - 1, frame.size(), frame.size() + 100}) {
    RawWorker worker(served, 0, 0, ++cut);
    worker.hear_of<ps::Welcome>();
    auto sent = frame;
    sent.resize(bytes);
    net::send_all(worker.socket, sent, soon());
    worker.socket.close();
    CHECK(comes_true([&] { return server.present() == 1; }));
  }
  CHECK(served.lines.with("dropped a connection") <= 1 + 7);
  client->pull(0, 0, std::span(values));
  CHECK(client->wait_values(0) == 0);
  CHECK(values == std::vector<float>(1024, 0.0f));
}

TEST_CASE("A peer that asks and does not read is not read from: what waits for it is bounded") {
#ifdef TRIREME_SANITIZED
  constexpr std::size_t count = 16384, pulls = 400;  // still more than sockets hold: 26 MB of answers
#else
  constexpr std::size_t count = 16384, pulls = 3000;  // 196 MB of answers
#endif
  Served served({tensor("w", count)});
  served.by_tcp = true;
  served.servers[0] = [&] {
    auto options = served.server_options(0);
    options.memory = Bytes{64u << 20};  // answers may wait up to a 64th of it
    return ps::Server::start(options);
  }();
  served.cards[0] = served.servers[0]->card();
  ps::Server& server = *served.servers[0];
  auto client = served.client();
  std::vector<float> values(count, 1.0f);
  const std::vector<ps::Client::InitialTensor> initial{{.values = std::span<const float>(values)}};
  client->initialise(initial);

  RawWorker greedy(served, 0, 0, 1);
  greedy.hear_of<ps::Welcome>();
  for (std::size_t i = 1; i <= pulls; ++i) greedy.say(ps::Pull{.request = i});  // some 60 kB: they fit on the way
  CHECK(comes_true([&] { return server.statistics().queued_bytes >= (1u << 20); }));
  client->pull(0, 0, std::span(values));  // others are answered
  client->wait_values(0);
  bool all = true;
  for (std::size_t i = 1; i <= pulls; ++i) {
    const auto [answer, payload] = greedy.hear_of<ps::Values>();
    all = all && answer.request == i && payload.size() == count * 4;
  }
  CHECK(all);
  CHECK(server.statistics().most_queued_bytes <= (1u << 20) + 4 * count * 4);
}

TEST_CASE("A server that knows no model takes the keys that the first worker brings") {
  Served served({tensor("w", 8)}, {.loops = 2});
  auto options = served.server_options(0);
  options.plan = nullptr;
  served.servers[0] = ps::Server::start(options);
  served.cards[0] = served.servers[0]->card();
  CHECK(served.servers[0]->statistics().connections == 0);
  const auto client = served.client();
  CHECK(served.servers[0]->present() == 1);
  auto other = served.client_options(1);
  other.plan = std::make_shared<const ps::KeyPlan>(std::vector{tensor("v", 8)}, ps::KeyPlanOptions{.loops = 2});
  CHECK(code_of([&] { ps::Client::connect(other, soon()); }) == ErrorCode::mismatch);
}

TEST_CASE("A server that is linked to one that knows no keys yet is kept until a worker brings them") {
  Served served({tensor("w", 8)}, {.servers = 2, .loops = 2, .replicas = true});
  auto options = served.server_options(1);
  options.plan = nullptr;
  served.servers[1] = ps::Server::start(options);
  served.cards[1] = served.servers[1]->card();
  served.by_tcp = true;
  Relay relay(served.cards[1].addresses.front(), std::nullopt, Relay::Side::to_server);
  served.ways[1] = relay.address();
  ps::Server& first = served.start(0);
  REQUIRE(comes_true([&] { return relay.connections() >= 2 && relay.bytes(Relay::Side::from_server) > 0; }));
  const auto client = served.client();
  REQUIRE(comes_true([&] {
    const auto now = first.statistics();
    return now.served_groups > 0 && now.replicated_groups == now.served_groups;
  }));
  CHECK(served.lines.with("knows no keys") == 0);
}

TEST_CASE("A server that ends leaves no thread and no socket, whoever is connected or at the door") {
  const std::size_t threads = threads_of_this_process(), descriptors = descriptors_of_this_process();
  {
    Served served({tensor("w", 8)}, {.servers = 2, .loops = 2, .replicas = true});
    served.start_all();
    const auto client = served.client();
    RawWorker worker(served, 0, 1, 1);
    const net::Socket silent = net::connect_tcp(served.servers[0]->card().addresses.front(), soon());
    CHECK(comes_true([&] { return served.servers[0]->statistics().connections >= 4; }));
    served.servers.clear();
  }
  CHECK(comes_true([&] { return threads_of_this_process() <= threads; }));
  CHECK(descriptors_of_this_process() == descriptors);
}

TEST_CASE("Workers are counted while they are here, and those who left in order") {
  Served served({tensor("w", 8)}, {.loops = 3});
  ps::Server& server = served.start(0);
  auto one = served.client(0), two = served.client(1);
  CHECK(server.present() == 2);
  one->leave();
  one.reset();
  CHECK(comes_true([&] { return server.left() == 1; }));
  CHECK(server.present() == 1);
  two.reset();  // without a goodbye
  CHECK(comes_true([&] { return server.present() == 0; }));
  CHECK(server.left() == 1);
}

namespace {

/// A rule that finds no memory when it is first needed.
class NoMemory final : public Optimizer {
 public:
  NoMemory() : Optimizer("no memory", {}) {}
  std::string_view name() const override { return "no memory"; }
  const std::vector<std::string>& state_names() const override { return names_; }
  void prepare(const TensorShape&) override { throw std::bad_alloc(); }
  void update(const SpanUpdate&, const OptimizerRates&) const noexcept override {}

 private:
  std::vector<std::string> names_;
};

}  // namespace

TEST_CASE("A server that has no memory in the midst of an update serves no more, and all its workers hear of it") {
  Served served({tensor("w", 8)}, {}, {});
  served.workers = 2;
  auto options = served.server_options(0);
  options.make_optimizer = [] { return std::make_unique<NoMemory>(); };
  served.servers[0] = ps::Server::start(options);
  served.cards[0] = served.servers[0]->card();
  RawWorker one(served, 0, 0), two(served, 0, 0, 1);
  one.say(ps::Initialise{.sequence = 1}, floats(8, 0.0f));
  one.hear_of<ps::Acknowledged>();
  for (RawWorker* worker : {&one, &two}) worker->say(ps::Push{.sequence = 2, .step = 1, .weight = 1}, floats(8, 1.0f));
  for (RawWorker* worker : {&one, &two}) worker->hear_of<ps::Reduced>();
  two.say(ps::Update{.sequence = 3, .step = 1, .learning_rate = 1});
  for (RawWorker* worker : {&one, &two}) {
    const ps::Failed failed = worker->hear_of<ps::Failed>().first;
    CHECK(failed.sequence == 0);
    CHECK(failed.code == ErrorCode::system);
    worker->socket.close();
  }
  CHECK(comes_true([&] { return served.servers[0]->failure().has_value(); }));
}

TEST_CASE(
    "A server of this process that has no memory in the midst of an update serves no more, and all its workers hear of it") {
  const ps::InProcessServers servers(
      {.plan = std::make_shared<const ps::KeyPlan>(std::vector{tensor("w", 8)}, ps::KeyPlanOptions{}),
       .workers = 2,
       .leaves = 2,
       .make_optimizer = [] { return std::make_unique<NoMemory>(); }});
  const auto one = servers.connect(0, std::chrono::seconds(60)), two = servers.connect(1, std::chrono::seconds(60));
  const std::vector<float> ones(8, 1.0f);
  one->initialise(std::vector<ps::Client::InitialTensor>{{.values = std::span<const float>(ones)}});
  for (const auto& client : {one.get(), two.get()}) client->push(0, {0, 8}, std::span<const float>(ones), {.step = 1});
  for (const auto& client : {one.get(), two.get()}) client->wait_sum(0, 1, {});
  two->update({.step = 1, .learning_rate = 1.0}, false);
  std::vector<float> values(8);
  for (const auto& client : {one.get(), two.get()}) {
    const Error error = error_of([&] {
      client->pull(0, 1, std::span(values));
      client->wait_values(0);
    });
    CHECK(error.code == ErrorCode::system);
    CHECK(has(error.message, "stops"));
  }
}

TEST_CASE(
    "A server whose event loop fails serves nobody any more: workers of all loops hear why, and nobody is let in") {
  Served served({tensor("a", 50), tensor("b", 50)}, {.loops = 2});
  const auto failing = throw_at("has ended itself");
  served.lines.before = [&](std::string_view line) {
    if (line.find("serves no more") != std::string_view::npos) served.servers[0]->statistics();  // may be asked there
    failing(line);
  };
  served.workers = 3;
  served.start_all();
  CHECK(!served.servers[0]->failure());
  RawWorker first(served, 0, 0), second(served, 0, 1, 1), third(served, 0, 0, 2);
  for (RawWorker* worker : {&first, &second, &third}) worker->hear_of<ps::Welcome>();
  third.say(ps::Leave{.lost = true});
  for (RawWorker* worker : {&first, &second}) {
    const ps::Failed failed = worker->hear_of<ps::Failed>().first;
    CHECK(failed.sequence == 0);
    CHECK(failed.code == ErrorCode::system);
    CHECK(has(failed.message, "no room for a line"));
    worker->socket.close();
  }
  third.socket.close();
  REQUIRE(comes_true([&] { return served.servers[0]->failure().has_value(); }));
  CHECK(has(served.servers[0]->failure()->message, "no room for a line"));
  CHECK(served.lines.with("parameter server 0 serves no more") == 1);
  // It listens no more: dialling finds nobody.
  const ps::Caller late{.key = served.key, .job_id = "served", .rank = 0};
  const auto card = served.published().at(0);
  CHECK(comes_true([&] {
    const Deadline briefly = Deadline::after(std::chrono::milliseconds(20));
    return error_of([&] { ps::dial(card, late, {}, briefly); }).code != ErrorCode::none;
  }));
}
