// SPDX-License-Identifier: Apache-2.0
// The executor on every plan there is, whichever would be chosen.
#include "comm/execution.hpp"
#include "support/endpoints.hpp"
#include "support/exact_inputs.hpp"
#include "trireme/plan/plans.hpp"

#include <catch2/catch.hpp>

using namespace trireme;
using comm::ExecutablePlan;
using comm::Execution;
using comm::Progress;
using plan::Collective;

namespace {

struct PlanCase {
  plan::Algorithm algorithm;
  plan::Shape shape;
  std::size_t count;  // per rank where there are blocks
  bool in_place;
  int segments;
  bool uneven = false;  // reduce_scatter, all_gather: blocks of unequal sizes
};

/// Where block `rank` begins; some are empty.
std::size_t edge(const PlanCase& which, std::size_t rank) {
  if (!which.uneven) return rank * which.count;
  std::size_t at = 0;
  for (std::size_t r = 0; r < rank; ++r) at += (7 * r + 3) % 5 * which.count / 2;
  return at;
}

struct Sizes {
  std::size_t in, out;
  std::size_t inner = 0;  // where the smaller lies in the larger, in place
};

Sizes sizes_of(const PlanCase& which, int rank) {
  const auto p = static_cast<std::size_t>(which.shape.ranks);
  const auto self = static_cast<std::size_t>(rank);
  const std::size_t n = which.count, mine = edge(which, self);
  const std::size_t block = edge(which, self + 1) - mine, all = edge(which, p);
  const bool is_root = which.shape.root == rank;
  switch (which.shape.collective) {
    case Collective::reduce_scatter: return {all, block, mine};
    case Collective::all_gather: return {block, all, mine};
    case Collective::reduce: return {n, is_root ? n : 0};
    case Collective::gather: return {n, is_root ? n * p : 0, mine};
    case Collective::scatter: return {is_root ? n * p : 0, n, mine};
    case Collective::all_to_all: return {n * p, n * p};
    default: return {n, n};
  }
}

double expected(const PlanCase& which, int rank, std::size_t element) {
  const std::size_t n = which.count, mine = edge(which, static_cast<std::size_t>(rank));
  const auto given = [](int from, std::size_t at) { return testing::to_double(testing::exact_value<float>(from, at)); };
  const auto total = [&](std::size_t at) {
    double sum = 0;
    for (int r = 0; r < which.shape.ranks; ++r) sum += given(r, at);
    return sum;
  };
  switch (which.shape.collective) {
    case Collective::all_reduce:
    case Collective::reduce: return total(element);
    case Collective::reduce_scatter: return total(mine + element);
    case Collective::all_gather: {
      std::size_t r = 0;
      while (element >= edge(which, r + 1)) ++r;
      return given(static_cast<int>(r), element - edge(which, r));
    }
    case Collective::gather: return given(static_cast<int>(element / n), element % n);
    case Collective::scatter: return given(which.shape.root, mine + element);
    case Collective::all_to_all: return given(static_cast<int>(element / n), mine + element % n);
    default: return given(which.shape.root, element);
  }
}

/// One run on all ranks, each with its own memory; what is wrong, or nothing.
std::string run_on_all(const PlanCase& which, const std::string& transport) {
  const int ranks = which.shape.ranks;
  const auto size = static_cast<std::size_t>(ranks);
  testing::Endpoints world(transport, ranks);
  std::vector<int> members;
  std::vector<ExecutablePlan> plans;
  std::vector<std::unique_ptr<comm::ScratchPool>> pools;
  std::vector<std::unique_ptr<Execution>> executions;
  std::vector<std::vector<float>> memory(size);
  std::vector<std::span<float>> outputs(size);
  std::vector<std::size_t> edges;
  for (std::size_t r = 0; r <= size; ++r) edges.push_back(edge(which, r));
  for (int rank = 0; rank < ranks; ++rank) {
    members.push_back(rank);
    plans.emplace_back(plan::make_plan(which.algorithm, which.shape, rank));
  }
  for (int rank = 0; rank < ranks; ++rank) {
    const auto r = static_cast<std::size_t>(rank);
    const Sizes sizes = sizes_of(which, rank);
    memory[r].assign(sizes.in + sizes.out + 1, -1.0f);
    std::span<float> input = std::span(memory[r]).first(sizes.in);
    outputs[r] = std::span(memory[r]).subspan(sizes.in, sizes.out);
    if (which.in_place && sizes.out != 0 && sizes.in != 0) {
      const auto larger = std::span(memory[r]).first(std::max(sizes.in, sizes.out));
      input = sizes.in < sizes.out ? larger.subspan(sizes.inner, sizes.in) : larger;
      outputs[r] = sizes.out < sizes.in ? larger.subspan(sizes.inner, sizes.out) : larger;
    }
    for (std::size_t i = 0; i < sizes.in; ++i) input[i] = testing::exact_value<float>(rank, i);
    comm::Request request;
    request.collective = which.shape.collective;
    request.ranks = ranks;
    request.leaves = which.shape.leaves;
    request.root = which.shape.root;
    request.uneven = which.uneven;
    request.input_blocks = request.output_blocks = edges;
    request.input = ConstTensorView(input);
    request.output = TensorView(outputs[r]);
    if (which.shape.collective == Collective::broadcast) request.output = TensorView(input), outputs[r] = input;
    pools.push_back(std::make_unique<comm::ScratchPool>(
        std::shared_ptr<transport::Arena>(&world.arena(rank), [](transport::Arena*) {})));
    executions.push_back(std::make_unique<Execution>(size));
    executions[r]->start({.plan = &plans[r],
                          .request = request,
                          .stamp = {{1, 2, 3}},
                          .operation = 1,
                          .members = members,
                          .segments = plans[r].plan.loopable ? which.segments : 1},
                         world[rank], *pools[r]);
  }
  std::vector<bool> done(size, false);
  const bool ended = world.drive([&] {
    bool all = true;
    for (std::size_t r = 0; r < size; ++r) {
      if (!done[r]) done[r] = executions[r]->poll(world[static_cast<int>(r)]) == Progress::done;
      all = all && done[r];
    }
    return all;
  });
  if (!ended) return "it does not end";
  for (int rank = 0; rank < ranks; ++rank) {
    const auto r = static_cast<std::size_t>(rank);
    executions[r]->finish(*pools[r]);
    for (std::size_t i = 0; i < outputs[r].size(); ++i) {
      if (static_cast<double>(outputs[r][i]) != expected(which, rank, i))
        return "rank " + std::to_string(rank) + ", element " + std::to_string(i) + " is wrong";
    }
  }
  return {};
}

}  // namespace

