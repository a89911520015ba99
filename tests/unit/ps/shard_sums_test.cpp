// SPDX-License-Identifier: Apache-2.0
// Bulk-synchronous: the bits of all-reduce, evaluated here leaf by leaf.
#include "desk.hpp"
#include "kernels/norm/norm.hpp"
#include "trireme/layout/flat_shards.hpp"
#include "trireme/layout/reduction_tree.hpp"
#include "unit/optim/rules.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

using namespace trireme;
using namespace trireme::ps;
using testing::Desk;

namespace {

constexpr int leaves = 8;

std::shared_ptr<const KeyPlan> plan_of(std::vector<TensorInfo> tensors, UpdateScope scope = UpdateScope::elements) {
  return std::make_shared<const KeyPlan>(std::move(tensors),
                                         KeyPlanOptions{.partition_bytes = Bytes{16384}, .scope = scope});
}

/// A leaf's mean gradient of one tensor; not used: it was not ready.
template <class T>
struct Leaf {
  double weight = 1.0;
  bool used = true;
  std::vector<T> gradient;
};

/// T(g * T(w)) of leaves [first, first + count), added in the brackets of the balanced tree.
template <class T>
std::vector<T> folded(const std::vector<Leaf<T>>& all, int first, int count) {
  if (count == 1) {
    const Leaf<T>& leaf = all[static_cast<std::size_t>(first)];
    std::vector<T> sum(leaf.gradient.size(), leaf.weight == 0.0 ? T(-0.0) : T(0.0));
    if (leaf.weight != 0.0 && leaf.used)
      for (std::size_t i = 0; i < sum.size(); ++i) sum[i] = leaf.gradient[i] * static_cast<T>(leaf.weight);
    return sum;
  }
  int left = 1;
  while (2 * left < count) left *= 2;
  std::vector<T> sum = folded(all, first, left);
  const std::vector<T> right = folded(all, first + left, count - left);
  for (std::size_t i = 0; i < sum.size(); ++i) sum[i] = sum[i] + right[i];
  return sum;
}

template <class T>
std::vector<T> mean_of_leaves(const std::vector<Leaf<T>>& all) {
  std::vector<T> mean = folded(all, 0, leaves);
  double total = 0;
  for (const auto& leaf : all) total += leaf.weight;  // small whole numbers: exact
  for (T& each : mean) each = each / static_cast<T>(total);
  return mean;
}

template <class T>
std::vector<Leaf<T>> random_leaves(std::mt19937_64& random, std::size_t count) {
  std::normal_distribution<double> normal;
  std::vector<Leaf<T>> all(leaves);
  for (auto& leaf : all) {
    leaf.weight = static_cast<double>(random() % 4);
    leaf.used = random() % 5 != 0;
    leaf.gradient.resize(count);
    for (T& g : leaf.gradient) g = random() % 7 == 0 ? T(-0.0) : static_cast<T>(normal(random));
  }
  all[random() % leaves].weight = 3;
  return all;
}

/// The push of a rank: its leaves folded. No gradient where none of its leaves was ready.
template <class T>
std::pair<Push, std::vector<T>> push_of(const std::vector<Leaf<T>>& all, layout::LeafBlock block) {
  Push push{.weight = 0.0, .used = false};
  for (int v = block.first; v < block.first + block.count; ++v) {
    const auto& leaf = all[static_cast<std::size_t>(v)];
    push.weight += leaf.weight;
    push.used = push.used || (leaf.used && leaf.weight != 0.0);
  }
  return {push, push.used ? folded(all, block.first, block.count) : std::vector<T>{}};
}

template <class T>
std::vector<T> part(const std::vector<T>& all, layout::Interval range) {
  if (all.empty()) return {};
  return {all.begin() + static_cast<std::ptrdiff_t>(range.begin), all.begin() + static_cast<std::ptrdiff_t>(range.end)};
}

template <class T>
void check_bits(std::uint64_t seed) {
  std::mt19937_64 random(seed);
  const std::size_t count = 4096 + 77;
  const auto plan = plan_of({{.name = "a", .shape = {4173}, .dtype = dtype_of<T>, .accumulator = dtype_of<T>}});
  for (const std::uint32_t workers : {1u, 2u, 3u, 4u, 8u}) {
    Desk desk({.plan = plan, .workers = workers, .leaves = leaves});
    desk.join_all();
    const auto blocks = layout::leaf_blocks(leaves, static_cast<int>(workers));
    for (std::uint64_t step = 1; step <= 3; ++step) {
      const auto all = random_leaves<T>(random, count);
      std::vector<std::pair<std::uint32_t, Key>> order;
      for (std::uint32_t rank = 0; rank < workers; ++rank)
        for (Key k = 0; k < plan->keys().size(); ++k) order.emplace_back(rank, k);
      std::shuffle(order.begin(), order.end(), random);
      std::vector<T> mean(count);
      for (const auto& [rank, k] : order) {
        auto [push, gradient] = push_of(all, blocks[rank]);
        push.sequence = desk.next();
        push.key = k;
        push.step = step;
        const auto out = desk.say(rank, push, testing::payload_of(part(gradient, plan->keys()[k].range)));
        REQUIRE(testing::failure(out, rank + 1) == "");
        REQUIRE(testing::first<Acknowledged>(out, rank + 1) != nullptr);
        if (const auto* reduced = testing::first<Reduced>(out, workers)) {
          for (std::uint32_t r = 0; r < workers; ++r)  // one payload for all
            REQUIRE(testing::first<Reduced>(out, r + 1)->payload == reduced->payload);
          const auto got = testing::elements_of<T>(*reduced->payload);
          REQUIRE(got.size() == plan->keys()[k].range.size());
          std::copy(got.begin(), got.end(), mean.begin() + static_cast<std::ptrdiff_t>(plan->keys()[k].range.begin));
        }
      }
      CAPTURE(seed, workers, step);
      REQUIRE((testing::payload_of(mean) == testing::payload_of(mean_of_leaves(all))));
    }
    CHECK(desk.shard().waiting_bytes() == 0);
  }
}

}  // namespace

