// SPDX-License-Identifier: Apache-2.0
#include "models/gpt_parameters.hpp"
#include "models/mesh_gpt_state.hpp"
#include "trireme/tensor_parallel/conjugate.hpp"

#include <algorithm>

namespace trireme::models {

template <class T>
int MeshGpt<T>::State::owner_of(std::size_t parameter) const {
  if (parameter < GptIndex::block(0)) return facts.rank_of_stage.front();
  std::size_t stage = 0, end = GptIndex::block(options.layers[0]);
  while (parameter >= end && stage + 1 < options.layers.size())
    end += options.layers[++stage] * static_cast<std::size_t>(BlockParameter::count);
  return facts.rank_of_stage[stage];  // the final norm's is the last
}

template <class T>
void MeshGpt<T>::for_each_logical(
    const std::function<void(std::size_t parameter, std::span<const T> values)>& take) const {
  State& state = *state_;
  const std::vector<GptParameter> dense = parameters_of(state.options.gpt);
  for (std::size_t p = 0; p < dense.size(); ++p) {
    data::AlignedBuffer<T> whole(dense[p].count);
    const int owner = state.owner_of(p);
    if (owner == state.along.rank()) {
      const std::span<const T> own(state.parameters->value(p), state.parameters->count(p));
      if (const auto split = split_of(state.options.gpt, p)) {
        tensor_parallel::sharded_to_replicated(state.axis, *split, own, whole.span(), dense[p].name);
      } else {
        std::ranges::copy(own, whole.data());
      }
    }
    if (state.along.size() > 1) state.along.broadcast(whole.span(), owner, state.call(dense[p].name));
    take(p, whole.span());
  }
}

template int MeshGpt<float>::State::owner_of(std::size_t) const;
template int MeshGpt<double>::State::owner_of(std::size_t) const;
template void MeshGpt<float>::for_each_logical(const std::function<void(std::size_t, std::span<const float>)>&) const;
template void MeshGpt<double>::for_each_logical(const std::function<void(std::size_t, std::span<const double>)>&) const;

}  // namespace trireme::models
