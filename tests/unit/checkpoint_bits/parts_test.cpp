// SPDX-License-Identifier: Apache-2.0
// What a loop keeps beside its tensors, and states that are of another form than the checkpoint.
#include "memory_files.hpp"
#include "support/failures.hpp"
#include "support/require.hpp"
#include "trireme/checkpoint/folder.hpp"
#include "trireme/checkpoint/saver.hpp"
#include "trireme/checkpoint/training_parts.hpp"
#include "trireme/optim/adamw.hpp"
#include "trireme/optim/sgd.hpp"
#include "trireme/world/run_ranks.hpp"

#include <catch2/catch.hpp>

#include <cmath>
#include <limits>
#include <map>

using namespace trireme;
using namespace trireme::testing;
using Catch::Matchers::Contains;

namespace {

using Parts = std::map<std::string, checkpoint::Stateful*>;

checkpoint::TrainingState state_of(const Parts& parts) {
  checkpoint::TrainingState state;
  for (const auto& [section, part] : parts) state.add(section, *part);
  return state;
}

/// Saves `saved`, on one rank, then resumes into `restored`; what went wrong there.
Error through_a_folder(const Parts& saved, const Parts& restored) {
  MemoryFiles files;
  Error error{.code = ErrorCode::none, .message = ""};
  run_ranks(1, [&](World& world) {
    auto folder = checkpoint::Folder::open(world.communicator(), files, {.path = "/job"});
    checkpoint::Saver saver(folder);
    saver.save(1, state_of(saved));
    const auto report = saver.finish();
    require(report && report->is_complete, "the save is complete");
    try {
      require(folder.resume(state_of(restored)).has_value(), "there is a checkpoint");
    } catch (const Exception& refusal) {
      error = refusal.error();
    }
  });
  return error;
}

void require_refusal(const Parts& saved, const Parts& restored, const std::string& part) {
  const Error error = through_a_folder(saved, restored);
  CHECK(error.code == ErrorCode::invalid_argument);
  CHECK_THAT(error.message, Contains(part));
}

struct Values {
  explicit Values(std::vector<std::int64_t> shape) : shape_(std::move(shape)), memory(6, 1.5f) {}
  std::vector<Parameter> list(const std::string& name = "weight") { return {{name, shape_, std::span(memory), {}}}; }
  std::vector<std::int64_t> shape_;
  std::vector<float> memory;
};

}  // namespace

TEST_CASE("a loop's own numbers come back bit by bit") {
  std::uint64_t step = 3, most = std::numeric_limits<std::uint64_t>::max();
  double loss = 0.1, negative_zero = -0.0, none = std::numeric_limits<double>::infinity();
  checkpoint::CounterState saved{
      {"step", step}, {"most", most}, {"loss", loss}, {"negative_zero", negative_zero}, {"best/so far", none}};
  std::uint64_t step_back = 0, most_back = 0;
  double loss_back = 0, zero_back = 1, none_back = 0;
  checkpoint::CounterState restored{{"best/so far", none_back},
                                    {"negative_zero", zero_back},
                                    {"loss", loss_back},
                                    {"most", most_back},
                                    {"step", step_back}};
  REQUIRE(through_a_folder({{"loop", &saved}}, {{"loop", &restored}}).message == "");
  CHECK(step_back == 3);
  CHECK(most_back == most);
  CHECK(loss_back == 0.1);
  CHECK((zero_back == 0.0 && std::signbit(zero_back)));
  CHECK(std::isinf(none_back));
}

TEST_CASE(
    "a number that the checkpoint does not have, or has as another kind, is refused by name, not taken for damage") {
  std::uint64_t whole = 3;
  double real = 0.5;
  checkpoint::CounterState saved{{"step", whole}}, another{{"epoch", whole}}, kind{{"step", real}};
  require_refusal({{"loop", &saved}}, {{"loop", &another}}, "'epoch'");
  require_refusal({{"loop", &saved}}, {{"loop", &kind}}, "'step'");
  require_refusal({{"loop", &saved}}, {{"other", &saved}}, "'step'");
}

