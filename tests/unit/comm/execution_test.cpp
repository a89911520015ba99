// SPDX-License-Identifier: Apache-2.0
// The executor on plans made by hand: what the plans of this version do not use is proved here.
#include "comm/execution.hpp"

#include "support/endpoints.hpp"
#include "support/exact_inputs.hpp"
#include "trireme/base/error.hpp"
#include "trireme/plan/plans.hpp"

#include <catch2/catch.hpp>

#include <array>

using namespace trireme;
using comm::ExecutablePlan;
using comm::Execution;
using comm::Progress;
using plan::Operand;
using plan::Role;
using plan::Space;
using plan::StepKind;

namespace {

constexpr Operand input{Space::input, 0, Role::input};
constexpr Operand output{Space::output, 0, Role::output};
constexpr Operand sums{Space::scratch, 0, Role::partial};

plan::Step transfer(StepKind kind, int peer, Operand memory, Role wire, std::vector<int> depends_on = {}) {
  plan::Step step;
  step.kind = kind;
  step.peer = peer;
  (kind == StepKind::send ? step.source : step.destination) = memory;
  step.wire = wire;
  step.depends_on = std::move(depends_on);
  return step;
}

plan::Step copy(Operand from, Operand to, bool finalize, std::vector<int> depends_on = {}) {
  plan::Step step;
  step.kind = StepKind::copy;
  step.source = from;
  step.destination = to;
  step.finalize = finalize;
  step.depends_on = std::move(depends_on);
  return step;
}

/// An all_reduce of two ranks: rank 1 sends its input, rank 0 folds it as it comes into its own and sends the result.
ExecutablePlan folding_plan(int rank) {
  plan::Plan plan;
  plan.shape = {.collective = plan::Collective::all_reduce, .ranks = 2, .leaves = 2};
  auto& steps = plan.mine.steps;
  if (rank == 0) {
    plan.mine.scratch = {{{0, 1}, Role::partial}};
    steps.push_back(copy(input, sums, false));
    steps.push_back(transfer(StepKind::recv_reduce, 1, sums, Role::input, {0}));
    steps.push_back(copy(sums, output, true, {1}));
    steps.push_back(transfer(StepKind::send, 1, output, Role::output, {2}));
  } else {
    steps.push_back(transfer(StepKind::send, 0, input, Role::input));
    steps.push_back(transfer(StepKind::recv, 0, output, Role::output, {0}));
  }
  return ExecutablePlan(std::move(plan));
}

/// Two ranks of `Endpoints`, each with memory of one kind.
template <class T>
struct Pair {
  Pair(const std::string& transport, std::size_t count, bool arena) : ranks(transport, 2) {
    for (int rank = 0; rank < 2; ++rank) {
      const auto r = static_cast<std::size_t>(rank);
      foreign[r].resize(arena ? 0 : 2 * count);
      auto* memory =
          arena ? reinterpret_cast<T*>(ranks.arena(rank).allocate(2 * count * sizeof(T)).data()) : foreign[r].data();
      in[r] = {memory, count};
      out[r] = {memory + count, count};
      for (std::size_t i = 0; i < count; ++i) in[r][i] = testing::exact_value<T>(rank, i);
    }
  }
  testing::Endpoints ranks;
  std::array<std::vector<T>, 2> foreign;
  std::array<std::span<T>, 2> in, out;
};

}  // namespace

