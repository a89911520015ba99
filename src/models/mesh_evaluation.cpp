// SPDX-License-Identifier: Apache-2.0
#include "kernels/float_environment.hpp"
#include "kernels/norm/norm.hpp"
#include "models/gpt_workspace.hpp"
#include "models/mesh_gpt_state.hpp"
#include "pipeline/caught.hpp"
#include "trireme/base/error.hpp"

#include <algorithm>
#include <string>

namespace trireme::models {

template <class T>
void MeshGpt<T>::State::evaluate(std::span<const std::uint16_t> tokens, std::size_t rows, std::span<double> found) {
  step.tokens = tokens;
  step.rows = rows;
  step.micro_batches = 1;
  const tensor_parallel::Split positions{1, rows * options.gpt.context, options.gpt.channels};
  const std::size_t count = options.sequence_parallel ? axis.share_count(positions) : positions.count();
  passed_in.ensure(count);
  passed_on.ensure(count);
  const std::size_t last = facts.rank_of_stage.size() - 1;
  std::size_t own = 0;
  for (std::size_t s = 0; s <= last; ++s) {
    if (!on(s)) continue;
    if (s > 0 && on(s - 1)) {
      std::swap(passed_in, passed_on);
    } else if (s > 0) {
      along.recv(passed_in.span().first(count), facts.rank_of_stage[s - 1], call("evaluation"));
    }
    MeshStage<T>& stage = *stages[own++];
    stage.forward({}, std::span<const T>(passed_in.span().first(count)), passed_on.span().first(count));
    if (s < last && !on(s + 1))
      along.send(std::span<const T>(passed_on.span().first(count)), facts.rank_of_stage[s + 1], call("evaluation"));
    if (s == last) std::ranges::copy(stage.losses(found.size()), found.begin());
  }
}

template <class T>
TokenEvaluation MeshGpt<T>::evaluate(std::span<const std::uint16_t> tokens, std::size_t rows,
                                     std::span<double> losses) {
  const kernels::FloatEnvironment environment;
  State& state = *state_;
  const std::size_t context = state.options.gpt.context;
  check_rows(state.options.gpt, tokens, rows);
  if (!losses.empty() && losses.size() != rows * context) {
    fail(ErrorCode::invalid_argument, "room for " + std::to_string(losses.size()) + " losses, but there are " +
                                          std::to_string(rows * context) + " targets");
  }
  if (rows == 0) return {};
  std::vector<double> own;
  if (losses.empty()) own.resize(rows * context);
  const std::span<double> all = losses.empty() ? std::span<double>(own) : losses;
  state.step.evaluating = true;
  const std::size_t most = state.options.micro_batch_rows;
  for (std::size_t begin = 0; begin < rows; begin += most) {
    const std::size_t count = std::min(most, rows - begin);
    try {
      state.evaluate(tokens.subspan(begin * (context + 1), count * (context + 1)), count,
                     all.subspan(begin * context, count * context));
    } catch (...) {  // the other stages would wait for this one
      pipeline::abort_with_caught(state.along, "evaluation of pipeline rank " + std::to_string(state.along.rank()));
      throw;
    }
  }
  if (state.along.size() > 1) state.along.broadcast(all, state.facts.rank_of_stage.back(), state.call("evaluation"));
  return {.tokens = rows * context, .loss_sum = kernels::sum(all.data(), all.size())};
}

template void MeshGpt<float>::State::evaluate(std::span<const std::uint16_t>, std::size_t, std::span<double>);
template void MeshGpt<double>::State::evaluate(std::span<const std::uint16_t>, std::size_t, std::span<double>);
template TokenEvaluation MeshGpt<float>::evaluate(std::span<const std::uint16_t>, std::size_t, std::span<double>);
template TokenEvaluation MeshGpt<double>::evaluate(std::span<const std::uint16_t>, std::size_t, std::span<double>);

}  // namespace trireme::models
