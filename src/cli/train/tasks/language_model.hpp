// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/train/mesh_flags.hpp"
#include "cli/train/tasks/model_shares.hpp"
#include "cli/train/tasks/task.hpp"
#include "trireme/models/gpt.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace trireme::cli {

/// How a prompt goes on.
struct Continuation {
  std::size_t tokens = 0;
  double temperature = 1.0;
  std::uint64_t seed = 0;
};

/// A Gpt of f32 as a text task uses it, on this rank alone or on several together.
/// Threads: one at a time.
class LanguageModel {
 public:
  virtual ~LanguageModel() = default;

  virtual const models::GptOptions& options() const = 0;
  virtual const std::vector<Parameter>& parameters() const = 0;
  virtual void use_gradients(std::span<const Parameter> parameters) = 0;
  // As of Task.
  virtual std::vector<std::vector<std::string>> units() const { return {}; }
  virtual void set_initial(std::size_t, std::size_t, TensorView) {}
  virtual void use_access(ParameterAccess&) {}
  virtual void evaluate_nothing(std::size_t) {}
  virtual ModelShares* shares() { return nullptr; }

  virtual double forward_backward(std::span<const std::uint16_t> tokens, std::size_t rows, const PassPlace& place,
                                  PassListener& listener) = 0;
  virtual models::TokenEvaluation evaluate(std::span<const std::uint16_t> tokens, std::size_t rows) = 0;
  /// What follows the prompt; where ranks have the model together on world rank 0 alone, and all of them call it. Nothing where that
  /// has no memory for the whole model.
  virtual std::vector<std::uint16_t> generate(std::span<const std::uint16_t> prompt,
                                              const Continuation& continuation) = 0;
};

/// `zero_stage`: as far as the model takes part in it.
std::unique_ptr<LanguageModel> make_whole_gpt(const models::GptOptions& options, int zero_stage);

/// Of the ranks of place.mesh. Collective.
/// Errors: those of models::MeshGpt.
std::unique_ptr<LanguageModel> make_meshed_gpt(const models::GptOptions& options, const ModelMesh& mesh,
                                               const TaskPlace& place);

}  // namespace trireme::cli
