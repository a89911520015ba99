// SPDX-License-Identifier: Apache-2.0
#include "trireme/models/mesh_gpt.hpp"

#include "kernels/float_environment.hpp"
#include "models/gpt_parameters.hpp"
#include "models/gpt_workspace.hpp"
#include "models/mesh_gpt_state.hpp"
#include "trireme/base/error.hpp"
#include "trireme/pipeline/check.hpp"
#include "trireme/pipeline/generate.hpp"

#include <string>
#include <utility>

namespace trireme::models {
namespace {

std::size_t at(int value) { return static_cast<std::size_t>(value); }

/// The options with everything said that may be left unsaid.
/// Errors: invalid_argument naming what does not fit.
MeshGptOptions completed(MeshGptOptions options, int pipeline_ranks) {
  check(options.gpt);
  if (options.gpt.memory_elsewhere)
    fail(ErrorCode::invalid_argument, "a MeshGpt has memory of its own: memory_elsewhere is for a whole Gpt");
  if (options.micro_batch_rows == 0)
    fail(ErrorCode::invalid_argument, "micro-batches of 0 rows at most: give micro_batch_rows");
  if (options.schedule.ranks.empty()) options.schedule = pipeline::one_forward_one_backward(pipeline_ranks, 1);
  const std::size_t stages = at(options.schedule.stages), layers = options.gpt.layers;
  if (options.schedule.ranks.size() != at(pipeline_ranks)) {
    fail(ErrorCode::invalid_argument, "a pipeline schedule of " + std::to_string(options.schedule.ranks.size()) +
                                          " ranks on a pipeline axis of " + std::to_string(pipeline_ranks));
  }
  if (stages > layers) {
    fail(ErrorCode::invalid_argument, std::to_string(stages) + " pipeline stages for " + std::to_string(layers) +
                                          " blocks: every stage has one at least");
  }
  if (options.layers.empty()) {
    for (std::size_t s = 0; s < stages; ++s) options.layers.push_back(layout::piece({0, layers}, stages, s).size());
  }
  if (options.layers.size() != stages) {
    fail(ErrorCode::invalid_argument, "blocks are given for " + std::to_string(options.layers.size()) +
                                          " stages, and the schedule has " + std::to_string(stages));
  }
  std::size_t given = 0;
  for (std::size_t s = 0; s < stages; ++s) {
    if (options.layers[s] == 0 || options.layers[s] > layers) {
      fail(ErrorCode::invalid_argument, "stage " + std::to_string(s) + " of " + std::to_string(options.layers[s]) +
                                            " blocks, of a model of " + std::to_string(layers));
    }
    given += options.layers[s];
  }
  if (given != layers) {
    fail(ErrorCode::invalid_argument,
         "stages of " + std::to_string(given) + " blocks in all for a model of " + std::to_string(layers));
  }
  return options;
}

/// Blocks of every stage.
std::vector<layout::Interval> intervals_of(const std::vector<std::size_t>& layers) {
  std::vector<layout::Interval> all;
  std::size_t begin = 0;
  for (const std::size_t count : layers) {
    all.push_back({begin, begin + count});
    begin += count;
  }
  return all;
}

}  // namespace

template <class T>
MeshGpt<T>::State::State(Communicator tensor, Communicator pipeline_ranks, const MeshGptOptions& given)
    : options(completed(given, pipeline_ranks.size())),
      facts(pipeline::check(options.schedule)),
      axis(std::move(tensor), {.deadline = given.deadline}),
      along(std::move(pipeline_ranks)) {
  const GptOptions& gpt = options.gpt;
  const std::vector<layout::Interval> layers = intervals_of(options.layers);
  const std::vector<int> numbers = facts.stages_of(along.rank());

  std::vector<bool> present(GptIndex::count(gpt.layers), false);
  present[GptIndex::token_embedding] = has_first() || has_last();
  present[GptIndex::position_embedding] = has_first();
  present[GptIndex::final_norm_weight(gpt.layers)] = present[GptIndex::final_norm_bias(gpt.layers)] = has_last();
  for (const int number : numbers) {
    for (std::size_t p = GptIndex::block(layers[at(number)].begin); p < GptIndex::block(layers[at(number)].end); ++p)
      present[p] = true;
  }
  parameters.emplace(axis, gpt, present, has_first() && has_last(), axis.size() * along.size() > 1);

  losses.resize(at(options.schedule.micro_batches));
  std::vector<pipeline::Stage*> pointers;
  for (const int number : numbers) {
    stages.push_back(std::make_unique<MeshStage<T>>(
        axis, options,
        typename MeshStage<T>::Part{layers[at(number)], number == 0, number + 1 == options.schedule.stages},
        *parameters, scratch, step, losses));
    pointers.push_back(stages.back().get());
  }
  std::size_t positions = options.micro_batch_rows * gpt.context;
  if (options.sequence_parallel) {  // the greatest share that a micro-batch of so many rows or fewer can have
    const std::size_t ranks = at(axis.size());
    positions = (positions + ranks - 1) / ranks;
  }
  runtime.emplace(along, options.schedule, pointers,
                  pipeline::RuntimeOptions{.boundaries = std::vector<pipeline::Boundary>(
                                               layers.size() - 1, {positions * gpt.channels, dtype_of<T>}),
                                           .deadline = options.deadline});
  for (std::size_t i = 0; i < stages.size(); ++i) stages[i]->prepare(runtime->slots(numbers[i]), facts.splits_backward);
  if (facts.rank_of_stage.front() != facts.rank_of_stage.back())
    tied = along.split(has_first() || has_last() ? 0 : -1, along.rank());
}

template <class T>
void MeshGpt<T>::State::tie() {
  if (!has_first() && !has_last()) return;
  if (tied) {
    const std::size_t place = parameters->index_of(GptIndex::token_embedding);
    tied->all_reduce(parameters->list()[place].gradient.template as<T>(), sum, call("token_embedding.weight"));
  } else {
    parameters->join_ends();
  }
  parameters->announce(GptIndex::token_embedding);
}

template <class T>
MeshGpt<T>::MeshGpt(Communicator tensor, Communicator pipeline, const MeshGptOptions& options)
    : state_(std::make_unique<State>(std::move(tensor), std::move(pipeline), options)) {}

template <class T>
MeshGpt<T>::MeshGpt(MeshGpt&&) noexcept = default;
template <class T>
MeshGpt<T>& MeshGpt<T>::operator=(MeshGpt&&) noexcept = default;
template <class T>
MeshGpt<T>::~MeshGpt() = default;

template <class T>
const MeshGptOptions& MeshGpt<T>::options() const {
  return state_->options;
}

template <class T>
const std::vector<Parameter>& MeshGpt<T>::parameters() const {
  return state_->parameters->list();
}

template <class T>
const std::vector<MeshPlacement>& MeshGpt<T>::placements() const {
  return state_->parameters->placements();
}

template <class T>
void MeshGpt<T>::use_gradients(std::span<const Parameter> parameters) {
  state_->parameters->use_gradients(parameters);
}

template <class T>
void MeshGpt<T>::set_place(const SamplePlace& place) {
  state_->step.place = place;
}

template <class T>
double MeshGpt<T>::run(std::span<const std::uint16_t> tokens, std::size_t rows,
                       const std::function<void(std::size_t)>& ready) {
  const kernels::FloatEnvironment environment;
  State& state = *state_;
  const MeshGptOptions& options = state.options;
  const std::size_t micro_batches = at(options.schedule.micro_batches);
  if (rows > micro_batches * options.micro_batch_rows) {
    fail(ErrorCode::invalid_argument, std::to_string(rows) + " rows do not fit " + std::to_string(micro_batches) +
                                          " micro-batches of " + std::to_string(options.micro_batch_rows) +
                                          " rows at most");
  }
  check_rows(options.gpt, tokens, rows);
  state.parameters->announce_to(&ready);
  if (rows == 0) {
    state.parameters->clear();
    return 0.0;
  }
  state.step.evaluating = false;
  state.step.tokens = tokens;
  state.step.rows = rows;
  state.step.micro_batches = options.schedule.micro_batches;
  state.runtime->run();
  state.tie();
  double loss = 0.0;
  if (state.has_last()) {
    for (int i = 0; i < options.schedule.micro_batches; ++i) {
      if (state.step.rows_of(i).size() > 0) loss += state.losses[at(i)] * state.step.weight_of(i);
    }
  }
  if (state.along.size() > 1)
    state.along.broadcast(std::span<double>(&loss, 1), state.facts.rank_of_stage.back(), state.call("loss"));
  return loss;
}

template class MeshGpt<float>;
template class MeshGpt<double>;

}  // namespace trireme::models
