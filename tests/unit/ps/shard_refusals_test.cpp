// SPDX-License-Identifier: Apache-2.0
// What does not fit is refused by name, and changes nothing.
#include "desk.hpp"
#include "ps/wire.hpp"
#include "trireme/optim/adam.hpp"
#include "trireme/optim/sgd.hpp"

#include <catch2/catch.hpp>

#include <cmath>
#include <limits>
#include <random>

using namespace trireme;
using namespace trireme::ps;
using testing::Desk;

namespace {

std::shared_ptr<const KeyPlan> plan() {
  return std::make_shared<const KeyPlan>(
      std::vector<TensorInfo>{{.name = "a", .shape = {3}}, {.name = "table", .shape = {6, 2}, .row_sparse = true}},
      KeyPlanOptions{.servers = 1});
}

ShardOptions options(const char* consistency, bool updates = true) {
  ShardOptions options{
      .plan = plan(), .consistency = Consistency::parse(consistency), .workers = 2, .leaves = 4, .settings = "adam"};
  if (updates) options.make_optimizer = [] { return std::make_unique<Adam>(AdamOptions{}); };
  return options;
}

void set_up(Desk& desk) {
  desk.join_all();
  desk.say(0, Initialise{.sequence = desk.next(), .key = 0}, Payload(12, std::byte{}));
  desk.say(0, Initialise{.sequence = desk.next(), .key = 1}, Payload(48, std::byte{}));
}

}  // namespace

TEST_CASE("A worker that has another job in mind is refused, with both values") {
  Desk desk(options("bsp"));
  const auto refusal = [&](auto change) {
    Join join = desk.join_of(1);
    change(join);
    const auto out = desk.say(1, join);
    const auto* refused = testing::first<Refused>(out, 2);
    return refused == nullptr ? std::string("none") : std::get<Refused>(refused->control).message;
  };
  CHECK(refusal([](Join&) {}) == "none");
  const std::string print = std::to_string(plan()->fingerprint());
  CHECK(refusal([](Join& j) { j.plan_fingerprint = 7; }) ==
        "plans of keys (fingerprints) differ: the worker has 7, the server " + print);
  CHECK(refusal([](Join& j) { j.workers = 3; }) == "numbers of workers differ: the worker has 3, the server 2");
  CHECK(refusal([](Join& j) { j.leaves = 8; }) == "numbers of leaves differ: the worker has 8, the server 4");
  CHECK(refusal([](Join& j) { j.consistency = "async"; }) ==
        "consistencies differ: the worker has 'async', the server 'bsp'");
  CHECK(refusal([](Join& j) { j.settings = "sgd"; }) == "settings differ: the worker has 'sgd', the server 'adam'");
  CHECK(refusal([](Join& j) { j.rank = 0; }) == "a worker that says it is rank 0 has the id of rank 1");
  CHECK(refusal([](Join& j) {
          j.rank = 2;
          j.worker = WorkerId{2} << 32 | 1;
        }) == "there is no rank 2 among 2 workers");
  CHECK(refusal([](Join& j) {
          j.rank = 0;
          j.worker = 5;
        }) == "this connection is that of rank 1 already, not of rank 0");
}