TEST_CASE(
    "A sum has the bits of the tree over the leaves, for any number of workers and order of arrival, f32 and f64") {
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    check_bits<float>(seed);
    check_bits<double>(seed);
  }
}

TEST_CASE("A total weight of 0 makes no mean, and says so") {
  const auto plan = plan_of({{.name = "a", .shape = {3}}});
  Desk desk({.plan = plan, .workers = 2, .leaves = 2});
  desk.join_all();
  desk.say(0, Push{.sequence = 1, .step = 1, .weight = 0, .used = false});
  const auto out = desk.say(1, Push{.sequence = 1, .step = 1, .weight = 0, .used = false});
  const auto* reduced = testing::first<Reduced>(out, 1);
  REQUIRE(reduced != nullptr);
  CHECK(std::get<Reduced>(reduced->control).total_weight == 0.0);
  CHECK(reduced->payload == nullptr);
}

TEST_CASE("Rows alone give the bits of all rows, as sums and as updates") {
  std::mt19937_64 random(3);
  const std::size_t rows = 1024 + 300, columns = 8;
  const TensorInfo table{.name = "table", .shape = {1324, 8}, .row_sparse = true};
  const auto plan = plan_of({table});
  REQUIRE(plan->keys().size() > 1);
  for (const bool updates : {false, true}) {
    for (const std::uint32_t workers : {2u, 3u, 4u}) {
      ShardOptions options{.plan = plan, .workers = workers, .leaves = leaves};
      if (updates) options.make_optimizer = [] { return std::make_unique<AdamW>(AdamWOptions{}); };
      Desk sparse(options), dense(options);
      for (Desk* desk : {&sparse, &dense}) {
        desk->join_all();
        for (Key k = 0; k < plan->keys().size(); ++k) {
          const auto values = std::vector<float>(plan->keys()[k].range.size(), 0.25f);
          desk->say(0, Initialise{.sequence = desk->next(), .key = k}, testing::payload_of(values));
        }
      }
      for (std::uint64_t step = 1; step <= 4; ++step) {
        for (Key k = 0; k < plan->keys().size(); ++k) {
          const layout::Interval range = plan->keys()[k].range;
          const auto first_row = static_cast<std::uint32_t>(range.begin / columns);
          const auto last_row = static_cast<std::uint32_t>(range.end / columns);
          REQUIRE(range.end <= rows * columns);
          std::vector<Outgoing> from_sparse, from_dense;
          for (std::uint32_t rank = 0; rank < workers; ++rank) {
            const double weight = rank == step % workers ? 0.0 : 1.0 + rank;
            std::vector<std::uint32_t> touched;
            std::vector<float> packed, all(range.size(), weight == 0.0 ? -0.0f : 0.0f);
            const std::uint64_t rarity = step == 4 ? 1 : 20;  // in step 4 nearly all
            for (std::uint32_t row = first_row; row < last_row; ++row) {
              if (random() % rarity != 0 || weight == 0.0) continue;
              touched.push_back(row);
              for (std::size_t c = 0; c < columns; ++c) {
                packed.push_back(static_cast<float>(static_cast<double>(random() % 1000) - 500) / 7.0f);
                all[(row - first_row) * columns + c] = packed.back();
              }
            }
            Push push{.sequence = sparse.next(), .key = k, .step = step, .weight = weight};
            from_dense = dense.say(rank, push, testing::payload_of(all));
            push.sparse = true;
            push.rows = touched;
            from_sparse = sparse.say(rank, push, testing::payload_of(packed));
            REQUIRE(testing::failure(from_sparse, rank + 1) == "");
            REQUIRE(testing::failure(from_dense, rank + 1) == "");
          }
          const auto* s = testing::first<Reduced>(from_sparse, 1);
          const auto* d = testing::first<Reduced>(from_dense, 1);
          REQUIRE(s != nullptr);
          REQUIRE(d != nullptr);
          const auto& reduced = std::get<Reduced>(s->control);
          CAPTURE(updates, workers, step, k);
          if (!updates) {
            std::vector<float> laid_out(range.size(), 0.0f);
            const auto got = testing::elements_of<float>(*s->payload);
            if (!reduced.sparse) laid_out = got;
            for (std::size_t i = 0; i < reduced.rows.size(); ++i)
              std::copy_n(got.begin() + static_cast<std::ptrdiff_t>(i * columns), columns,
                          laid_out.begin() + static_cast<std::ptrdiff_t>((reduced.rows[i] - first_row) * columns));
            CHECK(reduced.sparse == (step != 4));
            REQUIRE((testing::payload_of(laid_out) == *d->payload));
          } else {
            REQUIRE((reduced.block_sums == std::get<Reduced>(d->control).block_sums));
            for (Desk* desk : {&sparse, &dense})
              desk->say(0, Update{.sequence = sparse.next(), .key = k, .step = step, .learning_rate = 0.1});
            const auto one = sparse.say(1, Pull{.request = 9, .key = k, .step = step});
            const auto two = dense.say(1, Pull{.request = 9, .key = k, .step = step});
            REQUIRE((*testing::first<Values>(one, 2)->payload == *testing::first<Values>(two, 2)->payload));
            const auto few = sparse.say(
                1, Pull{.request = 10, .key = k, .step = step, .sparse = true, .rows = {first_row, last_row - 1}});
            const auto& values = *testing::first<Values>(one, 2)->payload;
            Payload wanted(values.begin(), values.begin() + 32);
            wanted.insert(wanted.end(), values.end() - 32, values.end());
            REQUIRE((*testing::first<Values>(few, 2)->payload == wanted));
          }
        }
      }
    }
  }
}

