// SPDX-License-Identifier: Apache-2.0
#include "kernels/update/update.hpp"

#include "kernels/norm/norm.hpp"
#include "kernels/update/reference.hpp"
#include "samples.hpp"

#include <catch2/catch.hpp>

#include <optional>

namespace trireme::kernels {
namespace {

using samples::Array;

/// A rule to be tried, with how many states it keeps and whether they are never negative.
template <class Rule>
struct Trial {
  Rule rule;
  int states;
  std::array<bool, 3> non_negative{};
};

Array non_negative(const Array& array) {
  Array result = array;
  for (std::size_t i = 0; i < array.count(); ++i) result.set(i, std::fabs(array.value(i)));
  return result;
}

/// What one call reads and writes, apart from any other's.
struct Memory {
  Array parameter, copy;
  std::vector<Array> states;

  Memory moved(std::size_t offset) const {
    Memory other{parameter.moved(offset), copy.moved((offset + 1) & ~std::size_t{1}), {}};
    for (const Array& each : states) other.states.push_back(each.moved(offset + 2));
    return other;
  }
  UpdateSpan span(const UpdateSpan& settings, const Array& gradient) {
    UpdateSpan span = settings;
    span.dtype = parameter.dtype();
    span.parameter = parameter.data();
    span.gradient = gradient.data();
    span.gradient_dtype = gradient.dtype();
    for (std::size_t k = 0; k < states.size(); ++k) span.state[k] = states[k].data();
    span.count = parameter.count();
    if (span.copy != nullptr) span.copy = copy.data();
    return span;
  }
  void require_same(const Memory& other, bool with_copy) const {
    REQUIRE(samples::same(parameter, other.parameter));
    for (std::size_t k = 0; k < states.size(); ++k) REQUIRE(samples::same(states[k], other.states[k]));
    if (with_copy) REQUIRE(samples::same(copy, other.copy));
  }
  void require_intact() const {
    REQUIRE((parameter.guards_intact() && copy.guards_intact()));
    for (const Array& each : states) REQUIRE(each.guards_intact());
  }
};

template <class Rule>
Memory make(const Trial<Rule>& trial, DType dtype, DType copy, std::size_t count, std::size_t special_every = 5) {
  Memory memory{samples::random(dtype, count, 62, special_every), Array(copy, count), {}};
  for (int k = 0; k < trial.states; ++k) {
    const Array state = samples::random(dtype, count, 63 + static_cast<unsigned>(k), special_every);
    memory.states.push_back(trial.non_negative[static_cast<std::size_t>(k)] ? non_negative(state) : state);
  }
  return memory;
}

template <class Rule>
void require_reference_bits(const Trial<Rule>& trial) {
  static char wanted;  // any address: a copy is asked for
  for (const DType dtype : {DType::f32, DType::f64}) {
    for (const DType gradient_dtype : {dtype, DType::bf16, DType::f16}) {
      for (const std::optional<DType> copy : {std::optional<DType>{}, {DType::bf16}, {DType::f16}}) {
        for (const bool plain : {true, false}) {
          for (const std::size_t count : {0u, 1u, 7u, 8u, 9u, 31u, 4097u}) {
            UpdateSpan settings;
            if (!plain) settings = {.gradient_scale = 0.37, .clip_value = 1.25, .l2_penalty = 0.01, .keep = 0.99};
            if (copy) settings.copy = &wanted, settings.copy_dtype = *copy;
            const Array gradient = samples::random(gradient_dtype, count, 61, 5, gradient_dtype == dtype ? 1 : 2);
            const Memory before = make(trial, dtype, copy.value_or(DType::bf16), count);
            Memory expected = before.moved(0);
            reference::update(expected.span(settings, gradient), trial.rule);
            for (const Isa isa : samples::isas()) {
              Memory actual = before.moved(3);
              update(actual.span(settings, gradient), trial.rule, isa);
              CAPTURE(name_of(isa), name_of(dtype), name_of(gradient_dtype), copy.has_value(), plain, count);
              expected.require_same(actual, copy.has_value());
              actual.require_intact();
            }
          }
        }
      }
    }
  }
}

template <class Rule>
void require_any_split(const Trial<Rule>& trial) {
  constexpr std::size_t count = 333, part = 111;
  const Array gradient = samples::random(DType::f32, count, 51, 0);
  for (const Isa isa : samples::isas()) {
    Memory whole = make(trial, DType::f32, DType::bf16, count), cut = whole.moved(0);
    update(whole.span({.l2_penalty = 0.01, .keep = 0.9}, gradient), trial.rule, isa);
    for (std::size_t begin = 0; begin < count; begin += part) {
      UpdateSpan span = cut.span({.l2_penalty = 0.01, .keep = 0.9}, gradient);
      span.parameter = cut.parameter.at(begin);
      span.gradient = gradient.at(begin);
      for (std::size_t k = 0; k < cut.states.size(); ++k) span.state[k] = cut.states[k].at(begin);
      span.count = part;
      update(span, trial.rule, isa);
    }
    whole.require_same(cut, false);
  }
}

template <class Rule>
void require_contract(const Trial<Rule>& trial) {
  require_reference_bits(trial);
  require_any_split(trial);
}

}  // namespace

TEST_CASE("a step of SGD gives the reference's bits on every processor, and any split of it too") {
  for (const bool first : {false, true}) {
    require_contract(Trial<SgdRule>{{.learning_rate = 0.1}, 0});
    require_contract(Trial<SgdRule>{{.learning_rate = 0.1, .momentum = 0.9, .first_step = first}, 1});
    require_contract(Trial<SgdRule>{{.learning_rate = 0.1, .momentum = 0.9, .dampening = 0.1, .first_step = first}, 1});
    require_contract(Trial<SgdRule>{{.learning_rate = 0.1, .momentum = 0.9, .nesterov = true, .first_step = first}, 1});
  }
}

TEST_CASE("a step of Adam gives the reference's bits on every processor, and any split of it too") {
  for (const std::uint64_t step : {1u, 2u, 1000u, 12345678u})
    require_contract(Trial<AdamRule>{{.step = step}, 2, {false, true}});
}

TEST_CASE("a step of NAdam gives the reference's bits on every processor, and any split of it too") {
  require_contract(Trial<NadamRule>{{.gradient_step = 1e-3, .moment_step = 2e-3, .step = 7}, 2, {false, true}});
}

TEST_CASE("a step of RMSProp gives the reference's bits on every processor, and any split of it too") {
  for (const double momentum : {0.0, 0.9}) {
    for (const bool centered : {false, true}) {
      require_contract(Trial<RmspropRule>{{.momentum = momentum, .centered = centered},
                                          1 + (momentum != 0.0 ? 1 : 0) + (centered ? 1 : 0),
                                          {true, false, false}});
    }
  }
}

TEST_CASE("a step of Adagrad gives the reference's bits on every processor, and any split of it too") {
  for (const bool first : {false, true})
    require_contract(Trial<AdagradRule>{{.initial = 0.1, .first_step = first}, 1, {true}});
}

TEST_CASE("a step of Adadelta gives the reference's bits on every processor, and any split of it too") {
  require_contract(Trial<AdadeltaRule>{{}, 2, {true, true}});
}

TEST_CASE("a step of Lion gives the reference's bits on every processor, and any split of it too") {
  require_contract(Trial<LionRule>{{.learning_rate = 0.1}, 1});
}

TEST_CASE("both passes of LAMB give the reference's bits on every processor, and its sums those of whole blocks") {
  const Trial<LambRule> trial{{.weight_decay = 0.1, .step = 3, .step_size = 0.2}, 2, {false, true}};
  require_contract(trial);
  for (const DType dtype : {DType::f32, DType::f64}) {
    for (const std::size_t count : {1u, 4096u, 4097u, 9000u}) {
      const Array gradient = samples::random(DType::f16, count, 61, 0);
      const Memory before = make(trial, dtype, DType::bf16, count, 0);
      const std::size_t blocks = (count + 4095) / 4096;
      std::vector<double> expected(2 * blocks), actual(2 * blocks);
      Memory reference_memory = before.moved(0);
      reference::measure(reference_memory.span({.gradient_scale = 0.5}, gradient), trial.rule, expected.data());
      for (const Isa isa : samples::isas()) {
        Memory memory = before.moved(3);
        measure(memory.span({.gradient_scale = 0.5}, gradient), trial.rule, actual.data(), isa);
        CAPTURE(name_of(isa), name_of(dtype), count);
        reference_memory.require_same(memory, false);
        REQUIRE(samples::same(memory.parameter, before.parameter));
        REQUIRE(actual == expected);
        TreeSum parameters;
        for (std::size_t b = 0; b < blocks; ++b) parameters.add(actual[2 * b]);
        REQUIRE(parameters.result() == sum_of_squares(before.parameter.data(), dtype, count));
      }
    }
  }
}

}  // namespace trireme::kernels
