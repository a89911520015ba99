// SPDX-License-Identifier: Apache-2.0
#include "comm/choose.hpp"

#include "trireme/base/error.hpp"

#include <array>
#include <cstdio>

namespace trireme::comm {
namespace {

constexpr auto all_algorithms = [] {
  std::array<plan::Algorithm, plan::algorithm_count> all{};
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<plan::Algorithm>(i);
  return all;
}();

// Orders of magnitude of one machine's memory and of TCP. They rank the algorithms, nothing more.
constexpr plan::Machine shared_memory{.alpha_s = 0.5e-6, .beta_s_per_byte = 1.0e-10, .gamma_s_per_element = 1.0e-10};
// A line of 7 Gbit/s, between what clouds give one flow and what a rack has. Adding what has just come off a socket costs
// twice as much: over loopback of two ranks recursive doubling loses to direct from about 1 MiB.
constexpr plan::Machine network{.alpha_s = 20e-6, .beta_s_per_byte = 1.2e-9, .gamma_s_per_element = 2.0e-10};

/// Whether each round sends what the round before has made: the line is idle while a rank waits for its partner.
bool goes_in_pairs(plan::Algorithm algorithm) {
  return algorithm == plan::Algorithm::recursive_doubling || algorithm == plan::Algorithm::halving_doubling ||
         algorithm == plan::Algorithm::tree;
}
/// By how much, on lines of 1 Gbit/s (bench/README).
constexpr double pairs_wait = 1.3;

double seconds(const ChoiceInput& input, plan::Algorithm algorithm) {
  // One rank stands for all, the busiest where there is one: the choice must be the same everywhere.
  const int rank = has_root(input.shape.collective) ? input.shape.root : 0;
  const auto cost = plan::cost_of(algorithm, input.shape, rank, input.count, input.element);
  if (!input.crosses_network) return plan::predicted_seconds(cost, shared_memory);
  plan::Machine machine = network;
  if (goes_in_pairs(algorithm) && input.shape.ranks > 2) machine.beta_s_per_byte *= pairs_wait;
  return plan::predicted_seconds(cost, machine);
}

bool usable(const ChoiceInput& input, plan::Algorithm algorithm) {
  const auto definedness = plan::definedness(algorithm, input.shape);
  return definedness.defined && (definedness.canonical || input.order == ReductionOrder::fastest);
}

[[noreturn]] void refuse(const ChoiceInput& input) {
  const auto definedness = plan::definedness(*input.forced, input.shape);
  std::string text;
  if (!definedness.defined) {  // of the reason's own list only what keeps this order is of use here
    text = definedness.reason.substr(0, definedness.reason.find("; defined:")) + "; defined are:";
  } else {
    text =
        std::string(plan::name_of(*input.forced)) + " does not keep the canonical order; use order fastest, or one of:";
  }
  for (auto algorithm : all_algorithms) {
    if (usable(input, algorithm)) {
      text += ' ';
      text += plan::name_of(algorithm);
    }
  }
  fail(ErrorCode::invalid_argument, text);
}

}  // namespace

plan::Algorithm choose(const ChoiceInput& input) {
  if (input.forced) {
    if (!usable(input, *input.forced)) refuse(input);
    return *input.forced;
  }
  bool found = false;
  plan::Algorithm best = plan::Algorithm::direct;
  double least = 0;
  for (auto algorithm : all_algorithms) {
    if (!usable(input, algorithm)) continue;
    const double time = seconds(input, algorithm);
    if (!found || time < least) {
      best = algorithm;
      least = time;
      found = true;
    }
  }
  if (!found) {
    fail(ErrorCode::unsupported, std::string("no algorithm for ") + std::string(plan::name_of(input.shape.collective)) +
                                     " on " + std::to_string(input.shape.ranks) + " ranks");
  }
  return best;
}

Explanation explain_choice(const ChoiceInput& input) {
  const auto chosen = choose(input);
  std::string text(plan::name_of(input.shape.collective));
  text += " of " + std::to_string(input.count) + " elements on " + std::to_string(input.shape.ranks) + " ranks (" +
          std::to_string(input.shape.leaves) + " leaves, " + std::string(name_of(input.order)) + ", " +
          (input.crosses_network ? "network" : "one host") + "): " + std::string(plan::name_of(chosen));
  text += input.forced ? ", as asked for;" : ", the least predicted time;";
  const char* separator = "";
  for (auto algorithm : all_algorithms) {
    if (!plan::definedness(algorithm, input.shape).defined) continue;
    char part[96];
    if (usable(input, algorithm)) {
      std::snprintf(part, sizeof part, "%s %s %.1f us", separator, std::string(plan::name_of(algorithm)).c_str(),
                    1e6 * seconds(input, algorithm));
    } else {
      std::snprintf(part, sizeof part, "%s %s not usable", separator, std::string(plan::name_of(algorithm)).c_str());
    }
    text += part;
    separator = ",";
  }
  return {std::string(plan::name_of(chosen)), text};
}

}  // namespace trireme::comm
