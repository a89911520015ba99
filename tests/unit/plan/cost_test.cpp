// SPDX-License-Identifier: Apache-2.0
#include "trireme/plan/cost.hpp"

#include "unit/plan/cases.hpp"

#include <catch2/catch.hpp>

#include <cmath>

namespace trireme::plan::proof {
namespace {

constexpr ElementBytes sixteen_bit{2, 4, 2};  // 16-bit contributions, f32 partial sums
constexpr ElementBytes distinct{3, 5, 7};     // no two phases can be confused

std::size_t bytes_of(ElementBytes element, Role role) {
  return role == Role::input ? element.input : role == Role::partial ? element.partial : element.output;
}

/// What the graph sends and adds, step by step.
Cost walked(const Plan& plan, std::size_t count, ElementBytes element) {
  Cost cost;
  for (const Step& step : plan.mine.steps) {
    const std::size_t size =
        plan.shape.collective == Collective::barrier ? 0 : elements_of(step.blocks, count, plan.blocks).size();
    if (step.kind == StepKind::send) {
      cost.messages += 1;
      cost.payload_bytes += size * bytes_of(element, step.wire);
    }
    if (step.kind == StepKind::load_reduce) cost.reduced_elements += (step.sources.size() - 1) * size;
  }
  return cost;
}

std::size_t share(int block, std::size_t count, int ranks) {
  const auto b = static_cast<std::size_t>(block % ranks);
  const auto p = static_cast<std::size_t>(ranks);
  return (b + 1) * count / p - b * count / p;
}

TEST_CASE("The cost of every plan is what its graph sends, adds and takes in rounds") {
  for (int ranks = 1; ranks <= most_ranks; ++ranks) {
    for (const Case& each : all_cases(ranks)) {
      const bool tree = each.algorithm == Algorithm::tree || each.algorithm == Algorithm::double_tree;
      if (ranks > 8 && each.shape.leaves != ranks && (!tree || each.shape.leaves != 64)) continue;
      if (ranks > 8 && each.shape.root > 1 && each.shape.root != ranks - 2) continue;
      if (ranks > 32 && ranks % 8 != 0 && !tree) continue;  // formulas uniform in the number of ranks
      INFO(describe(each.algorithm, each.shape));
      const Ensemble ensemble(each.algorithm, each.shape);
      const int rounds = one_port_rounds(ensemble);
      bool equal = true;
      for (int rank = 0; rank < ranks; ++rank) {
        for (std::size_t count : {std::size_t{5}, std::size_t{1000}}) {
          const Cost formula = cost_of(each.algorithm, each.shape, rank, count, distinct);
          const Cost graph = walked(ensemble.plans[static_cast<std::size_t>(rank)], count, distinct);
          equal = equal && formula.steps == rounds && formula.payload_bytes == graph.payload_bytes &&
                  formula.messages == graph.messages && formula.reduced_elements == graph.reduced_elements;
        }
      }
      CHECK(equal);
    }
  }
}

TEST_CASE("Direct sends 2n - b(r) - b(r+1) elements in 2(P-1) rounds, each phase in its dtype") {
  for (int ranks = 2; ranks <= most_ranks; ++ranks) {
    for (int rank = 0; rank < ranks; ++rank) {
      constexpr std::size_t n = 1000;
      const Shape shape{Collective::all_reduce, ranks, ranks, 0};
      const std::size_t mine = share(rank, n, ranks);
      const std::size_t next = share(rank + 1, n, ranks);
      const Cost plain = cost_of(Algorithm::direct, shape, rank, n);
      CHECK(plain.steps == 2 * (ranks - 1));
      CHECK(plain.payload_bytes == 4 * (2 * n - mine - next));
      const Cost mixed = cost_of(Algorithm::direct, shape, rank, n, {2, 4, 8});
      CHECK(mixed.payload_bytes == 2 * (n - mine) + 8 * (n - next));
      const Cost half = cost_of(Algorithm::direct, shape, rank, n, sixteen_bit);
      CHECK(half.payload_bytes * 2 == plain.payload_bytes);  // 16-bit volume: no partial sum travels
      const Cost scatter = cost_of(Algorithm::direct, {Collective::reduce_scatter, ranks, ranks, 0}, rank, n);
      CHECK(scatter.steps == ranks - 1);
      CHECK(scatter.payload_bytes == 4 * (n - mine));
    }
  }
}

TEST_CASE("Ring sends 2n - b(r+1) - b(r+2) elements in 2(P-1) rounds, each phase in its dtype") {
  for (int ranks = 2; ranks <= most_ranks; ++ranks) {
    for (int rank = 0; rank < ranks; ++rank) {
      constexpr std::size_t n = 1003;
      const Shape shape{Collective::all_reduce, ranks, ranks, 0};
      const std::size_t raw = share(rank, n, ranks);
      const std::size_t own = share(rank + 1, n, ranks);
      const std::size_t after = share(rank + 2, n, ranks);
      const Cost plain = cost_of(Algorithm::ring, shape, rank, n);
      CHECK(plain.steps == 2 * (ranks - 1));
      CHECK(plain.payload_bytes == 4 * (2 * n - own - after));
      const Cost half = cost_of(Algorithm::ring, shape, rank, n, sixteen_bit);
      CHECK(half.payload_bytes == 2 * raw + 4 * (n - raw - own) + 2 * (n - after));
      const Cost gather = cost_of(Algorithm::ring, {Collective::all_gather, ranks, ranks, 0}, rank, n);
      CHECK(gather.steps == ranks - 1);
      CHECK(gather.payload_bytes == 4 * (n - own));
    }
  }
}

TEST_CASE("Recursive doubling sends n elements in each of log2 P rounds, contributions first, then partial sums") {
  for (int rounds = 1; rounds <= 6; ++rounds) {
    const int ranks = 1 << rounds;
    const Shape shape{Collective::all_reduce, ranks, ranks, 0};
    for (int rank = 0; rank < ranks; ++rank) {
      const auto r = static_cast<std::size_t>(rounds);
      const Cost plain = cost_of(Algorithm::recursive_doubling, shape, rank, 777);
      CHECK(plain.steps == rounds);
      CHECK(plain.payload_bytes == 4 * 777 * r);
      const Cost half = cost_of(Algorithm::recursive_doubling, shape, rank, 777, sixteen_bit);
      CHECK(half.payload_bytes == 777 * (2 + 4 * (r - 1)));
    }
  }
}

TEST_CASE("Tree sends each half once up from all ranks but one, and once down to them, in twice its height rounds") {
  for (int ranks = 2; ranks <= most_ranks; ++ranks) {
    for (int leaves : leaves_for(ranks)) {
      constexpr std::size_t n = 1001;
      const Shape shape{Collective::all_reduce, ranks, leaves, 0};
      std::size_t total = 0;
      std::size_t added = 0;
      bool rounds = true;
      for (int rank = 0; rank < ranks; ++rank) {
        const Cost cost = cost_of(Algorithm::tree, shape, rank, n);
        rounds = rounds && cost.steps == 2 * promised_height(leaves, ranks);
        total += cost.payload_bytes;
        added += cost.reduced_elements;
      }
      const auto others = static_cast<std::size_t>(ranks - 1);
      CHECK(rounds);
      CHECK(total == 4 * 2 * others * n);
      CHECK(added == others * n);
    }
  }
}

TEST_CASE("Tree gives the outer ranks a root and leaves in the other half: n per non-root and n per child and half") {
  const Shape shape{Collective::all_reduce, 4, 4, 0};
  constexpr std::size_t n = 100;  // 50 in each half
  // Half 0: rank 0 is the root with children 1 and 2, rank 2 has child 3. Half 1 mirrors it.
  CHECK(cost_of(Algorithm::tree, shape, 0, n).payload_bytes == 4 * (50 * 2 + 50));
  CHECK(cost_of(Algorithm::tree, shape, 1, n).payload_bytes == 4 * (50 + 50 + 50));
  CHECK(cost_of(Algorithm::tree, shape, 2, n).payload_bytes == 4 * (50 + 50 + 50));
  CHECK(cost_of(Algorithm::tree, shape, 3, n).payload_bytes == 4 * (50 + 50 * 2));
  // Rank 1 sends its 16-bit contribution in half 0, in half 1 the f32 sum r0 + r1 and the 16-bit result to rank 0.
  CHECK(cost_of(Algorithm::tree, shape, 1, n, sixteen_bit).payload_bytes == 2 * 50 + 4 * 50 + 2 * 50);
}

TEST_CASE("Broadcast takes ceil(log2 P) rounds and sends to P - 1 ranks in all") {
  for (int ranks = 2; ranks <= most_ranks; ++ranks) {
    std::size_t messages = 0;
    for (int rank = 0; rank < ranks; ++rank) {
      const Cost cost = cost_of(Algorithm::tree, {Collective::broadcast, ranks, 1, ranks / 2}, rank, 10);
      CHECK(cost.steps == static_cast<int>(std::ceil(std::log2(ranks))));
      CHECK(cost.payload_bytes == 40 * cost.messages);
      messages += cost.messages;
    }
    CHECK(messages == static_cast<std::size_t>(ranks - 1));
  }
}

TEST_CASE("Halving and doubling sends half of the contributions, then partial sums, then results, in 2 log2 P rounds") {
  for (int rounds = 1; rounds <= 6; ++rounds) {
    const std::size_t p = std::size_t{1} << rounds;
    const Shape shape{Collective::all_reduce, 1 << rounds, 1 << rounds, 0};
    for (int rank = 0; rank < shape.ranks; ++rank) {
      const std::size_t n = 10 * p;
      const Cost mixed = cost_of(Algorithm::halving_doubling, shape, rank, n, distinct);
      CHECK(mixed.steps == 2 * rounds);
      CHECK(mixed.payload_bytes == 3 * n / 2 + 5 * (n / 2 - n / p) + 7 * (n - n / p));
      CHECK(mixed.reduced_elements == n - n / p);
      // 1.0 to 1.25 times the volume of 16-bit messages throughout.
      const Cost half = cost_of(Algorithm::halving_doubling, shape, rank, n, sixteen_bit);
      const Cost all_16 = cost_of(Algorithm::halving_doubling, shape, rank, n, {2, 2, 2});
      CHECK(half.payload_bytes >= all_16.payload_bytes);
      CHECK(4 * half.payload_bytes <= 5 * all_16.payload_bytes);
    }
  }
}

TEST_CASE("Reduce sends one vector from every rank but the root, and by tree the root gets none but its children's") {
  for (int ranks = 2; ranks <= most_ranks; ++ranks) {
    for (int root : {0, ranks / 2, ranks - 1}) {
      const Shape shape{Collective::reduce, ranks, ranks, root};
      std::size_t added = 0;
      for (int rank = 0; rank < ranks; ++rank) {
        const Cost tree = cost_of(Algorithm::tree, shape, rank, 10);
        CHECK(tree.messages == (rank == root ? 0u : 1u));
        CHECK(tree.payload_bytes == 40 * tree.messages);
        CHECK(tree.steps == promised_height(ranks, ranks));
        added += tree.reduced_elements;
        const Cost rooted = cost_of(Algorithm::rooted, shape, rank, 10, sixteen_bit);
        CHECK(rooted.payload_bytes == (rank == root ? 0u : 20u));  // no partial sum travels
        CHECK(rooted.reduced_elements == (rank == root ? 10 * static_cast<std::size_t>(ranks - 1) : 0));
      }
      CHECK(added == 10 * static_cast<std::size_t>(ranks - 1));
    }
  }
}

TEST_CASE("Gather and scatter by tree take ceil(log2 P) rounds and P - 1 messages from and to any root") {
  for (int ranks = 2; ranks <= most_ranks; ++ranks) {
    for (int root : {0, ranks / 2, ranks - 1}) {
      for (Collective collective : {Collective::gather, Collective::scatter}) {
        std::size_t messages = 0;
        for (int rank = 0; rank < ranks; ++rank) {
          const Cost cost = cost_of(Algorithm::tree, {collective, ranks, ranks, root}, rank, 1000);
          CHECK(cost.steps == static_cast<int>(std::ceil(std::log2(ranks))));
          messages += cost.messages;
        }
        CHECK(messages == static_cast<std::size_t>(ranks - 1));
      }
    }
  }
}

TEST_CASE("AllGather by bruck sends no block twice to a rank, in fewer messages than two per doubling") {
  for (int ranks = 2; ranks <= most_ranks; ++ranks) {
    const auto p = static_cast<std::size_t>(ranks);
    const Shape shape{Collective::all_gather, ranks, ranks, 0};
    const auto rounds = static_cast<std::size_t>(std::ceil(std::log2(ranks)));
    for (int rank = 0; rank < ranks; ++rank) {
      const Cost cost = cost_of(Algorithm::bruck, shape, rank, 10 * p);
      CHECK(cost.payload_bytes == 40 * (p - 1));
      CHECK(cost.messages >= rounds);
      CHECK(cost.messages < 2 * rounds);
      CHECK(cost.steps < 2 * static_cast<int>(rounds));
    }
    CHECK(cost_of(Algorithm::bruck, shape, 0, 10 * p).messages == rounds);
  }
}

TEST_CASE("In the double tree no rank sends more than the vector, in at most 2 log2 P + 1 rounds") {
  for (int ranks = 2; ranks <= most_ranks; ++ranks) {
    const int root = ranks / 3;
    const int rounds = 2 * static_cast<int>(std::ceil(std::log2(ranks))) + 1;
    std::size_t total = 0;
    for (int rank = 0; rank < ranks; ++rank) {
      const Cost down = cost_of(Algorithm::double_tree, {Collective::broadcast, ranks, ranks, root}, rank, 100);
      CHECK(down.payload_bytes <= 400);  // inner in one of the trees only
      CHECK(down.steps <= rounds);
      total += down.payload_bytes;
      const Cost up = cost_of(Algorithm::double_tree, {Collective::reduce, ranks, ranks, root}, rank, 100);
      CHECK(up.payload_bytes == (rank == root ? 0u : 400u));
      CHECK(up.reduced_elements <= 100);
      CHECK(up.steps == down.steps);
    }
    CHECK(total == 400 * static_cast<std::size_t>(ranks - 1));
  }
}

TEST_CASE("Broadcast by ring sends the vector once along every edge of the chain, in 2(P-1) rounds") {
  const Shape shape{Collective::broadcast, 5, 5, 3};
  for (int rank = 0; rank < 5; ++rank) {
    const Cost cost = cost_of(Algorithm::ring, shape, rank, 50);
    CHECK(cost.steps == 8);
    CHECK(cost.messages == (rank == 2 ? 0u : 5u));  // rank 2 is the last after 3, 4, 0, 1
    CHECK(cost.payload_bytes == (rank == 2 ? 0u : 200u));
  }
}

TEST_CASE("Predicted seconds weigh rounds, bytes and additions") {
  const Cost cost{.steps = 3, .payload_bytes = 1000, .messages = 9, .reduced_elements = 50};
  CHECK(predicted_seconds(cost, {.alpha_s = 2.0, .beta_s_per_byte = 0.5, .gamma_s_per_element = 0.25}) == 518.5);
}

}  // namespace
}  // namespace trireme::plan::proof