TEST_CASE("Every rule on a server does what it does at home, bit for bit: of sums, and of single pushes") {
  const std::vector<std::vector<std::int64_t>> shapes{{6, 11}, {5}, {82, 100}, {1}};
  for (const testing::NamedRule& rule : testing::all_rules()) {
    const UpdateScope scope = rule.make()->scope();
    std::vector<TensorInfo> tensors;
    for (std::size_t t = 0; t < shapes.size(); ++t)
      tensors.push_back({.name = "t" + std::to_string(t), .shape = shapes[t]});
    const auto plan = plan_of(tensors, scope);
    REQUIRE(plan->keys().size() > shapes.size());
    for (const char* consistency : {"bsp", "async"}) {
      const bool sums = std::string(consistency) == "bsp";
      CAPTURE(rule.name, consistency);
      std::mt19937_64 random(11);
      std::normal_distribution<float> normal;
      const ShardOptions options{.plan = plan,
                                 .consistency = Consistency::parse(consistency),
                                 .workers = 2,
                                 .leaves = 2,
                                 .make_optimizer = rule.make};
      Desk desk(options);
      std::unique_ptr<Desk> again;  // goes on from what was read
      desk.join_all();
      const auto local = rule.make();
      std::vector<std::vector<float>> values;
      for (const TensorInfo& tensor : tensors) {
        values.emplace_back(tensor.count());
        for (float& v : values.back()) v = normal(random);
      }
      const auto keys_part = [&](const std::vector<float>& all, Key k) { return part(all, plan->keys()[k].range); };
      for (Key k = 0; k < plan->keys().size(); ++k)
        desk.say(0, Initialise{.sequence = desk.next(), .key = k},
                 testing::payload_of(keys_part(values[plan->keys()[k].tensor], k)));
      for (std::uint64_t step = 1; step <= 4; ++step) {
        const double rate = 0.01 * static_cast<double>(step), scale = 0.5, clip = 0.7;
        std::vector<std::vector<float>> gradients;
        std::vector<Optimizer::TensorUpdate> updates;
        for (std::size_t t = 0; t < tensors.size(); ++t) {
          gradients.emplace_back(tensors[t].count());
          for (float& g : gradients.back()) g = normal(random);
        }
        for (std::size_t t = 0; t < tensors.size(); ++t)
          updates.push_back({tensors[t].name, TensorView(std::span(values[t])),
                             ConstTensorView(std::span<const float>(gradients[t])), tensors[t].shape});
        local->set_learning_rate(rate);
        local->apply(updates, scale, clip);
        for (Desk* server : {&desk, again.get()}) {
          if (server == nullptr) continue;
          for (Key k = 0; k < plan->keys().size(); ++k) {
            const auto gradient = testing::payload_of(keys_part(gradients[plan->keys()[k].tensor], k));
            Push push{.sequence = server->next(),
                      .key = k,
                      .step = step,
                      .weight = 1.0,
                      .scale = scale,
                      .clip_value = clip,
                      .learning_rate = rate};
            REQUIRE(testing::failure(server->say(0, push, gradient), 1) == "");
            if (!sums) continue;
            const auto out = server->say(1, Push{.sequence = server->next(), .key = k, .step = step, .used = false});
            const auto& reduced = std::get<Reduced>(testing::first<Reduced>(out, 1)->control);
            kernels::TreeSum squares;
            for (const double each : reduced.block_sums) squares.add(each);
            CHECK(squares.result() ==
                  kernels::sum_of_squares(gradient.data(), DType::f32, plan->keys()[k].range.size()));
          }
          for (Key k = 0; k < plan->keys().size() && sums; ++k) {
            for (const std::uint32_t rank : {0u, 1u}) {
              const auto out = server->say(rank, Update{.sequence = server->next(),
                                                        .key = k,
                                                        .step = step,
                                                        .scale = scale,
                                                        .clip_value = clip,
                                                        .learning_rate = rate});
              CHECK(testing::failure(out, rank + 1) == "");
            }
          }
          for (Key k = 0; k < plan->keys().size(); ++k) {
            const auto out = server->say(0, Pull{.request = 1, .key = k, .step = step});
            const auto* pulled = testing::first<Values>(out, 1);
            REQUIRE(pulled != nullptr);
            REQUIRE((*pulled->payload == testing::payload_of(keys_part(values[plan->keys()[k].tensor], k))));
          }
        }
        if (step != 2) continue;
        again = std::make_unique<Desk>(options);
        again->join_all();
        for (Key k = 0; k < plan->keys().size(); ++k) {
          const auto out = desk.say(0, ReadState{.request = 5, .key = k});
          const auto* read = testing::first<ps::State>(out, 1);
          REQUIRE(read != nullptr);
          const auto& state = std::get<ps::State>(read->control);
          CHECK(state.steps == 2);
          const auto set =
              again->say(0, Initialise{.sequence = again->next(), .key = k, .steps = state.steps, .state = state.state},
                         *read->payload);
          CHECK(testing::failure(set, 1) == "");
        }
      }
    }
  }
}

