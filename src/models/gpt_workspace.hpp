// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "models/dropout.hpp"
#include "models/gpt_block.hpp"
#include "models/gpt_parameters.hpp"
#include "models/gpt_shape.hpp"
#include "models/parameter_use.hpp"
#include "trireme/data/aligned_buffer.hpp"
#include "trireme/models/gpt.hpp"

#include <cstdint>
#include <span>
#include <vector>

namespace trireme::models {

enum class GptPass : bool { inference, training };

/// Everything a Gpt computes with beside its parameters, and the forward pass, which training, evaluation and generation
/// share.
template <class T>
struct Gpt<T>::Workspace {
  std::vector<data::AlignedBuffer<T>> inputs;  ///< of every block, and of the final norm
  std::vector<BlockActivations<T>> kept;       ///< of every block, or one for all
  BlockScratch<T> scratch;
  data::AlignedBuffer<T> normalised, means, inverse_roots;  ///< of the final norm
  data::AlignedBuffer<T> logits;                            ///< positions x vocabulary; then the derivative by them
  data::AlignedBuffer<T> delta;                             ///< derivative by the input of the block at work
  data::AlignedBuffer<double> losses;
  data::AlignedBuffer<std::uint16_t> tokens;   ///< the inputs of all rows, without gaps
  data::AlignedBuffer<std::uint16_t> targets;  ///< one position later
  GptShape shape;
  Dropout dropout;

  explicit Workspace(const GptOptions& options);

  void make_room(const GptOptions& options, const GptShape& wanted, GptPass pass);
  /// Cuts rows of context + 1 tokens into inputs and targets.
  void take_rows(const GptOptions& options, const std::uint16_t* rows, std::size_t count, GptPass pass);
  /// Takes one sequence without targets.
  void take_sequence(const GptOptions& options, std::span<const std::uint16_t> sequence);

  /// What `shape`'s tokens are behind the last block. Each unit of the parameters is held while it is used.
  void forward(const GptOptions& options, std::vector<Parameter>& parameters, const ParameterUse& use, GptPass pass);
  /// The final norm of all positions, and logits[0 .. count) of those from first to first + count. Unit 0 is held.
  void head(const GptOptions& options, const std::vector<Parameter>& parameters, std::size_t first,
            std::size_t count) noexcept;

  BlockCall<T> block(const GptOptions& options, const std::vector<Parameter>& parameters, std::size_t layer,
                     GptPass pass) {
    const bool own = pass == GptPass::training && !options.recompute;
    return {.shape = shape,
            .tensors = {parameters.data() + GptIndex::block(layer)},
            .layer = layer,
            .dropout = &dropout,
            .kept = &kept[own ? layer : 0],
            .scratch = &scratch};
  }
};

/// Errors: invalid_argument naming the first token that is not below the vocabulary.
void check_tokens(std::span<const std::uint16_t> tokens, std::size_t vocabulary);
/// The same, and that they are `rows` rows of context + 1.
void check_rows(const GptOptions& options, std::span<const std::uint16_t> tokens, std::size_t rows);

}  // namespace trireme::models