TEST_CASE("a loop has as many optimizers, models and samplers as it likes, each a section") {
  Values generator({2, 3}), critic({6}), generator_back({2, 3}), critic_back({6});
  const std::vector<float> gradient{1, 2, 3, 4, 5, 6};
  Sgd slow({.learning_rate = 0.1, .momentum = 0.9}), slow_back({.learning_rate = 0.1, .momentum = 0.9});
  AdamW fast({.learning_rate = 0.1}), fast_back({.learning_rate = 0.1});
  slow.apply("weight", std::span(generator.memory), std::span<const float>(gradient));
  for (int i = 0; i < 3; ++i) fast.apply("weight", std::span(critic.memory), std::span<const float>(gradient));
  DistributedSampler real({.count = 20, .global_batch = 3, .seed = 1}), noise({.count = 9, .global_batch = 4}),
      real_back = real, noise_back = noise;
  real.advance();
  for (int i = 0; i < 4; ++i) noise.advance();
  checkpoint::ParameterState a(generator.list()), b(critic.list()), a_back(generator_back.list()),
      b_back(critic_back.list());
  checkpoint::OptimizerState c(slow), d(fast), c_back(slow_back), d_back(fast_back);
  checkpoint::SamplerState e(real), f(noise), e_back(real_back), f_back(noise_back);
  REQUIRE(through_a_folder({{"generator", &a}, {"critic", &b}, {"slow", &c}, {"fast", &d}, {"real", &e}, {"noise", &f}},
                           {{"generator", &a_back},
                            {"critic", &b_back},
                            {"slow", &c_back},
                            {"fast", &d_back},
                            {"real", &e_back},
                            {"noise", &f_back}})
              .message == "");
  CHECK(generator_back.memory == generator.memory);
  CHECK(critic_back.memory == critic.memory);
  CHECK(slow_back.saved("weight").steps == 1);
  CHECK(fast_back.saved("weight").steps == 3);
  CHECK(real_back.cursor() == real.cursor());
  CHECK(noise_back.cursor() == noise.cursor());
  // And they go on alike.
  fast.apply("weight", std::span(critic.memory), std::span<const float>(gradient));
  fast_back.apply("weight", std::span(critic_back.memory), std::span<const float>(gradient));
  CHECK(critic_back.memory == critic.memory);
}

TEST_CASE("a model of another form is refused in words: shape, name, number of tensors") {
  Values matrix({2, 3}), turned({3, 2});
  checkpoint::ParameterState saved(matrix.list()), other_shape(turned.list()), other_name(matrix.list("bias"));
  require_refusal({{"model", &saved}}, {{"model", &other_shape}}, "'weight' has the shape {2, 3} in the checkpoint");
  require_refusal({{"model", &saved}}, {{"model", &other_name}}, "'model/bias'");
  auto two = matrix.list();
  two.push_back(turned.list("bias")[0]);
  checkpoint::ParameterState more(two);
  require_refusal({{"model", &saved}}, {{"model", &more}}, "1 tensors of the model, which has 2");
}

TEST_CASE("an optimizer of another rule, or with settings that keep other state, is refused in words") {
  Values values({6});
  const std::vector<float> gradient(6, 1.0f);
  Sgd momentum({.learning_rate = 0.1, .momentum = 0.9}), plain({.learning_rate = 0.1});
  AdamW adamw({.learning_rate = 0.1});
  momentum.apply("weight", std::span(values.memory), std::span<const float>(gradient));
  plain.apply("weight", std::span(values.memory), std::span<const float>(gradient));
  checkpoint::OptimizerState with(momentum), without(plain), other(adamw);
  require_refusal({{"optimizer", &with}}, {{"optimizer", &other}}, "'adamw'");
  require_refusal({{"optimizer", &with}}, {{"optimizer", &without}}, "keeps 0");
  plain.apply("weight", std::span(values.memory), std::span<const float>(gradient));
  require_refusal({{"optimizer", &without}}, {{"optimizer", &with}}, "no tensors of the optimizer 'sgd'");
  Values other_values({6});
  checkpoint::ParameterState beside(other_values.list());
  CHECK(through_a_folder({{"optimizer", &without}}, {{"optimizer", &without}}).message == "");
  require_refusal({{"optimizer", &without}, {"model", &beside}}, {{"optimizer", &with}, {"model", &beside}},
                  "no tensors of the optimizer 'sgd'");
  // What is not there at all is no damage either.
  std::uint64_t step = 0;
  checkpoint::CounterState counters{{"step", step}};
  require_refusal({{"loop", &counters}}, {{"optimizer", &other}}, "optimizer");
}