TEST_CASE("An update that is skipped, or of a tensor that nobody used, changes nothing but the clock") {
  const auto plan = plan_of({{.name = "a", .shape = {2}}});
  Desk desk({.plan = plan, .workers = 1, .leaves = 1, .make_optimizer = [] {
               return std::make_unique<Sgd>(SgdOptions{.learning_rate = 1.0});
             }});
  desk.join_all();
  desk.say(0, Initialise{.sequence = 1}, testing::payload_of<float>({1, 2}));
  for (std::uint64_t step = 1; step <= 3; ++step) {
    const bool used = step != 2;
    desk.say(0, Push{.sequence = desk.next() + 1, .step = step, .weight = 1, .used = used},
             used ? testing::payload_of<float>({1, 1}) : Payload{});
    CHECK(testing::first<Values>(desk.say(0, Pull{.request = 1, .step = step}), 1) == nullptr);
    const auto out =
        desk.say(0, Update{.sequence = desk.next() + 1, .step = step, .skip = step == 1, .learning_rate = 0.5});
    const auto* values = testing::first<Values>(out, 1);
    REQUIRE(values != nullptr);
    CHECK(std::get<Values>(values->control).clock == step);
    CHECK(std::get<Values>(values->control).version == (step == 3 ? 1 : 0));
    CHECK(testing::elements_of<float>(*values->payload) ==
          (step == 3 ? std::vector<float>{0.5f, 1.5f} : std::vector<float>{1, 2}));
  }
  CHECK(testing::failure(desk.say(0, Update{.sequence = 99, .step = 5}), 1) ==
        "key 0 of tensor 'a': the sum of step 5 is not complete");
}