TEST_CASE("Messages that do not fit are refused by name, and nothing changes") {
  struct Case {
    const char* consistency;
    Control control;
    std::size_t bytes;
    std::string refusal;
  };
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const std::string a = "key 0 of tensor 'a': ", table = "key 1 of tensor 'table': ";
  const std::vector<Case> cases{
      {"bsp", Push{.sequence = 90, .key = 2, .step = 1}, 12, "key 2 is none of loop 0 of server 0"},
      {"bsp", Push{.sequence = 90, .step = 0}, 12, a + "steps are numbered from 1"},
      {"bsp", Push{.sequence = 0, .step = 1}, 12, a + "sequences are numbered from 1"},
      {"bsp", Push{.sequence = 90, .step = 1, .weight = nan}, 12, a + "weight nan is not finite and at least 0"},
      {"bsp", Push{.sequence = 90, .step = 1, .weight = -1}, 12, a + "weight -1.000000 is not finite and at least 0"},
      {"bsp", Push{.sequence = 90, .step = 1}, 11, a + "a push has 11 bytes where 12 belong"},
      {"bsp", Push{.sequence = 90, .step = 1, .used = false}, 12, a + "a push has 12 bytes where 0 belong"},
      {"bsp", Push{.sequence = 90, .step = 1, .sparse = true, .rows = {0}}, 4,
       a + "is not row-sparse: all of it travels"},
      {"bsp", Push{.sequence = 90, .step = 1, .rows = {0}}, 12, a + "a dense push has rows"},
      {"bsp", Push{.sequence = 90, .key = 1, .step = 1, .used = false, .sparse = true}, 0,
       table + "a push without gradient has rows"},
      {"bsp", Push{.sequence = 90, .key = 1, .step = 1, .sparse = true, .rows = {1, 6}}, 16,
       table + "row 6 is none of its rows [0, 6)"},
      {"bsp", Push{.sequence = 90, .key = 1, .step = 1, .sparse = true, .rows = {2, 2}}, 16,
       table + "row 2 stands behind row 2; rows must ascend"},
      {"bsp", Push{.sequence = 90, .key = 1, .step = 1, .sparse = true, .rows = {2}}, 16,
       table + "a push has 16 bytes where 8 belong"},
      {"async", Push{.sequence = 90, .step = 1, .scale = nan}, 12, a + "scale nan is not finite"},
      {"async", Push{.sequence = 90, .step = 1, .learning_rate = -1}, 12,
       a + "learning rate -1.000000 or clip value 0.000000 is not finite and at least 0"},
      {"bsp", Update{.sequence = 90, .step = 1}, 0, a + "the sum of step 1 is not complete"},
      {"bsp", Update{.sequence = 90, .step = 1, .scale = nan}, 0, a + "scale nan is not finite"},
      {"async", Update{.sequence = 90, .step = 1}, 0, a + "this server applies no updates of sums"},
      {"bsp", Update{.sequence = 90, .key = 9, .step = 1}, 0, "key 9 is none of loop 0 of server 0"},
      {"bsp", Pull{.request = 90, .key = 9}, 0, "key 9 is none of loop 0 of server 0"},
      {"bsp", Pull{.request = 90, .rows = {1}}, 0, a + "a dense pull has rows"},
      {"bsp", Pull{.request = 90}, 3, a + "a pull has bytes"},
      {"bsp", Pull{.request = 90, .key = 1, .sparse = true, .rows = {6}}, 0,
       table + "row 6 is none of its rows [0, 6)"},
      {"bsp", ReadState{.request = 90, .key = 9}, 0, "key 9 is none of loop 0 of server 0"},
      {"bsp", AskAwaited{.request = 90, .key = 9}, 0, "key 9 is none of loop 0 of server 0"},
      {"bsp", AskAwaited{.request = 90}, 3, a + "a question has bytes"},
      {"bsp", Awaited{.request = 90}, 0, "a server was told what only servers say"},
      {"bsp", Offer{.key = 0, .step = 1, .bytes = 13}, 0, a + "a push of 13 bytes is offered; it has at most 12"},
      {"bsp", Offer{.key = 0, .step = 0, .bytes = 12}, 0, a + "steps are numbered from 1"},
      {"bsp", Welcome{}, 0, "a server was told what only servers say"},
      {"bsp", Reduced{}, 0, "a server was told what only servers say"},
      {"bsp", Replicate{.order = 90}, 0, "a worker says what only servers say: Replicate"},
      {"bsp", ReplicaAcknowledged{}, 0, "a worker says what only servers say: ReplicaAcknowledged"},
      {"bsp", Membership{}, 0, "a worker says what only servers say: Membership"},
      {"bsp", Transfer{}, 0, "a worker says what only servers say: Transfer"},
      {"bsp", TakeOver{.server = 4}, 0, "server 0 holds nothing of server 4"},
  };
  for (const Case& each : cases) {
    Desk desk(options(each.consistency));
    set_up(desk);
    const auto before = testing::first<ps::State>(desk.say(0, ReadState{.request = 1}), 1)->payload;
    const auto out = desk.say(0, each.control, Payload(each.bytes, std::byte{0x3f}));
    CAPTURE(each.refusal);
    REQUIRE(out.size() == 1);
    CHECK(testing::failure(out, 1) == each.refusal);
    CHECK(testing::first<ps::State>(desk.say(0, ReadState{.request = 1}), 1)->payload->size() == before->size());
    CHECK(*testing::first<ps::State>(desk.say(0, ReadState{.request = 1}), 1)->payload == *before);
    CHECK(desk.shard().waiting_bytes() == 0);
    CHECK(desk.shard().statistics().updates == 0);
    if (each.refusal.starts_with("a worker says")) continue;  // it is for servers, which do not join
    // Who has not joined is refused whatever he says.
    const auto stranger = desk.say_on(77, each.control, Payload(each.bytes, std::byte{}));
    CHECK(testing::failure(stranger, 77) != "");
  }
}

