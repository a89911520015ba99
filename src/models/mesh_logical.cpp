// SPDX-License-Identifier: Apache-2.0
#include "models/gpt_parameters.hpp"
#include "models/mesh_gpt_state.hpp"
#include "trireme/base/error.hpp"
#include "trireme/tensor_parallel/conjugate.hpp"

#include <algorithm>
#include <optional>
#include <string>

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
void MeshGpt<T>::gather_logical(std::size_t parameter, std::span<const T> own, std::span<T> whole) const {
  State& state = *state_;
  const std::vector<GptParameter> dense = parameters_of(state.options.gpt);
  if (parameter >= dense.size()) {
    fail(ErrorCode::invalid_argument,
         "parameter " + std::to_string(parameter) + " of a model that has " + std::to_string(dense.size()));
  }
  const std::string& name = dense[parameter].name;
  const int owner = state.owner_of(parameter);
  if (owner == state.along.rank()) {
    const auto split = state.axis.size() > 1 ? split_of(state.options.gpt, parameter) : std::nullopt;
    const std::size_t expected = split ? state.axis.share_count(*split) : whole.size();
    if (own.size() != expected) {
      fail(ErrorCode::invalid_argument, "this rank has " + std::to_string(own.size()) + " elements for '" + name +
                                            "', and its share is " + std::to_string(expected));
    }
    if (split) {
      tensor_parallel::sharded_to_replicated(state.axis, *split, own, whole, name);
    } else {
      std::ranges::copy(own, whole.begin());
    }
  }
  if (state.along.size() > 1) state.along.broadcast(whole, owner, state.call(name));
}

template <class T>
void MeshGpt<T>::for_each_logical(
    const std::function<void(std::size_t parameter, std::span<const T> values)>& take) const {
  const MeshParameters<T>& parameters = *state_->parameters;
  const std::vector<GptParameter> dense = parameters_of(state_->options.gpt);
  for (std::size_t p = 0; p < dense.size(); ++p) {
    data::AlignedBuffer<T> whole(dense[p].count);
    const auto own =
        parameters.has(p) ? std::span<const T>(parameters.value(p), parameters.count(p)) : std::span<const T>();
    gather_logical(p, own, whole.span());
    take(p, whole.span());
  }
}

template int MeshGpt<float>::State::owner_of(std::size_t) const;
template int MeshGpt<double>::State::owner_of(std::size_t) const;
template void MeshGpt<float>::gather_logical(std::size_t, std::span<const float>, std::span<float>) const;
template void MeshGpt<double>::gather_logical(std::size_t, std::span<const double>, std::span<double>) const;
template void MeshGpt<float>::for_each_logical(const std::function<void(std::size_t, std::span<const float>)>&) const;
template void MeshGpt<double>::for_each_logical(const std::function<void(std::size_t, std::span<const double>)>&) const;

}  // namespace trireme::models
