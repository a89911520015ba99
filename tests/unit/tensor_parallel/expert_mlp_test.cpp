// SPDX-License-Identifier: Apache-2.0
#include "trireme/tensor_parallel/expert_mlp.hpp"

#include "trireme/base/error.hpp"
#include "unit/tensor_parallel/field.hpp"

#include <numeric>

namespace trireme::tensor_parallel {
namespace {

using namespace testing;

double gelu(double x) { return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x))); }
double gelu_slope(double x) {
  const double root = std::sqrt(2 / M_PI), t = std::tanh(root * (x + 0.044715 * x * x * x));
  return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * root * (1 + 3 * 0.044715 * x * x);
}

/// The layer over all tokens in plain loops, and its gradients. `limit` of rows per expert of each run of `run` tokens.
struct DenseExperts {
  ExpertMlpOptions o;
  std::size_t tokens;
  Values x, dy, router, w1, b1, w2, b2;
  Values y, dx, drouter, dw1, db1, dw2, db2;
  double loss = 0;
  std::size_t dropped = 0;

  DenseExperts(const ExpertMlpOptions& options, const std::vector<std::size_t>& runs)
      : o(options),
        tokens(std::accumulate(runs.begin(), runs.end(), std::size_t{0})),
        x(numbers(tokens * o.channels, 1)),
        dy(numbers(tokens * o.channels, 2)),
        router(numbers(o.experts * o.channels, 3)),
        w1(numbers(o.experts * o.hidden * o.channels, 4)),
        b1(numbers(o.experts * o.hidden, 5)),
        w2(numbers(o.experts * o.channels * o.hidden, 6)),
        b2(numbers(o.experts * o.channels, 7)),
        y(x.size()),
        dx(x.size()),
        drouter(router.size()),
        dw1(w1.size()),
        db1(b1.size()),
        dw2(w2.size()),
        db2(b2.size()) {
    for (double& value : router) value *= 2;
    const std::size_t E = o.experts, C = o.channels, H = o.hidden;
    Values p = times(x, false, router, true, tokens, E, C);
    for (std::size_t t = 0; t < tokens; ++t) {
      double total = 0;
      for (std::size_t e = 0; e < E; ++e) total += p[t * E + e] = std::exp(p[t * E + e]);
      for (std::size_t e = 0; e < E; ++e) p[t * E + e] /= total;
    }
    std::vector<std::size_t> chosen(tokens * o.top);
    Values f(E, 0.0), mean(E, 0.0);
    for (std::size_t t = 0; t < tokens; ++t) {
      std::vector<std::size_t> order(E);
      std::iota(order.begin(), order.end(), std::size_t{0});
      std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return p[t * E + a] > p[t * E + b]; });
      for (std::size_t k = 0; k < o.top; ++k)
        f[chosen[t * o.top + k] = order[k]] += 1.0 / static_cast<double>(tokens * o.top);
      for (std::size_t e = 0; e < E; ++e) mean[e] += p[t * E + e] / static_cast<double>(tokens);
    }
    loss = o.balance * static_cast<double>(E) * dot(f, mean);
    std::vector<bool> kept(chosen.size(), true);
    for (std::size_t first = 0, run = 0; run < runs.size(); first += runs[run++]) {
      if (o.capacity_factor == 0) continue;
      const auto limit = static_cast<std::size_t>(
          std::ceil(o.capacity_factor * static_cast<double>(o.top * runs[run]) / static_cast<double>(E)));
      std::vector<std::size_t> full(E, 0);
      for (std::size_t k = 0; k < o.top; ++k)
        for (std::size_t t = first; t < first + runs[run]; ++t) {
          const bool fits = full[chosen[t * o.top + k]]++ < limit;
          kept[t * o.top + k] = fits;
          dropped += !fits;
        }
    }
    for (std::size_t t = 0; t < tokens; ++t) {
      double total = 0;
      for (std::size_t k = 0; k < o.top; ++k) total += p[t * E + chosen[t * o.top + k]];
      if (!o.renormalise) total = 1;
      Values dp(E, 0.0);
      for (std::size_t e = 0; e < E; ++e)
        dp[e] = o.balance * static_cast<double>(E) * f[e] / static_cast<double>(tokens);
      Values dg(o.top, 0.0);
      for (std::size_t k = 0; k < o.top; ++k) {
        if (!kept[t * o.top + k]) continue;
        const std::size_t e = chosen[t * o.top + k];
        const double gate = p[t * E + e] / total;
        Values h(H), a(H), out(C), da(H, 0.0);
        for (std::size_t i = 0; i < H; ++i) {
          h[i] = b1[e * H + i];
          for (std::size_t c = 0; c < C; ++c) h[i] += w1[(e * H + i) * C + c] * x[t * C + c];
          a[i] = gelu(h[i]);
        }
        for (std::size_t c = 0; c < C; ++c) {
          out[c] = b2[e * C + c];
          for (std::size_t i = 0; i < H; ++i) out[c] += w2[(e * C + c) * H + i] * a[i];
          y[t * C + c] += gate * out[c];
          dg[k] += dy[t * C + c] * out[c];
          const double d = gate * dy[t * C + c];
          db2[e * C + c] += d;
          for (std::size_t i = 0; i < H; ++i) {
            dw2[(e * C + c) * H + i] += d * a[i];
            da[i] += d * w2[(e * C + c) * H + i];
          }
        }
        for (std::size_t i = 0; i < H; ++i) {
          const double d = da[i] * gelu_slope(h[i]);
          db1[e * H + i] += d;
          for (std::size_t c = 0; c < C; ++c) {
            dw1[(e * H + i) * C + c] += d * x[t * C + c];
            dx[t * C + c] += d * w1[(e * H + i) * C + c];
          }
        }
      }
      double through = 0;
      if (o.renormalise)
        for (std::size_t k = 0; k < o.top; ++k) through += dg[k] * (p[t * E + chosen[t * o.top + k]] / total);
      for (std::size_t k = 0; k < o.top; ++k) dp[chosen[t * o.top + k]] += (dg[k] - through) / total;
      double inner = 0;
      for (std::size_t e = 0; e < E; ++e) inner += p[t * E + e] * dp[e];
      for (std::size_t e = 0; e < E; ++e) {
        const double dz = p[t * E + e] * (dp[e] - inner);
        for (std::size_t c = 0; c < C; ++c) {
          drouter[e * C + c] += dz * x[t * C + c];
          dx[t * C + c] += dz * router[e * C + c];
        }
      }
    }
  }
};