TEST_CASE("With backup workers a sum does not wait for the slowest, whose part is acknowledged and dropped") {
  const auto plan = plan_of({{.name = "a", .shape = {2}}});
  Desk desk({.plan = plan, .workers = 3, .backup_workers = 1, .leaves = 3});
  desk.join_all();
  const auto one = testing::payload_of<float>({2, 4});
  desk.say(0, Push{.sequence = 1, .step = 1, .weight = 1}, one);
  const auto out = desk.say(2, Push{.sequence = 1, .step = 1, .weight = 3}, one);
  const auto* reduced = testing::first<Reduced>(out, 2);
  REQUIRE(reduced != nullptr);
  CHECK(std::get<Reduced>(reduced->control).total_weight == 4.0);
  CHECK(std::get<Reduced>(reduced->control).used_by == 2);
  CHECK(testing::elements_of<float>(*reduced->payload) == std::vector<float>{1, 2});
  const auto late = desk.say(1, Push{.sequence = 1, .step = 1, .weight = 1}, one);
  CHECK(testing::first<Acknowledged>(late, 2) != nullptr);
  CHECK(testing::first<Reduced>(late, 2) != nullptr);  // it may have missed it
  CHECK(desk.shard().statistics().dropped == 1);
  CHECK(desk.shard().waiting_bytes() == 0);
}

