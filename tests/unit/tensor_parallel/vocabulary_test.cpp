// SPDX-License-Identifier: Apache-2.0
#include "kernels/vocabulary_cross_entropy/reference.hpp"
#include "kernels/vocabulary_cross_entropy/vocabulary_cross_entropy.hpp"
#include "trireme/base/error.hpp"
#include "trireme/tensor_parallel/vocabulary_cross_entropy.hpp"
#include "trireme/tensor_parallel/vocabulary_embedding.hpp"
#include "unit/tensor_parallel/field.hpp"

#include <numeric>

namespace trireme::tensor_parallel {
namespace {

using namespace testing;

/// Softmax cross entropy with ignored targets, in plain loops.
struct DenseLoss {
  std::size_t counted = 0;
  Values losses, gradient;
  DenseLoss(const Values& logits, const std::vector<std::int32_t>& targets, std::size_t classes)
      : losses(targets.size(), 0.0), gradient(logits.size(), 0.0) {
    for (const std::int32_t target : targets) counted += target >= 0;
    for (std::size_t r = 0; r < targets.size(); ++r) {
      if (targets[r] < 0) continue;
      const double* z = logits.data() + r * classes;
      const auto target = static_cast<std::size_t>(targets[r]);
      const double shift = *std::max_element(z, z + classes);
      double sum = 0;
      for (std::size_t j = 0; j < classes; ++j) sum += std::exp(z[j] - shift);
      losses[r] = std::log(sum) - (z[target] - shift);
      for (std::size_t j = 0; j < classes; ++j)
        gradient[r * classes + j] = (std::exp(z[j] - shift) / sum - (j == target)) / static_cast<double>(counted);
    }
  }
};

std::string refusal_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Exception& refused) {
    return refused.error().code == ErrorCode::invalid_argument ? refused.error().message : "another code";
  }
  return "";
}

}  // namespace

TEST_CASE("A vocabulary-parallel embedding gives the rows of the table to the bit, odd vocabularies included") {
  for (const int ranks : {1, 2, 3, 8}) {
    CAPTURE(ranks);
    REQUIRE(on_axis(ranks, [](Axis& axis) {
              std::string complaints;
              for (const std::size_t vocabulary : {std::size_t{1}, std::size_t{7}, std::size_t{50}}) {
                constexpr std::size_t channels = 5;
                const std::vector<std::uint16_t> tokens = {
                    0, static_cast<std::uint16_t>(vocabulary - 1), 0, static_cast<std::uint16_t>(vocabulary / 2), 0, 0,
                    0};
                Values table = numbers(vocabulary * channels, 1);
                table[0] = -0.0;
                const Values dx = numbers(tokens.size() * channels, 2);
                Values x, dtable(table.size(), 0.25);
                for (std::size_t i = 0; i < tokens.size(); ++i) {
                  for (std::size_t c = 0; c < channels; ++c) {
                    x.push_back(table[tokens[i] * channels + c]);
                    dtable[tokens[i] * channels + c] += dx[i * channels + c];
                  }
                }
                VocabularyParallelEmbedding<double> layer(axis, "tokens", vocabulary, channels);
                const Values mine = share_of(axis, layer.table(), table);
                Values found(x.size()), dmine(mine.size(), 0.25);
                layer.forward(tokens, mine.data(), found.data());
                complaints += same("x", found, x);
                if (!std::signbit(found[0])) complaints += "-0 has become +0 ";
                layer.backward(tokens, dx.data(), dmine.data());
                complaints += same("dtable", dmine, share_of(axis, layer.table(), dtable));

                const Split positions = layer.positions(tokens.size());
                Values share(axis.share_count(positions)), gathered(x.size()), again(mine.size(), 0.25);
                layer.forward_to_positions(tokens, mine.data(), share.data());
                complaints += same("x by positions", share, share_of(axis, positions, x));
                const Values dshare = share_of(axis, positions, dx);
                layer.backward_from_positions(tokens, dshare.data(), gathered.data(), again.data());
                complaints += same("dtable from positions", again, share_of(axis, layer.table(), dtable));
              }
              return complaints;
            }) == "");
  }
}

TEST_CASE(
    "Vocabulary-parallel cross entropy equals the dense one to 1e-12, ignored targets and odd vocabularies included") {
  for (const int ranks : {1, 2, 3, 4, 8}) {
    CAPTURE(ranks);
    REQUIRE(
        on_axis(ranks, [](Axis& axis) {
          std::string complaints;
          for (const std::size_t vocabulary : {std::size_t{1}, std::size_t{5}, std::size_t{257}, std::size_t{1000}}) {
            std::vector<std::int32_t> targets = {
                0, -1, static_cast<std::int32_t>(vocabulary - 1), static_cast<std::int32_t>(vocabulary / 2), -100, 0};
            Values logits = numbers(targets.size() * vocabulary, 3);
            for (double& logit : logits) logit *= 30.0;
            const DenseLoss dense(logits, targets, vocabulary);
            VocabularyParallelCrossEntropy<double> loss(axis, "head", vocabulary);
            const Split columns{targets.size(), vocabulary, 1};
            Values mine = share_of(axis, columns, logits), losses(targets.size(), 9.0);
            const std::size_t counted = loss(mine.data(), targets, losses, true);
            if (counted != dense.counted) complaints += "it counts other targets ";
            complaints += close("losses", losses, dense.losses);
            complaints += close("gradient", mine, share_of(axis, columns, dense.gradient));
            Values again = share_of(axis, columns, logits), alone(targets.size());
            loss(again.data(), targets, alone, false);
            complaints += same("losses without gradient", alone, losses);
          }
          return complaints;
        }) == "");
  }
}