/// Tokens of each rank: they differ, and one may have none.
std::vector<std::size_t> tokens_of(int ranks) {
  std::vector<std::size_t> tokens;
  for (int rank = 0; rank < ranks; ++rank) tokens.push_back(rank == 1 ? 0 : 5 + 2 * static_cast<std::size_t>(rank));
  return tokens;
}

std::string compare(Axis& axis, const ExpertMlpOptions& options) {
  const auto runs = tokens_of(axis.size());
  const DenseExperts dense(options, runs);
  ExpertParallelMlp<double> layer(axis, "experts", options);
  const auto mine = static_cast<std::size_t>(axis.rank());
  const std::size_t tokens = runs[mine];
  const std::size_t first = std::accumulate(runs.begin(), runs.begin() + axis.rank(), std::size_t{0});
  const auto own = [&](const Values& whole) {
    const auto begin = whole.begin() + static_cast<std::ptrdiff_t>(first * options.channels);
    return Values(begin, begin + static_cast<std::ptrdiff_t>(tokens * options.channels));
  };
  const Split s1 = layer.weights(options.hidden * options.channels), s2 = layer.weights(options.hidden),
              s3 = layer.weights(options.channels);
  const Values x = own(dense.x), dy = own(dense.dy), w1 = share_of(axis, s1, dense.w1),
               b1 = share_of(axis, s2, dense.b1), w2 = share_of(axis, s1, dense.w2), b2 = share_of(axis, s3, dense.b2);
  Values y(x.size()), dx(x.size()), drouter(dense.router.size()), dw1(w1.size()), db1(b1.size()), dw2(w2.size()),
      db2(b2.size());
  const ExpertParallelMlp<double>::Weights weights{dense.router.data(), w1.data(), b1.data(), w2.data(), b2.data()};
  const double loss = layer.forward(x.data(), tokens, weights, y.data());
  layer.backward(x.data(), dy.data(), tokens, weights, {drouter.data(), dw1.data(), db1.data(), dw2.data(), db2.data()},
                 dx.data());
  Communicator communicator = axis.communicator();
  communicator.all_reduce(std::span<double>(drouter));
  Values dropped = {static_cast<double>(layer.dropped())};
  communicator.all_reduce(std::span<double>(dropped));
  return close("loss", {loss}, {dense.loss}) + close("y", y, own(dense.y)) + close("dx", dx, own(dense.dx)) +
         close("drouter", drouter, dense.drouter) + close("dw1", dw1, share_of(axis, s1, dense.dw1)) +
         close("db1", db1, share_of(axis, s2, dense.db1)) + close("dw2", dw2, share_of(axis, s1, dense.dw2)) +
         close("db2", db2, share_of(axis, s3, dense.db2)) +
         same("dropped", dropped, {static_cast<double>(dense.dropped)});
}

}  // namespace

TEST_CASE("Expert-parallel layers equal all tokens on one rank, forward and all gradients, to 1e-12") {
  for (const int ranks : {1, 2, 3, 4, 8}) {
    CAPTURE(ranks);
    for (const std::size_t experts : {std::size_t{3}, std::size_t{8}}) {
      for (const std::size_t top : {std::size_t{1}, std::size_t{2}}) {
        for (const bool renormalise : {false, true}) {
          CAPTURE(experts, top, renormalise);
          REQUIRE(on_axis(ranks, [&](Axis& axis) {
                    return compare(
                        axis, {.channels = 5, .hidden = 7, .experts = experts, .top = top, .renormalise = renormalise});
                  }) == "");
        }
      }
    }
  }
}

TEST_CASE("What does not fit an expert is dropped, first choices last, and gives no gradient") {
  for (const int ranks : {1, 3}) {
    CAPTURE(ranks);
    REQUIRE(on_axis(ranks, [](Axis& axis) {
              return compare(
                  axis, {.channels = 4, .hidden = 6, .experts = 4, .top = 2, .capacity_factor = 0.6, .balance = 0.5});
            }) == "");
  }
}

TEST_CASE("Impossible mixtures are refused, naming the layer") {
  REQUIRE(on_axis(1, [](Axis& axis) {
            std::string complaints;
            const auto refused = [&](const std::string& part, const ExpertMlpOptions& options) {
              try {
                ExpertParallelMlp<float>(axis, "moe", options);
                complaints += "not refused: " + part;
              } catch (const Exception& error) {
                if (error.error().message.find("'moe': " + part) == std::string::npos)
                  complaints += error.error().message;
              }
            };
            refused("a token cannot go to 3 of 2 experts", {.channels = 1, .hidden = 1, .experts = 2, .top = 3});
            refused("0 experts of 1 channels", {.channels = 1, .hidden = 1});
            refused("capacity_factor", {.channels = 1, .hidden = 1, .experts = 2, .capacity_factor = -1});
            refused("balance", {.channels = 1, .hidden = 1, .experts = 2, .balance = NAN});
            return complaints;
          }) == "");
}

}  // namespace trireme::tensor_parallel