TEST_CASE("A backup worker that comes back after many steps still hears of the sum that it waits for") {
  const auto plan = plan_of({{.name = "a", .shape = {2}}});
  Desk desk({.plan = plan, .workers = 3, .backup_workers = 1, .leaves = 3, .make_optimizer = [] {
               return std::make_unique<Sgd>(SgdOptions{.learning_rate = 1.0});
             }});
  desk.join_all();
  desk.say(0, Initialise{.sequence = 1}, testing::payload_of<float>({1, 2}));
  const auto one = testing::payload_of<float>({2, 4});
  for (std::uint64_t step = 1; step <= 40; ++step) {
    for (const std::uint32_t rank : {0u, 2u})
      desk.say(rank, Push{.sequence = desk.next() + 1, .step = step, .weight = 1}, one);
    desk.say(0, Update{.sequence = desk.next() + 1, .step = step, .learning_rate = 0.5});
  }
  std::vector<Outgoing> out;
  desk.shard().connection_lost(2, out);
  out = desk.say_on(70, desk.join_of(1));
  const auto late = desk.say_on(70, Push{.sequence = 1, .step = 1, .weight = 1}, one);
  out.insert(out.end(), late.begin(), late.end());
  CHECK(std::any_of(out.begin(), out.end(), [](const Outgoing& each) {
    const auto* reduced = std::get_if<Reduced>(&each.control);
    return each.to == 70 && reduced != nullptr && reduced->step == 1;
  }));
}

TEST_CASE("A backup worker that comes back when the sum it waits for is kept no more hears so") {
  const auto plan = plan_of({{.name = "a", .shape = {2}}});
  Desk desk({.plan = plan, .workers = 3, .backup_workers = 1, .leaves = 3, .make_optimizer = [] {
               return std::make_unique<Sgd>(SgdOptions{.learning_rate = 1.0});
             }});
  desk.join_all();
  desk.say(0, Initialise{.sequence = 1}, testing::payload_of<float>({1, 2}));
  const auto one = testing::payload_of<float>({2, 4});
  for (std::uint64_t step = 1; step <= 600; ++step) {
    for (const std::uint32_t rank : {0u, 2u})
      desk.say(rank, Push{.sequence = desk.next() + 1, .step = step, .weight = 1}, one);
    desk.say(0, Update{.sequence = desk.next() + 1, .step = step, .learning_rate = 0.5});
  }
  std::vector<Outgoing> lost;
  desk.shard().connection_lost(2, lost);
  desk.say_on(70, desk.join_of(1));
  for (int times = 0; times < 2; ++times) {
    const auto out = desk.say_on(70, Push{.sequence = 7, .step = 1, .weight = 1}, one);
    CHECK(testing::first<Reduced>(out, 70) == nullptr);
    REQUIRE(testing::first<Failed>(out, 70) != nullptr);
    const auto& failed = std::get<Failed>(testing::first<Failed>(out, 70)->control);
    CHECK(failed.sequence == 7);
    CHECK(failed.code == ErrorCode::peer_lost);
    CHECK(failed.message ==
          "worker 1 was away for too long: the sum of step 1 of tensor 'a' is kept no more, as the others have come to "
          "step 600");
    // The push itself is done: whoever has had the sum, and is merely late, goes on.
    CHECK(testing::first<Acknowledged>(out, 70) < testing::first<Failed>(out, 70));
  }
}