TEMPLATE_TEST_CASE("recv_reduce folds what arrives, lent or streamed, eager or large, in segments", "", float, double,
                   Float16, std::int32_t) {
  const auto transport = GENERATE(as<std::string>{}, "mem", "tcp");
  const std::size_t count = GENERATE(1u, 1000u, 40001u);
  const bool arena = GENERATE(true, false);
  const int segments = GENERATE(1, 3);
  CAPTURE(transport, count, arena, segments);
  const bool averages = is_floating(dtype_of<TestType>);

  Pair<TestType> pair(transport, count, arena);
  const std::array<ExecutablePlan, 2> plans{folding_plan(0), folding_plan(1)};
  const std::array<int, 2> members{0, 1};
  std::vector<std::unique_ptr<comm::ScratchPool>> pools;
  std::vector<std::unique_ptr<Execution>> executions;
  for (int rank = 0; rank < 2; ++rank) {
    const auto r = static_cast<std::size_t>(rank);
    pools.push_back(std::make_unique<comm::ScratchPool>(
        std::shared_ptr<transport::Arena>(&pair.ranks.arena(rank), [](transport::Arena*) {})));
    executions.push_back(std::make_unique<Execution>(2));
    comm::Request request;
    request.input = ConstTensorView(pair.in[r]);
    request.output = TensorView(pair.out[r]);
    request.op = averages ? average : sum;
    request.leaves = 2;
    executions[r]->start({.plan = &plans[r],
                          .request = request,
                          .stamp = {{1, 2, 3}},
                          .communicator = 0,
                          .operation = 9,
                          .members = members,
                          .divisor = averages ? 2.0 : 1.0,
                          .segments = segments},
                         pair.ranks[rank], *pools[r]);
  }
  std::array<bool, 2> done{};
  REQUIRE(pair.ranks.drive([&] {
    for (std::size_t r = 0; r < 2; ++r) {
      if (!done[r]) done[r] = executions[r]->poll(pair.ranks[static_cast<int>(r)]) == Progress::done;
    }
    return done[0] && done[1];
  }));
  for (std::size_t r = 0; r < 2; ++r) {
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < count; ++i) {
      const double total = testing::to_double(testing::exact_value<TestType>(0, i)) +
                           testing::to_double(testing::exact_value<TestType>(1, i));
      wrong += testing::to_double(pair.out[r][i]) != (averages ? total / 2 : total);
    }
    REQUIRE(wrong == 0);
    executions[r]->finish(*pools[r]);
    REQUIRE(!executions[r]->active());
  }
}

TEST_CASE("an execution whose peer is lost says which") {
  Pair<float> pair("mem", 1000, false);
  const auto plan = folding_plan(0);
  const std::array<int, 2> members{0, 1};
  comm::ScratchPool pool(std::shared_ptr<transport::Arena>(&pair.ranks.arena(0), [](transport::Arena*) {}));
  Execution execution(2);
  comm::Request request;
  request.input = ConstTensorView(pair.in[0]);
  request.output = TensorView(pair.out[0]);
  execution.start({.plan = &plan, .request = request, .operation = 1, .members = members}, pair.ranks[0], pool);
  REQUIRE(execution.poll(pair.ranks[0]) != Progress::failed);
  std::vector<int> missing;
  execution.missing(missing);
  REQUIRE(missing == std::vector<int>{1});
  pair.ranks.crash(1);
  REQUIRE(pair.ranks.drive([&] { return execution.poll(pair.ranks[0]) == Progress::failed; }));
  REQUIRE(execution.failed_peer() == 1);
  execution.finish(pool);
}

TEST_CASE("an execution that finds no working memory throws, has moved nothing and can start again") {
  Pair<float> pair("mem", 4'000'000, false);
  const auto plan = folding_plan(0);
  const std::array<int, 2> members{0, 1};
  const auto arena = std::make_shared<transport::Arena>(Bytes{4u << 20});  // less than the sums take
  comm::ScratchPool pool(arena);
  Execution execution(2);
  comm::Request request;
  request.input = ConstTensorView(pair.in[0]);
  request.output = TensorView(pair.out[0]);
  const Execution::Setup setup{.plan = &plan, .request = request, .operation = 1, .members = members};
  REQUIRE_THROWS_AS(execution.start(setup, pair.ranks[0], pool), Exception);
  REQUIRE(!execution.active());
  comm::ScratchPool enough(std::make_shared<transport::Arena>(Bytes{64u << 20}));
  execution.start(setup, pair.ranks[0], enough);
  REQUIRE(execution.active());
  pair.ranks[0].abort();
  execution.finish(enough);
}

TEST_CASE("working memory is set aside for several operations but never for most of the arena") {
  const auto arena = std::make_shared<transport::Arena>(Bytes{256u << 20});
  comm::ScratchPool pool(arena);
  pool.prepare(1 << 20, 100, 8);
  pool.prepare(40u << 20, 100, 8);  // eight of these do not fit
  const auto large = pool.acquire(40u << 20);
  REQUIRE(large.size() >= (40u << 20));
  pool.release(large);
  const auto again = pool.acquire(40u << 20);
  REQUIRE(again.data() == large.data());
}
