// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/data/aligned_buffer.hpp"
#include "trireme/layout/interval.hpp"
#include "trireme/tensor_parallel/axis.hpp"

#include <array>
#include <cstddef>
#include <string>
#include <vector>

namespace trireme::tensor_parallel {

/// Which positions of a sequence each rank of an axis has.
enum class ContextShare : unsigned char {
  contiguous,  ///< rank r of P: the r-th of P pieces; under causal attention the last rank computes most
  balanced,    ///< pieces r and 2P-1-r of 2P, in this order: every rank computes about the same
};

struct RingAttentionOptions {
  std::size_t length = 0;  ///< positions of a sequence on all ranks together
  std::size_t heads = 1;
  std::size_t head_channels = 0;
  ContextShare share = ContextShare::balanced;
};

/// Causal attention, softmax(q k^T/sqrt(head_channels)) v per head, of sequences whose positions the ranks of an axis share (context
/// parallel): keys and values go once round the ring of ranks while every rank attends to those it holds, keeping the
/// maximum and the sum of each softmax as it goes; in the backward pass their gradients go round with them.
/// Shape:   C = heads head_channels. qkv rows x own positions x 3C: q of all heads, k, v, as models::Gpt has them; out rows x own
///          positions x C. Any length: shares differ by at most a position a piece, and may be empty. T is float or double.
/// Order:   the own block first, then those of the ranks before, descending, cyclic: equal to dense attention but for rounding,
///          and to itself in every run; the order of the sums depends on the number of ranks.
/// Cost:    forward 2 rows (length - own positions) C elements sent at most, backward twice that and the gradients' way
///          home; sends are under way beside the products. Memory: three blocks of keys and values.
/// Threads, errors: as Axis.
/// Source:  Liu, Zaharia, Abbeel, "Ring Attention", 2023 (arXiv 2310.01889); Milakov, Gimelshein, 2018 (arXiv 1805.02867), the
///          softmax in one pass; Brandon et al., "Striped Attention", 2023 (arXiv 2311.09431), on balance.
template <class T>
class RingAttention {
 public:
  /// `name`: of the layer, for errors. Errors: invalid_argument naming it for sizes of 0.
  RingAttention(Axis& axis, std::string name, const RingAttentionOptions& options);

  /// Positions of the sequence that rank `rank` has, in the order of its memory.
  std::array<layout::Interval, 2> positions(int rank) const;
  std::array<layout::Interval, 2> positions() const { return positions(axis_.rank()); }
  std::size_t local_length(int rank) const;
  std::size_t local_length() const { return local_length(axis_.rank()); }

  /// Of every query, for the backward pass: its greatest score, and the sum of exp(score - greatest).
  /// Shape: rows x heads x own positions each.
  struct Statistics {
    T* greatest = nullptr;
    double* sums = nullptr;
  };
  void forward(const T* qkv, std::size_t rows, T* out, const Statistics& statistics);
  /// dqkv, overwritten, from the derivative by `out`.
  void backward(const T* qkv, const T* out, const T* dout, const Statistics& statistics, std::size_t rows, T* dqkv);

 private:
  /// What a pass computes with beside the caller's memory, head by head: rows x heads matrices of positions x head_channels.
  struct Pass {
    std::size_t rows = 0;
    Statistics statistics{};
  };
  std::size_t channels() const { return options_.heads * options_.head_channels; }
  /// Keys and values of one rank, or their gradients.
  std::size_t block_count(int rank, std::size_t rows) const { return 2 * rows * local_length(rank) * channels(); }
  int owner_at(int distance) const { return (axis_.rank() + axis_.size() - distance) % axis_.size(); }
  /// How many keys of `owner`, in the order of its memory, the own query `query` sees: they come first.
  std::size_t visible(std::size_t query, int owner) const;
  /// Channels [which C, (which+1) C) of rows of `width` channels, gathered by heads, and back.
  void gather_heads(const T* from, std::size_t width, std::size_t which, std::size_t rows, T* to) const;
  void scatter_heads(const T* from, std::size_t width, std::size_t which, std::size_t rows, T* to) const;
  T* travelling(std::size_t which, std::size_t rows);
  /// products_ = q k^T of one head.
  void score(const T* query, const T* key, std::size_t keys);
  void attend(const Pass& pass, int owner, const T* block);
  void attend_backward(const Pass& pass, int owner, const T* block, const std::vector<double>& dots, T* block_gradient);

  Axis& axis_;
  std::string name_;
  RingAttentionOptions options_;
  std::size_t longest_ = 0;  ///< share of a rank
  T scale_;
  data::AlignedBuffer<T> queries_, attended_, query_gradients_;  ///< by heads
  data::AlignedBuffer<T> products_, weights_, terms_;            ///< of one head
  std::array<ArenaBuffer, 5> travelling_;
};

extern template class RingAttention<float>;
extern template class RingAttention<double>;

}  // namespace trireme::tensor_parallel
