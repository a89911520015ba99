// SPDX-License-Identifier: Apache-2.0
#include "models/mesh_parameters.hpp"

#include "kernels/fold/fold.hpp"
#include "kernels/residual/residual.hpp"
#include "models/gpt_parameters.hpp"
#include "models/gradient_views.hpp"
#include "models/initial.hpp"

#include <algorithm>

namespace trireme::models {

using tensor_parallel::Split;

std::optional<Split> split_of(const GptOptions& options, std::size_t parameter) {
  using enum BlockParameter;
  const std::size_t width = options.channels, head = options.channels / options.heads;
  if (parameter == GptIndex::token_embedding) return Split{1, options.vocabulary, width};
  if (parameter < GptIndex::block(0) || parameter >= GptIndex::block(options.layers)) return std::nullopt;
  switch (static_cast<BlockParameter>((parameter - GptIndex::block(0)) % static_cast<std::size_t>(count))) {
    case qkv_weight: return Split{3, width, width, head};
    case qkv_bias: return Split{3, width, 1, head};
    case projection_weight: return Split{width, width, 1, head};
    case expand_weight: return Split{1, 4 * width, width};
    case expand_bias: return Split{1, 4 * width, 1};
    case contract_weight: return Split{width, 4 * width, 1};
    default: return std::nullopt;
  }
}

namespace {

/// What a rank has of a tensor of this shape: rows where the split keeps whole rows, else columns.
std::vector<std::int64_t> local_shape(const std::vector<std::int64_t>& shape, const Split& split, std::size_t own) {
  const auto rows = static_cast<std::int64_t>(split.outer * own);
  if (shape.size() == 1) return {rows};
  if (split.inner == static_cast<std::size_t>(shape[1])) return {rows, shape[1]};
  return {static_cast<std::int64_t>(split.outer), static_cast<std::int64_t>(own)};
}

}  // namespace

template <class T>
MeshParameters<T>::MeshParameters(const tensor_parallel::Axis& axis, const GptOptions& options,
                                  const std::vector<bool>& present, bool twice, bool is_part)
    : place_(present.size(), nowhere), twice_(twice) {
  const std::vector<GptParameter> dense = parameters_of(options);
  std::size_t total = 0, greatest = 0, previous = 0;
  for (std::size_t p = 0; p < dense.size(); ++p) {
    if (!present[p]) continue;
    place_[p] = list_.size();
    MeshPlacement placement{.parameter = p, .shape = dense[p].shape};
    std::vector<std::int64_t> shape = dense[p].shape;
    std::size_t count = dense[p].count;
    if (const std::optional<Split> split = split_of(options, p)) {
      placement.ranges = split->ranges(axis.rank(), axis.size());
      shape = local_shape(shape, *split, axis.share(*split).size());
      count = axis.share_count(*split);
    } else {
      placement.ranges = {{0, count}};
      placement.whole = true;
    }
    const TensorView nowhere_yet(nullptr, count, dtype_of<T>);
    list_.push_back({dense[p].name, shape, nowhere_yet, nowhere_yet});
    if (!placement.whole && axis.size() > 1) list_.back().logical_shape = dense[p].shape;
    list_.back().stays = true;
    list_.back().is_part = is_part;
    placements_.push_back(std::move(placement));
    total += padded(count);
    greatest = std::max(greatest, previous + padded(count));  // a weight and the bias behind it
    previous = padded(count);
  }
  values_ = data::AlignedBuffer<T>(total);
  gradients_ = data::AlignedBuffer<T>(total);
  terms_ = data::AlignedBuffer<T>(greatest);
  std::size_t offset = 0;
  for (std::size_t i = 0; i < list_.size(); ++i) {
    const MeshPlacement& placement = placements_[i];
    const std::size_t count = list_[i].value.count;
    list_[i].value = values_.span().subspan(offset, count);
    list_[i].gradient = gradients_.span().subspan(offset, count);
    std::size_t at = offset;
    for (const layout::Interval& range : placement.ranges) {
      set_initial(values_.span().subspan(at, range.size()), dense[placement.parameter].initial, options.seed,
                  placement.parameter, range.begin);
      at += range.size();
    }
    offset += padded(count);
  }
  if (twice) head_ = data::AlignedBuffer<T>(count(GptIndex::token_embedding));
}

template <class T>
void MeshParameters<T>::use_gradients(std::span<const Parameter> parameters) {
  if (adopt_gradients(list_, parameters)) gradients_ = {};
}

template <class T>
void MeshParameters<T>::settle(T* sum, const T* term_values, std::size_t count, const MicroTerm& term) const {
  if (term_values == sum) return;
  (term.first ? kernels::scale : kernels::scale_add)(sum, term_values, dtype_of<T>, term.weight, count,
                                                     kernels::best_isa());
}

template <class T>
void MeshParameters<T>::add_norm(std::size_t gain, const MicroTerm& term, const T* sums) {
  const std::size_t width = count(gain);
  settle(gradient(gain + 1), sums + width, width, term);
  if (term.last) announce(gain + 1);
  settle(gradient(gain), sums, width, term);
  if (term.last) announce(gain);
}

template <class T>
void MeshParameters<T>::join_ends() {
  T* const sum = gradient(GptIndex::token_embedding);
  kernels::add(sum, sum, head_.data(), count(GptIndex::token_embedding));
}

template <class T>
void MeshParameters<T>::clear() {
  for (std::size_t p = list_.size(); p-- > 0;) {
    const std::span<T> gradient = list_[p].gradient.template as<T>();
    std::fill(gradient.begin(), gradient.end(), T{0});
    if (ready_ != nullptr && *ready_) (*ready_)(p);
  }
}

template class MeshParameters<float>;
template class MeshParameters<double>;

}  // namespace trireme::models