TEST_CASE("every plan of every collective, run by the executor, gives every rank its elements", "[sequential]") {
  const int ranks = GENERATE(1, 2, 3, 4, 5, 8);
#ifdef TRIREME_SANITIZED
  if (ranks != 2 && ranks != 5) return;
#endif
  for (int c = 0; c < plan::collective_count; ++c) {
    const auto collective = static_cast<Collective>(c);
    if (collective == Collective::send_recv || collective == Collective::barrier) continue;
    const bool rooted = comm::has_root(collective);
    for (int root = 0; root<(rooted ? ranks : 1); root += ranks> 5 ? 3 : 1) {
      const plan::Shape shape{.collective = collective, .ranks = ranks, .leaves = ranks, .root = root};
      const auto algorithms = plan::defined_algorithms(shape, false);
      REQUIRE(!algorithms.empty());
      for (const auto algorithm : algorithms) {
        for (const std::size_t count : {std::size_t{0}, std::size_t{1}, std::size_t{5}, std::size_t{3001}}) {
          for (const bool in_place : {false, true}) {
            if (in_place && collective == Collective::all_to_all) continue;  // it is given a copy
            CAPTURE(plan::name_of(collective), plan::name_of(algorithm), ranks, root, count, in_place);
            REQUIRE(run_on_all({algorithm, shape, count, in_place, count > 5 ? 3 : 1}, "mem") == "");
          }
        }
      }
    }
  }
}

TEST_CASE("every plan of what every rank knows the sizes of serves blocks of unequal sizes, empty ones too",
          "[sequential]") {
  const int ranks = GENERATE(1, 2, 3, 4, 5, 8);
  for (const auto collective : {Collective::reduce_scatter, Collective::all_gather}) {
    const plan::Shape shape{.collective = collective, .ranks = ranks, .leaves = ranks};
    for (const auto algorithm : plan::defined_algorithms(shape, false)) {
      for (const std::size_t count : {std::size_t{0}, std::size_t{1}, std::size_t{5}, std::size_t{3001}}) {
        for (const bool in_place : {false, true}) {
          for (const int segments : {1, 7}) {  // of which a small block has none in some
            CAPTURE(plan::name_of(collective), plan::name_of(algorithm), ranks, count, in_place, segments);
            REQUIRE(run_on_all({algorithm, shape, count, in_place, segments, true}, "mem") == "");
          }
        }
      }
    }
  }
}
