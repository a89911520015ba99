// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "models/mesh_block.hpp"
#include "models/mesh_norm.hpp"
#include "models/mesh_parameters.hpp"
#include "trireme/data/aligned_buffer.hpp"
#include "trireme/layout/interval.hpp"
#include "trireme/models/mesh_gpt.hpp"
#include "trireme/pipeline/stage.hpp"
#include "trireme/tensor_parallel/axis.hpp"
#include "trireme/tensor_parallel/column_linear.hpp"
#include "trireme/tensor_parallel/vocabulary_cross_entropy.hpp"
#include "trireme/tensor_parallel/vocabulary_embedding.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace trireme::models {

/// The step under way, as all stages of a rank see it.
struct MeshStep {
  std::span<const std::uint16_t> tokens;
  std::size_t rows = 0;
  int micro_batches = 1;
  SamplePlace place;
  bool evaluating = false;  ///< no dropout, no gradients

  layout::Interval rows_of(int micro_batch) const {
    return layout::piece({0, rows}, static_cast<std::size_t>(micro_batches), static_cast<std::size_t>(micro_batch));
  }
  double weight_of(int micro_batch) const {
    return static_cast<double>(rows_of(micro_batch).size()) / static_cast<double>(rows);
  }
  MicroTerm term_of(int micro_batch) const {
    return {weight_of(micro_batch), rows_of(micro_batch).begin == 0, micro_batch + 1 == micro_batches};
  }
};

/// Some blocks of a Gpt, with the embeddings before the first and the head behind the last: what the pipeline's runtime calls.
/// A micro-batch without rows computes nothing.
template <class T>
class MeshStage final : public pipeline::Stage {
 public:
  struct Part {
    layout::Interval layers{};
    bool first = false;
    bool last = false;
  };
  MeshStage(tensor_parallel::Axis& axis, const MeshGptOptions& options, const Part& part, MeshParameters<T>& parameters,
            MeshScratch<T>& scratch, const MeshStep& step, std::vector<double>& losses);

  /// What the schedule asks for; before the first call.
  void prepare(int slots, bool splits_backward);

  void forward(pipeline::MicroBatch micro_batch, ConstTensorView input, TensorView output) override;
  void backward(pipeline::MicroBatch micro_batch, ConstTensorView input, ConstTensorView output_gradient,
                TensorView input_gradient) override;
  bool splits_backward() const override { return true; }
  /// The losses of all targets of the micro-batch that was last in slot 0; on the last stage.
  std::span<const double> losses(std::size_t count) const { return slots_[0].losses.span().first(count); }
  void backward_input(pipeline::MicroBatch micro_batch, ConstTensorView input, ConstTensorView output_gradient,
                      TensorView input_gradient) override;
  void backward_weight(pipeline::MicroBatch micro_batch, ConstTensorView input,
                       ConstTensorView output_gradient) override;

 private:
  /// What is kept of a live micro-batch.
  struct Slot {
    std::vector<data::AlignedBuffer<T>> inputs;   ///< of every block and of the final norm; the first stage's own first
    std::vector<MeshActivations<T>> kept;         ///< of every block
    std::vector<MeshDerivatives<T>> derivatives;  ///< of every block, where backward is split
    std::vector<std::uint16_t> tokens;            ///< inputs of all rows, without gaps
    std::vector<std::int32_t> targets;            ///< one position later
    std::vector<std::uint16_t> next;              ///< the same as tokens
    data::AlignedBuffer<T> normalised, logits, sums;  ///< of the head; the logits become their derivative
    NormStatistics<T> statistics;                     ///< of the final norm
    data::AlignedBuffer<T> embedded;                  ///< derivative by the embeddings' sum, of all positions
    data::AlignedBuffer<double> losses;
  };

  std::size_t blocks() const { return part_.layers.size(); }
  MeshPass pass_of(int micro_batch) const;
  const T* input_of(const Slot& slot, std::size_t block, ConstTensorView input) const;
  MeshActivations<T>& kept_of(Slot& slot, std::size_t block) {
    return options_.gpt.recompute ? shared_ : slot.kept[block];
  }
  void take_tokens(const MeshPass& pass, int micro_batch, Slot& slot) const;
  void embed(const MeshPass& pass, Slot& slot);
  void add_positions(const MeshPass& pass, T* x) const;
  void head(const MeshPass& pass, int micro_batch, Slot& slot);
  void measure(const MeshPass& pass, Slot& slot);
  void head_backward(const MeshPass& pass, Slot& slot, T* delta, const MicroTerm* term);
  void head_weight(const MeshPass& pass, Slot& slot, const MicroTerm& term);
  void embed_backward(const MeshPass& pass, Slot& slot, T* delta);
  void embed_weight(const MeshPass& pass, Slot& slot, const MicroTerm& term);
  void go_back(pipeline::MicroBatch micro_batch, ConstTensorView input, ConstTensorView output_gradient,
               TensorView input_gradient, const MicroTerm* term);

  tensor_parallel::Axis& axis_;
  MeshGptOptions options_;
  Part part_;
  MeshParameters<T>& parameters_;
  MeshScratch<T>& scratch_;
  const MeshStep& step_;
  std::vector<double>& losses_;
  std::vector<MeshBlock<T>> layers_;
  tensor_parallel::VocabularyParallelEmbedding<T> embedding_;
  MeshNorm<T> final_norm_;
  tensor_parallel::ColumnParallelLinear<T> head_;
  tensor_parallel::VocabularyParallelCrossEntropy<T> cross_entropy_;
  std::vector<Slot> slots_;
  MeshActivations<T> shared_;     ///< of the block at work, with recompute
  data::AlignedBuffer<T> delta_;  ///< of the first stage
};

extern template class MeshStage<float>;
extern template class MeshStage<double>;

}  // namespace trireme::models