TEST_CASE("A cross entropy of ignored targets only is 0 with gradients of 0, whatever the logits are") {
  REQUIRE(on_axis(2, [](Axis& axis) {
            VocabularyParallelCrossEntropy<double> loss(axis, "head", 6);
            Values logits(3 * axis.share_count(loss.columns()), NAN), losses(3, 1.0);
            const std::vector<std::int32_t> targets(3, -1);
            const std::size_t counted = loss(logits.data(), targets, losses, true);
            return std::string(counted == 0 ? "" : "it counts ") + same("losses", losses, Values(3, 0.0)) +
                   same("gradient", logits, Values(logits.size(), 0.0));
          }) == "");
}

TEST_CASE("f32 logits shared by columns give the losses of f64 ones to 1e-6") {
  REQUIRE(on_axis(3, [](Axis& axis) {
            constexpr std::size_t vocabulary = 500;
            const std::vector<std::int32_t> targets = {7, 499, 250};
            const Values logits = numbers(targets.size() * vocabulary, 8);
            const DenseLoss dense(logits, targets, vocabulary);
            VocabularyParallelCrossEntropy<float> loss(axis, "head", vocabulary);
            const Values share = share_of(axis, {targets.size(), vocabulary, 1}, logits);
            std::vector<float> mine(share.begin(), share.end());
            Values losses(targets.size());
            loss(mine.data(), targets, losses, true);
            return close("losses", losses, dense.losses, 1e-6) +
                   close("gradient", Values(mine.begin(), mine.end()),
                         share_of(axis, {targets.size(), vocabulary, 1}, dense.gradient), 1e-6);
          }) == "");
}

TEST_CASE("Tokens and targets outside the vocabulary are refused, naming layer, place and vocabulary") {
  REQUIRE(on_axis(1, [](Axis& axis) {
            VocabularyParallelEmbedding<float> embedding(axis, "tokens", 5, 2);
            VocabularyParallelCrossEntropy<float> loss(axis, "head", 5);
            std::vector<float> memory(64);
            Values losses(2);
            const std::vector<std::uint16_t> tokens = {4, 5};
            const std::vector<std::int32_t> targets = {4, 5};
            std::string heard = refusal_of([&] { embedding.forward(tokens, memory.data(), memory.data() + 32); });
            if (heard.find("'tokens': token 5 at 1 is not below the vocabulary of 5") == std::string::npos)
              return heard;
            heard = refusal_of([&] { loss(memory.data(), targets, losses, false); });
            if (heard.find("'head': target 5 of row 1 is not below the vocabulary of 5") == std::string::npos)
              return heard;
            heard = refusal_of([&] { VocabularyParallelEmbedding<float>(axis, "tokens", 65537, 1); });
            if (heard.find("'tokens': a vocabulary has 1 to 65536 tokens, not 65537") == std::string::npos)
              return heard;
            return std::string();
          }) == "");
}

TEMPLATE_TEST_CASE("Kernels of shared columns equal their references on every instruction set, with equal bits", "",
                   float, double) {
  using T = TestType;
  for (const std::size_t columns : {std::size_t{0}, std::size_t{1}, std::size_t{9}, std::size_t{777}}) {
    constexpr std::size_t rows = 3;
    std::vector<T> logits(rows * columns);
    const Values drawn = numbers(logits.size(), 4);
    for (std::size_t i = 0; i < logits.size(); ++i) logits[i] = static_cast<T>(drawn[i] * 20);
    std::vector<T> maxima(rows), wanted_maxima(rows);
    kernels::reference::row_maxima(wanted_maxima.data(), logits.data(), rows, columns);
    std::vector<T> first;
    std::vector<double> first_sums;
    for (const kernels::Isa isa : {kernels::Isa::portable, kernels::best_isa()}) {
      CAPTURE(columns, static_cast<int>(isa));
      kernels::row_maxima(maxima.data(), logits.data(), rows, columns, isa);
      REQUIRE(maxima == wanted_maxima);
      std::vector<T> values = logits, wanted = logits;
      std::vector<double> sums(rows), wanted_sums(rows), factors = {0.5, 0.0, 3.0};
      kernels::row_exponentials(values.data(), sums.data(), maxima.data(), rows, columns, isa);
      kernels::reference::row_exponentials(wanted.data(), wanted_sums.data(), maxima.data(), rows, columns);
      const double tolerance = sizeof(T) == 4 ? 1e-6 : 1e-14;
      for (std::size_t i = 0; i < values.size(); ++i) REQUIRE(std::abs(values[i] - wanted[i]) <= tolerance);
      for (std::size_t r = 0; r < rows; ++r)
        REQUIRE(std::abs(sums[r] - wanted_sums[r]) <= tolerance * wanted_sums[r] * 4);
      kernels::scale_rows(values.data(), factors.data(), rows, columns, isa);
      if (first.empty()) first = values, first_sums = sums;
      REQUIRE(values == first);
      REQUIRE(sums == first_sums);
    }
  }
}

}  // namespace trireme::tensor_parallel