TEST_CASE("Values and state that do not fit a key are refused; a key that has values keeps them") {
  Desk desk(options("bsp"));
  desk.join_all();
  const auto set = [&](std::vector<std::string> state, std::size_t bytes) {
    return testing::failure(
        desk.say(0, Initialise{.sequence = desk.next(), .key = 0, .steps = 3, .state = std::move(state)},
                 Payload(bytes, std::byte{})),
        1);
  };
  const std::string a = "key 0 of tensor 'a': initial values: ";
  CHECK(set({}, 11) == a + "there are 11 bytes where 12 belong");
  CHECK(set({"exp_avg"}, 24) == a + "state 'exp_avg_sq' is missing");
  CHECK(set({"exp_avg", "exp_avg"}, 36) == a + "state 'exp_avg' is named twice");
  CHECK(set({"exp_avg", "speed"}, 36) == a + "the rule here has no state 'speed'");
  CHECK(set({"exp_avg", "exp_avg_sq"}, 35) == a + "there are 35 bytes where 36 belong");
  CHECK(testing::failure(desk.say(0, ReadState{.request = 1}), 1) == "key 0 of tensor 'a': has no values yet");
  CHECK(testing::failure(desk.say(0, Push{.sequence = 99, .step = 1}, Payload(12, std::byte{})), 1) ==
        "key 0 of tensor 'a': is pushed to before it has values");
  CHECK(set({"exp_avg_sq", "exp_avg"}, 36) == "");
  CHECK(std::get<ps::State>(testing::first<ps::State>(desk.say(0, ReadState{.request = 1}), 1)->control).steps == 3);
  CHECK(set({}, 1) == "");  // whatever it is: it is set
}

TEST_CASE("Bytes of every kind of message, changed at random, harm nothing") {
  std::mt19937_64 random(4);
  const std::vector<Control> seeds{
      Push{.sequence = 3, .key = 1, .step = 1, .weight = 1, .sparse = true, .rows = {1, 4}},
      Push{.sequence = 3, .key = 0, .step = 1, .weight = 1},
      Initialise{.sequence = 4, .key = 0, .steps = 1, .state = {"exp_avg", "exp_avg_sq"}},
      Update{.sequence = 5, .key = 0, .step = 1},
      Pull{.request = 6, .key = 1, .step = 1, .sparse = true, .rows = {0, 5}},
      ReadState{.request = 7, .key = 1},
      Offer{.key = 1, .step = 1, .bytes = 8},
      Leave{},
      Join{.worker = WorkerId{1} << 32 | 3, .rank = 1, .workers = 2, .leaves = 4},
      Replicate{.server = 0,
                .view = 1,
                .link = 1,
                .order = 1,
                .worker = WorkerId{1} << 32 | 3,
                .inner = encode(Push{.sequence = 3, .key = 0, .step = 1, .weight = 1})},
      ReplicaAcknowledged{.server = 0, .view = 1, .link = 1, .order = 1, .by = 1, .incarnation = 3},
      TakeOver{.server = 1},
      Membership{{.server = 1, .number = 2, .primary = {1, 4}, .replica = Holder{0, 0}}},
      Failed{.sequence = 1, .code = ErrorCode::closed},
      Transfer{.server = 1,
               .link = 1,
               .primary = 1,
               .incarnation = 4,
               .has_key = true,
               .initialised = true,
               .key = 0,
               .view = 1,
               .state = {"exp_avg"},
               .bytes = {12, 12}},
  };
  const auto two_servers =
      std::make_shared<const KeyPlan>(plan()->tensors(), KeyPlanOptions{.servers = 2, .replicas = true});
  std::uint64_t understood = 0, refused = 0;
  for (int round = 0; round < 400; ++round) {
    ShardOptions job = options(round % 2 ? "bsp" : "async");
    job.plan = two_servers;
    job.memory_bytes = round % 3 ? 0 : 10'000;
    job.has_views = round % 4 >= 2;
    Desk desk(job);
    for (int i = 0; job.has_views && i < 2; ++i) {  // founded, and served without a replica
      std::vector<Outgoing> none;
      desk.shard().serve_alone(none);
      for (const View& view : desk.shard().take_proposals()) desk.shard().decided(view, none);
    }
    set_up(desk);
    for (int i = 0; i < 40; ++i) {
      auto bytes = encode(seeds[random() % seeds.size()]);
      Payload payload(random() % 3 ? 12 : random() % 60, std::byte{});
      for (std::uint64_t flips = random() % 3; flips > 0 && !bytes.empty(); --flips)
        bytes[random() % bytes.size()] ^= static_cast<std::byte>(1u << (random() % 8));
      try {
        Control control = decode(bytes, payload.size());
        ++understood;
        const auto out = desk.say_on(1 + random() % 4, std::move(control), std::move(payload));
        for (const Outgoing& each : out) refused += std::holds_alternative<Failed>(each.control);
        std::vector<Outgoing> more;
        for (const View& view : desk.shard().take_proposals()) desk.shard().decided(view, more);
      } catch (const Exception& failure) {
        CHECK(failure.error().code == ErrorCode::corrupt);
      }
    }
  }
  CHECK(understood > 5000);
  CHECK(refused > 1000);
}
