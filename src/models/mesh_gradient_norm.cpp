// SPDX-License-Identifier: Apache-2.0
#include "kernels/float_environment.hpp"
#include "kernels/fold/fold.hpp"
#include "kernels/norm/norm.hpp"
#include "models/gpt_parameters.hpp"
#include "models/mesh_gpt_state.hpp"
#include "trireme/base/error.hpp"
#include "trireme/layout/flat_shards.hpp"

#include <algorithm>
#include <cmath>
#include <string>

namespace trireme::models {
namespace {

constexpr std::size_t block = layout::reduction_block;

std::size_t blocks_of(std::size_t count) { return (count + block - 1) / block; }

/// Sums of squares of the blocks of all parameters of this rank, one behind the other; -0 where others have them.
std::vector<double> block_sums(const std::vector<Parameter>& parameters, std::span<const TensorView> gradients,
                               const MeshGradientParts& parts) {
  std::vector<double> sums;
  for (std::size_t p = 0; p < parameters.size(); ++p) {
    const std::size_t count = parameters[p].value.count;
    const layout::Interval owned = parts.owned ? parts.owned(p) : layout::Interval{0, count};
    if (gradients[p].count != owned.size() || owned.begin % block != 0) {
      fail(ErrorCode::invalid_argument, "the gradient of '" + parameters[p].name + "' has " +
                                            std::to_string(gradients[p].count) + " elements, but " +
                                            std::to_string(owned.size()) + " are owned, from " +
                                            std::to_string(owned.begin) + " on");
    }
    const std::size_t first = sums.size() + owned.begin / block;
    sums.resize(sums.size() + blocks_of(count), -0.0);
    const std::size_t width = size_of(gradients[p].dtype);
    for (std::size_t begin = 0; begin < owned.size(); begin += block) {
      sums[first + begin / block] =
          kernels::block_sum_of_squares(static_cast<const std::byte*>(gradients[p].data) + begin * width,
                                        gradients[p].dtype, std::min(block, owned.size() - begin));
    }
  }
  return sums;
}

}  // namespace

template <class T>
double MeshGpt<T>::gradient_norm(std::span<const TensorView> gradients, const MeshGradientParts& parts) const {
  const kernels::FloatEnvironment environment;
  const State& state = *state_;
  const std::vector<Parameter>& parameters = state.parameters->list();
  if (gradients.size() != parameters.size()) {
    fail(ErrorCode::invalid_argument, std::to_string(gradients.size()) + " gradients of " +
                                          std::to_string(parameters.size()) + " parameters of this rank");
  }
  std::vector<double> blocks = block_sums(parameters, gradients, parts);
  if (parts.data && parts.data->size() > 1) {
    Communicator data = *parts.data;
    data.all_reduce(std::span<double>(blocks), sum, state.call("gradient norm"));
  }
  // By dense index; -0 where another rank counts. Gradients of what all ranks of an axis have are equal: one counts.
  std::vector<double> squares(GptIndex::count(state.options.gpt.layers), -0.0);
  std::size_t next = 0;
  for (std::size_t p = 0; p < parameters.size(); ++p) {
    const MeshPlacement& placement = state.parameters->placements()[p];
    kernels::TreeSum of_tensor;
    for (std::size_t b = 0; b < blocks_of(parameters[p].value.count); ++b) of_tensor.add(blocks[next++]);
    const bool elsewhere = (placement.whole && state.axis.rank() != 0) ||
                           (placement.parameter == GptIndex::token_embedding && !state.has_first());
    if (!elsewhere) squares[placement.parameter] = of_tensor.result();
  }
  Communicator tensor = state.axis.communicator(), pipeline = state.along;
  if (tensor.size() > 1) tensor.all_reduce(std::span<double>(squares), sum, state.call("gradient norm"));
  if (pipeline.size() > 1) pipeline.all_reduce(std::span<double>(squares), sum, state.call("gradient norm"));
  kernels::TreeSum all;
  for (const double each : squares) all.add(each);
  return std::sqrt(all.result());
}

template <class T>
double MeshGpt<T>::clip_gradients(std::span<const TensorView> gradients, double max_norm,
                                  const MeshGradientParts& parts) const {
  if (!(max_norm > 0.0))
    fail(ErrorCode::invalid_argument, "gradients cannot be clipped to a norm of " + std::to_string(max_norm));
  const double norm = gradient_norm(gradients, parts);
  if (!std::isfinite(norm) || norm <= max_norm) return norm;
  const kernels::FloatEnvironment environment;
  for (const TensorView& gradient : gradients)
    kernels::scale(gradient.data, gradient.data, gradient.dtype, max_norm / norm, gradient.count);
  return norm;
}

template double MeshGpt<float>::gradient_norm(std::span<const TensorView>, const MeshGradientParts&) const;
template double MeshGpt<double>::gradient_norm(std::span<const TensorView>, const MeshGradientParts&) const;
template double MeshGpt<float>::clip_gradients(std::span<const TensorView>, double, const MeshGradientParts&) const;
template double MeshGpt<double>::clip_gradients(std::span<const TensorView>, double, const MeshGradientParts&) const;

}  // namespace trireme::models