TEST_CASE("A server that began anew between two workers' having a sum tells them, and lets nobody wait") {
  const auto plan = plan_of({{.name = "a", .shape = {2}}});
  const auto one = testing::payload_of<float>({2, 4});
  const std::string expected =
      "server 0 began anew in the midst of a sum: worker 0 has that of step 1 of tensor 'a' already, and others wait for "
      "it; replicas outlive that";
  for (const bool is_ahead_first : {true, false}) {
    Desk desk({.plan = plan, .workers = 2, .leaves = 2});
    desk.join_all();
    std::vector<Outgoing> out;
    for (const std::uint32_t rank : {is_ahead_first ? 0u : 1u, is_ahead_first ? 1u : 0u}) {
      CHECK(testing::first<Failed>(out, 1) == nullptr);
      out = desk.say(rank, Push{.sequence = 1, .step = rank == 0 ? 2u : 1u, .weight = 1}, one);
    }
    for (const ConnectionId to : {1u, 2u}) {
      REQUIRE(testing::failure(out, to) == expected);
      CHECK(std::get<Failed>(testing::first<Failed>(out, to)->control).code == ErrorCode::peer_lost);
    }
  }
}

TEST_CASE("Bulk-synchronous workers hear who is lost; one that comes back hears the sums again") {
  const auto plan = plan_of({{.name = "a", .shape = {2}}});
  Desk desk({.plan = plan, .workers = 2, .leaves = 2});
  desk.join_all();
  const auto one = testing::payload_of<float>({2, 4});
  desk.say(0, Push{.sequence = 1, .step = 1, .weight = 1}, one);
  desk.say(1, Push{.sequence = 1, .step = 1, .weight = 1}, one);
  std::vector<Outgoing> out;
  desk.shard().connection_lost(2, out);
  CHECK(testing::failure(out, 1) == "worker 1 is lost: sums that need it cannot be complete");
  out = desk.say_on(70, desk.join_of(1));
  CHECK(testing::first<Welcome>(out, 70) != nullptr);
  REQUIRE(testing::first<Reduced>(out, 70) != nullptr);
  CHECK(testing::elements_of<float>(*testing::first<Reduced>(out, 70)->payload) == std::vector<float>{2, 4});
  out = desk.say_on(70, Push{.sequence = 1, .step = 1, .weight = 1}, one);
  CHECK(testing::first<Acknowledged>(out, 70) != nullptr);
  CHECK(desk.shard().statistics().duplicates == 1);
  desk.say_on(70, Leave{});
  out = desk.say(0, Push{.sequence = 2, .step = 2, .weight = 1}, one);
  CHECK(testing::failure(out, 1) == "workers have left: the sum of step 2 of key 0 cannot be complete");
}

TEST_CASE(
    "Whoever is left alone by workers that left and workers that were lost hears of it, in whichever order they went") {
  const auto plan = plan_of({{.name = "a", .shape = {2}}});
  const auto one = testing::payload_of<float>({2, 4});
  enum class Pushes { first, between, last };
  const bool leaves_first = GENERATE(true, false);
  const Pushes pushes = GENERATE(Pushes::first, Pushes::between, Pushes::last);
  CAPTURE(leaves_first, static_cast<int>(pushes));
  Desk desk({.plan = plan, .workers = 3, .backup_workers = 1, .leaves = 3});
  desk.join_all();
  std::vector<Outgoing> heard;
  const auto hear = [&](const std::vector<Outgoing>& out) { heard.insert(heard.end(), out.begin(), out.end()); };
  const auto push = [&] { hear(desk.say(2, Push{.sequence = 1, .step = 1, .weight = 1}, one)); };
  const auto go = [&](bool leaves) {
    if (leaves) return hear(desk.say(0, Leave{}));
    std::vector<Outgoing> out;
    desk.shard().connection_lost(2, out);
    hear(out);
  };
  if (pushes == Pushes::first) push();
  go(leaves_first);
  if (pushes == Pushes::between) push();
  go(!leaves_first);
  if (pushes == Pushes::last) push();
  CHECK(!testing::failure(heard, 3).empty());
}
